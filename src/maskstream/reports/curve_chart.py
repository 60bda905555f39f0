"""The curves of an evaluation as inline SVG, with the values that the page's script shows under the pointer."""

from __future__ import annotations

import json

from markupsafe import Markup

from maskstream.reports.evaluation_charts import Chart, Line, values_of
from maskstream.reports.plot import Plot
from maskstream.reports.ticks import nice_ticks


def curve_svg(chart: Chart) -> Markup:
    """Draw a chart; the first line is in the page's own colour, the further ones in those of `v1`, `v2`."""
    y_ticks = nice_ticks(*(chart.y_limits or (0.0, max(values_of(chart.lines)))))
    x_low, x_high = chart.x_limits or (0.0, max(x for line in chart.lines for x, _ in line.points))
    plot = Plot((x_low, x_high), (y_ticks[0], y_ticks[-1]), chart.x_title, height=190)
    content = plot.axes([tick for tick in nice_ticks(x_low, x_high) if tick <= x_high], y_ticks)
    if chart.diagonal:
        content += Markup('<path class="stage" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>').format(
            plot.x(0), plot.y(0), plot.x(1), plot.y(1)
        )
    if chart.marker is not None:
        content += plot.upright("stage", chart.marker[0])
    for place, line in enumerate(chart.lines):
        content += _curve(plot, line, colour_class(place))
    told = "; ".join(f"{line.name}: {_ends(line)}" for line in chart.lines)
    return plot.svg(chart.title, f"{chart.y_title} over {chart.x_title}. {told}", content)


def values_json(chart: Chart) -> str:
    """Of each line its name, x, y, and the further values of its points as text."""
    lines = [
        [
            line.name,
            [_rounded(x) for x, _ in line.points],
            [_rounded(y) for _, y in line.points],
            [_told(line, place) for place in range(len(line.points))],
        ]
        for line in chart.lines
    ]
    return json.dumps(lines, separators=(",", ":"))


def colour_class(place: int) -> str:
    """CSS class of the line at a place."""
    return f"v{place}"


def _told(line: Line, place: int) -> str:
    parts = [f"{name} {values[place]}".strip() for name, values in line.more.items() if values[place]]
    if line.low:
        parts.insert(0, f"{line.low[place]:.3g} to {line.high[place]:.3g}")
    return ", ".join(parts)


def _ends(line: Line) -> str:
    (x1, y1), (x2, y2) = line.points[0], line.points[-1]
    return f"from {y1:.3g} at {x1:.3g} to {y2:.3g} at {x2:.3g}"


def _curve(plot: Plot, line: Line, css: str) -> Markup:
    places = [(plot.x(x), plot.y(y)) for x, y in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (places if len(places) > 1 else places * 2))
    drawn = Markup('<path class="curve {}" d="M{}"/>').format(css, path)
    for (x, _), low, high in zip(places, line.low, line.high, strict=False):
        drawn += Markup(
            '<path class="whisker {}" d="M{x:.1f} {:.1f}V{:.1f}M{:.1f} {low:.1f}h6M{:.1f} {high:.1f}h6"/>'
        ).format(css, plot.y(low), plot.y(high), x - 3, x - 3, x=x, low=plot.y(low), high=plot.y(high))
    if line.marks:
        for x, y in places:
            drawn += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(css, x, y)
    return drawn


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
