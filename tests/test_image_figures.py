"""Figures of any choice of images: those of a list that holds them, by hand and against loops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskstream.core.masks import crop
from maskstream.evaluation.pixels.boundary import boundary_f, hausdorff95_px
from maskstream.evaluation.pixels.image_figures import FIGURES, ImageFigures, PixelCounts, figures_of, image_figures
from maskstream.evaluation.pixels.pixel import Overlap

NOTHING = ImageFigures(Overlap(0, 0, 0, 100), boundary_f=1.0, hausdorff95_px=None)
MISSED = ImageFigures(Overlap(0, 10, 0, 100), boundary_f=0.0, hausdorff95_px=None)
FAIR = ImageFigures(Overlap(6, 8, 8, 100), boundary_f=0.5, hausdorff95_px=4.0)
GOOD = ImageFigures(Overlap(90, 100, 90, 400), boundary_f=0.9, hausdorff95_px=2.0)
ALL_TRUE = ImageFigures(Overlap(50, 100, 50, 100), boundary_f=0.0, hausdorff95_px=7.0)
IMAGES = (NOTHING, MISSED, FAIR, GOOD, ALL_TRUE)


def counted(images: Sequence[ImageFigures], *, empty_images: bool = True) -> PixelCounts:
    counts = PixelCounts(empty_images=empty_images)
    for image in images:
        counts.add(image)
    return counts


def looped(images: Sequence[ImageFigures]) -> dict[str, float]:
    """The same as `PixelCounts.figures`, a figure at a time."""
    overlaps = [image.overlap for image in images]
    columns: dict[str, list[float | None]] = {
        "mean_jaccard": [pixels.jaccard for pixels in overlaps],
        "thresholded_jaccard": [pixels.thresholded_jaccard for pixels in overlaps],
        "mean_dice": [pixels.dice for pixels in overlaps],
        "share_below_065": [pixels.jaccard < 0.65 for pixels in overlaps],
        "mean_sensitivity": [pixels.sensitivity for pixels in overlaps],
        "mean_specificity": [pixels.specificity for pixels in overlaps],
        "mean_accuracy": [pixels.accuracy for pixels in overlaps],
        "mean_boundary_f": [image.boundary_f for image in images],
        "mean_hausdorff95_px": [image.hausdorff95_px for image in images],
    }
    figures = {key: [value for value in values if value is not None] for key, values in columns.items()}
    common, truth, found, all_px = np.sum([(p.common_px, p.truth_px, p.found_px, p.image_px) for p in overlaps], axis=0)
    pooled = {
        "pooled_jaccard": (common, truth + found - common),
        "pooled_dice": (2 * common, truth + found),
        "pooled_sensitivity": (common, truth),
        "pooled_specificity": (all_px - truth - found + common, all_px - truth),
        "pooled_accuracy": (all_px - truth - found + 2 * common, all_px),
    }
    means = {key: float(np.mean(values)) for key, values in figures.items() if values}
    return means | {key: float(part / whole) for key, (part, whole) in pooled.items() if whole}


def test_by_hand() -> None:
    counts = counted([MISSED, FAIR, GOOD])
    assert counts.figures() == pytest.approx(
        {
            "mean_jaccard": (0 + 0.6 + 0.9) / 3,
            "thresholded_jaccard": 0.9 / 3,
            "mean_dice": (0 + 12 / 16 + 180 / 190) / 3,
            "share_below_065": 2 / 3,
            "mean_sensitivity": (0 + 6 / 8 + 0.9) / 3,
            "mean_specificity": (1 + 90 / 92 + 1) / 3,
            "mean_accuracy": (0.9 + 0.96 + 390 / 400) / 3,
            "mean_boundary_f": (0 + 0.5 + 0.9) / 3,
            "mean_hausdorff95_px": (4 + 2) / 2,
            "pooled_jaccard": 96 / 120,
            "pooled_dice": 192 / 216,
            "pooled_sensitivity": 96 / 118,
            "pooled_specificity": 480 / 482,
            "pooled_accuracy": 576 / 600,
        }
    )
    assert counts.counts() == {
        "n_in_mean": 3,
        "n_in_mean_sensitivity": 3,
        "n_in_mean_specificity": 3,
        "n_in_mean_hausdorff95_px": 2,
    }


@given(st.lists(st.sampled_from(range(len(IMAGES))), min_size=1, max_size=12))
def test_a_choice_of_images_is_judged_like_a_list_of_them(positions: list[int]) -> None:
    counts = counted(IMAGES)
    chosen = counts.figures(np.array(positions), "/lung")
    expected = looped([IMAGES[position] for position in positions])
    assert chosen == pytest.approx({f"{key}/lung": value for key, value in expected.items()})
    assert list(expected) == [key for key in FIGURES if key in expected]


def test_all_images_once_are_all_images() -> None:
    counts = counted(IMAGES)
    assert counts.figures(np.arange(len(IMAGES))) == counts.figures()
    assert set(counts.figures()) == set(FIGURES)
    counts.add(GOOD)
    assert counts.figures() == pytest.approx(looped([*IMAGES, GOOD]))
    assert len(counts) == 6


@pytest.mark.parametrize(
    "image, undefined",
    [
        (NOTHING, {"mean_sensitivity", "mean_hausdorff95_px", "pooled_jaccard", "pooled_dice", "pooled_sensitivity"}),
        (MISSED, {"mean_hausdorff95_px"}),
        (ALL_TRUE, {"mean_specificity", "pooled_specificity"}),
    ],
    ids=["nothing there and nothing found", "missed", "the whole image"],
)
def test_what_an_image_does_not_define_is_left_out(image: ImageFigures, undefined: set[str]) -> None:
    assert set(FIGURES) - set(counted([image]).figures()) == undefined
    with_another = counted([image, GOOD])
    assert set(with_another.figures()) == set(FIGURES)
    assert with_another.counts()["n_in_mean_hausdorff95_px"] == (2 if image is ALL_TRUE else 1)


def test_no_image_has_no_figure() -> None:
    assert PixelCounts().figures() == {}
    assert counted(IMAGES).figures(np.array([], np.int64)) == {}
    assert set(PixelCounts().counts().values()) == {0}


def test_without_empty_images_they_count_in_no_mean_but_their_pixels_do() -> None:
    means, pooled = counted([GOOD]).figures(), counted([GOOD, NOTHING]).figures()
    figures = counted([GOOD, NOTHING], empty_images=False).figures()
    assert figures == pytest.approx({key: (pooled if key.startswith("pooled") else means)[key] for key in FIGURES})
    assert counted([GOOD, NOTHING], empty_images=False).counts("/heart")["n_in_mean/heart"] == 1
    only_pixels = counted([NOTHING], empty_images=False).figures()
    assert only_pixels == {"pooled_specificity": 1, "pooled_accuracy": 1}


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_figures_of_masks_are_those_of_their_unions(seed: int) -> None:
    first, second, found = np.random.default_rng(seed).random((3, 12, 15)) < 0.3
    truth: NDArray[np.bool_] = first | second
    image = image_figures([crop(first), crop(second)], [crop(found)], (12, 15))
    assert image == figures_of(truth, found)
    assert (image.boundary_f, image.hausdorff95_px) == (boundary_f(truth, found), hausdorff95_px(truth, found))
    row = image.row()
    assert list(row) == ["jaccard", "dice", "sensitivity", "specificity", "accuracy", "boundary_f", "hausdorff95_px"]
    assert (row["jaccard"], row["sensitivity"]) == (image.overlap.jaccard, image.overlap.sensitivity)
