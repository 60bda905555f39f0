"""Images that know where their pixels are, and a segmenter that knows what is really there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.boxes import from_mask
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import FakeSegmenter
from maskstream.inference.windows import Window

SIDE_LIMIT = 4096
"""Largest side whose rows and columns fit the three bytes of a pixel."""


def place_image(size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """An image (h, w, 3) in which the colour of each pixel says where it is."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    code = y * SIDE_LIMIT + x
    return np.stack([code >> 16, code >> 8 & 255, code & 255], axis=-1).astype(np.uint8)


def window_of(frame: Frame) -> Window:
    """The part of a `place_image` that a frame shows."""
    red, green, blue = frame.image[0, 0].tolist()
    return Window(*divmod(red << 16 | green << 8 | blue, SIDE_LIMIT), *frame.size_hw)


def frame_of(size_hw: tuple[int, int]) -> Frame:
    return Frame(place_image(size_hw), 0, 0.0, "places")


def knowing_segmenter(
    truth: Sequence[CroppedMask], class_ids: Sequence[int] | None = None, classes: Classes = ("tank",), seed: int = 0
) -> FakeSegmenter:
    """Finds every object of which a pixel is seen, with a mask of just those pixels and a score of its own a window."""
    ids = np.zeros(len(truth), np.intp) if class_ids is None else np.asarray(class_ids, np.intp)

    def answer(frame: Frame) -> Detections:
        window = window_of(frame)
        rng = np.random.default_rng([seed, window.y0, window.x0])
        cut = [window.cut(mask) for mask in truth]
        rows = [row for row, mask in enumerate(cut) if mask.area_px]
        return detections([cut[row] for row in rows], rng.uniform(0.5, 1, len(rows)), ids[rows], classes, frame.size_hw)

    return FakeSegmenter(answer, classes)


def detections(
    found: Sequence[CroppedMask],
    scores: NDArray[np.float64] | Sequence[float],
    class_ids: NDArray[np.intp] | Sequence[int],
    classes: Classes,
    size_hw: tuple[int, int],
) -> Detections:
    """Detections with tight boxes and sure classes, best score first."""
    unsorted = Detections(
        boxes_xyxy=np.array([box_of(m) for m in found], np.float32).reshape(-1, 4),
        masks=tuple(found),
        scores=np.asarray(scores, np.float32),
        probabilities=np.eye(len(classes), dtype=np.float32)[np.asarray(class_ids, np.intp)],
        track_ids=np.zeros(len(found), np.int64),
        classes=classes,
        size_hw=size_hw,
    )
    return unsorted.select(np.argsort(-unsorted.scores, kind="stable"))


def box_of(mask: CroppedMask) -> tuple[float, float, float, float]:
    """The tight box."""
    x1, y1, x2, y2 = from_mask(mask.bitmap).tolist()
    return mask.x0 + x1, mask.y0 + y1, mask.x0 + x2, mask.y0 + y2


def disc(y: float, x: float, radius: float, size_hw: tuple[int, int]) -> CroppedMask:
    """Pixels of an image whose centre is within a radius of (y, x)."""
    y0, x0 = max(int(y - radius), 0), max(int(x - radius), 0)
    y1, x1 = min(int(y + radius) + 2, size_hw[0]), min(int(x + radius) + 2, size_hw[1])
    rows, columns = np.mgrid[y0:y1, x0:x1]
    inside = masks.crop(np.hypot(rows + 0.5 - y, columns + 0.5 - x) <= radius)
    return CroppedMask(inside.bitmap, inside.x0 + x0, inside.y0 + y0)


def bar(y0: int, x0: int, height: int, width: int) -> CroppedMask:
    return CroppedMask(np.ones((height, width), bool), x0, y0)


def pixels(mask: CroppedMask) -> tuple[int, int, bytes, tuple[int, ...]]:
    """A mask as a value that equals that of every mask of the same pixels."""
    tight = masks.crop(mask.bitmap)
    return mask.y0 + tight.y0, mask.x0 + tight.x0, tight.bitmap.tobytes(), tight.bitmap.shape
