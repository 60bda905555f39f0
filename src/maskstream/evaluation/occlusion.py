"""What a percentage rests on: how it changes while one place of the image after the other is hidden.

M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2: a patch of
plain colour is slid over the image, and the answer is asked for again at every stop. It asks the deployed model alone,
so it works for any network and without PyTorch, at the price of one run a stop.

The patch has the median colour of the object's surroundings and soft edges: the question is "what if this place looked
like the rest", not "what if a grey square lay there". A place counts for as much as the log odds lose, so that a fall
from 99 to 97 % is no less than one from 60 to 30 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.calibration import logit
from maskstream.core.classes import class_id
from maskstream.core.detections import Detection, Detections
from maskstream.core.masks import CroppedMask

Image = NDArray[np.uint8]

PATCH_SHARE = 0.3
"""Side of the patch against the side of a square of the box's area."""

MARGIN_SHARE = 0.2
"""How far around the box places are hidden, against the same side."""

MOST_STOPS = 120
LEAST_PATCH_PX = 8
BATCH = 8

SAME_OBJECT = 0.3
"""IoU with the object from which a found object is still the same one."""

_SOFT_SHARE = 0.25
"""Part of the patch's side, at each edge, over which it fades out."""

Ask = Callable[[Sequence[Image]], Sequence[float | None]]
"""The probability in each of some images; None where the object is not found any more."""

Window = tuple[slice, slice, NDArray[np.float64]]
"""Rows and columns of a stop, and how much each of its pixels is hidden, 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class Occlusion:
    """How hiding places of an image changes a probability.

    Attributes
    ----------
    name : the class whose probability it is, or "object" for the score of a model of one class.
    probability : with nothing hidden.
    drop : (h, w) float32, mean log odds that are lost while a pixel is hidden; below 0 where they rise, NaN where
        nothing was hidden, or nothing was found with it hidden.
    lost : (h, w) bool, pixels that, hidden, mostly made the object be no longer found.
    lowest, highest : least and greatest probability with one place hidden; None where the object was lost every time.
    patch_px : side of what was hidden at a time.
    runs : how often the model was asked.
    """

    name: str
    probability: float
    drop: NDArray[np.float32]
    lost: NDArray[np.bool_]
    lowest: float | None
    highest: float | None
    patch_px: int
    runs: int


def occlude_object(
    find: Callable[[Sequence[Image]], Sequence[Detections]], image: Image, target: Detection, name: str | None
) -> Occlusion:
    """How the percentage of one object rests on its places and on those around it.

    Parameters
    ----------
    find : a model's objects in each of some images; best down to a score below the model's own threshold, so that an
        object is followed a little longer.
    image : (h, w, 3) RGB.
    target : the object, in the pixels of the image; it is followed by the overlap of its mask.
    name : the class whose probability is looked at; None: the score.

    Raises
    ------
    ValueError : the object is not found in the untouched image.
    """

    def ask(images: Sequence[Image]) -> list[float | None]:
        return [_probability(found, target.mask, name) for found in find(images)]

    x1, y1, x2, y2 = (float(edge) for edge in target.box_xyxy)
    side = math.sqrt(max(x2 - x1, 1) * max(y2 - y1, 1))
    margin = MARGIN_SHARE * side
    height, width = image.shape[:2]
    region = (
        max(0, math.floor(x1 - margin)),
        max(0, math.floor(y1 - margin)),
        min(width, math.ceil(x2 + margin)),
        min(height, math.ceil(y2 + margin)),
    )
    rows, columns = slice(region[1], region[3]), slice(region[0], region[2])
    around = ~target.mask.dense((height, width))[rows, columns]
    fill = _median_colour(image[rows, columns][around] if around.any() else image)
    return _slide(ask, image, region, side, fill, name or "object")


def occlude_image(ask: Callable[[Sequence[Image]], Sequence[float]], image: Image, name: str) -> Occlusion:
    """How the percentage of an image as a whole rests on its places.

    Parameters
    ----------
    ask : a classifier's probability of the class `name` in each of some images.
    """
    height, width = image.shape[:2]
    region = (0, 0, width, height)
    return _slide(ask, image, region, math.sqrt(height * width), _median_colour(image.reshape(-1, 3)), name)


def _slide(
    ask: Ask, image: Image, region_xyxy: tuple[int, int, int, int], side: float, fill: Image, name: str
) -> Occlusion:
    (whole,) = ask([image])
    if whole is None:
        raise ValueError("the object is not found in the untouched image")
    patch_px = max(LEAST_PATCH_PX, round(PATCH_SHARE * side))
    windows = list(_windows(region_xyxy, patch_px))
    lost_odds, hidden, lost = (np.zeros(image.shape[:2]) for _ in range(3))
    seen = []
    for start in range(0, len(windows), BATCH):
        batch = windows[start : start + BATCH]
        for (rows, columns, opacity), value in zip(batch, ask([_hide(image, w, fill) for w in batch]), strict=True):
            if value is None:
                lost[rows, columns] += opacity
                continue
            seen.append(value)
            hidden[rows, columns] += opacity
            lost_odds[rows, columns] += opacity * (_log_odds(whole) - _log_odds(value))
    drop = np.divide(lost_odds, hidden, out=np.full(hidden.shape, np.nan), where=hidden > 1e-6)
    return Occlusion(
        name=name,
        probability=whole,
        drop=drop.astype(np.float32),
        lost=lost > hidden,
        lowest=min(seen, default=None),
        highest=max(seen, default=None),
        patch_px=patch_px,
        runs=1 + len(windows),
    )


def _windows(region_xyxy: tuple[int, int, int, int], patch_px: int) -> Iterator[Window]:
    """The stops of the patch, half a patch apart, further where that would be more than `MOST_STOPS`."""
    x1, y1, x2, y2 = region_xyxy
    stride = patch_px / 2
    while len(lefts := _stops(x1, x2, patch_px, stride)) * len(tops := _stops(y1, y2, patch_px, stride)) > MOST_STOPS:
        stride *= 1.1
    for top in tops:
        for left in lefts:
            rows, columns = slice(top, min(top + patch_px, y2)), slice(left, min(left + patch_px, x2))
            yield rows, columns, np.outer(_fade(rows.stop - rows.start), _fade(columns.stop - columns.start))


def _stops(start: int, end: int, patch_px: int, stride: float) -> list[int]:
    count = max(1, math.ceil((end - start - patch_px) / stride) + 1)
    return [round(place) for place in np.linspace(start, max(start, end - patch_px), count)]


def _fade(length: int) -> NDArray[np.float64]:
    """1 in the middle, falling to both ends like a cosine."""
    to_edge = (np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5) / (_SOFT_SHARE * length)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(to_edge, 0, 1)))


def _hide(image: Image, window: Window, fill: Image) -> Image:
    rows, columns, opacity = window
    hidden = image.copy()
    hidden[rows, columns] = np.round(image[rows, columns] * (1 - opacity[..., None]) + fill * opacity[..., None])
    return hidden


def _probability(found: Detections, mask: CroppedMask, name: str | None) -> float | None:
    """Of the object that overlaps a mask most; None where none does enough."""
    ious = [masks.iou(mask, other) for other in found.masks]
    if max(ious, default=0.0) < SAME_OBJECT:
        return None
    row = int(np.argmax(ious))
    return float(found.scores[row] if name is None else found.probabilities[row, class_id(found.classes, name)])


def _median_colour(pixels: Image) -> Image:
    return np.asarray(np.median(pixels.reshape(-1, 3), axis=0).round(), np.uint8)


def _log_odds(probability: float) -> float:
    return float(logit(np.array(probability)))
