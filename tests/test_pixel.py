"""Jaccard and Dice of unions, each image counting once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskstream.core.masks import EMPTY, CroppedMask, crop
from maskstream.evaluation.pixel import Overlap, overlap, pixel_metrics

SIZE_HW = (6, 8)


def rectangle(x0: int, y0: int, width: int, height: int) -> CroppedMask:
    return CroppedMask(np.ones((height, width), bool), x0, y0)


@pytest.mark.parametrize(
    "truth, found, jaccard, dice",
    [
        ([], [], 1.0, 1.0),
        ([EMPTY], [], 1.0, 1.0),
        ([rectangle(0, 0, 4, 2)], [], 0.0, 0.0),
        ([], [rectangle(0, 0, 4, 2)], 0.0, 0.0),
        ([rectangle(0, 0, 4, 2)], [rectangle(0, 0, 4, 2)], 1.0, 1.0),
        ([rectangle(0, 0, 4, 2)], [rectangle(4, 0, 4, 2)], 0.0, 0.0),
        ([rectangle(0, 0, 4, 2)], [rectangle(2, 0, 4, 2)], 4 / 12, 8 / 16),
        # overlapping detections count their common pixels once
        ([rectangle(0, 0, 4, 2)], [rectangle(0, 0, 3, 2), rectangle(1, 0, 3, 2)], 1.0, 1.0),
        ([rectangle(0, 0, 4, 2), rectangle(4, 4, 2, 2)], [rectangle(0, 0, 4, 2)], 8 / 12, 16 / 20),
    ],
)
def test_hand_computed_overlaps(
    truth: list[CroppedMask], found: list[CroppedMask], jaccard: float, dice: float
) -> None:
    image = overlap(truth, found, SIZE_HW)
    assert image.jaccard == pytest.approx(jaccard)
    assert image.dice == pytest.approx(dice)


@pytest.mark.parametrize("common_px, expected", [(64, 0.0), (65, 0.65), (66, 0.66), (100, 1.0), (0, 0.0)])
def test_a_jaccard_below_the_threshold_counts_zero(common_px: int, expected: float) -> None:
    assert Overlap(common_px, truth_px=100, found_px=common_px, image_px=200).thresholded_jaccard == pytest.approx(
        expected
    )


def test_means_are_per_image_and_not_pooled() -> None:
    small, large = Overlap(0, truth_px=10, found_px=0, image_px=5000), Overlap(900, 1000, 900, 5000)
    assert pixel_metrics([small, large]) == pytest.approx(
        {"mean_jaccard": 0.45, "thresholded_jaccard": 0.45, "mean_dice": (0 + 1800 / 1900) / 2}
    )


def test_no_image_has_no_mean() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        pixel_metrics([])


@given(arrays(bool, SIZE_HW), arrays(bool, SIZE_HW))
def test_dice_follows_from_jaccard_and_both_are_symmetric(a: np.ndarray, b: np.ndarray) -> None:
    image, mirrored = overlap([crop(a)], [crop(b)], SIZE_HW), overlap([crop(b)], [crop(a)], SIZE_HW)
    assert image.dice == pytest.approx(2 * image.jaccard / (1 + image.jaccard))
    assert (image.jaccard, image.dice) == (mirrored.jaccard, mirrored.dice)


@given(st.integers(0, 2**32 - 1))
def test_equals_scikit_learn_on_pixels(seed: int) -> None:
    from sklearn.metrics import f1_score, jaccard_score

    a, b = np.random.default_rng(seed).random((2, *SIZE_HW)) < 0.5
    a[0, 0] = True
    image = overlap([crop(a)], [crop(b)], SIZE_HW)
    assert image.jaccard == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    assert image.dice == pytest.approx(f1_score(a.ravel(), b.ravel()))
