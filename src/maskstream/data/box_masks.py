"""Masks for objects of which only the box is known: a rectangle, an ellipse, or GrabCut inside the box.

`docs/box-masks.md` tells how well each fits shapes whose masks are known.

GrabCut: Rother, Kolmogorov, Blake, "GrabCut: interactive foreground extraction using iterated graph cuts", SIGGRAPH
2004, as OpenCV has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.core.parallel import OnProgress, ordered_map
from maskstream.data.formats.format import BoxShape
from maskstream.data.records import Annotation, ImageRecord

BoxXyxy = tuple[float, float, float, float]

MASK_FROM = "mask_from"
"""Attribute of an object whose mask was made here: the shape it was made of."""

GRABCUT_FOUND = "grabcut"
"""Attribute of an object for which GrabCut was asked and found nothing to learn from; its mask is then an ellipse."""

SAGITTA_PX = 0.05
"""How far an ellipse may be from the polygon that stands for it."""

MARGIN = 0.25
"""Share of the box's sides that GrabCut looks at around it, to learn the background."""
LEAST_MARGIN_PX = 8
CORE = 0.5
"""Share of the box's sides whose ellipse is object for certain: without it GrabCut often finds nothing."""
LONGEST_SIDE_PX = 256
"""Larger crops are reduced for GrabCut, whose time grows faster than the area."""
ITERATIONS = 5


def with_box_masks(
    records: Sequence[ImageRecord], shape: BoxShape, on_progress: OnProgress | None = None
) -> tuple[ImageRecord, ...]:
    """Give every object without a mask one of this shape, and note it in its attributes.

    The box stays as it is. Degenerate boxes, and those outside the image, stay without a mask. Where GrabCut has
    nothing to learn from, an ellipse takes its place, which the attributes then say.

    Parameters
    ----------
    on_progress : told how many images are done.

    Raises
    ------
    SourceError, DatasetError : for GrabCut alone, an image is missing, damaged or of another size than stated.
    """
    changed: list[ImageRecord] = []
    for record in ordered_map(partial(_with_masks, shape), records):
        changed.append(record)
        if on_progress:
            on_progress(len(changed), len(records))
    return tuple(changed)


def mask_from_box(
    box_xyxy: BoxXyxy, shape: BoxShape, size_hw: tuple[int, int], image: NDArray[np.uint8] | None = None
) -> CroppedMask:
    """The mask that stands for a box, cut to the image; empty for a degenerate box.

    GrabCut's is also empty where the box is too small to learn from, or leaves no background in the image.

    Parameters
    ----------
    image : (h, w, 3) uint8 RGB; GrabCut needs it.

    Raises
    ------
    ValueError : GrabCut without an image.
    """
    if is_degenerate(box_xyxy):
        return masks.EMPTY
    if shape is BoxShape.GRABCUT:
        if image is None:
            raise ValueError("GrabCut needs the image")
        return _grabcut(box_xyxy, image)
    return masks.from_polygons([_OUTLINES[shape](box_xyxy)], size_hw)


def is_degenerate(box_xyxy: BoxXyxy) -> bool:
    """Whether a box has no area: no width, no height, or corners the wrong way round."""
    x1, y1, x2, y2 = box_xyxy
    return not (x2 > x1 and y2 > y1)


def rectangle(box_xyxy: BoxXyxy) -> NDArray[np.float64]:
    """The corners of a box, (4, 2) of x, y."""
    x1, y1, x2, y2 = box_xyxy
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)


def ellipse(box_xyxy: BoxXyxy) -> NDArray[np.float64]:
    """A polygon (k, 2) of x, y within `SAGITTA_PX` of the ellipse that touches the box's sides."""
    x1, y1, x2, y2 = box_xyxy
    radius = max(x2 - x1, y2 - y1, 1.0) / 2
    quarter = max(math.ceil(math.pi / math.acos(1 - SAGITTA_PX / radius) / 4), 3)
    angles = np.arange(4 * quarter) * (math.pi / 2 / quarter)
    unit = np.column_stack([np.cos(angles), np.sin(angles)])
    points: NDArray[np.float64] = np.array([x1 + x2, y1 + y2]) / 2 + unit * np.array([x2 - x1, y2 - y1]) / 2
    return points


_OUTLINES = {BoxShape.RECTANGLE: rectangle, BoxShape.ELLIPSE: ellipse}


def _with_masks(shape: BoxShape, record: ImageRecord) -> ImageRecord:
    if not any(_needs_mask(annotation) for annotation in record.annotations):
        return record
    image = record.read_image() if shape is BoxShape.GRABCUT else None
    size_hw = record.stated_size_hw if image is None else (image.shape[0], image.shape[1])
    annotations = (
        _with_mask(annotation, shape, size_hw, image) if _needs_mask(annotation) else annotation
        for annotation in record.annotations
    )
    return replace(record, annotations=tuple(annotations))


