"""Several pictures of one image side by side, each under its title."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.draw.labels import draw_plate, fit_plate
from maskstream.draw.palette import Rgb

Image = NDArray[np.uint8]

PANEL_PX = 560
"""Longest side of one picture."""

SMALL_PX = 240
"""Pictures whose longest side is shorter are enlarged to it, their pixels left as squares."""

PAPER: Rgb = (255, 255, 255)
_GAP_PX, _TEXT_PX = 10, 16


def side_by_side(panels: Sequence[tuple[str, Image]], panel_px: int = PANEL_PX) -> Image:
    """Pictures (h, w, 3) of one size with their titles, in a row on white.

    A title that is too long for its picture is written smaller, or left out where it could not be read.
    """
    columns = [_titled(title, resized(picture, panel_px)) for title, picture in panels]
    gap = np.full((columns[0].shape[0], _GAP_PX, 3), PAPER, np.uint8)
    parts = [part for column in columns for part in (gap, column)][1:]
    return np.concatenate(parts, axis=1)


def resized(picture: Image, longest_px: int) -> Image:
    """The picture with a longest side from `SMALL_PX` to `longest_px`."""
    longest = max(picture.shape[:2])
    factor = min(longest_px, max(longest, SMALL_PX)) / longest
    if factor == 1:
        return picture
    size_wh = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, size_wh, interpolation=how), np.uint8)


def _titled(title: str, picture: Image) -> Image:
    band = np.full((round(1.75 * _TEXT_PX), picture.shape[1], 3), PAPER, np.uint8)
    plate = fit_plate(title, _TEXT_PX, (band.shape[0], band.shape[1]))
    if plate is not None:
        place = np.array([0, 0, plate.width_px, plate.height_px], np.float32)
        draw_plate(band, plate, place, PAPER)
    return np.concatenate([band, picture])
