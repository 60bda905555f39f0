"""How well a frame shows an object, and from which view: a quality and a fingerprint for each detection.

Both are written on the detection's line, so that everything after the network works from lines alone.

The fingerprint has 64 bits, and the number of bits in which two differ says how differently two frames show an
object. It does not see where in the frame the object is. It has three parts:

- 44 bits of what is inside the object's box: the signs of low-frequency DCT coefficients, as in perceptual image
  hashes, here taken with a dead zone. Without it the coefficients that symmetry makes zero would be coin tosses,
  and the copies that a codec makes of a round mole would look like many views.
- 10 bits of the size of the box, since the first part does not see a zoom.
- 10 bits of sharpness, since low frequencies do not see a defocus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.quality import Light, sharpness

PATCH_SIDE = 64
"""Every object is judged at this many pixels across, whatever its size in the frame."""

SHARP = 0.35
"""Median `sharpness` of ten sharp dermoscopic pictures (0.2 to 0.44); from here on it is full quality."""

SHORTEST_CUT = 0.25
"""Quality that is left to an object which the image's border cuts off: it shows something still."""

_PATTERN_SIDE = 32
_PATTERN = tuple(np.array([(u, v) for u in range(9) for v in range(9) if 1 <= u + v <= 8]).T)
_RELATIVE_DEAD_ZONE = 0.02
_LEAST_DEAD_ZONE = 4.0
_RING_BITS = 10
_SIZE_STEPS, _SHARPNESS_STEPS = 8, 4


@dataclass(frozen=True, slots=True)
class Observation:
    """What one frame shows of one object, beyond what the network says.

    Attributes
    ----------
    quality : 0 (useless) to 1 (sharp, well lit, whole), to four decimals.
    view : fingerprint of how the object is seen, 16 hexadecimal digits.
    """

    quality: float
    view: str


def observe(frame: Frame, detections: Detections) -> list[Observation]:
    """Quality and view of every detection of a frame, in their order."""
    return [
        _observe_one(frame.image, box_xyxy, mask)
        for box_xyxy, mask in zip(detections.boxes_xyxy, detections.masks, strict=True)
    ]


def _observe_one(image: NDArray[np.uint8], box_xyxy: NDArray[np.float32], mask: CroppedMask) -> Observation:
    x1, y1, x2, y2 = _whole_pixels(box_xyxy, (image.shape[0], image.shape[1]))
    patch = _patch(image[y1:y2, x1:x2])
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY).astype(np.float32)
    sharp = sharpness(grey)
    readable = _readable_share(patch, _sample(mask, (x1, y1, x2, y2)))
    quality = min(1.0, sharp / SHARP) * readable * _whole_share(mask, (image.shape[0], image.shape[1]))
    size_px = math.sqrt((x2 - x1) * (y2 - y1))
    bits = np.concatenate([_pattern(grey), _ring(size_px, _SIZE_STEPS), _ring(sharp, _SHARPNESS_STEPS)])
    return Observation(quality=round(float(quality), 4), view=np.packbits(bits).tobytes().hex())


def _whole_pixels(box_xyxy: NDArray[np.float32], size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box on whole pixels inside the image, at least one pixel wide and high."""
    height, width = size_hw
    left, top, right, bottom = (round(float(edge)) for edge in box_xyxy)
    x1, y1 = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return x1, y1, min(max(right, x1 + 1), width), min(max(bottom, y1 + 1), height)


def _patch(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The crop at PATCH_SIDE x PATCH_SIDE pixels."""
    shortest = min(crop.shape[:2])
    # two samples a pixel are enough to average over; a 4K close-up would take milliseconds otherwise
    stride = max(1, shortest // (2 * PATCH_SIDE))
    interpolation = cv2.INTER_AREA if shortest >= PATCH_SIDE else cv2.INTER_LINEAR
    sampled = np.ascontiguousarray(crop[::stride, ::stride])
    return cv2.resize(sampled, (PATCH_SIDE, PATCH_SIDE), interpolation=interpolation).astype(np.uint8, copy=False)


def _sample(mask: CroppedMask, box_xyxy: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """Which pixels of the box's patch belong to the object, shape (PATCH_SIDE, PATCH_SIDE)."""
    x1, y1, x2, y2 = box_xyxy
    centres = (np.arange(PATCH_SIDE) + 0.5) / PATCH_SIDE
    rows = (y1 + centres * (y2 - y1)).astype(int) - mask.y0
    columns = (x1 + centres * (x2 - x1)).astype(int) - mask.x0
    height, width = mask.bitmap.shape
    inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    sampled = np.zeros((PATCH_SIDE, PATCH_SIDE), bool)
    sampled[np.ix_(inside_rows, inside_columns)] = mask.bitmap[np.ix_(rows[inside_rows], columns[inside_columns])]
    return sampled


def _readable_share(patch: NDArray[np.uint8], on_object: NDArray[np.bool_]) -> float:
    """Share of the object's pixels that are not black, burnt out or under glare; 0 for an empty mask."""
    object_px = np.count_nonzero(on_object)
    if not object_px:
        return 0.0
    return 1.0 - np.count_nonzero(Light.of(patch).lost & on_object) / object_px


def _whole_share(mask: CroppedMask, size_hw: tuple[int, int]) -> float:
    """1 for an object inside the image; less, the longer the image's border cuts through it."""
    height, width = size_hw
    rows, columns = mask.slices
    edges = (
        (rows.start == 0, mask.bitmap[:1]),
        (rows.stop == height, mask.bitmap[-1:]),
        (columns.start == 0, mask.bitmap[:, :1]),
        (columns.stop == width, mask.bitmap[:, -1:]),
    )
    cut_px = sum(np.count_nonzero(line) for touches, line in edges if touches)
    diameter_px = math.sqrt(4 * max(mask.area_px, 1) / math.pi)
    return max(SHORTEST_CUT, 1.0 - cut_px / diameter_px)


def _pattern(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    """44 bits: which low-frequency coefficients stand out, the mean grey left aside."""
    coefficients = cv2.dct(cv2.resize(grey, (_PATTERN_SIDE, _PATTERN_SIDE), interpolation=cv2.INTER_AREA))[_PATTERN]
    dead_zone = max(_LEAST_DEAD_ZONE, _RELATIVE_DEAD_ZONE * float(np.linalg.norm(coefficients)))
    stands_out: NDArray[np.bool_] = coefficients > dead_zone
    return stands_out


def _ring(value: float, steps_per_octave: int) -> NDArray[np.bool_]:
    """10 bits of a positive number's logarithm, as in Johnson's ring counter: each step up turns one bit.

    Ten steps away (a factor of 2.4 in size, 5.7 in sharpness) the distance is full; after twenty the ring closes.
    """
    step = math.floor(steps_per_octave * math.log2(max(value, 1e-3))) % (2 * _RING_BITS)
    positions = np.arange(_RING_BITS)
    return positions < step if step <= _RING_BITS else positions >= step - _RING_BITS
