"""Boxes as an observer should read them: one that the frame's edge cuts shows only a part of its object.

Of an object that leaves the view the box shrinks and its middle lags behind. When the object's size is known
from before, the edge of the box that is still inside the frame tells where the whole object is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections

Array = NDArray[np.float64]

EDGE = 0.01
"""A box this near to the frame's edge counts as cut, in frame diagonals: masks rarely end on the last pixel."""


class CutBoxes:
    """The m detections of a frame, set against n tracks of known sizes.

    Attributes
    ----------
    probabilities : (m, c) class probabilities.
    sizes : (m, 2) width and height of what is visible, in pixels.
    middles : (m, 2) middle of what is visible.
    diagonal : of the frame, in pixels.
    """

    def __init__(self, detections: Detections) -> None:
        height, width = detections.size_hw
        boxes = detections.boxes_xyxy.astype(np.float64)
        self._low, self._high = boxes[:, :2], boxes[:, 2:]
        self.probabilities = detections.probabilities.astype(np.float64)
        self.sizes = np.maximum(self._high - self._low, 1e-3)
        self.middles = (self._low + self._high) / 2
        self.diagonal = float(np.hypot(width, height))
        cut_low = self._low <= EDGE * self.diagonal
        cut_high = self._high >= np.array([width, height]) - EDGE * self.diagonal
        self._only_low, self._only_high = cut_low & ~cut_high, cut_high & ~cut_low
        self._cut = cut_low | cut_high

    def __len__(self) -> int:
        return len(self.sizes)

    def centres(self, sizes: Array) -> Array:
        """Where each track's whole object would be if it were each detection: sizes (n, 2) to (n, m, 2)."""
        whole = np.maximum(sizes[:, None], self.sizes)
        middles = np.broadcast_to(self.middles, whole.shape)
        inside_high = np.where(self._only_low, self._high - whole / 2, middles)
        return np.where(self._only_high, self._low + whole / 2, inside_high)

    def size_likeness(self, sizes: Array) -> Array:
        """How well the sizes agree, 0..1: ratio of widths times ratio of heights; sizes (n, 2) to (n, m).

        A side that the frame's edge cuts may be any part of the object's.
        """
        ratio = sizes[:, None] / self.sizes
        likeness: Array = np.where(self._cut, np.minimum(ratio, 1), np.minimum(ratio, 1 / ratio)).prod(axis=2)
        return likeness

    def grown(self, sizes: Array, columns: NDArray[np.intp], share: float) -> Array:
        """Track sizes (k, 2) moved by `share` towards those of detections `columns` (k,); cut sides only grow."""
        visible = self.sizes[columns]
        return np.where(self._cut[columns], np.maximum(sizes, visible), sizes + share * (visible - sizes))
