"""Detections: rows chosen, shapes checked, the empty frame."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import EMPTY, CroppedMask
from maskstream.core.segmenter import FakeSegmenter, Segmenter

CLASSES = ("benign", "malignant")
SIZE_HW = (20, 30)


def three() -> Detections:
    """Squares of 4, 3 and 2 pixels' side, the first two overlapping in 1 x 1."""
    sides, corners = (4, 3, 2), ((0, 0), (3, 3), (20, 10))
    return Detections(
        boxes_xyxy=np.array([(x, y, x + s, y + s) for s, (x, y) in zip(sides, corners, strict=True)], np.float32),
        masks=tuple(CroppedMask(np.ones((s, s), bool), x, y) for s, (x, y) in zip(sides, corners, strict=True)),
        scores=np.array([0.9, 0.6, 0.3], np.float32),
        probabilities=np.array([[0.8, 0.2], [0.1, 0.9], [0.5, 0.5]], np.float32),
        track_ids=np.array([7, NO_TRACK, 2], np.int64),
        classes=CLASSES,
        size_hw=SIZE_HW,
    )


def test_areas_classes_and_masks() -> None:
    detections = three()
    assert len(detections) == 3
    assert detections.areas_px.tolist() == [16, 9, 4]
    assert detections.class_ids.tolist() == [0, 1, 0]
    assert detections.dense_masks().shape == (3, *SIZE_HW)
    assert detections.dense_masks().sum(axis=(1, 2)).tolist() == [16, 9, 4]
    assert int(detections.union_mask().sum()) == 16 + 9 + 4 - 1


def test_iteration_gives_each_object_with_its_class_name() -> None:
    first, second, third = three()
    assert (first.class_name, first.track_id, first.mask.area_px) == ("benign", 7, 16)
    assert (second.class_name, second.class_id, second.track_id) == ("malignant", 1, NO_TRACK)
    assert third.score == pytest.approx(0.3)
    assert third.box_xyxy.tolist() == [20, 10, 22, 12]


@pytest.mark.parametrize(
    ("rows", "areas"),
    [
        (np.array([2, 0]), [4, 16]),
        (np.array([True, False, True]), [16, 4]),
        (np.array([], np.intp), []),
        (np.zeros(3, bool), []),
        (np.array([1, 1]), [9, 9]),
        (np.array([-1]), [4]),
    ],
    ids=["order", "booleans", "no indices", "all false", "twice", "from the end"],
)
def test_select(rows: np.ndarray, areas: list[int]) -> None:
    chosen = three().select(rows)
    assert chosen.areas_px.tolist() == areas
    assert chosen.boxes_xyxy.shape == (len(areas), 4)
    assert chosen.probabilities.shape == (len(areas), 2)
    assert chosen.size_hw == SIZE_HW


def test_select_of_a_row_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError):
        three().select(np.array([3]))


def test_empty_frame() -> None:
    empty = Detections.empty(CLASSES, SIZE_HW)
    assert len(empty) == 0
    assert list(empty) == []
    assert empty.class_ids.dtype == np.int64
    assert empty.areas_px.tolist() == []
    assert empty.dense_masks().shape == (0, *SIZE_HW)
    assert not empty.union_mask().any()
    assert len(empty.select(np.zeros(0, bool))) == 0
    assert len(Detections.empty((), SIZE_HW)) == 0


def test_an_object_may_have_an_empty_mask() -> None:
    detections = dataclasses.replace(three(), masks=(EMPTY, *three().masks[1:]))
    assert detections.areas_px.tolist() == [0, 9, 4]
    assert int(detections.union_mask().sum()) == 13


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes_xyxy": np.zeros((2, 4), np.float32)}, r"boxes_xyxy has shape \(2, 4\), expected \(3, 4\)"),
        ({"boxes_xyxy": np.zeros((3, 5), np.float32)}, r"boxes_xyxy has shape \(3, 5\)"),
        ({"scores": np.zeros((3, 1), np.float32)}, r"scores has shape \(3, 1\), expected \(3,\)"),
        ({"probabilities": np.zeros((3, 3), np.float32)}, r"probabilities .* expected \(3, 2\)"),
        ({"track_ids": np.zeros(0, np.int64)}, r"track_ids has shape \(0,\), expected \(3,\) for 3 masks"),
        ({"masks": ()}, r"expected \(0, 4\) for 0 masks"),
    ],
)
def test_wrong_shapes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(three(), **changes)


def test_track_ids_make_a_new_value() -> None:
    before = three()
    after = before.with_track_ids(np.array([1, 2, 3], np.int64))
    assert before.track_ids.tolist() == [7, NO_TRACK, 2]
    assert after.track_ids.tolist() == [1, 2, 3]
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.scores = after.scores  # type: ignore[misc]


def test_fake_segmenter_cuts_at_its_threshold() -> None:
    fake = FakeSegmenter(lambda frame: three(), CLASSES)
    frame = Frame(np.zeros((*SIZE_HW, 3), np.uint8), 0, 0.0, "test")
    assert isinstance(fake, Segmenter)
    assert [len(found) for found in fake.segment([frame, frame])] == [2, 2]
    assert [len(found) for found in fake.segment([frame], score_threshold=0.0)] == [3]
    assert fake.segment([]) == []
    assert frame.size_hw == SIZE_HW
