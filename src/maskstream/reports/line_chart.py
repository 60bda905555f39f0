"""Curves over epochs as inline SVG, with the values that the page's script shows under the pointer."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup

from maskstream.reports.plot import Plot
from maskstream.reports.read_training import Numbers
from maskstream.reports.ticks import nice_ticks
from maskstream.reports.training_charts import DOT_LIMIT, Chart, Line, epoch_ticks


def line_svg(chart: Chart, last_epoch: float, stage_epochs: Sequence[float], best_epoch: float | None) -> Markup:
    """Draw a chart from epoch 0 to `last_epoch`; values beyond its range, which only single steps have, are cut.

    Parameters
    ----------
    stage_epochs : where a further stage begins; a dashed line is drawn there.
    best_epoch : whose validations get a ring.
    """
    ticks = nice_ticks(*chart.range)
    plot = Plot((0.0, last_epoch), (ticks[0], ticks[-1]))
    content = plot.axes(epoch_ticks(last_epoch), ticks)
    for epoch in stage_epochs:
        content += plot.upright("stage", epoch)
    for number, line in enumerate(chart.lines):
        content += _curve(plot, line, colour_class(chart, number), best_epoch)
    told = "; ".join(f"{line.name}: last {line.y[-1]:.4g}" for line in chart.lines if line.kind != "noise")
    return plot.svg(chart.title, told, content)


def values_json(chart: Chart) -> str:
    """Name, epochs and values of each line that is told under the pointer."""
    told = [line for line in chart.lines if line.kind != "noise"]
    return json.dumps([[line.name, rounded(line.x, 6), rounded(line.y, 5)] for line in told], separators=(",", ":"))


def colour_class(chart: Chart, number: int) -> str:
    """CSS class of a line: its kind, and for validations their number among themselves."""
    kinds = [line.kind for line in chart.lines[: number + 1]]
    return kinds[-1] if kinds[-1] != "validation" else f"validation v{kinds.count('validation')}"


def rounded(values: Numbers, digits: int) -> list[float]:
    """Values as a page carries them."""
    return [float(f"{value:.{digits}g}") for value in values.tolist()]


def _curve(plot: Plot, line: Line, css: str, best_epoch: float | None) -> Markup:
    places = [(plot.x(x), plot.y(y)) for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True)]
    drawn = Markup('<path class="curve {}" d="M{}"/>').format(css, "L".join(f"{x:.1f} {y:.1f}" for x, y in places))
    if line.kind == "validation" and len(places) <= DOT_LIMIT:
        for (x, y), epoch in zip(places, line.x.tolist(), strict=True):
            drawn += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(css, x, y)
            if epoch == best_epoch:
                drawn += Markup('<circle class="ring {}" cx="{:.1f}" cy="{:.1f}" r="5.5"/>').format(css, x, y)
    return drawn
