"""Boxes: float32 `xyxy` in pixels with half-open edges, so that width = x2 - x1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def area(boxes_xyxy: Boxes) -> NDArray[np.float32]:
    """Areas in square pixels, shape (n,); an inverted box has area 0."""
    size_wh: NDArray[np.float32] = np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None)
    return np.asarray(size_wh[:, 0] * size_wh[:, 1], np.float32)


def intersections(boxes_a: Boxes, boxes_b: Boxes) -> NDArray[np.float32]:
    """Areas that every pair has in common, in square pixels, shape (n, m)."""
    top_left = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    bottom_right = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    size_wh = np.clip(bottom_right - top_left, 0, None)
    return np.asarray(size_wh[..., 0] * size_wh[..., 1], np.float32)


def iou_matrix(boxes_a: Boxes, boxes_b: Boxes) -> NDArray[np.float32]:
    """Intersection over union of every pair, shape (n, m); 0 where the union is empty."""
    common = intersections(boxes_a, boxes_b)
    union = area(boxes_a)[:, None] + area(boxes_b)[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0), np.float32)


def share_of_smaller(boxes_a: Boxes, boxes_b: Boxes) -> NDArray[np.float32]:
    """Share of the smaller box that lies in the larger one, for every pair, shape (n, m); 0 where it is empty."""
    common = intersections(boxes_a, boxes_b)
    smaller = np.minimum(area(boxes_a)[:, None], area(boxes_b)[None, :])
    return np.divide(common, smaller, out=np.zeros_like(common), where=smaller > 0)


def clip(boxes_xyxy: Boxes, size_hw: tuple[int, int]) -> Boxes:
    """The boxes cut to an image of `size_hw` pixels."""
    height, width = size_hw
    limit = np.array([width, height, width, height], np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limit)


def nms(boxes_xyxy: Boxes, scores: NDArray[np.float32], iou_threshold: float) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Returns the indices of the boxes to keep, best score first; equal scores keep their order. A box
    is dropped when its IoU with a kept box exceeds `iou_threshold` (torchvision's convention).
    """
    order = np.argsort(-scores, kind="stable")
    overlaps = iou_matrix(boxes_xyxy[order], boxes_xyxy[order]) > iou_threshold
    suppressed = np.zeros(len(order), bool)
    kept: list[int] = []
    for position in range(len(order)):
        if not suppressed[position]:
            kept.append(position)
            suppressed |= overlaps[position]
    return order[np.array(kept, np.intp)]


def from_mask(mask: NDArray[np.bool_]) -> Boxes:
    """The tight box of a boolean mask (h, w), shape (4,); all zeros when the mask is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
