"""What is measured on each frame: once, small, from the decoded picture alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.core.quality import HASH_BITS, Light, least_sharpness, perceptual_hash

Image = NDArray[np.uint8]
Thumbnail = NDArray[np.float16]
Pixel = TypeVar("Pixel", np.uint8, np.float32)

WORKING_SIDE_PX, SHARPNESS_SIDE_PX = 640, 480
"""Longest sides at which light and sharpness are judged. At 640 a codec's treatment of noise moves the sharpness of
good frames as far as a slight blur does; at 320 such a blur is gone."""

THUMBNAIL_SIDE = 32

FULL_SHARPNESS = 0.5
"""Sharpness from which on a frame is not worth more; the films at hand have medians of 0.2 to 0.55."""

UNRELATED_BITS = HASH_BITS // 2
"""Hash distance of two pictures that have nothing to do with each other."""

WEAK_SHARE = 0.25
"""Detections count for the uncertainty from this share of the model's threshold on."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one picture shows.

    Attributes
    ----------
    sha256 : of the RGB bytes, row by row, 64 hexadecimal digits.
    sharpness : `core.quality.least_sharpness`, 0 to about 0.6.
    brightness : mean grey, 0 to 255.
    black, burnt_out, glare : shares of the pixels, see `core.quality.Light`.
    quality : 0 to 1, sharpness up to `FULL_SHARPNESS` times the share of pixels that can be read.
    hash : `core.quality.perceptual_hash`.
    thumbnail : (32, 32) float16 grey, each cell the mean of its area.
    """

    sha256: str
    sharpness: float
    brightness: float
    black: float
    burnt_out: float
    glare: float
    quality: float
    hash: int
    thumbnail: Thumbnail


def look_at(image: Image) -> Look:
    """Measure an RGB picture (h, w, 3)."""
    small = _shrunk(image, WORKING_SIDE_PX)
    light = Light.of(small)
    readable = 1 - _share(light.lost)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sharpness = least_sharpness(_shrunk(grey, SHARPNESS_SIDE_PX))
    thumbnail = _thumbnail(grey)
    return Look(
        sha256=hashlib.sha256(np.ascontiguousarray(image).data).hexdigest(),
        sharpness=round(sharpness, 4),
        brightness=round(float(grey.mean()), 2),
        black=round(_share(light.black), 5),
        burnt_out=round(_share(light.burnt_out), 5),
        glare=round(_share(light.glare), 5),
        quality=round(min(1.0, sharpness / FULL_SHARPNESS) * readable, 4),
        hash=perceptual_hash(thumbnail),
        thumbnail=thumbnail.astype(np.float16),
    )


def _share(pixels: NDArray[np.bool_]) -> float:
    return np.count_nonzero(pixels) / pixels.size


def _shrunk(image: NDArray[Pixel], side_px: int) -> NDArray[Pixel]:
    """The picture with a longest side of `side_px`; a smaller one as it is."""
    height, width = image.shape[:2]
    shrink = side_px / max(height, width)
    if shrink >= 1:
        return image
    size_wh = max(1, round(width * shrink)), max(1, round(height * shrink))
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(image.dtype, copy=False)


def _thumbnail(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    # by a step in between, which OpenCV does in a fifth of the time
    halfway = _shrunk(grey, 5 * THUMBNAIL_SIDE)
    square = cv2.resize(halfway, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    return square.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class Scores:
    """One frame's line in the scores of its film, and the start of its row in `frames.csv`.

    Attributes
    ----------
    film : number of the film, from 0.
    frame, time_s : index and container time of the frame.
    file : name of the image file, for a folder of images; None for a film.
    size_hw : height and width of the frame in pixels.
    motion : mean grey difference of its thumbnail from that of the frame before; None for a film's first frame and
        for images, which do not follow each other.
    repeat_of : index of the earlier frame that shows the same picture, or None.
    objects, top_score, uncertainty : what the model says; None where it was not asked. `objects` counts those at
        or above the model's threshold. `uncertainty`: see `Opinion`.
    Others : see `Look`; `hash` as 16 hexadecimal digits.
    """

    video: int
    frame: int
    time_s: float
    file: str | None
    size_hw: tuple[int, int]
    sha256: str
    sharpness: float
    brightness: float
    black: float
    burnt_out: float
    glare: float
    quality: float
    hash: str
    motion: float | None
    repeat_of: int | None
    objects: int | None = None
    top_score: float | None = None
    uncertainty: float | None = None

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> Scores:
        """The scores that a line was made of."""
        return cls(**{**line, "size_hw": tuple(line["size_hw"])})

    def to_line(self) -> dict[str, Any]:
        """The line as JSON."""
        # not `dataclasses.asdict`, which copies deep and showed in the time of a frame
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def hash_bits(self) -> int:
        """The perceptual hash as a number."""
        return int(self.hash, 16)

    @property
    def seen(self) -> bool | None:
        """Whether the model finds an object; None where it was not asked."""
        return None if self.objects is None else self.objects > 0

    @property
    def value(self) -> float:
        """How much a frame is worth to label, 0 to 1: its quality, and what labelling it would teach the model.

        With a model a third of the quality counts in any case, a third when an object is seen, and a third
        as far as the model is uncertain.
        """
        if self.objects is None:
            return self.quality
        return self.quality * (1 + (self.objects > 0) + (self.uncertainty or 0.0)) / 3

    @property
    def order(self) -> tuple[bool, float, int]:
        """Sorts frames: the larger is the better. Pictures that were not there before come first, then value."""
        return self.repeat_of is None, self.value, -self.frame


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model says about a frame.

    `uncertainty` is 0 (sure, or nothing in sight) to 1: the largest over all detections of two entropies, in bits.
    One asks whether there is an object, the model's threshold being where it is undecided. The other asks of which
    class it is, over its logarithm's base so that all classes alike make 1, times the score.
    """

    objects: int
    top_score: float
    uncertainty: float

    @classmethod
    def of(cls, found: Detections, threshold: float) -> Opinion:
        """From detections that reach down to `WEAK_SHARE` of the threshold."""
        scores = [float(score) for score in found.scores]
        doubts = [_binary_entropy(_decided(score, threshold)) for score in scores]
        if len(found.classes) > 1:
            doubts += [
                score * _entropy(probabilities) / math.log(len(found.classes))
                for score, probabilities in zip(scores, found.probabilities, strict=True)
            ]
        return cls(
            objects=sum(score >= threshold for score in scores),
            top_score=round(max(scores, default=0.0), 4),
            uncertainty=round(min(1.0, max(doubts, default=0.0)), 4),
        )


def _decided(score: float, threshold: float) -> float:
    """The score on a scale on which the threshold is 0.5."""
    if score < threshold:
        return 0.5 * score / threshold
    return 0.5 + 0.5 * (score - threshold) / max(1 - threshold, 1e-9)


def _binary_entropy(probability: float) -> float:
    pair = np.clip([probability, 1 - probability], 0, 1)
    return _entropy(pair) / math.log(2)


def _entropy(probabilities: NDArray[np.floating[Any]]) -> float:
    known = np.asarray(probabilities, np.float64)
    known = known[known > 0]
    return float(-(known * np.log(known)).sum())
