"""A forest plot as inline SVG: a row a model, a dot for its value and a line for its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from maskstream.reports.charts import WIDTH
from maskstream.reports.ticks import nice_ticks, tick_text

_LEFT, _RIGHT, _TOP = 12, 12, 4
_ROW, _TEXT, _LINE = 44, 16, 29
_BELOW = 24
_LETTERS = 44
"""That fit beside each other."""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One model.

    Attributes
    ----------
    told : its value, and interval, as text.
    low, high : None without an interval.
    css : class of its marks: `sure`, `unsure` or `base`.
    """

    name: str
    told: str
    value: float
    low: float | None
    high: float | None
    css: str


def forest_svg(title: str, rows: Sequence[ForestRow], line: float | None) -> Markup:
    """Draw the rows over one axis.

    Parameters
    ----------
    line : where a dashed line stands: the baseline's value, or zero of differences; it is always in view.
    """
    values = [value for row in rows for value in (row.value, row.low, row.high) if value is not None]
    values += [] if line is None else [line]
    ticks = nice_ticks(min(values), max(values))
    bottom = _TOP + _ROW * len(rows)
    first, last = ticks[0], ticks[-1]

    def x(value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - first) / (last - first)

    drawn = Markup("")
    for tick in ticks:
        drawn += Markup(
            '<path class="grid" d="M{x:.1f} {}V{}"/><text x="{x:.1f}" y="{}" text-anchor="{}">{}</text>'
        ).format(_TOP, bottom, bottom + 18, _anchor(tick, ticks), tick_text(tick).replace("-", "−"), x=x(tick))
    if line is not None:
        drawn += Markup('<path class="reference" d="M{:.1f} {}V{}"/>').format(x(line), _TOP, bottom)
    for number, row in enumerate(rows):
        top = _TOP + _ROW * number
        name = row.name if len(row.name) + len(row.told) <= _LETTERS else f"{row.name[: _LETTERS - len(row.told) - 1]}…"
        bar = Markup("")
        if row.low is not None and row.high is not None:
            bar = Markup('<path class="span" d="M{:.1f} {y}H{:.1f}"/>').format(x(row.low), x(row.high), y=top + _LINE)
        drawn += Markup(
            '<g class="{}"><title>{}: {}</title><text class="name" x="0" y="{y}">{}</text>'
            '<text class="told" x="{}" y="{y}" text-anchor="end">{}</text>{}<circle cx="{:.1f}" cy="{}" r="5"/></g>'
        ).format(row.css, row.name, row.told, name, WIDTH, row.told, bar, x(row.value), top + _LINE, y=top + _TEXT)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="forest" viewBox="0 0 {} {}" role="img">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(WIDTH, bottom + _BELOW, title, "; ".join(f"{row.name}: {row.told}" for row in rows), drawn)


def _anchor(tick: float, ticks: Sequence[float]) -> str:
    """Numbers at the ends stay inside the drawing."""
    return "start" if tick == ticks[0] else "end" if tick == ticks[-1] else "middle"
