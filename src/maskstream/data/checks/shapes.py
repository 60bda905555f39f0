"""What can be wrong with the objects of one image: their polygons, masks, boxes and areas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes, masks
from maskstream.core.masks import CroppedMask
from maskstream.core.polygons import crosses_itself
from maskstream.data.records import Annotation

SizeHw = tuple[int, int]
BoxXyxy = tuple[float, float, float, float]

BOX_TOLERANCE_PX = 1.5
"""COCO's boxes lie up to a pixel off their outlines."""

EDGE_TOLERANCE_PX = 1.0
"""A click on the last pixel may say its far side, or the pixel after it."""

AREA_TOLERANCE = 0.02
"""Share by which a stated area may differ, beyond half of the outline's pixels: pixels on it count or do not."""

FLAT_PX = 1e-6
"""Distance from one line up to which all points of a polygon lie on it."""

SLIGHT_SHARE = 0.01
"""Share of an object's pixels up to which nobody minds that its outline runs around them twice or the wrong way."""

TINY_PX = 16
"""Pixels of an object below which it is tiny: less than one cell of a model that looks at every fourth pixel."""


class Fault(NamedTuple):
    """What is wrong with one object: the code of its kind, and what was found."""

    code: str
    found: str


def faults(annotation: Annotation, size_hw: SizeHw | None) -> Iterator[Fault]:
    """What is wrong with an object in itself; in an image of unknown size only what needs none."""
    if has_only_box(annotation):
        yield from _box_faults(annotation, size_hw)
        return
    if size_hw is None:
        yield from _polygon_faults(annotation, size_hw)
        return
    mask = annotation.mask(size_hw)
    broken = list(_polygon_faults(annotation, size_hw))
    yield from broken
    if not mask.bitmap.size:
        if not any(fault.code in ("short-polygon", "flat-polygon", "degenerate-box") for fault in broken):
            yield _nothing_there(annotation, mask, size_hw)
        return
    yield from _edge_faults((annotation.box_xyxy, _outline_xyxy(annotation, mask)), size_hw)
    yield from _extent_faults(annotation, mask, size_hw)
    if mask.area_px == size_hw[0] * size_hw[1]:
        yield Fault("full-mask", "a mask of the whole image")
    elif mask.area_px < TINY_PX:
        yield Fault("tiny-object", f"{mask.area_px} pixels")


def has_only_box(annotation: Annotation) -> bool:
    """Whether nothing but a box is known of the object."""
    return isinstance(annotation.segmentation, tuple) and not annotation.segmentation


def is_degenerate(annotation: Annotation) -> bool:
    """Whether the box has no width or no height."""
    x1, y1, x2, y2 = annotation.box_xyxy
    return x2 <= x1 or y2 <= y1


def is_flat(part: NDArray[np.float64]) -> bool:
    """Whether all points of a polygon (k, 2) lie on one line."""
    steps = part - part[0]
    far = steps[np.argmax(np.hypot(steps[:, 0], steps[:, 1]))]
    length = float(np.hypot(far[0], far[1]))
    return length == 0 or float(np.abs(steps[:, 0] * far[1] - steps[:, 1] * far[0]).max()) / length <= FLAT_PX


def is_outside(box_xyxy: BoxXyxy, size_hw: SizeHw) -> bool:
    """Whether a box has nothing in common with the image."""
    x1, y1, x2, y2 = box_xyxy
    return x2 <= 0 or y2 <= 0 or x1 >= size_hw[1] or y1 >= size_hw[0]


def is_beyond(box_xyxy: BoxXyxy, size_hw: SizeHw) -> bool:
    """Whether a box reaches out of the image by more than the tolerance."""
    return _beyond_px(box_xyxy, size_hw) > EDGE_TOLERANCE_PX


def box_is_off(annotation: Annotation, mask: CroppedMask, size_hw: SizeHw) -> bool:
    """Whether the box is neither around the outline nor around the pixels, both cut at the edges of the image."""
    rows, columns = mask.slices
    around = (_outline_xyxy(annotation, mask), (columns.start, rows.start, columns.stop, rows.stop))
    both = boxes.clip(np.array(around, np.float32), size_hw)
    stated = boxes.clip(np.array([annotation.box_xyxy], np.float32), size_hw)
    return float(np.abs(both - stated).max(axis=1).min()) > BOX_TOLERANCE_PX


def area_is_off(annotation: Annotation, mask: CroppedMask) -> bool:
    """Whether the stated area is not that of the pixels, give or take half of those along the outline.

    COCO states for a crowd the area of what was drawn, before its mask was made.
    """
    if annotation.iscrowd:
        return False
    allowed = AREA_TOLERANCE * mask.area_px + sum(mask.bitmap.shape) + 1
    return abs(annotation.area_px - mask.area_px) > allowed


def _parts(annotation: Annotation) -> Sequence[NDArray[np.float64]]:
    return annotation.segmentation if isinstance(annotation.segmentation, tuple) else ()


