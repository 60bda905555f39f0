"""Boundary F and the 95 % Hausdorff distance: against references written out here, under shifts, where undefined."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from found_objects import disk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.morphology import disk as structuring_disk

from maskstream.errors import MissingDependency
from maskstream.evaluation.pixels import boundary
from maskstream.evaluation.pixels.boundary import boundary_f, default_tolerance_px, hausdorff95_px

Mask = NDArray[np.bool_]
SIZE_HW = (9, 12)
NOTHING, EVERYTHING = np.zeros(SIZE_HW, bool), np.ones(SIZE_HW, bool)
BLOCK = np.pad(np.ones((3, 4), bool), ((2, 4), (3, 5)))

small_masks = arrays(bool, SIZE_HW)


def davis_boundary(mask: Mask) -> Mask:
    """D. Martin's boundary map, pixel by pixel: a pixel that differs from its right, lower or lower right neighbour."""
    height, width = mask.shape
    result = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            right, down = x + 1 < width, y + 1 < height
            result[y, x] = (
                (right and mask[y, x] != mask[y, x + 1])
                or (down and mask[y, x] != mask[y + 1, x])
                or (right and down and mask[y, x] != mask[y + 1, x + 1])
            )
    return result


def davis_f(truth: Mask, found: Mask, radius: int) -> float:
    """F as DAVIS's `f_boundary` finds it: by boundaries that are dilated with a disk."""
    true_line, found_line = davis_boundary(truth), davis_boundary(found)
    if not true_line.any() or not found_line.any():
        return 1.0 if true_line.any() == found_line.any() else 0.0
    near_truth = ndimage.binary_dilation(true_line, structuring_disk(radius))
    near_found = ndimage.binary_dilation(found_line, structuring_disk(radius))
    precision = (found_line & near_truth).sum() / found_line.sum()
    recall = (true_line & near_found).sum() / true_line.sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def reference_hausdorff95(truth: Mask, found: Mask) -> float:
    """The larger of both directed 95th percentiles, from every outline pixel to every other."""
    outlines = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) for mask in (truth, found)]
    distances = cdist(*outlines)
    return max(np.percentile(distances.min(axis=0), 95), np.percentile(distances.min(axis=1), 95))


