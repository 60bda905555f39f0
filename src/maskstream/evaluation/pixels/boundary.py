"""How near the outline of what was found runs to the true one: boundary F and the 95 % Hausdorff distance.

- Boundary F: F. Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation",
  CVPR 2016, section 5, as its authors' code computes it (`f_boundary`): D. Martin's boundary map, and pairs of
  boundary pixels that lie within a tolerance of each other, both ways.
- 95 % Hausdorff distance: the larger of the two 95th percentiles of the distances from one outline to the other, as in
  A. Reinke, L. Maier-Hein et al., "Metrics reloaded", Nature Methods 2024, and in MONAI's `HausdorffDistanceMetric`.
  MedPy's `hd95` is another figure: one percentile over the distances of both directions thrown together, which is
  never larger and may be much smaller.

Both look only at the box around both masks, and at the pixels of their outlines, so that a large image costs little.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.errors import MissingDependency

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]

TOLERANCE_OF_DIAGONAL = 0.008
"""Distance at which two boundary pixels still match, as a share of the image's diagonal: DAVIS's own."""

HAUSDORFF_PERCENTILE = 95.0

MANY_PIXELS = 70
"""One boundary pixel to fewer pixels than this is measured by a distance transform, not by a tree of points: faster."""

SMALL_TOLERANCE_PX = 12
"""Up to this tolerance, DAVIS's in images of 1500 pixels' diagonal, growing a boundary by a disk beats distances."""

_SQUARE = np.ones((2, 2), np.uint8)
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def boundary_f(truth: Mask, found: Mask, tolerance_px: float | None = None) -> float:
    """F of the boundaries of two masks of one image, 0..1: the harmonic mean of boundary precision and recall.

    Precision is the share of the found boundary's pixels that lie within the tolerance of the true boundary, recall the
    share of the true one's within the tolerance of the found one. A boundary pixel is one whose right, lower or lower
    right neighbour differs from it; the edge of the image is no boundary. 1.0 where neither mask has a boundary (both
    empty, or both the whole image), 0.0 where only one of them has one.

    Parameters
    ----------
    truth, found : the masks, (h, w) each.
    tolerance_px : in pixels, 0 or more; None: `TOLERANCE_OF_DIAGONAL`, rounded up to whole pixels as DAVIS does.

    Raises
    ------
    MissingDependency : SciPy is not installed.
    ValueError : the masks are of different sizes.
    """
    _check_sizes(truth, found)
    if tolerance_px is None:
        tolerance_px = default_tolerance_px(truth.shape)
    near, far = _cropped(truth, found)
    of_truth, of_found = _boundary_map(near), _boundary_map(far)
    if not of_truth.any() or not of_found.any():
        return float(of_truth.any() == of_found.any())
    precision = _share_near(of_found, of_truth, tolerance_px)
    recall = _share_near(of_truth, of_found, tolerance_px)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def hausdorff95_px(truth: Mask, found: Mask) -> float | None:
    """95 % Hausdorff distance of the outlines of two masks of one image in pixels; None where one of them is empty.

    An outline is made of the pixels of the mask that have a pixel outside of it above, below, left or right; beyond the
    edge of the image is outside.

    Raises
    ------
    MissingDependency : SciPy is not installed.
    ValueError : the masks are of different sizes.
    """
    _check_sizes(truth, found)
    near, far = _cropped(truth, found)
    of_truth, of_found = _outline(near), _outline(far)
    if not of_truth.any() or not of_found.any():
        return None
    directed = _distances_px(of_found, of_truth), _distances_px(of_truth, of_found)
    return float(max(np.percentile(distances, HAUSDORFF_PERCENTILE) for distances in directed))


def default_tolerance_px(size_hw: tuple[int, ...]) -> float:
    """DAVIS's tolerance in an image of this size, in whole pixels."""
    return float(math.ceil(TOLERANCE_OF_DIAGONAL * math.hypot(*size_hw)))


def _boundary_map(mask: Mask) -> Mask:
    """Pixels that differ from their right, lower or lower right neighbour, as far as they have these."""
    # where the two by two pixels from here on are not all the same; beyond the edge nothing is compared
    return np.asarray(cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, _SQUARE, anchor=(0, 0))).view(bool)


def _outline(mask: Mask) -> Mask:
    """Pixels of the mask with a neighbour above, below, left or right that is not in it."""
    inner = cv2.erode(mask.view(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask ^ inner.view(bool))


def _cropped(truth: Mask, found: Mask) -> tuple[Mask, Mask]:
    """Both masks in the box around them and one pixel more, as far as the image goes."""
    x1, y1, x2, y2 = boxes.from_mask(truth | found).astype(int)
    window = slice(max(y1 - 1, 0), y2 + 1), slice(max(x1 - 1, 0), x2 + 1)
    return np.ascontiguousarray(truth[window]), np.ascontiguousarray(found[window])


def _share_near(pixels: Mask, to: Mask, tolerance_px: float) -> float:
    """Share of the pixels that lie within the tolerance of any of the others."""
    if tolerance_px > SMALL_TOLERANCE_PX:
        return float(np.mean(_distances_px(pixels, to, up_to_px=tolerance_px) <= tolerance_px))
    reach = np.arange(-math.floor(tolerance_px), math.floor(tolerance_px) + 1)
    disk = (np.square(reach) + np.square(reach)[:, None] <= tolerance_px**2).astype(np.uint8)
    near = np.asarray(cv2.dilate(to.view(np.uint8), disk)).view(bool)
    return float(np.count_nonzero(near & pixels) / np.count_nonzero(pixels))


def _distances_px(pixels: Mask, to: Mask, up_to_px: float = math.inf) -> Distances:
    """Distance of each of the pixels to the nearest of the others; infinite where it is well beyond `up_to_px`."""
    if MANY_PIXELS * (np.count_nonzero(pixels) + np.count_nonzero(to)) > pixels.size:
        nearest = cv2.distanceTransform((~to).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # roots of whole numbers, which single precision only comes near
        return np.sqrt(np.rint(np.square(nearest[pixels], dtype=np.float64)))
    # the bound is exclusive, and a distance equal to the tolerance counts
    distances, _ = _tree(_points(to)).query(_points(pixels), distance_upper_bound=up_to_px + 1)
    return np.asarray(distances)


def _points(pixels: Mask) -> NDArray[np.int64]:
    """Row and column of each pixel, (n, 2)."""
    return np.stack(np.divmod(np.flatnonzero(pixels), pixels.shape[1]), axis=1)


def _tree(points: NDArray[np.int64]) -> Any:
    try:
        from scipy.spatial import cKDTree
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "boundary figures",
            expected="the package scipy",
            found="it is not installed",
            remedy="install it with: pip install 'maskstream[evaluate]'",
        ) from error
    return cKDTree(points, balanced_tree=False, compact_nodes=False)


def _check_sizes(truth: Mask, found: Mask) -> None:
    if truth.shape != found.shape:
        raise ValueError(f"masks of one image must be of one size, got {truth.shape} and {found.shape}")
