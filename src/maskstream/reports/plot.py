"""The frame of a chart with curves as inline SVG: where values lie, grid, axes and the cursor of the page's script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from maskstream.reports.charts import WIDTH
from maskstream.reports.ticks import tick_text

_LEFT, _RIGHT, _TOP = 52, 10, 10
_PLOT_WIDTH = WIDTH - _LEFT - _RIGHT
_BELOW, _TITLE_BELOW = 26, 22


@dataclass(frozen=True, slots=True)
class Plot:
    """Where values lie in the drawing; those beyond it lie on its edge.

    Attributes
    ----------
    x_range, y_range : lowest and highest value of the drawing.
    x_title : below the axis, where there is one.
    height : of the plotting area, in the drawing's units.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    x_title: str = ""
    height: int = 150

    def x(self, value: float) -> float:
        """From left to right."""
        return _LEFT + _PLOT_WIDTH * _share(value, self.x_range)

    def y(self, value: float) -> float:
        """From the top down."""
        return _TOP + self.height * (1 - _share(value, self.y_range))

    def axes(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> Markup:
        """Lines and numbers of both axes."""
        drawn = Markup("")
        for tick in y_ticks:
            y = self.y(tick)
            drawn += Markup(
                '<path class="grid" d="M{} {y:.1f}H{}"/><text x="{}" y="{text_y:.1f}" text-anchor="end">{}</text>'
            ).format(_LEFT, WIDTH - _RIGHT, _LEFT - 6, tick_text(tick), y=y, text_y=y + 4.5)
        for tick in x_ticks:
            drawn += Markup(
                '<path class="axis" d="M{x:.1f} {}v4"/><text x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
            ).format(_TOP + self.height, _TOP + self.height + 20, tick_text(tick), x=self.x(tick))
        if self.x_title:
            drawn += Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                _LEFT + _PLOT_WIDTH / 2, _TOP + self.height + 40, self.x_title
            )
        return drawn

    def upright(self, css: str, value: float) -> Markup:
        """A line over the whole height at a place."""
        return Markup('<path class="{}" d="M{:.1f} {}v{}"/>').format(css, self.x(value), _TOP, self.height)

    def svg(self, title: str, told: str, content: Markup) -> Markup:
        """The whole drawing; `data-plot` tells the script where x begins, how wide it is, and its range."""
        plot = f"{_LEFT} {_PLOT_WIDTH} {self.x_range[0]:.6g} {self.x_range[1]:.6g}"
        height = _TOP + self.height + _BELOW + (_TITLE_BELOW if self.x_title else 0)
        return Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {} {}" role="img" tabindex="0" '
            'data-plot="{}"><title>{}</title><desc>{}</desc>{}<path class="cursor" d="M0 {}v{}"/></svg>'
        ).format(WIDTH, height, plot, title, told, content, _TOP, self.height)


def _share(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return min(max((value - low) / (high - low), 0.0), 1.0)
