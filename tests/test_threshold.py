"""The score threshold that export chooses."""

from __future__ import annotations

import numpy as np
import pytest

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.instance import ImageTruth
from maskstream.export.threshold import CANDIDATES, choose_threshold

SIZE_HW = (20, 20)
THERE = CroppedMask(np.ones((5, 5), bool), 2, 2)
NOT_THERE = CroppedMask(np.ones((5, 5), bool), 12, 12)


def found(*objects: tuple[CroppedMask, float]) -> Detections:
    return Detections(
        boxes_xyxy=np.array([[m.x0, m.y0, m.x0 + 5, m.y0 + 5] for m, _ in objects], np.float32).reshape(-1, 4),
        masks=tuple(mask for mask, _ in objects),
        scores=np.array([score for _, score in objects], np.float32),
        probabilities=np.ones((len(objects), 1), np.float32),
        track_ids=np.zeros(len(objects), np.int64),
        classes=("thing",),
        size_hw=SIZE_HW,
    )


def truth(image_id: int) -> ImageTruth:
    return ImageTruth(image_id, (THERE,), (0,), SIZE_HW)


def test_between_what_is_there_and_what_is_not() -> None:
    pairs = [(truth(n), found((THERE, 0.9), (NOT_THERE, score))) for n, score in enumerate((0.3, 0.62, 0.5))]
    assert choose_threshold(pairs) == 0.9


def test_what_is_missed_costs_as_well() -> None:
    pairs = [(truth(0), found((THERE, 0.52))), (truth(1), found((THERE, 0.95), (NOT_THERE, 0.4)))]
    assert choose_threshold(pairs) == 0.5


def test_nothing_found_anywhere() -> None:
    assert choose_threshold([(truth(0), found())]) == CANDIDATES[-1]


def test_no_image() -> None:
    with pytest.raises(ValueError, match="no image"):
        choose_threshold([])
