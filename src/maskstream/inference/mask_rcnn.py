"""Mask R-CNN's raw outputs to Detections, in numpy: the steps of torchvision's detection models, readable in one place.

The networks come as graphs by role (`docs/adr/0003-graphs-by-role.md`):

    trunk       image (1, 3, H, W) -> objectness (a,), deltas (a, 4), context map, pyramid maps ...
    box_head    boxes (n, 4), pyramid maps ... -> logits (n, 1 + k), background first; deltas (n, 1 + k, 4)
    class_head  boxes (n, 4), context map -> class probabilities given an object (n, c)
    mask_head   boxes (n, 4), pyramid maps ... -> mask probabilities (n, m, m), or (n, k, m, m) with one mask a class

Without a `class_head` there is no context map either, and the box head's logits tell the classes apart: k = c. Boxes
are in network pixels there. What a detection means: score = 1 - P(background), suppression goes across classes, and
`probabilities` are those of the classes given that there is an object.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from maskstream.core import boxes as box_tools
from maskstream.core.boxes import Boxes
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.frame import Frame
from maskstream.inference.network import Array, SegmentingNetwork
from maskstream.inference.preprocess import Placement

DELTA_WEIGHTS_BOX_HEAD = np.array([10.0, 10.0, 5.0, 5.0], np.float32)
"""Scale of the box head's deltas (Fast R-CNN, Girshick 2015; torchvision's `BoxCoder`)."""

CLASS_HEAD = "class_head"
"""The role that a model may do without."""

MAX_LOG_SCALE = float(np.log(1000.0 / 16))
"""A box never grows by more than this factor's exponential in one step; torchvision's bound."""


class MaskRcnnSettings(BaseModel):
    """What shapes the answer besides the weights; stands in the manifest.

    Sizes are network pixels. `score_floor` is the least score that is ever decoded; a user's threshold lies above.
    With `mirror` the network also sees the image's mirror image, and both answers are averaged: steadier, at twice
    the time. An object of which more than `nested_share` lies inside a better one (or the reverse) keeps
    `nested_factor` of its score: most often it is the same object again, seen smaller or larger, which IoU does not
    notice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    anchor_sizes: tuple[tuple[float, ...], ...] = ((24, 40), (64, 96), (144, 208))
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    anchor_strides: tuple[int, ...] = (8, 16, 32)
    proposals_before_nms: int = 300
    proposal_nms_iou: float = 0.7
    proposals: int = 50
    score_floor: float = 0.05
    nms_iou: float = 0.5
    nested_share: float = 0.5
    nested_factor: float = 0.5
    max_detections: int = 20
    context_scale: float = 1.5
    mirror: bool = False


class MaskRcnnSegmenter(SegmentingNetwork[MaskRcnnSettings]):
    """A Segmenter of Mask R-CNN's graphs."""

    @cached_property
    def _has_class_head(self) -> bool:
        return CLASS_HEAD in self._runtime.roles

    @cached_property
    def _anchors(self) -> Boxes:
        return make_anchors(self.settings, self.preprocessing.input_size_hw)

    def _segment_one(self, frame: Frame, threshold: float) -> Detections:
        image, placement = self.preprocessing.apply(frame.image)
        sights = [
            self._look(image, placement, mirrored) for mirrored in ((False, True) if self.settings.mirror else (False,))
        ]
        proposals = np.concatenate([sight.proposals for sight in sights])
        if not len(proposals):
            return Detections.empty(self.classes, frame.size_hw)
        refined, objectness, of_classes = _mean(self._refine(sight, proposals) for sight in sights)
        objects, scores = self._objects(refined, objectness, max(threshold, self.settings.score_floor))
        if not len(objects):
            return Detections.empty(self.classes, frame.size_hw)
        boxes, probabilities = refined[objects], of_classes[objects]
        if self._has_class_head:
            (probabilities,) = _mean(
                self._runtime.run(CLASS_HEAD, sight.seen(boxes), *sight.context) for sight in sights
            )
        best_class = np.argmax(probabilities, axis=1)
        (soft_masks,) = _mean(self._soft_masks(sight, boxes, best_class) for sight in sights)
        return self._in_source(boxes, scores, probabilities, soft_masks, placement)

    def _look(self, image: Array, placement: Placement, mirrored: bool) -> _Sight:
        """Run the trunk on the image or on its mirror image; the content stays in the top left corner."""
        width = placement.content_size_hw[1]
        if mirrored:
            image = image.copy()
            image[:, :, :width] = image[:, :, :width][:, :, ::-1].copy()
        objectness, deltas, *maps = self._runtime.run("trunk", np.ascontiguousarray(image[None]))
        first = 1 if self._has_class_head else 0
        nothing = np.zeros((0, 4), np.float32)
        sight = _Sight(nothing, tuple(maps[:first]), tuple(maps[first:]), width if mirrored else None)
        return sight._replace(proposals=sight.seen(self._proposals(objectness, deltas)))

    def _refine(self, sight: _Sight, proposals: Boxes) -> tuple[Boxes, Array, Array]:
        """Finer boxes of proposals (n, 4), the scores (n,) of what they hold, and what the box head calls it (n, k)."""
        seen = sight.seen(proposals)
        logits, deltas = self._runtime.run("box_head", seen, *sight.maps)
        probabilities = softmax(logits)
        best_class = 1 + np.argmax(probabilities[:, 1:], axis=1)
        chosen = deltas[np.arange(len(deltas)), best_class] / DELTA_WEIGHTS_BOX_HEAD
        boxes = box_tools.clip(apply_deltas(seen, chosen), self.preprocessing.input_size_hw)
        return sight.seen(boxes), 1.0 - probabilities[:, 0], softmax(logits[:, 1:])

    def _soft_masks(self, sight: _Sight, boxes: Boxes, class_ids: NDArray[np.intp]) -> tuple[Array, ...]:
        """Mask probabilities (n, m, m) of objects of these classes."""
        (masks,) = self._runtime.run("mask_head", sight.seen(boxes), *sight.maps)
        if masks.ndim == 4:
            masks = masks[np.arange(len(masks)), class_ids if masks.shape[1] > 1 else 0]
        return (masks if sight.mirror_width is None else masks[:, :, ::-1],)

    def _proposals(self, objectness: Array, deltas: Array) -> Boxes:
        """Boxes worth a closer look, best first: the region proposal network's output."""
        size_hw = self.preprocessing.input_size_hw
        best = np.argsort(-objectness, kind="stable")[: self.settings.proposals_before_nms]
        boxes = box_tools.clip(apply_deltas(self._anchors[best], deltas[best]), size_hw)
        solid = _solid(boxes)
        boxes, best = boxes[solid], best[solid]
        kept = box_tools.nms(boxes, objectness[best], self.settings.proposal_nms_iou)
        return boxes[kept[: self.settings.proposals]]

    def _objects(self, boxes: Boxes, scores: Array, threshold: float) -> tuple[NDArray[np.intp], Array]:
        """Which boxes are objects, best first, after suppression across classes; and their scores."""
        good = np.flatnonzero((scores >= threshold) & _solid(boxes))
        kept = good[box_tools.nms(boxes[good], scores[good], self.settings.nms_iou)]
        doubted = self._doubt_nested(boxes[kept], scores[kept])
        best = np.argsort(-doubted, kind="stable")[: self.settings.max_detections]
        best = best[doubted[best] >= threshold]
        return kept[best], doubted[best]

    def _doubt_nested(self, boxes: Boxes, scores: Array) -> Array:
        """Scores, best first, less what nesting takes from them."""
        inside = np.triu(box_tools.share_of_smaller(boxes, boxes) > self.settings.nested_share, k=1)
        return np.where(inside.any(axis=0), scores * np.float32(self.settings.nested_factor), scores)

    def _in_source(
        self, boxes: Boxes, scores: Array, probabilities: Array, mask_probabilities: Array, placement: Placement
    ) -> Detections:
        """The objects in source pixels."""
        masks = tuple(placement.mask_to_source(soft, box) for soft, box in zip(mask_probabilities, boxes, strict=True))
        if self.calibration is not None:
            probabilities = self.calibration.apply(probabilities, self.classes)
        found = Detections(
            boxes_xyxy=placement.boxes_to_source(boxes),
            masks=masks,
            scores=scores.astype(np.float32),
            probabilities=probabilities.astype(np.float32),
            track_ids=np.full(len(boxes), NO_TRACK, np.int64),
            classes=self.classes,
            size_hw=placement.source_size_hw,
        )
        return found.select(found.areas_px > 0)  # a box in which no pixel belongs to the object measures nothing


