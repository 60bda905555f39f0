"""The one type that every stage after the network speaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks as mask_tools
from maskstream.core.boxes import Boxes
from maskstream.core.classes import Classes
from maskstream.core.masks import CroppedMask

NO_TRACK = 0
"""Track id of an object that no tracker has seen; real ids start at 1."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One object of one frame: a row of `Detections`, for reading."""

    box_xyxy: NDArray[np.float32]
    mask: CroppedMask
    score: float
    probabilities: NDArray[np.float32]
    class_id: int
    class_name: str
    track_id: int


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one frame, best score first. Frozen: a change returns a new value.

    Attributes
    ----------
    boxes_xyxy : (n, 4) float32, source pixels, half-open edges.
    masks : n masks in source pixels, each cropped to its own extent.
    scores : (n,) float32 in 0..1, the probability that there is an object: 1 - P(background).
    probabilities : (n, c) float32, rows sum to 1: class probabilities given an object, calibrated
        when the model folder carries a calibration.
    track_ids : (n,) int64, `NO_TRACK` before tracking.
    classes : c names, in the order of their ids.
    size_hw : height and width of the frame in pixels.
    """

    boxes_xyxy: Boxes
    masks: tuple[CroppedMask, ...]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    track_ids: NDArray[np.int64]
    classes: Classes
    size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        n, c = len(self.masks), len(self.classes)
        shapes = {
            "boxes_xyxy": (self.boxes_xyxy.shape, (n, 4)),
            "scores": (self.scores.shape, (n,)),
            "probabilities": (self.probabilities.shape, (n, c)),
            "track_ids": (self.track_ids.shape, (n,)),
        }
        for name, (shape, expected) in shapes.items():
            if shape != expected:
                raise ValueError(f"{name} has shape {shape}, expected {expected} for {n} masks")

    @classmethod
    def empty(cls, classes: Classes, size_hw: tuple[int, int]) -> Detections:
        """No object found in a frame of `size_hw`."""
        return cls(
            boxes_xyxy=np.zeros((0, 4), np.float32),
            masks=(),
            scores=np.zeros(0, np.float32),
            probabilities=np.zeros((0, len(classes)), np.float32),
            track_ids=np.zeros(0, np.int64),
            classes=classes,
            size_hw=size_hw,
        )

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[Detection]:
        for row in range(len(self)):
            class_id = int(self.class_ids[row])
            yield Detection(
                box_xyxy=self.boxes_xyxy[row],
                mask=self.masks[row],
                score=float(self.scores[row]),
                probabilities=self.probabilities[row],
                class_id=class_id,
                class_name=self.classes[class_id],
                track_id=int(self.track_ids[row]),
            )

    @property
    def class_ids(self) -> NDArray[np.int64]:
        """The most probable class of each object, shape (n,)."""
        if not len(self):
            return np.zeros(0, np.int64)
        best: NDArray[np.intp] = np.argmax(self.probabilities, axis=1)
        return best.astype(np.int64)

    @property
    def areas_px(self) -> NDArray[np.int64]:
        """Mask areas in pixels, shape (n,)."""
        return np.array([mask.area_px for mask in self.masks], np.int64)

    def select(self, rows: NDArray[Any]) -> Detections:
        """The given rows (indices or booleans), in the given order."""
        indices = np.arange(len(self))[rows]
        return replace(
            self,
            boxes_xyxy=self.boxes_xyxy[indices],
            masks=tuple(self.masks[i] for i in indices),
            scores=self.scores[indices],
            probabilities=self.probabilities[indices],
            track_ids=self.track_ids[indices],
        )

    def with_track_ids(self, track_ids: NDArray[np.int64]) -> Detections:
        """The same objects with the given track ids, shape (n,)."""
        return replace(self, track_ids=track_ids)

    def dense_masks(self) -> NDArray[np.bool_]:
        """All masks as one boolean array (n, h, w). Large: n times the frame's pixels."""
        if not len(self):
            return np.zeros((0, *self.size_hw), bool)
        return np.stack([mask.dense(self.size_hw) for mask in self.masks])

    def union_mask(self) -> NDArray[np.bool_]:
        """Pixels that belong to any object, boolean (h, w)."""
        return mask_tools.union(self.masks, self.size_hw)
