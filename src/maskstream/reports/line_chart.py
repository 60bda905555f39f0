"""Curves over epochs as inline SVG, with the values that the page's script shows under the pointer."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup

from maskstream.reports.charts import WIDTH
from maskstream.reports.read_training import Numbers
from maskstream.reports.training_charts import DOT_LIMIT, Chart, Line, epoch_ticks, nice_ticks, tick_text

_LEFT, _RIGHT, _TOP = 52, 10, 10
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, 150
_HEIGHT = _TOP + _PLOT_HEIGHT + 26


def line_svg(chart: Chart, last_epoch: float, stage_epochs: Sequence[float], best_epoch: float | None) -> Markup:
    """Draw a chart from epoch 0 to `last_epoch`.

    Parameters
    ----------
    stage_epochs : where a further stage begins; a dashed line is drawn there.
    best_epoch : whose validations get a ring.
    """
    ticks = nice_ticks(*chart.range)
    frame = _Frame(last_epoch, ticks[0], ticks[-1])
    content = Markup("")
    for tick in ticks:
        y = frame.y(tick)
        content += Markup(
            '<path class="grid" d="M{} {y:.1f}H{}"/><text x="{}" y="{text_y:.1f}" text-anchor="end">{}</text>'
        ).format(_LEFT, WIDTH - _RIGHT, _LEFT - 6, tick_text(tick), y=y, text_y=y + 4.5)
    for epoch in epoch_ticks(last_epoch):
        content += Markup(
            '<path class="axis" d="M{x:.1f} {}v4"/><text x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
        ).format(_TOP + _PLOT_HEIGHT, _HEIGHT - 6, tick_text(epoch), x=frame.x(epoch))
    for epoch in stage_epochs:
        content += Markup('<path class="stage" d="M{:.1f} {}v{}"/>').format(frame.x(epoch), _TOP, _PLOT_HEIGHT)
    for number, line in enumerate(chart.lines):
        content += _curve(frame, line, colour_class(chart, number), best_epoch)
    told = "; ".join(f"{line.name}: last {line.y[-1]:.4g}" for line in chart.lines if line.kind != "noise")
    plot = f"{_LEFT} {_PLOT_WIDTH} {last_epoch:.6g}"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {} {}" role="img" tabindex="0" '
        'data-plot="{}"><title>{}</title><desc>{}</desc>{}<path class="cursor" d="M0 {}v{}"/></svg>'
    ).format(WIDTH, _HEIGHT, plot, chart.title, told, content, _TOP, _PLOT_HEIGHT)


def values_json(chart: Chart) -> str:
    """Name, epochs and values of each line that is told under the pointer."""
    told = [line for line in chart.lines if line.kind != "noise"]
    return json.dumps([[line.name, _rounded(line.x, 6), _rounded(line.y, 5)] for line in told], separators=(",", ":"))


def colour_class(chart: Chart, number: int) -> str:
    """CSS class of a line: its kind, and for validations their number among themselves."""
    kinds = [line.kind for line in chart.lines[: number + 1]]
    return kinds[-1] if kinds[-1] != "validation" else f"validation v{kinds.count('validation')}"


class _Frame:
    """Where values lie in the drawing."""

    def __init__(self, last_epoch: float, low: float, high: float) -> None:
        self._last_epoch, self._low, self._high = last_epoch, low, high

    def x(self, epoch: float) -> float:
        return _LEFT + _PLOT_WIDTH * epoch / self._last_epoch

    def y(self, value: float) -> float:
        """Values beyond the frame, which only single steps have, lie on its edge."""
        share = (value - self._low) / (self._high - self._low)
        return _TOP + _PLOT_HEIGHT * (1 - min(max(share, 0.0), 1.0))


def _curve(frame: _Frame, line: Line, css: str, best_epoch: float | None) -> Markup:
    places = [(frame.x(x), frame.y(y)) for x, y in zip(line.x.tolist(), line.y.tolist(), strict=True)]
    drawn = Markup('<path class="curve {}" d="M{}"/>').format(css, "L".join(f"{x:.1f} {y:.1f}" for x, y in places))
    if line.kind == "validation" and len(places) <= DOT_LIMIT:
        for (x, y), epoch in zip(places, line.x.tolist(), strict=True):
            drawn += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>').format(css, x, y)
            if epoch == best_epoch:
                drawn += Markup('<circle class="ring {}" cx="{:.1f}" cy="{:.1f}" r="5.5"/>').format(css, x, y)
    return drawn


def _rounded(values: Numbers, digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values.tolist()]