class _Sight(NamedTuple):
    """What the trunk made of an image, or of its mirror image; proposals in the pixels of the image itself.

    `context` is empty where no class head asks for it.
    """

    proposals: Boxes
    context: tuple[Array, ...]
    maps: tuple[Array, ...]
    mirror_width: int | None

    def seen(self, boxes: Boxes) -> Boxes:
        """Boxes (n, 4) of the image as this sight has them, and the way back: mirroring is its own inverse."""
        if self.mirror_width is None:
            return boxes
        left, top, right, bottom = boxes.T
        return np.stack([self.mirror_width - right, top, self.mirror_width - left, bottom], axis=1).astype(np.float32)


def _mean(answers: Iterable[tuple[Array, ...]]) -> tuple[Array, ...]:
    """The answers of all sights, averaged output by output."""
    return tuple(np.mean(outputs, axis=0, dtype=np.float32) for outputs in zip(*answers, strict=True))


def make_anchors(settings: MaskRcnnSettings, input_size_hw: tuple[int, int]) -> Boxes:
    """Anchors (a, 4) in torchvision's order: level, row, column, then size fastest within ratio.

    As torchvision's `AnchorGenerator` does, the four numbers of a base anchor are rounded to whole pixels, and anchors
    lie a whole number of pixels apart: the stride, or less where the input is no multiple of it.
    """
    height, width = input_size_hw
    roots = np.sqrt(np.array(settings.anchor_ratios, np.float32))
    levels = []
    for sizes, stride in zip(settings.anchor_sizes, settings.anchor_strides, strict=True):
        heights = np.outer(roots, np.array(sizes, np.float32)).ravel()
        widths = np.outer(1 / roots, np.array(sizes, np.float32)).ravel()
        base = np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.meshgrid(np.arange(rows) * (height // rows), np.arange(columns) * (width // columns), indexing="ij")
        shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4)
        levels.append((shifts + base[None]).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def apply_deltas(boxes: Boxes, deltas: Array) -> Boxes:
    """Boxes (n, 4) moved and scaled by deltas (n, 4) of dx, dy, log dw, log dh (R-CNN, Girshick 2014)."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    centres = boxes[:, :2] + 0.5 * sizes + deltas[:, :2] * sizes
    halves = 0.5 * sizes * np.exp(np.minimum(deltas[:, 2:], np.float32(MAX_LOG_SCALE)))
    return np.concatenate([centres - halves, centres + halves], axis=1)


def softmax(logits: Array) -> Array:
    """Softmax over the last axis, without overflow."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)


def _solid(boxes: Boxes) -> NDArray[np.bool_]:
    """Boxes at least one network pixel wide and high: smaller ones have no mask worth the name."""
    return np.asarray(((boxes[:, 2:] - boxes[:, :2]) >= 1.0).all(axis=1))
