"""Area, diameters, perimeter, asymmetry, border and colour of one masked object.

Lengths are in pixels of the image; a film carries no scale, so none of them are millimetres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.masks import CroppedMask

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_EDGE_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)
_CORNER_NEIGHBOURS = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1]], np.float32)


def _border_lengths() -> NDArray[np.float64]:
    """Length that a border pixel adds, by its number of border neighbours: [over an edge, over a corner]."""
    diagonal, half_diagonal = math.sqrt(2), (1 + math.sqrt(2)) / 2
    lengths = np.zeros((5, 5))
    lengths[2:4, 0:3] = 1.0
    lengths[0, 2] = lengths[1, 3] = diagonal
    lengths[1, 1] = lengths[1, 2] = half_diagonal
    return lengths


_BORDER_LENGTHS = _border_lengths()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One object in numbers; everything is 0 for an empty mask, and its mean colour is NaN.

    Attributes
    ----------
    area_px : number of pixels.
    equivalent_diameter_px : diameter of the disc of the same area.
    max_diameter_px : largest distance between two points of the object, pixel corners included.
    perimeter_px : length of the border, see `perimeter`.
    asymmetry : 0 for a shape that mirrors onto itself along both principal axes, towards 1 for none.
    border_irregularity : perimeter squared over 4 pi times the area; about 1.1 for a disc, more for a ragged border.
    mean_rgb : mean colour inside the mask, 0..255.
    """

    area_px: int
    equivalent_diameter_px: float
    max_diameter_px: float
    perimeter_px: float
    asymmetry: float
    border_irregularity: float
    mean_rgb: tuple[float, float, float]


def measure(image: NDArray[np.uint8], mask: CroppedMask) -> Measurement:
    """Measure the object that `mask` marks in an RGB image of shape (h, w, 3)."""
    return Measurement(
        area_px=mask.area_px,
        equivalent_diameter_px=equivalent_diameter(mask),
        max_diameter_px=max_diameter(mask),
        perimeter_px=perimeter(mask),
        asymmetry=asymmetry(mask),
        border_irregularity=border_irregularity(mask),
        mean_rgb=mean_colour(image, mask),
    )


def equivalent_diameter(mask: CroppedMask) -> float:
    """Diameter in pixels of the disc that has the object's area."""
    return math.sqrt(4 * mask.area_px / math.pi)


def max_diameter(mask: CroppedMask) -> float:
    """Largest distance in pixels between two corners of the object's pixels (maximum Feret diameter)."""
    corners = _outer_corners(mask)
    if not len(corners):
        return 0.0
    hull = cv2.convexHull(corners)[:, 0, :].astype(np.float64)
    return float(np.sqrt(((hull[:, None] - hull[None]) ** 2).sum(axis=2).max()))


def perimeter(mask: CroppedMask) -> float:
    """Length in pixels of the line through the centres of the border pixels, holes included.

    Source: Benkrid and Crookes, "Design and FPGA implementation of a perimeter estimator" (2000), as in
    scikit-image's `perimeter`. It changes by up to 6 % with how the object is turned, where a count of pixel edges
    changes by 27 %; on objects a few pixels across it comes out short, and a single pixel has none.
    """
    if not mask.area_px:
        return 0.0
    padded = np.pad(mask.bitmap, 1).astype(np.uint8)
    border = padded - cv2.erode(padded, _CROSS)
    over_edges = cv2.filter2D(border, -1, _EDGE_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    over_corners = cv2.filter2D(border, -1, _CORNER_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
    on_border = border > 0
    return float(_BORDER_LENGTHS[over_edges[on_border], over_corners[on_border]].sum())


def border_irregularity(mask: CroppedMask) -> float:
    """Perimeter squared over 4 pi times the area: about 1.1 for a disc of pixels, 0 for an empty mask."""
    area_px = mask.area_px
    return perimeter(mask) ** 2 / (4 * math.pi * area_px) if area_px else 0.0


def asymmetry(mask: CroppedMask) -> float:
    """Share of the object, 0..1, that its mirror image misses, averaged over both principal axes.

    The A of the dermatologists' ABCD rule, of the shape alone: the object is turned onto its principal axes
    about its centroid and folded along each (Stoecker, Li and Moss, 1992).
    """
    area_px = mask.area_px
    if not area_px:
        return 0.0
    upright = _on_principal_axes(mask)
    missed = [np.count_nonzero(upright ^ np.flip(upright, axis)) for axis in (0, 1)]
    return float(sum(missed) / (4 * np.count_nonzero(upright)))


def mean_colour(image: NDArray[np.uint8], mask: CroppedMask) -> tuple[float, float, float]:
    """Mean red, green and blue (0..255) inside the mask; NaN for an empty one."""
    if not mask.area_px:
        return (math.nan, math.nan, math.nan)
    red, green, blue = image[mask.slices][mask.bitmap].mean(axis=0, dtype=np.float64)
    return float(red), float(green), float(blue)


def _outer_corners(mask: CroppedMask) -> NDArray[np.int32]:
    """The pixel corners at both ends of every row, shape (k, 2) of x, y; enough for the convex hull."""
    rows = np.flatnonzero(mask.bitmap.any(axis=1))
    if not rows.size:
        return np.zeros((0, 2), np.int32)
    filled = mask.bitmap[rows]
    left = filled.argmax(axis=1)
    right = filled.shape[1] - filled[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack([x, y]) for x in (left, right) for y in (rows, rows + 1)]).astype(np.int32)


def _on_principal_axes(mask: CroppedMask) -> NDArray[np.bool_]:
    """The object turned about its centroid, which comes to the centre of a square, until its long axis lies level."""
    bitmap = mask.bitmap.astype(np.uint8)
    moments = cv2.moments(bitmap, binaryImage=True)
    centroid = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    angle = 0.5 * math.atan2(2 * moments["mu11"], moments["mu20"] - moments["mu02"])
    side = 2 * math.ceil(math.hypot(*bitmap.shape)) + 1
    turn = np.asarray(cv2.getRotationMatrix2D(centroid, math.degrees(angle), 1.0), np.float64)
    turn[:, 2] += (side - 1) / 2 - np.array(centroid)
    # half grey levels decide where the turned border runs
    turned = cv2.warpAffine(bitmap * 255, turn, (side, side), flags=cv2.INTER_LINEAR)
    return turned > 127
