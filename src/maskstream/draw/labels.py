"""Labels of the overlay: what they say, how large they are, and where they find room."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.core.boxes import Boxes
from maskstream.core.detections import NO_TRACK, Detection
from maskstream.draw.palette import Rgb, ink_on

COMFORTABLE_TEXT_PX = 11
"""Letters do not shrink below this with the image, only to fit into it."""

SMALLEST_TEXT_PX = 8
"""Letters below this height cannot be read, so a label that would need it is left out."""

_WEIGHT = 560
"""Between medium and semibold, which holds up after video compression."""

_SEARCH_PLATES = 6
"""How far from its object a plate may look for room, in plate sizes."""


@dataclass(frozen=True, slots=True)
class Plate:
    """A label's text with the filled plate that it stands on, not yet placed.

    Attributes
    ----------
    text : what it says.
    text_px : height of the letters' line in pixels.
    width_px, height_px : size of the plate.
    """

    text: str
    text_px: int
    width_px: int
    height_px: int


def percent_text(probability: float) -> str:
    """A probability in 0..1 as a person reads it; certainty is never claimed by rounding."""
    percent = round(100 * probability)
    if percent >= 100 and probability < 1:
        return ">99 %"
    if percent <= 0 and probability > 0:
        return "<1 %"
    return f"{percent} %"


def label_text(detection: Detection) -> str:
    """`#3 malignant 87 %`: track id, class and its probability.

    A model of one class says nothing by the probability of that class, so its score stands there instead.
    """
    several = len(detection.probabilities) > 1
    probability = float(detection.probabilities[detection.class_id]) if several else detection.score
    text = f"{detection.class_name} {percent_text(probability)}"
    return text if detection.track_id == NO_TRACK else f"#{detection.track_id} {text}"


def fit_plate(text: str, text_px: int, size_hw: tuple[int, int]) -> Plate | None:
    """The largest plate up to `text_px` that fits an image of `size_hw`; None when that is too small to read."""
    plate = _plate(text, text_px)
    shrink = min(size_hw[1] / plate.width_px, size_hw[0] / plate.height_px)
    if shrink >= 1:
        return plate
    smaller = int(text_px * shrink)
    while smaller >= SMALLEST_TEXT_PX:
        plate = _plate(text, smaller)
        if plate.width_px <= size_hw[1] and plate.height_px <= size_hw[0]:
            return plate
        smaller -= 1
    return None


@lru_cache(maxsize=4096)
def _plate(text: str, text_px: int) -> Plate:
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), text_px, _WEIGHT)
    return Plate(text, text_px, width + 2 * round(0.5 * text_px), round(1.5 * text_px))


def find_room(plate: Plate, box_xyxy: Boxes, taken: Sequence[Boxes], size_hw: tuple[int, int]) -> Boxes | None:
    """Where a plate goes: beside its box, inside the image, clear of the plates already `taken`.

    Returns
    -------
    (4,) float32 whole-pixel box of the plate, or None where the neighbourhood is full.
    """
    others = np.array(taken, np.float32).reshape(-1, 4)
    size_wh = np.array([plate.width_px, plate.height_px])
    for candidates in (_beside, _around):
        corners = candidates(plate, box_xyxy, size_hw)
        places: Boxes = np.hstack([corners, corners + size_wh]).astype(np.float32)
        inside = (places == boxes.clip(places, size_hw)).all(axis=1)
        clear = (boxes.iou_matrix(places, others) == 0).all(axis=1)
        free = np.flatnonzero(inside & clear)
        if free.size:
            return np.asarray(places[free[0]])
    return None


def _beside(plate: Plate, box_xyxy: Boxes, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Top left corners touching the box, best first: those that hide no object before those inside."""
    x1, y1, x2, y2 = (round(float(edge)) for edge in box_xyxy)
    slide_x = min(max(x1, 0), size_hw[1] - plate.width_px)
    slide_y = min(max(y1, 0), size_hw[0] - plate.height_px)
    above, below = y1 - plate.height_px, y2
    end = x2 - plate.width_px
    corners = [(slide_x, above), (slide_x, below), (end, above), (end, below)]
    corners += [(x2, slide_y), (x1 - plate.width_px, slide_y), (slide_x, slide_y), (slide_x, y2 - plate.height_px)]
    return np.array(corners, np.int64)


def _around(plate: Plate, box_xyxy: Boxes, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Top left corners on a grid around the box's own corner, nearest first."""
    anchor = np.array([round(float(box_xyxy[0])), round(float(box_xyxy[1])) - plate.height_px])
    limit = np.array([size_hw[1] - plate.width_px, size_hw[0] - plate.height_px])
    steps = np.arange(-2 * _SEARCH_PLATES, 2 * _SEARCH_PLATES + 1)
    across, down = np.meshgrid(steps * (plate.width_px // 2), steps * (plate.height_px // 2))
    offsets = np.column_stack([across.ravel(), down.ravel()])
    corners = np.clip(np.clip(anchor, 0, limit) + offsets, 0, limit)
    distances = np.hypot(*(corners - anchor).T)
    return np.asarray(corners[np.argsort(distances, kind="stable")])


def draw_plate(canvas: NDArray[np.uint8], plate: Plate, place_xyxy: Boxes, colour: Rgb) -> None:
    """Draw a plate with its text into `canvas` (h, w, 3), which is changed."""
    x1, y1, x2, y2 = place_xyxy.astype(int)
    patch = canvas[y1:y2, x1:x2]
    coverage = _rounded(plate.width_px, plate.height_px, round(0.3 * plate.text_px))[..., None]
    patch[:] = np.round(patch * (1 - coverage) + np.array(colour) * coverage).astype(np.uint8)
    baseline = (round(0.5 * plate.text_px), round(1.12 * plate.text_px))
    cv2.putText(patch, plate.text, baseline, ink_on(colour), _font(), plate.text_px, _WEIGHT)


@lru_cache(maxsize=512)
def _rounded(width: int, height: int, radius: int) -> NDArray[np.float32]:
    """Coverage in 0..1 of a rectangle with round corners, (height, width)."""
    from_edge_x = np.abs(np.arange(width) + 0.5 - width / 2) - (width / 2 - radius)
    from_edge_y = np.abs(np.arange(height) + 0.5 - height / 2) - (height / 2 - radius)
    distance = np.hypot(np.clip(from_edge_x, 0, None)[None, :], np.clip(from_edge_y, 0, None)[:, None])
    return np.asarray(np.clip(radius - distance + 0.5, 0, 1), np.float32)


@lru_cache(maxsize=1)
def _font() -> cv2.FontFace:
    """OpenCV's own variable font: Latin, Greek, Cyrillic, Hebrew, Arabic and CJK without a file to install."""
    return cv2.FontFace("sans")


def place_plates(
    wanted: Sequence[tuple[str, Boxes]], text_px: int, size_hw: tuple[int, int]
) -> Iterator[tuple[int, Plate, Boxes]]:
    """Place labels one after the other; those that find no room, or none to be read in, are left out.

    Yields
    ------
    index into `wanted`, the plate, and its place (4,) in whole pixels.
    """
    taken: list[Boxes] = []
    for index, (text, box_xyxy) in enumerate(wanted):
        plate = fit_plate(text, text_px, size_hw)
        place = find_room(plate, box_xyxy, taken, size_hw) if plate else None
        if plate is not None and place is not None:
            taken.append(place)
            yield index, plate, place
