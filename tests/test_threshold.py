"""The score threshold that export chooses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskstream.core import masks
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import FakeSegmenter
from maskstream.data.records import Annotation, ImageRecord
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.export.threshold import CANDIDATES, choose_threshold, in_all_orientations

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


def test_truth_turns_with_the_image(tmp_path: Path) -> None:
    """A model that finds bright pixels is right in every orientation."""
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    image[2:7, 2:9] = 255
    Image.fromarray(image).save(tmp_path / "bright.png")
    bright = masks.crop(image[..., 0] > 0)
    record = ImageRecord(1, "bright.png", tmp_path / "bright.png", SIZE_HW, (Annotation.from_mask(0, bright, SIZE_HW),))

    def answer(frame: Frame) -> Detections:
        return replace(found((THERE, 0.9)), masks=(masks.crop(frame.image[..., 0] > 0),))

    pairs = list(in_all_orientations([record], FakeSegmenter(answer, ("thing",)), (0,), 0.0))
    assert len(pairs) == 4
    assert all(masks.iou(truth.masks[0], seen.masks[0]) == 1 for truth, seen in pairs)
    assert len({(truth.masks[0].x0, truth.masks[0].y0) for truth, _ in pairs}) == 4
