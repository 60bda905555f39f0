"""A pie with its legend, as one SVG that a page holds or a file is."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from markupsafe import Markup

from maskstream.draw.labels import percent_text
from maskstream.draw.palette import BASE_COLOURS

KEPT_COLOURS = ("#0b5a66", "#4f979f", "#9cc9cc", "#2f7480", "#75b1b6")
"""Shades of the page's own colour, for what is kept."""

_WARM_FIRST = (5, 3, 1, 6, 0, 2, 4)

SLICE_LIMIT = 12
"""Lines of the legend; what is beyond them goes together into the last one."""

WIDTH = 360
"""Width of the drawing: that of a phone, so that its letters are never made smaller."""

_RADIUS, _TOP, _ROW, _LINE = 92, 8, 26, 18
_LABEL_CHARACTERS = 32
_FONT = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', Arial, sans-serif"


def pie_svg(slices: Sequence[tuple[str, int]], title: str, *, kept: int = 1) -> Markup:
    """Draw shares of a whole, clockwise from the top, with counts and percentages below.

    Parameters
    ----------
    slices : label and count of each, in the order of the drawing. A count of 0 stands in the legend alone.
    title : what the whole is, for those who cannot see it.
    kept : how many of the first slices wear the page's own colour, against the warm ones of all others.

    Returns
    -------
    One `<svg>` element, `WIDTH` units wide, that needs no style sheet.

    Raises
    ------
    ValueError : a count is negative.
    """
    if any(count < 0 for _, count in slices):
        raise ValueError(f"a pie of {title!r} has a negative count: {dict(slices)}")
    colours = _colours(len(slices), kept)
    rows = _merge_tail([(label, count, colour) for (label, count), colour in zip(slices, colours, strict=True)])
    total = sum(count for _, count, _ in rows)
    legend, end = _legend(rows, total, _TOP + 2 * _RADIUS + 14)
    told = "; ".join(f"{label}: {count}, {_share(count, total)}" for label, count, _ in rows) or "nothing"
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="pie" viewBox="0 0 {width} {height}" width="{width}" '
        'height="{height}" role="img" font-family="{font}" font-size="15" fill="#1c2326">'
        "<title>{title}</title><desc>{told}</desc>{wedges}{legend}</svg>"
    ).format(
        width=WIDTH,
        height=round(end + 4),
        font=_FONT,
        title=title,
        told=told,
        wedges=_wedges(rows, total),
        legend=legend,
    )


def _colours(count: int, kept: int) -> list[str]:
    warm = ["#{:02x}{:02x}{:02x}".format(*BASE_COLOURS[index]) for index in _WARM_FIRST]
    return [
        KEPT_COLOURS[index % len(KEPT_COLOURS)] if index < kept else warm[(index - kept) % len(warm)]
        for index in range(count)
    ]


def _merge_tail(rows: list[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    if len(rows) <= SLICE_LIMIT:
        return rows
    tail = rows[SLICE_LIMIT - 1 :]
    return [*rows[: SLICE_LIMIT - 1], (f"{len(tail)} others", sum(count for _, count, _ in tail), "#8b9699")]


def _share(count: int, total: int) -> str:
    return percent_text(count / total) if total else "0 %"


def _wedges(rows: list[tuple[str, int, str]], total: int) -> Markup:
    """The pie itself; a slice that is the whole is a circle, since an arc cannot end where it begins."""
    x, y = WIDTH / 2, _TOP + _RADIUS
    if not total:
        return Markup(
            '<circle cx="{}" cy="{}" r="{}" fill="#e9edec" stroke="#b9c2c2"/>'
            '<text x="{}" y="{}" text-anchor="middle" fill="#566166">none</text>'
        ).format(x, y, _RADIUS, x, y + 5)
    whole = [colour for _, count, colour in rows if count == total]
    if whole:
        return Markup('<circle cx="{}" cy="{}" r="{}" fill="{}"/>').format(x, y, _RADIUS, whole[0])
    drawn, start = Markup(""), 0
    for _, count, colour in rows:
        if count:
            drawn += Markup('<path d="{}" fill="{}" stroke="#fff" stroke-width="1" stroke-linejoin="round"/>').format(
                _wedge(x, y, start / total, (start + count) / total), colour
            )
            start += count
    return drawn


def _wedge(x: float, y: float, start: float, end: float) -> str:
    """Path of a sector between two shares of the round, each 0..1."""
    (x1, y1), (x2, y2) = (
        (x + _RADIUS * math.sin(math.tau * share), y - _RADIUS * math.cos(math.tau * share)) for share in (start, end)
    )
    large = int(end - start > 0.5)
    return f"M{x:g} {y:g}L{x1:.2f} {y1:.2f}A{_RADIUS} {_RADIUS} 0 {large} 1 {x2:.2f} {y2:.2f}Z"


def _legend(rows: list[tuple[str, int, str]], total: int, top: float) -> tuple[Markup, float]:
    """Swatch, label, count and percentage a row, and where they end; a long label takes two lines."""
    drawn, y = Markup(""), top
    for label, count, colour in rows:
        lines = textwrap.wrap(label, _LABEL_CHARACTERS, max_lines=2, placeholder="…") or [""]
        drawn += Markup(
            '<rect x="4" y="{:g}" width="13" height="13" rx="3" fill="{}" stroke="#000" stroke-opacity="0.3"/>'
        ).format(y + 6.5, colour)
        for number, line in enumerate(lines):
            drawn += Markup('<text x="26" y="{:g}">{}</text>').format(y + 18 + _LINE * number, line)
        drawn += Markup(
            '<text x="{}" y="{y:g}" text-anchor="end" font-weight="600">{}</text>'
            '<text x="{}" y="{y:g}" text-anchor="end" fill="#566166">{}</text>'
        ).format(WIDTH - 62, f"{count:,}".replace(",", "\u202f"), WIDTH - 4, _share(count, total), y=y + 18)
        y += _ROW + _LINE * (len(lines) - 1)
    return drawn, y