def _box_faults(annotation: Annotation, size_hw: SizeHw | None) -> Iterator[Fault]:
    if is_degenerate(annotation):
        yield _degenerate(annotation)
    elif size_hw is not None and is_outside(annotation.box_xyxy, size_hw):
        yield Fault("outside-image", f"a box {_words(annotation.box_xyxy)}, the image is {_size_words(size_hw)}")
    elif size_hw is not None:
        yield from _edge_faults([annotation.box_xyxy], size_hw)


def _polygon_faults(annotation: Annotation, size_hw: SizeHw | None) -> Iterator[Fault]:
    """What is wrong with the points in themselves; and a box that has no extent."""
    parts = _parts(annotation)
    short = [part for part in parts if len(part) < 3]
    long = [part for part in parts if len(part) >= 3]
    flat = [part for part in long if is_flat(part)]
    if short:
        yield Fault("short-polygon", f"{len(short[0])} points{_of_parts(short, parts)}")
    if is_degenerate(annotation):
        # an object that is nothing has no box either, and is told as such
        if not short and not isinstance(annotation.segmentation, dict):
            yield _degenerate(annotation)
    elif flat:
        yield Fault("flat-polygon", f"{len(flat[0])} points without area{_of_parts(flat, parts)}")
    yield from _crossings(long, parts, size_hw)


def _crossings(
    long: Sequence[NDArray[np.float64]], parts: Sequence[NDArray[np.float64]], size_hw: SizeHw | None
) -> Iterator[Fault]:
    """Outlines that cross themselves; where a hand slips by a pixel or two, nothing is spoilt."""
    crossing = [part for part in long if crosses_itself(part)]
    if not crossing:
        return
    found = f"an outline that crosses itself{_of_parts(crossing, parts)}"
    if size_hw is None:
        yield Fault("self-crossing", found)
        return
    overlap_px = sum(masks.overlapped_px(part, size_hw) for part in crossing)
    area_px = sum(masks.from_polygons([part], size_hw).area_px for part in crossing)
    code = "slight-crossing" if overlap_px <= SLIGHT_SHARE * area_px else "self-crossing"
    yield Fault(code, f"{found} around {overlap_px} of {area_px} pixels")


def _edge_faults(boxes_xyxy: Sequence[BoxXyxy], size_hw: SizeHw) -> Iterator[Fault]:
    beyond_px = max(_beyond_px(box_xyxy, size_hw) for box_xyxy in boxes_xyxy)
    if beyond_px > EDGE_TOLERANCE_PX:
        yield Fault("beyond-edge", f"{beyond_px:.1f} px beyond the edge")


def _extent_faults(annotation: Annotation, mask: CroppedMask, size_hw: SizeHw) -> Iterator[Fault]:
    if is_degenerate(annotation):
        if isinstance(annotation.segmentation, dict):
            yield _degenerate(annotation)
    elif box_is_off(annotation, mask, size_hw):
        around = _words(_outline_xyxy(annotation, mask))
        yield Fault("box-mismatch", f"{_words(annotation.box_xyxy)} around an outline of {around}")
    if area_is_off(annotation, mask):
        yield Fault("area-mismatch", f"{annotation.area_px:.0f} for {mask.area_px} pixels")


def _nothing_there(annotation: Annotation, mask: CroppedMask, size_hw: SizeHw) -> Fault:
    parts = _parts(annotation)
    if parts and is_outside(_outline_xyxy(annotation, mask), size_hw):
        return Fault(
            "outside-image",
            f"an object at {_words(_outline_xyxy(annotation, mask))}, the image is {_size_words(size_hw)}",
        )
    return Fault("empty-mask", "a polygon that holds the centre of no pixel" if parts else "a mask without pixels")


def _degenerate(annotation: Annotation) -> Fault:
    x1, y1, x2, y2 = annotation.box_xyxy
    return Fault("degenerate-box", f"{x2 - x1:g} x {y2 - y1:g} px at x {x1:g}, y {y1:g}")


def _outline_xyxy(annotation: Annotation, mask: CroppedMask) -> BoxXyxy:
    """The box around the polygons, however far they reach, or around the mask."""
    parts = _parts(annotation)
    if parts:
        points = np.concatenate(parts)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return x1, y1, x2, y2
    rows, columns = mask.slices
    return columns.start, rows.start, columns.stop, rows.stop


def _beyond_px(box_xyxy: BoxXyxy, size_hw: SizeHw) -> float:
    x1, y1, x2, y2 = box_xyxy
    return max(-x1, -y1, x2 - size_hw[1], y2 - size_hw[0])


def _of_parts(some: Sequence[object], parts: Sequence[object]) -> str:
    return f" in {len(some)} of {len(parts)} parts" if len(parts) > 1 else ""


def _words(box_xyxy: BoxXyxy) -> str:
    return "({:.1f}, {:.1f}, {:.1f}, {:.1f})".format(*box_xyxy)


def _size_words(size_hw: SizeHw) -> str:
    return f"{size_hw[1]} wide and {size_hw[0]} high"