def blobs(seed: int, size_hw: tuple[int, int]) -> tuple[Mask, Mask]:
    """Two masks of ragged regions, much alike, some of which touch the edges of the image."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(2, *size_hw)), (0, 3, 3))
    return noise[0] > 0.03, noise[0] + 0.6 * noise[1] > 0.03


@pytest.mark.parametrize("radius", [0, 1, 3])
@given(small_masks, small_masks)
@settings(max_examples=40)
def test_f_equals_davis(radius: int, truth: Mask, found: Mask) -> None:
    assert boundary_f(truth, found, radius) == pytest.approx(davis_f(truth, found, radius), abs=1e-12)


@given(small_masks, small_masks)
@settings(max_examples=60)
def test_hausdorff_equals_the_distances_of_all_pairs(truth: Mask, found: Mask) -> None:
    truth[0, 0] = found[-1, 3] = True
    assert hausdorff95_px(truth, found) == pytest.approx(reference_hausdorff95(truth, found), abs=1e-12)


@pytest.mark.parametrize(
    "many_pixels, small_tolerance_px",
    [(0, 0), (10**9, 0), (0, 10)],
    ids=["tree of points", "distance transform", "grown by a disk"],
)
@pytest.mark.parametrize("seed", range(3))
def test_all_ways_to_measure_are_exact(
    many_pixels: int, small_tolerance_px: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boundary, "MANY_PIXELS", many_pixels)
    monkeypatch.setattr(boundary, "SMALL_TOLERANCE_PX", small_tolerance_px)
    truth, found = blobs(seed, (90, 120))
    radius = int(default_tolerance_px(truth.shape))
    assert boundary_f(truth, found) == pytest.approx(davis_f(truth, found, radius), abs=1e-12)
    assert hausdorff95_px(truth, found) == pytest.approx(reference_hausdorff95(truth, found), abs=1e-12)


@pytest.mark.parametrize(
    "truth, found, f, distance",
    [
        (NOTHING, NOTHING, 1.0, None),
        (BLOCK, NOTHING, 0.0, None),
        (NOTHING, BLOCK, 0.0, None),
        (BLOCK, BLOCK, 1.0, 0.0),
        (EVERYTHING, EVERYTHING, 1.0, 0.0),
        (EVERYTHING, NOTHING, 1.0, None),  # neither has a boundary: the edge of the image is none
    ],
    ids=["nothing", "missed", "nothing there", "the same", "everything", "all against nothing"],
)
def test_masks_without_an_outline(truth: Mask, found: Mask, f: float, distance: float | None) -> None:
    assert boundary_f(truth, found) == f
    assert hausdorff95_px(truth, found) == distance


@given(small_masks, small_masks)
@settings(max_examples=40)
def test_both_are_symmetric_and_perfect_on_the_same(a: Mask, b: Mask) -> None:
    assert boundary_f(a, b, 1) == pytest.approx(boundary_f(b, a, 1), abs=1e-12)
    assert hausdorff95_px(a, b) == hausdorff95_px(b, a)
    assert boundary_f(a, a, 0) == 1
    assert hausdorff95_px(a, a) == (0 if a.any() else None)


@given(st.integers(0, 12), st.integers(0, 15))
def test_an_edge_that_is_off_by_k_pixels(k: int, tolerance: int) -> None:
    """The upright edge of what fills the left of a tall image; its top, bottom and left are the image's own edges."""
    truth, found = np.zeros((2, 300, 60), bool)
    truth[:, :20] = found[:, : 20 + k] = True
    assert hausdorff95_px(truth, found) == k
    assert boundary_f(truth, found, tolerance) == (1 if k <= tolerance else 0)


@given(st.integers(-4, 4), st.integers(-4, 4))
@settings(max_examples=25)
def test_a_shift_moves_no_outline_further_than_itself(dx: int, dy: int) -> None:
    """Wherever a disk lies in the image, and however large the image is, its figures are the same."""
    truth, found = disk((50, 60), 25, 22, 12), disk((50, 60), 25 + dx, 22 + dy, 12)
    assert hausdorff95_px(truth, found) <= np.hypot(dx, dy)
    assert boundary_f(truth, found, 6) == 1
    margin = ((30, 8), (3, 17))
    wider = np.pad(truth, margin), np.pad(found, margin)
    assert hausdorff95_px(*wider) == hausdorff95_px(truth, found)
    assert boundary_f(*wider, 2) == boundary_f(truth, found, 2)


@pytest.mark.parametrize("size_hw, tolerance_px", [((480, 854), 8), ((600, 800), 8), ((1080, 1920), 18), ((4, 6), 1)])
def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up(size_hw: tuple[int, int], tolerance_px: float) -> None:
    assert default_tolerance_px(size_hw) == tolerance_px


def test_the_tolerance_of_the_whole_image_holds_in_the_part_that_is_looked_at() -> None:
    truth, found = np.zeros((2, 600, 800), bool)
    truth[300:360, 300:360] = found[308:368, 300:360] = True
    assert boundary_f(truth, found) == 1
    assert boundary_f(truth, found, 7) < 1


def test_masks_of_two_sizes_are_refused() -> None:
    for figure in (boundary_f, hausdorff95_px):
        with pytest.raises(ValueError, match=r"of one size, got \(9, 12\) and \(4, 4\)"):
            figure(BLOCK, np.ones((4, 4), bool))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.spatial", None)
    monkeypatch.setattr(boundary, "MANY_PIXELS", 0)  # as in an image much larger than its outlines are long
    with pytest.raises(MissingDependency, match=r"the package scipy.*maskstream\[evaluate\]"):
        hausdorff95_px(BLOCK, BLOCK)
