"""A semantic model's pixel probabilities to regions, and to Detections, in numpy.

The network comes as one graph:

    network     image (1, 3, H, W) -> probabilities (1, c, H, W) of the classes; what they lack to 1 is background's

What a detection means here: the pixels of one class that touch each other, corners included. Its score is the mean of
1 - P(background) over them, its `probabilities` are the mean class probabilities given that there is an object.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from maskstream.core.classes import Classes
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.inference.network import Array, SegmentingNetwork


class RegionSettings(BaseModel):
    """What shapes the answer besides the weights; stands in the manifest.

    Attributes
    ----------
    pixel_threshold : 1 - P(background) from which a pixel may belong to a class.
    min_area_px : regions of fewer pixels of the image are no detections.
    mirror : the network also sees the image's mirror image, and both answers are averaged: steadier, at twice the time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pixel_threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_area_px: Annotated[int, Field(ge=0)] = 0
    mirror: bool = False


class RegionSegmenter(SegmentingNetwork[RegionSettings]):
    """A Segmenter of a semantic model's graph."""

    def probabilities(self, frame: Frame) -> Array:
        """Class probabilities (c, h, w) of the frame's pixels, before any threshold."""
        image, placement = self.preprocessing.apply(frame.image)
        answers = self._run(image)
        if self.settings.mirror:
            width = placement.content_size_hw[1]
            mirrored = self._run(_mirrored(image, width))
            answers = np.mean([answers, _mirrored(mirrored, width)], axis=0, dtype=np.float32)
        return np.stack([placement.map_to_source(plane) for plane in answers])

    def label_map(self, frame: Frame) -> NDArray[np.int32]:
        """Class of each pixel, (h, w): 0 for the background, class id + 1 elsewhere; of any region, however small."""
        return label_map(self.probabilities(frame), self.settings.pixel_threshold)

    def _run(self, image: Array) -> Array:
        (answers,) = self._runtime.run("network", image[None])
        return np.asarray(answers[0], np.float32)

    def _segment_one(self, frame: Frame, threshold: float) -> Detections:
        probabilities = self.probabilities(frame)
        labels = label_map(probabilities, self.settings.pixel_threshold)
        found = regions(labels, probabilities, self.classes, self.settings.min_area_px)
        if self.calibration is not None:
            found = replace(found, probabilities=self.calibration.apply(found.probabilities, self.classes))
        return found.select(found.scores >= threshold)


def label_map(probabilities: Array, pixel_threshold: float) -> NDArray[np.int32]:
    """Class of each pixel, (h, w): 0 for the background, class id + 1 elsewhere.

    A pixel belongs to a class when 1 - P(background) reaches the threshold and, where there are several classes, the
    most probable class is more probable than the background.

    Parameters
    ----------
    probabilities : (c, h, w) of the classes.
    """
    some_class = probabilities.sum(axis=0)
    inside = some_class >= pixel_threshold
    if len(probabilities) > 1:
        inside &= probabilities.max(axis=0) > 1 - some_class
    return np.where(inside, 1 + probabilities.argmax(axis=0), 0).astype(np.int32)


def regions(labels: NDArray[np.int32], probabilities: Array, classes: Classes, min_area_px: int = 0) -> Detections:
    """The connected regions of a label map as Detections, best score first; pixels touch at sides and corners.

    Parameters
    ----------
    labels : (h, w), as `label_map` gives them.
    probabilities : (c, h, w) of the classes.
    min_area_px : smaller regions are left out.
    """
    found = [_regions_of(labels == 1 + class_id, probabilities, min_area_px) for class_id in range(len(classes))]
    means = np.concatenate([means for _, means in found])
    scores = means.sum(axis=1).clip(0, 1)
    masks = [mask for masks, _ in found for mask in masks]
    boxes = [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for m in masks]
    return Detections(
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        masks=tuple(masks),
        scores=scores.astype(np.float32),
        probabilities=(means / means.sum(axis=1, keepdims=True)).astype(np.float32),
        track_ids=np.full(len(masks), NO_TRACK, np.int64),
        classes=classes,
        size_hw=(labels.shape[0], labels.shape[1]),
    ).select(np.argsort(-scores, kind="stable"))


def _regions_of(
    pixels: NDArray[np.bool_], probabilities: Array, min_area_px: int
) -> tuple[list[CroppedMask], NDArray[np.float64]]:
    """Masks of the connected parts of (h, w), and the mean probabilities (n, c) in each."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = [part for part in range(1, count) if areas[part] >= min_area_px]
    flat = parts[pixels]
    sums = np.stack([np.bincount(flat, plane[pixels], count) for plane in probabilities], axis=1)
    masks = []
    for part in kept:
        x0, y0, width, height = stats[part, : cv2.CC_STAT_AREA].tolist()
        masks.append(CroppedMask(parts[y0 : y0 + height, x0 : x0 + width] == part, x0, y0))
    return masks, sums[kept] / areas[kept, None]


def _mirrored(image: Array, width: int) -> Array:
    """An image (k, H, W) with its first `width` columns in reverse order: the content stays in the top left corner."""
    turned = image.copy()
    turned[:, :, :width] = image[:, :, :width][:, :, ::-1]
    return turned
