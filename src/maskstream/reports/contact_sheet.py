"""Many pictures on one sheet, each with a line of text, in the order in which they are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from maskstream.core.files import whole_file
from maskstream.draw.labels import draw_plate, fit_plate
from maskstream.draw.palette import Rgb
from maskstream.reports.pictures import Image, read_picture

CELL_WIDTH_PX = 224
GAP_PX = 6
MOST_COLUMNS = 12
MOST_PICTURES = 1200
"""Pictures on a sheet; a JPEG holds 65 500 pixels a side, and a reader fewer."""

_PAPER, _EMPTY = (246, 245, 241), (217, 222, 221)
_PLATE: Rgb = (28, 35, 38)
_TEXT_PX = 17
_JPEG_QUALITY = 88


def write_contact_sheet(path: Path, pictures: Sequence[tuple[Path, str]]) -> None:
    """Write a JPEG with the first `MOST_PICTURES` pictures, whole or not at all.

    Parameters
    ----------
    pictures : file and caption of each, at least one.

    Raises
    ------
    OutputError : the place cannot be written.
    """
    bgr = cv2.cvtColor(contact_sheet(pictures[:MOST_PICTURES]), cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    with whole_file(path) as temporary:
        temporary.write_bytes(jpeg.tobytes())


def contact_sheet(pictures: Sequence[tuple[Path, str]]) -> Image:
    """The sheet as (h, w, 3) uint8, RGB: rows from left to right, about as wide as high.

    All cells have the shape of the first picture; others are fitted into it. A picture that cannot be read leaves its
    cell grey.
    """
    cell_hw = _cell_hw(pictures[0][0])
    return lay_out([_cell(cell_hw, read_picture(path), caption) for path, caption in pictures])


def lay_out(cells: Sequence[Image]) -> Image:
    """Cells of one shape (h, w, 3) in rows from left to right, about as wide as high, with gaps between."""
    height, width = cells[0].shape[:2]
    columns = min(MOST_COLUMNS, max(1, math.ceil(math.sqrt(len(cells) * height / width))), len(cells))
    rows = math.ceil(len(cells) / columns)
    step_y, step_x = height + GAP_PX, width + GAP_PX
    sheet = np.full((rows * step_y + GAP_PX, columns * step_x + GAP_PX, 3), _PAPER, np.uint8)
    for number, cell in enumerate(cells):
        top, left = GAP_PX + number // columns * step_y, GAP_PX + number % columns * step_x
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _cell_hw(path: Path) -> tuple[int, int]:
    first = read_picture(path)
    height, width = first.shape[:2] if first is not None else (3, 4)
    # a panorama or a tower must not leave cells without height or sheets without end
    return min(max(round(CELL_WIDTH_PX * height / width), CELL_WIDTH_PX // 4), 2 * CELL_WIDTH_PX), CELL_WIDTH_PX


def _cell(cell_hw: tuple[int, int], picture: Image | None, caption: str) -> Image:
    """A picture, fitted into a cell, and its caption."""
    cell = np.full((*cell_hw, 3), _EMPTY, np.uint8)
    if picture is not None:
        shrink = min(cell.shape[0] / picture.shape[0], cell.shape[1] / picture.shape[1])
        height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
        interpolation = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
        top, left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
        cell[top : top + height, left : left + width] = cv2.resize(
            picture, (width, height), interpolation=interpolation
        )
    plate = fit_plate(caption, _TEXT_PX, (cell.shape[0], cell.shape[1]))
    if plate is not None:
        place = (0, cell.shape[0] - plate.height_px, plate.width_px, cell.shape[0])
        draw_plate(cell, plate, np.array(place, np.float32), _PLATE)
    return cell
