"""Counts of pixels of the unions of masks in one image, and the shares they make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskstream.core.masks import EMPTY, CroppedMask, crop
from maskstream.evaluation.pixels.pixel import Overlap, overlap, overlap_of

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


@pytest.mark.parametrize(
    "image, sensitivity, specificity, accuracy",
    [
        (Overlap(common_px=3, truth_px=4, found_px=8, image_px=20), 3 / 4, 11 / 16, 14 / 20),
        (Overlap(common_px=0, truth_px=0, found_px=0, image_px=20), None, 1.0, 1.0),
        (Overlap(common_px=0, truth_px=0, found_px=5, image_px=20), None, 15 / 20, 15 / 20),
        (Overlap(common_px=0, truth_px=4, found_px=0, image_px=20), 0.0, 1.0, 16 / 20),
        (Overlap(common_px=20, truth_px=20, found_px=20, image_px=20), 1.0, None, 1.0),
        (Overlap(common_px=5, truth_px=20, found_px=5, image_px=20), 5 / 20, None, 5 / 20),
    ],
)
def test_hand_computed_shares(
    image: Overlap, sensitivity: float | None, specificity: float | None, accuracy: float
) -> None:
    assert (image.sensitivity, image.specificity) == (sensitivity, specificity)
    assert image.accuracy == pytest.approx(accuracy)


def test_a_part_of_an_image_counts_the_pixels_of_all_of_it() -> None:
    truth, found = np.zeros((2, *SIZE_HW), bool)
    truth[1:3, 1:3] = found[2:4, 2:4] = True
    part = overlap_of(truth[1:4, 1:4], found[1:4, 1:4], image_px=truth.size)
    assert part == overlap_of(truth, found) == Overlap(1, 4, 4, 48)


@given(arrays(bool, SIZE_HW), arrays(bool, SIZE_HW))
def test_dice_follows_from_jaccard_and_both_are_symmetric(a: np.ndarray, b: np.ndarray) -> None:
    image, mirrored = overlap([crop(a)], [crop(b)], SIZE_HW), overlap([crop(b)], [crop(a)], SIZE_HW)
    assert image.dice == pytest.approx(2 * image.jaccard / (1 + image.jaccard))
    assert (image.jaccard, image.dice) == (mirrored.jaccard, mirrored.dice)


@given(st.integers(0, 2**32 - 1))
def test_equals_scikit_learn_on_pixels(seed: int) -> None:
    from sklearn.metrics import accuracy_score, f1_score, jaccard_score, recall_score

    a, b = np.random.default_rng(seed).random((2, *SIZE_HW)) < 0.5
    a[0, :2] = [True, False]
    image = overlap([crop(a)], [crop(b)], SIZE_HW)
    assert image.jaccard == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    assert image.dice == pytest.approx(f1_score(a.ravel(), b.ravel()))
    assert image.sensitivity == pytest.approx(recall_score(a.ravel(), b.ravel()))
    assert image.specificity == pytest.approx(recall_score(a.ravel(), b.ravel(), pos_label=False))
    assert image.accuracy == pytest.approx(accuracy_score(a.ravel(), b.ravel()))
