"""Equality with the ISIC challenge's own scoring package on real masks, and where it differs from ours on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maskstream.core.masks import crop
from maskstream.evaluation.pixels.image_figures import PixelCounts, image_figures

segmentation = pytest.importorskip(
    "isic_challenge_scoring.segmentation",
    reason="needs the package isic-challenge-scoring: the dependency group parity",
)

# the package calls pandas by what pandas 3.1 calls outdated
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword in Series.rename")

Mask = NDArray[np.bool_]

OURS = {
    "jaccard": "mean_jaccard",
    "threshold_jaccard": "thresholded_jaccard",
    "dice": "mean_dice",
    "sensitivity": "mean_sensitivity",
    "specificity": "mean_specificity",
    "accuracy": "mean_accuracy",
}


def shifted(mask: Mask) -> Mask:
    return np.roll(mask, (9, -14), axis=(0, 1))


def grown(mask: Mask) -> Mask:
    return cv2.dilate(mask.view(np.uint8), np.ones((17, 17), np.uint8)).view(bool)


def ragged(mask: Mask) -> Mask:
    return mask & (np.random.default_rng(3).random(mask.shape) < 0.7)


DISTURBED: tuple[Callable[[Mask], Mask], ...] = (
    lambda mask: mask,
    shifted,
    grown,
    ragged,
    np.zeros_like,
    np.ones_like,
    np.invert,
)


@pytest.fixture(scope="module")
def true_masks(shared_data: Path) -> list[Mask]:
    files = sorted((shared_data / "isic2017" / "masks").glob("*.png"))[::130]
    return [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) > 127 for file in files]


def official(folder: Path, pairs: list[tuple[Mask, Mask]]) -> dict[str, float]:
    """Means that the package finds when it reads the masks from files."""
    for side, name in enumerate(("truth", "found")):
        (folder / name).mkdir()
        for index, pair in enumerate(pairs):
            cv2.imwrite(str(folder / name / f"ISIC_{index:07d}.png"), pair[side].astype(np.uint8) * 255)
    score = segmentation.SegmentationScore.from_dir(folder / "truth", folder / "found")
    means: dict[str, float] = score.macro_average.to_dict()
    return means


def counted(pairs: list[tuple[Mask, Mask]]) -> PixelCounts:
    counts = PixelCounts()
    for truth, found in pairs:
        counts.add(image_figures([crop(truth)], [crop(found)], (truth.shape[0], truth.shape[1])))
    return counts


def test_equals_the_official_scores_on_real_masks(true_masks: list[Mask], tmp_path: Path) -> None:
    pairs = [(mask, DISTURBED[index % len(DISTURBED)](mask)) for index, mask in enumerate(true_masks)]
    expected, ours = official(tmp_path, pairs), counted(pairs).figures()
    assert len(pairs) > 20
    assert 0.2 < expected["jaccard"] < 0.8
    assert {name: ours[key] for name, key in OURS.items()} == pytest.approx(expected, abs=1e-12)


def test_an_image_without_truth_gets_no_sensitivity_for_free(true_masks: list[Mask], tmp_path: Path) -> None:
    """The package counts a figure that an image does not define as 1; here the image is left out of that mean."""
    mask = true_masks[0]
    nothing, everything = np.zeros_like(mask), np.ones_like(mask)
    pairs = [(mask, ragged(mask)), (nothing, nothing), (nothing, mask), (everything, shifted(mask))]
    expected, counts = official(tmp_path, pairs), counted(pairs)
    ours = counts.figures()
    for name in ("jaccard", "threshold_jaccard", "dice", "accuracy"):
        assert ours[OURS[name]] == pytest.approx(expected[name], abs=1e-12)
    in_sensitivity, in_specificity = 2, 3
    assert counts.counts()["n_in_mean_sensitivity"] == in_sensitivity
    assert counts.counts()["n_in_mean_specificity"] == in_specificity
    free_sensitivity, free_specificity = 4 - in_sensitivity, 4 - in_specificity
    assert expected["sensitivity"] == pytest.approx((in_sensitivity * ours["mean_sensitivity"] + free_sensitivity) / 4)
    assert expected["specificity"] == pytest.approx((in_specificity * ours["mean_specificity"] + free_specificity) / 4)
