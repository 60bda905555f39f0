"""Detections of plain shapes, for tests that draw and report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.core.detections import Detections
from maskstream.core.masks import crop

Mask = NDArray[np.bool_]


def disk(size_hw: tuple[int, int], x: float, y: float, radius: float) -> Mask:
    """Pixels whose centre is nearer to (x, y) than `radius`."""
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    return np.asarray(np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius)


def found(
    masks: Sequence[Mask],
    malignant: Sequence[float],
    track_ids: Sequence[int],
    *,
    scores: Sequence[float] | None = None,
) -> Detections:
    """Detections of benign and malignant objects with tight boxes; at least one mask."""
    positive = np.array(malignant, np.float32)
    return Detections(
        boxes_xyxy=np.array([boxes.from_mask(mask) for mask in masks], np.float32),
        masks=tuple(crop(mask) for mask in masks),
        scores=np.array(scores or [0.9] * len(masks), np.float32),
        probabilities=np.stack([1 - positive, positive], axis=1),
        track_ids=np.array(track_ids, np.int64),
        classes=("benign", "malignant"),
        size_hw=masks[0].shape,  # type: ignore[arg-type]
    )
