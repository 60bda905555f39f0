"""Four images with what is there and what was found, small enough that every figure can be told by hand."""

from __future__ import annotations

import numpy as np

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.objects.judge import ImageTruth

CLASSES = ("benign", "malignant")
SIZE_HW = (40, 60)


def rectangle(x0: int, y0: int, width: int, height: int) -> CroppedMask:
    return CroppedMask(np.ones((height, width), bool), x0, y0)


def detections(*rows: tuple[CroppedMask, float, float], classes: tuple[str, ...] = CLASSES) -> Detections:
    """Rows of mask, score and malignant probability, best score first."""
    malignant = np.array([row[2] for row in rows])
    return Detections(
        boxes_xyxy=np.zeros((len(rows), 4), np.float32),
        masks=tuple(row[0] for row in rows),
        scores=np.array([row[1] for row in rows], np.float32),
        probabilities=np.stack([1 - malignant, malignant], axis=1).astype(np.float32),
        track_ids=np.zeros(len(rows), np.int64),
        classes=classes,
        size_hw=SIZE_HW,
    )


def truth(image_id: int, *objects: tuple[CroppedMask, int]) -> ImageTruth:
    return ImageTruth(image_id, tuple(o[0] for o in objects), tuple(o[1] for o in objects), SIZE_HW)


LESION = rectangle(10, 10, 20, 10)
HALF = rectangle(10, 10, 10, 10)
ELSEWHERE = rectangle(40, 30, 10, 5)
NOTHING = Detections.empty(CLASSES, SIZE_HW)


def four_images() -> list[tuple[ImageTruth, Detections]]:
    """Exact and benign; half and malignant; missed; exact but below the threshold."""
    return [
        (truth(1, (LESION, 0)), detections((LESION, 0.9, 0.2), (ELSEWHERE, 0.1, 0.9))),
        (truth(2, (LESION, 1)), detections((HALF, 0.8, 0.7))),
        (truth(3, (LESION, 1)), NOTHING),
        (truth(4, (LESION, 0)), detections((LESION, 0.4, 0.9))),
    ]
