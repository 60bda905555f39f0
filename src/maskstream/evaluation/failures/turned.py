"""A labelled image turned clockwise about its middle: pixels, masks and outlines by one matrix.

Quarter turns move pixels without touching them, and swap the sides. At other angles the sides stay as they are: what
leaves the view is cut off, in the image and in the truth, and the corners that come into view have the image's mean
colour.
"""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.data.records import Annotation, ImageRecord

Image = NDArray[np.uint8]
Matrix = NDArray[np.float64]


def turned_image(image: Image, degrees: float) -> Image:
    """An image (h, w, 3) turned clockwise, resampled bilinearly unless by quarter turns."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(image, -round(degrees / 90)))
    fill = [round(value) for value in cv2.mean(image)[:3]]
    return np.asarray(_warped(image, degrees, cv2.INTER_LINEAR, fill), np.uint8)


def turned_record(record: ImageRecord, degrees: float) -> ImageRecord:
    """The record with its size and annotations turned along; objects that leave the view are dropped.

    Of an object of which only the box is known, the turned box's own upright box is kept, which is larger at other
    angles than quarter turns.

    SourceError: no size is stated, and the file is missing or no image.
    """
    size_hw = record.size_hw
    new_hw = turned_size(size_hw, degrees)
    turned = [_turned(annotation, size_hw, new_hw, degrees) for annotation in record.annotations]
    return replace(
        record, stated_size_hw=new_hw, annotations=tuple(annotation for annotation in turned if annotation is not None)
    )


def turned_size(size_hw: tuple[int, int], degrees: float) -> tuple[int, int]:
    """Height and width after the turn."""
    return (size_hw[1], size_hw[0]) if degrees % 180 == 90 else size_hw


def turning(size_hw: tuple[int, int], degrees: float) -> Matrix:
    """The (2, 3) matrix of a turn: x, y before to x, y after, where pixel i covers [i, i + 1)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    if degrees % 90 == 0:
        cos, sin = round(cos), round(sin)
    linear = np.array([[cos, -sin], [sin, cos]])
    before = np.array(size_hw[::-1]) / 2
    after = np.array(turned_size(size_hw, degrees)[::-1]) / 2
    return np.column_stack([linear, after - linear @ before])


def _turned(
    annotation: Annotation, size_hw: tuple[int, int], new_hw: tuple[int, int], degrees: float
) -> Annotation | None:
    matrix = turning(size_hw, degrees)
    if isinstance(annotation.segmentation, dict):
        dense = annotation.mask(size_hw).dense(size_hw)
        mask = masks.crop(_turned_mask(dense, degrees))
        if not mask.bitmap.size:
            return None
        moved = Annotation.from_mask(annotation.class_id, mask, new_hw, annotation.attributes)
        return replace(moved, iscrowd=annotation.iscrowd)
    if not annotation.segmentation:
        box = _box_around(_moved(_corners(annotation.box_xyxy), matrix), new_hw)
        return None if box is None else replace(annotation, box_xyxy=box)
    polygons = tuple(_moved(part, matrix) for part in annotation.segmentation)
    moved = replace(annotation, segmentation=polygons)
    mask = moved.mask(new_hw)
    box = _box_around(np.concatenate(polygons), new_hw)
    if box is None or not mask.area_px:
        return None
    return replace(moved, box_xyxy=box, area_px=float(mask.area_px))


def _turned_mask(dense: NDArray[np.bool_], degrees: float) -> NDArray[np.bool_]:
    if degrees % 90 == 0:
        return np.rot90(dense, -round(degrees / 90))
    return np.asarray(_warped(dense.astype(np.uint8), degrees, cv2.INTER_NEAREST, 0) > 0)


def _warped(array: Image, degrees: float, interpolation: int, fill: float | list[int]) -> NDArray[np.uint8]:
    """Pixels turned inside their own frame; OpenCV counts from the first pixel's centre, not from its edge."""
    size_hw = array.shape[0], array.shape[1]
    matrix = turning(size_hw, degrees)
    matrix[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    warped = cv2.warpAffine(
        array, matrix, size_hw[::-1], flags=interpolation, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )
    return np.asarray(warped, np.uint8)


def _moved(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def _corners(box_xyxy: tuple[float, float, float, float]) -> NDArray[np.float64]:
    x1, y1, x2, y2 = box_xyxy
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _box_around(points: NDArray[np.float64], size_hw: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The part in view of the upright box around points; None where nothing of it is in view."""
    limit = np.array(size_hw[::-1])
    x1, y1 = np.clip(points.min(axis=0), 0, limit).tolist()
    x2, y2 = np.clip(points.max(axis=0), 0, limit).tolist()
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None
