"""Objects of an image, small enough to keep for thousands of images: run-length codes, boxes and areas, no masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.core.boxes import Boxes
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask, Rle, to_rle
from maskstream.evaluation.objects.instance import Compared, Entry, ImageTruth, evaluator

Ious = NDArray[np.float64]
"""(found, true) in 0..1."""


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """The masks and boxes of n objects of one image.

    Attributes
    ----------
    image_id, size_hw : of the image; height and width in pixels.
    codes : n masks as the `counts` of COCO's compressed run-length codes.
    boxes_xywh : (n, 4) float64 pixels.
    areas_px : (n,) float64.
    """

    image_id: int
    size_hw: tuple[int, int]
    codes: tuple[str, ...]
    boxes_xywh: NDArray[np.float64]
    areas_px: NDArray[np.float64]

    @classmethod
    def of_truth(cls, truth: ImageTruth) -> Shapes:
        """The true objects; their boxes and areas are those of the masks where none are labelled."""
        boxes_xyxy = _tight_boxes(truth.masks) if truth.boxes_xyxy is None else truth.boxes_xyxy
        areas_px = np.array([mask.area_px for mask in truth.masks]) if truth.areas_px is None else truth.areas_px
        return cls._of(truth.image_id, truth.size_hw, truth.masks, boxes_xyxy, areas_px)

    @classmethod
    def of_found(cls, image_id: int, found: Detections) -> Shapes:
        """The objects that were found."""
        return cls._of(image_id, found.size_hw, found.masks, found.boxes_xyxy, found.areas_px)

    @classmethod
    def _of(
        cls,
        image_id: int,
        size_hw: tuple[int, int],
        of_masks: Sequence[CroppedMask],
        boxes_xyxy: Boxes,
        areas_px: NDArray[np.float64] | NDArray[np.int64],
    ) -> Shapes:
        corners = boxes_xyxy.astype(np.float64)
        sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
        codes = tuple(to_rle(mask, size_hw)["counts"] for mask in of_masks)
        return cls(image_id, size_hw, codes, np.hstack([corners[:, :2], sides]), areas_px.astype(np.float64))

    def rle(self, row: int) -> Rle:
        """The mask of an object."""
        return {"size": list(self.size_hw), "counts": self.codes[row]}

    def entry(self, row: int, of: Compared) -> Entry:
        """An object in COCO's form: its mask or its box, and its area, but not what it is."""
        shape: Entry = {"segmentation": self.rle(row)} if of == "mask" else {"bbox": self.boxes_xywh[row].tolist()}
        return {"image_id": self.image_id, **shape, "area": float(self.areas_px[row])}


def ious(found: Shapes, truth: Shapes, crowds: NDArray[np.bool_], of: Compared) -> Ious:
    """IoU of each found object with each true one, as COCO defines it.

    With a crowd it is the share of the found object that lies in the crowd.
    """
    if not len(found.codes) or not len(truth.codes):
        return np.zeros((len(found.codes), len(truth.codes)))
    flags = crowds.astype(int).tolist()
    if of == "box":
        return np.asarray(evaluator().mask.iou(found.boxes_xywh, truth.boxes_xywh, flags))
    of_found, of_truth = ([shapes.rle(row) for row in range(len(shapes.codes))] for shapes in (found, truth))
    return np.asarray(evaluator().mask.iou(of_found, of_truth, flags))


def _tight_boxes(masks: Sequence[CroppedMask]) -> Boxes:
    """Boxes (n, 4) of the pixels of masks."""
    corners = [(mask.x0, mask.y0, mask.x0, mask.y0) for mask in masks]
    inside = [boxes.from_mask(mask.bitmap) for mask in masks]
    return np.array(inside, np.float32).reshape(-1, 4) + np.array(corners, np.float32).reshape(-1, 4)
