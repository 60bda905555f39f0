"""Colours that stay with their object, and the ink that can be read on them."""

from __future__ import annotations

from maskstream.core.detections import NO_TRACK

Rgb = tuple[int, int, int]

BLACK: Rgb = (0, 0, 0)
WHITE: Rgb = (255, 255, 255)

BASE_COLOURS: tuple[Rgb, ...] = (
    (86, 180, 233),  # sky blue
    (240, 228, 66),  # yellow
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (0, 114, 178),  # blue
    (230, 159, 0),  # orange
    (213, 94, 0),  # vermilion
)
"""Okabe and Ito's colours for all kinds of colour vision (jfly.uni-koeln.de/color), those that stand out
from skin first, without black."""

_SHADES: tuple[tuple[Rgb, float], ...] = ((WHITE, 0.0), (WHITE, 0.5), (BLACK, 0.4))
"""What the second and third round through the base colours are mixed with, and how much of it."""


def object_colour(track_id: int, class_id: int) -> Rgb:
    """The colour of an object: by its track, or by its class while it has no track.

    21 objects differ; after them the colours start again, and the track id in the label tells them apart.
    """
    number = class_id if track_id == NO_TRACK else track_id - 1
    base = BASE_COLOURS[number % len(BASE_COLOURS)]
    shade, amount = _SHADES[number // len(BASE_COLOURS) % len(_SHADES)]
    red, green, blue = (round(b + (s - b) * amount) for b, s in zip(base, shade, strict=True))
    return red, green, blue


def contrast(a: Rgb, b: Rgb) -> float:
    """Contrast ratio of two colours, 1 (equal) to 21 (black on white), as WCAG 2 defines it."""
    darker, lighter = sorted((_luminance(a), _luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)


def ink_on(background: Rgb) -> Rgb:
    """Black or white, whichever reads better on a colour; the contrast is at least 4.58."""
    return max((BLACK, WHITE), key=lambda ink: contrast(ink, background))


def _luminance(colour: Rgb) -> float:
    red, green, blue = (_linear(value / 255) for value in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else float(((value + 0.055) / 1.055) ** 2.4)