def _needs_mask(annotation: Annotation) -> bool:
    return annotation.segmentation == () and not is_degenerate(annotation.box_xyxy)


def _with_mask(
    annotation: Annotation, shape: BoxShape, size_hw: tuple[int, int] | None, image: NDArray[np.uint8] | None
) -> Annotation:
    attributes = {MASK_FROM: shape.value}
    if image is not None:
        mask = mask_from_box(annotation.box_xyxy, shape, (image.shape[0], image.shape[1]), image)
        if mask.area_px:
            made = Annotation.from_mask(annotation.class_id, mask, (image.shape[0], image.shape[1]))
            return _dressed(annotation, made, attributes)
        shape = BoxShape.ELLIPSE
        attributes = {MASK_FROM: shape.value, GRABCUT_FOUND: "nothing"}
    outline = _OUTLINES[shape](annotation.box_xyxy)
    made = Annotation.from_polygons(annotation.class_id, (outline,), size_hw)
    return _dressed(annotation, made, attributes) if made.area_px else annotation


def _dressed(annotation: Annotation, made: Annotation, attributes: dict[str, str]) -> Annotation:
    return replace(
        annotation,
        segmentation=made.segmentation,
        area_px=made.area_px,
        attributes=annotation.attributes | attributes,
    )


def _grabcut(box_xyxy: BoxXyxy, image: NDArray[np.uint8]) -> CroppedMask:
    """The object that GrabCut finds in a box; empty when box or background have no pixel to learn from.

    Outside the box is background for certain, an ellipse of `CORE` in its middle is object for certain, and the rest
    of the box is probably object. OpenCV's random numbers, which start the colour models, are reset, so that equal
    input gives equal masks.
    """
    x0, y0, x1, y1 = edges = _crop_around(box_xyxy, (image.shape[0], image.shape[1]))
    if x1 <= x0 or y1 <= y0:
        return masks.EMPTY
    inside = _pixels_of(rectangle(box_xyxy), edges)
    trimap = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    trimap[_pixels_of(ellipse(_core(box_xyxy)), edges)] = cv2.GC_FGD
    crop = np.ascontiguousarray(image[y0:y1, x0:x1, ::-1])
    found = _reduced_grabcut(crop, trimap) & inside
    mask = masks.crop(found)
    return CroppedMask(mask.bitmap, mask.x0 + x0, mask.y0 + y0) if mask.area_px else masks.EMPTY


def _reduced_grabcut(bgr: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels that GrabCut takes for object, looked for in a smaller image where this one is large."""
    height, width = trimap.shape
    scale = min(LONGEST_SIDE_PX / max(height, width), 1.0)
    size_wh = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA)
    marks = cv2.resize(trimap, size_wh, interpolation=cv2.INTER_NEAREST)
    if not (marks == cv2.GC_FGD).any() or not (marks == cv2.GC_BGD).any():
        return np.zeros(trimap.shape, bool)
    cv2.setRNGSeed(0)
    background, objects = np.zeros((1, 65)), np.zeros((1, 65))
    marks, _, _ = cv2.grabCut(small, marks, (0, 0, 0, 0), background, objects, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    found = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)


def _core(box_xyxy: BoxXyxy) -> BoxXyxy:
    """The middle of a box, `CORE` as wide and high."""
    x1, y1, x2, y2 = box_xyxy
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    half_x, half_y = CORE * (x2 - x1) / 2, CORE * (y2 - y1) / 2
    return centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y


def _crop_around(box_xyxy: BoxXyxy, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixel edges of the box with some background around it, inside the image."""
    x1, y1, x2, y2 = box_xyxy
    margin_x, margin_y = (max(MARGIN * side, LEAST_MARGIN_PX) for side in (x2 - x1, y2 - y1))
    low = np.floor([x1 - margin_x, y1 - margin_y])
    high = np.ceil([x2 + margin_x, y2 + margin_y])
    left, top = np.clip(low, 0, size_hw[::-1]).astype(int).tolist()
    right, bottom = np.clip(high, 0, size_hw[::-1]).astype(int).tolist()
    return left, top, right, bottom


def _pixels_of(outline: NDArray[np.float64], crop_xyxy: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """The pixels of an outline in a part of the image."""
    x0, y0, x1, y1 = crop_xyxy
    size_hw = (y1 - y0, x1 - x0)
    return masks.from_polygons([outline - (x0, y0)], size_hw).dense(size_hw)
