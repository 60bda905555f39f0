"""Occlusion maps as pictures with a legend, for people: what a percentage rests on."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.masks import CroppedMask
from maskstream.draw.heat import ABOVE, BELOW, HATCH, draw_heat
from maskstream.draw.labels import draw_plate, fit_plate, percent_text
from maskstream.draw.overlay import smooth_outlines
from maskstream.draw.palette import BLACK, WHITE, Rgb
from maskstream.draw.panels import PAPER, side_by_side
from maskstream.evaluation.failures.occlusion import Occlusion

Image = NDArray[np.uint8]

LEAST_LIMIT = 0.5
"""Log odds from which a colour is full, at the least: a map of next to nothing stays pale."""

LEAST_SIDE_PX = 420
"""Longest side of a picture at the least."""

NOTE = (
    "Such a map shows what the percentage rests on, not whether that is right. Red far from the object (a ruler, a "
    "hair, the border) says that the percentage leans on what it should not."
)
"""How to read the pictures; stands once beside them."""

_TEXT_PX = 14


def why_picture(image: Image, occlusion: Occlusion, title: str, target: CroppedMask | None = None) -> Image:
    """The image and its map side by side over a legend, cut around the object where there is one.

    Parameters
    ----------
    image : (h, w, 3) RGB, what the map was made of.
    title : over the image.
    target : the object, which is outlined.
    """
    known = np.abs(occlusion.drop[np.isfinite(occlusion.drop)])
    limit = max(LEAST_LIMIT, float(known.max(initial=0.0)))
    views = [image, draw_heat(image, occlusion.drop, limit, occlusion.lost)]
    if target is not None:
        views = [_cut(view, occlusion, target) for view in views]
    shown = percent_text(occlusion.probability)
    panels = side_by_side([(title, views[0]), (f"what {occlusion.name} {shown} rests on", views[1])])
    return np.concatenate([panels, _legend(occlusion, panels.shape[1])])


def reading(occlusion: Occlusion) -> str:
    """What the map says, in a sentence or two."""
    name, shown = occlusion.name, percent_text(occlusion.probability)
    if occlusion.lowest is None or occlusion.highest is None:
        return f"Whatever place was hidden, the object was no longer found, so nothing is known of its {name} {shown}."
    sentence = f"The model gives {name} {shown} in this picture"
    low, high = percent_text(occlusion.lowest), percent_text(occlusion.highest)
    lost = " Where it is striped, the object is no longer found." if occlusion.lost.any() else ""
    if low == high == shown:
        return f"{sentence}, whatever place is hidden: it does not rest on any one place of this size.{lost}"
    parts = [f"{low} with the reddest place hidden"] if occlusion.lowest < occlusion.probability else []
    parts += [f"{high} with the bluest"] if occlusion.highest > occlusion.probability else []
    little = float(np.nanmax(np.abs(occlusion.drop))) < LEAST_LIMIT
    changes = ", and hiding any one place changes that little" if little else ""
    return f"{sentence}{changes}: {' and '.join(parts)}.{lost}"


def _cut(view: Image, occlusion: Occlusion, target: CroppedMask) -> Image:
    """The part around the places that were hidden, enlarged where it is small, with the object's outline."""
    touched = np.isfinite(occlusion.drop) | occlusion.lost
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    margin = occlusion.patch_px // 2
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    part = view[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin]
    enlarge = max(1.0, LEAST_SIDE_PX / max(part.shape[:2]))
    part = np.array(cv2.resize(part, None, fx=enlarge, fy=enlarge), np.uint8)
    # the outline is in centres of pixels, which enlarging moves by half of what a pixel grows
    lines = [(outline - (left, top) + 0.5) * enlarge - 0.5 for outline in smooth_outlines(target)]
    thin = max(1, round(max(part.shape[:2]) / 640))
    for colour, width in ((BLACK, 3 * thin), (WHITE, thin)):
        cv2.polylines(part, [np.round(line).astype(np.int32) for line in lines], True, colour, width, cv2.LINE_AA)
    return part


def _legend(occlusion: Occlusion, width: int) -> Image:
    name = occlusion.name
    entries: list[tuple[Rgb, str]] = []
    if occlusion.lowest is not None and occlusion.lowest < occlusion.probability:
        entries.append((ABOVE, f"red: hiding this lowers {name}, down to {percent_text(occlusion.lowest)}"))
    if occlusion.highest is not None and occlusion.highest > occlusion.probability:
        entries.append((BELOW, f"blue: hiding this raises {name}, up to {percent_text(occlusion.highest)}"))
    if occlusion.lost.any():
        entries.append((HATCH, "striped: with this hidden, the object is no longer found"))
    rows = [_entry(colour, text, width) for colour, text in entries]
    rows.append(
        _entry(PAPER, f"each place hidden is {occlusion.patch_px} px wide, under the colour of what is around", width)
    )
    return np.concatenate(rows)


def _entry(colour: Rgb, text: str, width: int) -> Image:
    height = round(1.6 * _TEXT_PX)
    row = np.full((height, width, 3), PAPER, np.uint8)
    row[4 : height - 4, 2 : height - 4] = colour
    plate = fit_plate(text, _TEXT_PX, (height, max(1, width - height)))
    if plate is not None:
        place = np.array([height, 0, height + plate.width_px, plate.height_px], np.float32)
        draw_plate(row, plate, place, PAPER)
    return row
