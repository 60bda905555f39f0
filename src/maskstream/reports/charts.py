"""Charts as inline SVG: bars, a heat map, the colours of a class.

They are as wide as a phone, so that their letters are never made smaller, and take their colours from the page's style.
Every chart has a title and a description for those who do not see it, and each bar tells its own numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from maskstream.reports.bins import Bins, thinned
from maskstream.reports.curves import nice_ceiling
from maskstream.reports.words import counted, number

WIDTH = 360
_LEFT, _RIGHT, _TOP = 50, 24, 12
_PLOT_WIDTH = WIDTH - _LEFT - _RIGHT
_PLOT_HEIGHT = 150
_LETTER = 7.0
"""Width of a letter of an axis, on average."""

_CHANNELS = ("red", "green", "blue")


def bars_svg(bins: Bins, title: str, x_title: str, noun: str) -> Markup:
    """A histogram; `noun` is what is counted, in the singular."""
    highest = max(bins.counts, default=0)
    top = nice_ceiling(highest)
    step = _PLOT_WIDTH / max(len(bins.counts), 1)
    gap = min(1.0, step / 8)
    bars = Markup("")
    for index, (count, label) in enumerate(zip(bins.counts, bins.labels, strict=True)):
        if count:
            height = _PLOT_HEIGHT * count / top
            x, y = _LEFT + index * step + gap, _TOP + _PLOT_HEIGHT - height
            bars += _rect("bar", x, y, step - 2 * gap, height, told=f"{label}: {counted(count, noun)}")
    told = f"{counted(sum(bins.counts), noun)} in {len(bins.counts)} bins"
    if highest:
        told += f"; most, {number(highest)}, at {bins.labels[bins.counts.index(highest)]}"
    longest = max((len(text) for _, text in bins.ticks), default=0)
    ticks = thinned(bins.ticks, 1 + int(_PLOT_WIDTH / (_LETTER * longest + 8)))
    axes = _y_axis(top) + _x_axis(ticks, x_title)
    return _svg(_TOP + _PLOT_HEIGHT + 44, title, told, axes + bars)


def heat_svg(counts: NDArray[np.int64], title: str, noun: str, *, aspect: float = 4 / 3) -> Markup:
    """A map of counts (rows, columns), row 0 on top; the darkest field holds the most.

    Parameters
    ----------
    aspect : width over height of what the map stands for.
    """
    rows, columns = counts.shape
    aspect = min(max(aspect, 0.5), 2.0)
    width = min(float(WIDTH - 20), 300 * aspect)
    height, left = width / aspect, (WIDTH - width) / 2
    highest = int(counts.max(initial=0))
    field_w, field_h = width / columns, height / rows
    cells = Markup("")
    for row, column in np.argwhere(counts):
        x, y, share = left + column * field_w, 4 + row * field_h, counts[row, column] / highest
        cells += _rect("heat", x, y, field_w, field_h, opacity=share)
    middle = Markup('<path class="middle" d="M{x:.1f} 4v{h:.1f}M{left:.1f} {y:.1f}h{w:.1f}"/>').format(
        x=WIDTH / 2, y=4 + height / 2, left=left, w=width, h=height
    )
    field = _rect("field", left, 4, width, height) + cells + middle + _rect("frame", left, 4, width, height)
    told = f"{counted(int(counts.sum()), noun)}; at most {number(highest)} in one of {rows} x {columns} fields"
    return _svg(height + 8 + 34, title, told, field + _heat_key(height + 18, highest))


def _heat_key(y: float, highest: int) -> Markup:
    """What the shades of a heat map mean."""
    steps = Markup("").join(_rect("heat", 100 + 20 * step, y, 20, 10, opacity=(step + 1) / 8) for step in range(8))
    return steps + Markup(
        '<text x="92" y="{y:.1f}" text-anchor="end">0</text><text x="268" y="{y:.1f}">{highest}</text>'
    ).format(y=y + 9.5, highest=number(highest))


def channels_svg(shares: NDArray[np.float64], title: str, told: str) -> Markup:
    """Histograms of red, green and blue over 0..255, shares (3, bins).

    The outermost bins, where cameras clip, often hold more than all others and are cut at their height.
    """
    bins = shares.shape[1]
    highest = float(shares[:, 1:-1].max(initial=0)) or 1.0
    heights = np.minimum(shares / highest, 1)
    x = _LEFT / 2 + (np.arange(bins) + 0.5) * (WIDTH - _LEFT) / bins
    curves = Markup("")
    for name, channel in zip(_CHANNELS, heights, strict=True):
        y = _TOP + 110 * (1 - channel)
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
        floor = _TOP + 110
        curves += Markup('<path class="{name} area" d="M{left:.1f} {floor}L{line}L{right:.1f} {floor}Z"/>').format(
            name=name, left=x[0], floor=floor, line=line, right=x[-1]
        )
        curves += Markup('<path class="{} line" d="M{}"/>').format(name, line)
    ticks = Markup("").join(
        Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            _LEFT / 2 + (WIDTH - _LEFT) * value / 256, _TOP + 128, value
        )
        for value in (0, 64, 128, 192, 255)
    )
    ground = Markup('<path class="axis" d="M{} {y}H{}"/>').format(_LEFT / 2, WIDTH - _LEFT / 2, y=_TOP + 110)
    return _svg(_TOP + 134, title, told, ground + curves + ticks)


def _y_axis(top: float) -> Markup:
    """Lines and numbers at 0, the middle and the top; the middle has a number where it is a whole one."""
    marks = Markup("")
    for share in (0.0, 0.5, 1.0):
        y = _TOP + _PLOT_HEIGHT * (1 - share)
        marks += Markup('<path class="{}" d="M{} {y:.1f}H{}"/>').format(
            "grid" if share else "axis", _LEFT, WIDTH - _RIGHT, y=y
        )
        if (share * top).is_integer():
            marks += Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                _LEFT - 6, y + 4.5, number(share * top)
            )
    return marks


def _x_axis(ticks: Sequence[tuple[float, str]], x_title: str) -> Markup:
    y = _TOP + _PLOT_HEIGHT
    marks = Markup("")
    for share, text in ticks:
        x = _LEFT + share * _PLOT_WIDTH
        marks += Markup(
            '<path class="axis" d="M{x:.1f} {}v4"/><text x="{x:.1f}" y="{}" text-anchor="middle">{}</text>'
        ).format(y, y + 18, text, x=x)
    return marks + Markup('<text class="x-title" x="{}" y="{}" text-anchor="middle">{}</text>').format(
        _LEFT + _PLOT_WIDTH / 2, y + 38, x_title
    )


def _rect(css: str, x: float, y: float, width: float, height: float, *, opacity: float = 1, told: str = "") -> Markup:
    fade = Markup(' fill-opacity="{:.3f}"').format(opacity) if opacity < 1 else ""
    title = Markup("<title>{}</title>").format(told) if told else ""
    return Markup('<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"{}>{}</rect>').format(
        css, x, y, width, height, fade, title
    )


def _svg(height: float, title: str, told: str, content: Markup) -> Markup:
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {} {:.0f}" role="img">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(WIDTH, height, title, told, content)
