"""Boxes: hand-computed tables, and parity with torchvision on random ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskstream.core import boxes


def table(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def random_boxes(seed: int, count: int, side: float = 100) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, side, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([(0, 0, 2, 3)], [6]),
        ([(1, 1, 1, 5), (0.5, 0.5, 1, 2)], [0, 0.75]),
        ([(4, 4, 2, 2), (0, 3, 5, 1)], [0, 0]),
    ],
    ids=["none", "one", "no width and fractions", "inverted"],
)
def test_area(rows: list[tuple[float, float, float, float]], expected: list[float]) -> None:
    areas = boxes.area(table(*rows))
    assert areas.dtype == np.float32
    assert areas.tolist() == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3),
        ((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0),
        ((0, 0, 2, 2), (3, 3, 1, 1), 0),
    ],
    ids=["equal", "touching", "half", "inside", "both empty", "inverted"],
)
def test_iou(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    assert boxes.iou_matrix(table(a), table(b))[0, 0] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_iou_of_no_boxes_keeps_its_shape(n: int, m: int) -> None:
    assert boxes.iou_matrix(random_boxes(0, n), random_boxes(1, m)).shape == (n, m)


@pytest.mark.parametrize("seed", range(5))
def test_iou_is_torchvisions(seed: int) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    a, b = random_boxes(seed, 40), random_boxes(seed + 100, 60)
    expected = ops.box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(boxes.iou_matrix(a, b), expected, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_nms_is_torchvisions(seed: int, threshold: float) -> None:
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    crowded = random_boxes(seed, 120, side=40)
    scores = np.random.default_rng(seed).random(120).astype(np.float32)
    expected = ops.nms(torch.from_numpy(crowded), torch.from_numpy(scores), threshold).tolist()
    assert boxes.nms(crowded, scores, threshold).tolist() == expected


def test_nms_of_no_boxes_keeps_none() -> None:
    kept = boxes.nms(table(), np.zeros(0, np.float32), 0.5)
    assert kept.shape == (0,)
    assert table()[kept].shape == (0, 4)


def test_nms_keeps_order_of_equal_scores_and_drops_only_above_the_threshold() -> None:
    half = table((0, 0, 2, 2), (0, 0, 2, 1), (5, 5, 6, 6))
    scores = np.array([0.9, 0.9, 0.9], np.float32)
    assert boxes.nms(half, scores, 0.5).tolist() == [0, 1, 2]
    assert boxes.nms(half, scores, 0.49).tolist() == [0, 2]


def test_a_suppressed_box_suppresses_nothing() -> None:
    chain = table((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert boxes.nms(chain, scores, 0.4).tolist() == [0, 2]


def test_clip_cuts_to_the_image() -> None:
    clipped = boxes.clip(table((-1, -2, 30, 40), (3, 4, 5, 6), (50, 50, 60, 60)), (20, 10))
    assert clipped.tolist() == [[0, 0, 10, 20], [3, 4, 5, 6], [10, 20, 10, 20]]
    assert clipped.dtype == np.float32
    assert boxes.clip(table(), (20, 10)).shape == (0, 4)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_box_of_a_mask_is_tight(mask: np.ndarray) -> None:
    x1, y1, x2, y2 = boxes.from_mask(mask).astype(int)
    assert np.count_nonzero(mask[y1:y2, x1:x2]) == np.count_nonzero(mask)
    if mask.any():
        inside = mask[y1:y2, x1:x2]
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


def test_box_of_an_empty_mask_is_all_zeros() -> None:
    assert boxes.from_mask(np.zeros((4, 5), bool)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ([0, 0, 10, 10], [2, 2, 4, 4], 1.0),
        ([0, 0, 10, 10], [8, 0, 12, 10], 0.5),
        ([0, 0, 10, 10], [10, 0, 20, 10], 0.0),
        ([0, 0, 10, 10], [5, 5, 5, 9], 0.0),
    ],
)
def test_share_of_smaller(first: list[int], second: list[int], share: float) -> None:
    a, b = (np.array([box], np.float32) for box in (first, second))
    assert boxes.share_of_smaller(a, b)[0, 0] == share
    assert boxes.share_of_smaller(b, a)[0, 0] == share


def test_share_of_smaller_without_boxes() -> None:
    assert boxes.share_of_smaller(np.zeros((0, 4), np.float32), np.zeros((3, 4), np.float32)).shape == (0, 3)
