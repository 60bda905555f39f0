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
from typing import NamedTuple

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

Ask = Callable[[Sequence[Image]], Sequence[float | None]]
"""The probability in each of some images; None where the object is not found any more."""

_PATCH_FADES, _COUNT_FADES = 0.25, 0.5
"""Part of the side, at each edge, over which the patch fades out, and over which a stop counts less for the map. Stops
half a patch apart that count like this add up evenly, so that the map has no seams."""


class Stop(NamedTuple):
    """Where the patch lies: rows and columns, how much it hides each pixel, and how much it counts there, 0..1."""

    rows: slice
    columns: slice
    opacity: NDArray[np.float64]
    weight: NDArray[np.float64]


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
    stops = list(_stops(region_xyxy, patch_px))
    lost_odds, kept, lost = (np.zeros(image.shape[:2]) for _ in range(3))
    seen = []
    for start in range(0, len(stops), BATCH):
        batch = stops[start : start + BATCH]
        for stop, value in zip(batch, ask([_hide(image, stop, fill) for stop in batch]), strict=True):
            place = stop.rows, stop.columns
            if value is None:
                lost[place] += stop.weight
                continue
            seen.append(value)
            kept[place] += stop.weight
            lost_odds[place] += stop.weight * (_log_odds(whole) - _log_odds(value))
    drop = np.divide(lost_odds, kept, out=np.full(kept.shape, np.nan), where=kept > 0)
    return Occlusion(
        name=name,
        probability=whole,
        drop=drop.astype(np.float32),
        lost=lost > kept,
        lowest=min(seen, default=None),
        highest=max(seen, default=None),
        patch_px=patch_px,
        runs=1 + len(stops),
    )


def _stops(region_xyxy: tuple[int, int, int, int], patch_px: int) -> Iterator[Stop]:
    """The stops of the patch, half a patch apart, further where that would be more than `MOST_STOPS`."""
    x1, y1, x2, y2 = region_xyxy
    stride = patch_px / 2
    while len(lefts := _places(x1, x2, patch_px, stride)) * len(tops := _places(y1, y2, patch_px, stride)) > MOST_STOPS:
        stride *= 1.1
    for top in tops:
        for left in lefts:
            rows, columns = slice(top, min(top + patch_px, y2)), slice(left, min(left + patch_px, x2))
            size_hw = rows.stop - rows.start, columns.stop - columns.start
            yield Stop(rows, columns, _faded(size_hw, _PATCH_FADES), _faded(size_hw, _COUNT_FADES))


def _places(start: int, end: int, patch_px: int, stride: float) -> list[int]:
    count = max(1, math.ceil((end - start - patch_px) / stride) + 1)
    return [round(place) for place in np.linspace(start, max(start, end - patch_px), count)]


def _faded(size_hw: tuple[int, int], fades: float) -> NDArray[np.float64]:
    """1 in the middle, falling like a cosine over a part of the side at each edge."""
    rows, columns = (
        0.5 - 0.5 * np.cos(np.pi * np.clip((np.minimum(at, at[::-1]) + 0.5) / (fades * len(at)), 0, 1))
        for at in map(np.arange, size_hw)
    )
    return np.outer(rows, columns)


def _hide(image: Image, stop: Stop, fill: Image) -> Image:
    hidden, opacity = image.copy(), stop.opacity[..., None]
    place = stop.rows, stop.columns
    hidden[place] = np.round(image[place] * (1 - opacity) + fill * opacity)
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
