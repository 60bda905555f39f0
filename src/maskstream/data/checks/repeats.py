"""Objects of one image that are one, labelled twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from maskstream.core import boxes, masks
from maskstream.core.masks import CroppedMask
from maskstream.data.checks.shapes import Fault, SizeHw, has_only_box, is_degenerate
from maskstream.data.records import Annotation

CLOSE_BOX_IOU = 0.8
"""Overlap of boxes from which masks are compared."""

SAME_IOU = 0.95
"""Overlap from which two objects are one labelled twice."""


def repeats(annotations: Sequence[Annotation], size_hw: SizeHw) -> Iterator[tuple[int, int, Fault]]:
    """Objects that are one labelled twice: index of the earlier, of the later, and the fault. Crowds are no objects."""
    indices = [
        i for i, annotation in enumerate(annotations) if not annotation.iscrowd and not is_degenerate(annotation)
    ]
    if len(indices) < 2:
        return
    boxes_xyxy = np.array([annotations[i].box_xyxy for i in indices], np.float32)
    shown: dict[int, CroppedMask] = {}
    for position in range(1, len(indices)):
        overlaps = boxes.iou_matrix(boxes_xyxy[position : position + 1], boxes_xyxy[:position])[0]
        later, best = indices[position], (SAME_IOU, False, -1)
        for close in np.flatnonzero(overlaps > CLOSE_BOX_IOU).tolist():
            earlier, iou = indices[close], float(overlaps[close])
            if not (has_only_box(annotations[earlier]) and has_only_box(annotations[later])):
                for index in (earlier, later):
                    if index not in shown:
                        shown[index] = annotations[index].mask(size_hw)
                iou = masks.iou(shown[earlier], shown[later])
            best = max(best, (iou, _same_words(annotations[earlier], annotations[later]), earlier))
        if best[2] >= 0:
            yield best[2], later, _repeat(annotations, best[2], later, best[0])


def _repeat(annotations: Sequence[Annotation], earlier: int, later: int, iou: float) -> Fault:
    if annotations[earlier].class_id != annotations[later].class_id:
        return Fault("two-classes-one-object", f"object {earlier + 1} in another class, {iou:.0%} alike")
    exact = iou == 1 and _same_words(annotations[earlier], annotations[later])
    return Fault("repeated-object" if exact else "near-repeated-object", f"object {earlier + 1} again, {iou:.0%} alike")


def _same_words(a: Annotation, b: Annotation) -> bool:
    return a.class_id == b.class_id and a.attributes == b.attributes
