"""Flips, rotation, shear, shift, zoom and crop as ONE matrix, which moves image, masks and points alike.

A matrix is (3, 3) and takes x, y in pixels before to x, y after. Pixels are areas: pixel i covers [i, i + 1) and has
its centre at i + 0.5, as in `inference.preprocess`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.training.recipe import AugmentationRecipe
from maskstream.training.sample import Sample

Matrix = NDArray[np.float64]

MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean, which preprocessing also lays around an image: 0 once normalised."""

_INSIDE = 254
"""Value of an object's pixels while they are moved. A pixel is the object's when it is covered by more than half of
this, so that of two objects that touch, and share 254 between them, at most one gets the pixel."""


def draw_matrix(
    recipe: AugmentationRecipe, content_hw: tuple[int, int], size_hw: tuple[int, int], rng: np.random.Generator
) -> Matrix:
    """A matrix drawn from a recipe; exactly the identity where the recipe asks for no movement.

    Flips, crop, rotation, shear and zoom keep the middle of the content where it is, then it is shifted. Large-scale
    jitter zooms and then places the content at random: inside the window where it is smaller, around it where it is
    larger, so that there is never more padding than need be.

    Parameters
    ----------
    content_hw : part of the sample that the image fills, from the top left corner.
    size_hw : of the whole sample, before and after.
    """
    height, width = content_hw
    matrix = np.eye(3)
    if rng.random() < recipe.horizontal_flip:
        matrix = _scaling(-1, 1, width, 0) @ matrix
    if rng.random() < recipe.vertical_flip:
        matrix = _scaling(1, -1, 0, height) @ matrix
    if rng.random() < recipe.crop:
        zoom = 1 / math.sqrt(rng.uniform(recipe.crop_share, 1))
        x, y = _between(rng, width - zoom * width), _between(rng, height - zoom * height)
        matrix = _scaling(zoom, zoom, x, y) @ matrix
    middle = _scaling(1, 1, width / 2, height / 2)
    matrix = middle @ _draw_linear(recipe, rng) @ np.linalg.inv(middle) @ matrix
    if recipe.shift:
        across, down = rng.uniform(-recipe.shift, recipe.shift, 2)
        matrix = _scaling(1, 1, across * width, down * height) @ matrix
    if recipe.large_scale_jitter is not None:
        zoom = math.exp(rng.uniform(*np.log(recipe.large_scale_jitter)))
        x, y = _between(rng, size_hw[1] - zoom * width), _between(rng, size_hw[0] - zoom * height)
        matrix = _scaling(zoom, zoom, x, y) @ matrix
    return matrix


def _draw_linear(recipe: AugmentationRecipe, rng: np.random.Generator) -> Matrix:
    """Rotation after shear after zoom, about the origin."""
    linear = np.eye(3)
    if recipe.large_scale_jitter is None and recipe.scale != (1.0, 1.0):
        zoom = rng.uniform(*recipe.scale)
        linear = _scaling(zoom, zoom, 0, 0)
    if recipe.shear_degrees:
        slope = math.tan(math.radians(rng.uniform(-recipe.shear_degrees, recipe.shear_degrees)))
        linear = np.array([[1, slope, 0], [0, 1, 0], [0, 0, 1]]) @ linear
    if recipe.rotation_degrees:
        angle = math.radians(rng.uniform(-recipe.rotation_degrees, recipe.rotation_degrees))
        cos, sin = math.cos(angle), math.sin(angle)
        linear = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ linear
    return linear


def _scaling(across: float, down: float, x: float, y: float) -> Matrix:
    return np.array([[across, 0, x], [0, down, y], [0, 0, 1]], np.float64)


def _between(rng: np.random.Generator, end: float) -> float:
    """A number between 0 and `end`, which may be negative."""
    return end * rng.random()


