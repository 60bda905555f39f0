"""Images larger than a network's input: seen window by window, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from maskstream.core.boxes import Boxes
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import Segmenter
from maskstream.inference.tile_merge import View, merge
from maskstream.inference.windows import TileSettings, Window, windows

__all__ = ["TileSettings", "TiledSegmenter", "Window", "windows"]


class TiledSegmenter:
    """A Segmenter that looks at large images window by window, each as large as the network was trained for.

    Memory grows with what is found, not with the number of windows. An image that is not larger than a window goes to
    the model as it is.

    Parameters
    ----------
    segmenter : what sees each window.
    max_detections : the best so many objects of an image are kept.
    """

    def __init__(self, segmenter: Segmenter, settings: TileSettings, max_detections: int = 1000) -> None:
        self.name = segmenter.name
        self.classes = segmenter.classes
        self.score_threshold = segmenter.score_threshold
        self.settings = settings
        self.max_detections = max_detections
        self._segmenter = segmenter

    def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
        """Objects of each frame with at least `score_threshold` (default: the model's own), best first."""
        return [self._segment_one(frame, score_threshold) for frame in frames]

    def _segment_one(self, frame: Frame, score_threshold: float | None) -> Detections:
        tiles = windows(frame.size_hw, self.settings)
        if len(tiles) == 1:
            (found,) = self._segmenter.segment([frame], score_threshold)
        else:
            views = list(self._views(frame, tiles, score_threshold))
            found = merge(views, self.classes, frame.size_hw, self.settings)
        return found.select(np.arange(len(found)) < self.max_detections)

    def _views(self, frame: Frame, tiles: Sequence[Window], score_threshold: float | None) -> Iterator[View]:
        """What each window shows, in the frame's pixels."""
        for tile in tiles:
            part = replace(frame, image=np.ascontiguousarray(frame.image[tile.slices]))
            (found,) = self._segmenter.segment([part], score_threshold)
            yield View(tile, _moved(found, tile, frame.size_hw))


def _moved(found: Detections, tile: Window, size_hw: tuple[int, int]) -> Detections:
    shift: Boxes = np.array([tile.x0, tile.y0, tile.x0, tile.y0], np.float32)
    return replace(
        found,
        boxes_xyxy=found.boxes_xyxy + shift,
        masks=tuple(CroppedMask(mask.bitmap, mask.x0 + tile.x0, mask.y0 + tile.y0) for mask in found.masks),
        size_hw=size_hw,
    )