def moved_points(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Points (k, 2) of x, y where a matrix takes them."""
    return np.asarray(points @ matrix[:2, :2].T + matrix[:2, 2])


def moved(sample: Sample, matrix: Matrix) -> Sample:
    """The sample where a matrix takes it; the identity gives back the sample itself, flips are exact to the bit.

    What comes into view from outside has the mean colour. Objects that leave the view are dropped. Where the content
    ends up in its old place, as flips leave it, `content_hw` stays; else it is the whole, as the padding has moved.
    """
    if np.array_equal(matrix, np.eye(3)):
        return sample
    patches = [_moved_mask(mask, matrix) for mask in sample.masks]
    seen = np.array([patch is not None for patch in patches], bool)
    masks = np.zeros((int(seen.sum()), *sample.size_hw), np.uint8)
    for mask, patch in zip(masks, (patch for patch in patches if patch is not None), strict=True):
        top, left, bitmap = patch
        mask[top : top + bitmap.shape[0], left : left + bitmap.shape[1]] = bitmap
    return replace(
        sample,
        image=_warped(sample.image, matrix, sample.size_hw, MEAN_COLOUR),
        masks=masks,
        class_ids=sample.class_ids[seen],
        label_ids=sample.label_ids[seen],
        content_hw=sample.content_hw if _keeps(sample.content_hw, matrix) else sample.size_hw,
    )


def _keeps(content_hw: tuple[int, int], matrix: Matrix) -> bool:
    """Whether the content comes to lie where it lay."""
    size_wh = np.array(content_hw[::-1], np.float64)
    corners = moved_points(np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size_wh, matrix)
    return np.array_equal(corners.min(axis=0), [0, 0]) and np.array_equal(corners.max(axis=0), size_wh)


def _moved_mask(mask: NDArray[np.uint8], matrix: Matrix) -> tuple[int, int, NDArray[np.uint8]] | None:
    """Top row, left column and bitmap of a moved mask (H, W); None where nothing of it is in view.

    Only the box of the object is warped: an image may hold hundreds of small ones.
    """
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return None
    # blocks are averaged from multiples of their size on, so that all masks and the image share one grid
    step_y, step_x = _block_hw(matrix)
    right, bottom = left + width, top + height
    left, top = left // step_x * step_x, top // step_y * step_y
    corners = moved_points(np.array([[left, top], [right, top], [left, bottom], [right, bottom]]), matrix)
    x1, y1 = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0).tolist()
    x2, y2 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, mask.shape[::-1]).tolist()
    if x2 <= x1 or y2 <= y1:
        return None
    there = _scaling(1, 1, -x1, -y1) @ matrix @ _scaling(1, 1, left, top)
    coverage = _warped(mask[top:bottom, left:right] * np.uint8(_INSIDE), there, (y2 - y1, x2 - x1), (0, 0, 0))
    _, bitmap = cv2.threshold(coverage, _INSIDE // 2, 1, cv2.THRESH_BINARY)
    return (y1, x1, np.asarray(bitmap, np.uint8)) if cv2.hasNonZero(bitmap) else None


def _block_hw(matrix: Matrix) -> tuple[int, int]:
    """Height and width of the blocks of pixels that become about one pixel."""
    across, down = np.hypot(matrix[0, :2], matrix[1, :2])
    return max(1, round(1 / down)), max(1, round(1 / across))


def _warped(
    array: NDArray[np.uint8], matrix: Matrix, size_hw: tuple[int, int], fill: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Pixels (h, w) or (h, w, 3) resampled bilinearly; blocks are averaged first where it shrinks, against aliasing."""
    step_y, step_x = _block_hw(matrix)
    if step_y > 1 or step_x > 1:
        height, width = array.shape[:2]
        whole = cv2.copyMakeBorder(array, 0, -height % step_y, 0, -width % step_x, cv2.BORDER_CONSTANT, value=fill)
        size_wh = whole.shape[1] // step_x, whole.shape[0] // step_y
        array = np.asarray(cv2.resize(whole, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        matrix = matrix @ _scaling(step_x, step_y, 0, 0)
    centres = _scaling(1, 1, -0.5, -0.5) @ matrix @ _scaling(1, 1, 0.5, 0.5)
    warped = cv2.warpAffine(
        array, centres[:2], size_hw[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )
    return np.asarray(warped, np.uint8)
