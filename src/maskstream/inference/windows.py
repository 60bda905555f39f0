"""Where windows lie in an image that is larger than a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from maskstream.core import masks
from maskstream.core.masks import CroppedMask

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class TileSettings(BaseModel):
    """How an image is cut into windows, and how their answers become one; stands in the manifest.

    Two detections of different windows are compared where both windows looked; `inference.tile_merge` says how.

    Attributes
    ----------
    size_hw : of a window in source pixels; it is scaled to the network's input.
    overlap : least share of a window's side that neighbours have in common. An object smaller than that strip is seen
        whole by one of them; with 0, objects stay cut.
    edge_px : an object that comes as near as this to an edge inside the image counts as cut by it.
    merge_iou : from this IoU on two detections are the same object. Low, as each is paired with its best partner only.
    merge_share : or from this share of the smaller one on that lies in the other.
    join_share : the same share for two parts of an object that both windows cut. 0 joins whatever has a pixel in
        common, which is right for regions: a label map has no two regions in one place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_hw: tuple[Count, Count]
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.2
    edge_px: Annotated[int, Field(ge=1)] = 4
    merge_iou: Annotated[float, Field(gt=0, le=1)] = 0.3
    merge_share: Annotated[float, Field(gt=0, le=1)] = 0.7
    join_share: Share = 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """A part of an image: row and column of its top left pixel, height and width, all in pixels."""

    y0: int
    x0: int
    height: int
    width: int

    @property
    def y1(self) -> int:
        """The row below the last one."""
        return self.y0 + self.height

    @property
    def x1(self) -> int:
        """The column right of the last one."""
        return self.x0 + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of an image."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """The same as a box."""
        return self.x0, self.y0, self.x1, self.y1

    def meets(self, other: Window) -> bool:
        """Whether two windows have a pixel in common."""
        return self.y0 < other.y1 and other.y0 < self.y1 and self.x0 < other.x1 and other.x0 < self.x1

    def meet(self, other: Window) -> Window:
        """What two windows have in common; no pixel high or wide where they do not meet."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        y1, x1 = min(self.y1, other.y1), min(self.x1, other.x1)
        return Window(y0, x0, max(y1 - y0, 0), max(x1 - x0, 0))

    def pixels_of(self, mask: CroppedMask) -> NDArray[np.bool_]:
        """The part of a mask's bitmap that lies inside; a view."""
        rows = slice(max(self.y0 - mask.y0, 0), max(self.y1 - mask.y0, 0))
        columns = slice(max(self.x0 - mask.x0, 0), max(self.x1 - mask.x0, 0))
        return mask.bitmap[rows, columns]

    def area_px(self, mask: CroppedMask) -> int:
        """Number of an object's pixels inside."""
        return int(np.count_nonzero(self.pixels_of(mask)))

    def cut(self, mask: CroppedMask) -> CroppedMask:
        """The part of an object inside, in the window's own pixels."""
        bitmap = self.pixels_of(mask)
        if not bitmap.any():
            return masks.EMPTY
        inside = masks.crop(bitmap)
        y0, x0 = max(mask.y0 - self.y0, 0), max(mask.x0 - self.x0, 0)
        return CroppedMask(inside.bitmap, x0 + inside.x0, y0 + inside.y0)


def windows(size_hw: tuple[int, int], settings: TileSettings) -> tuple[Window, ...]:
    """Windows that cover an image of `size_hw`, row by row: evenly spread, none reaches outside.

    Along a side that is not longer than a window's there is one, as long as the image.
    """
    height, width = (min(side, limit) for side, limit in zip(size_hw, settings.size_hw, strict=True))
    return tuple(
        Window(y0, x0, height, width)
        for y0 in _starts(size_hw[0], height, settings.overlap)
        for x0 in _starts(size_hw[1], width, settings.overlap)
    )


def _starts(side: int, length: int, overlap: float) -> list[int]:
    """Where windows of a length begin along a side."""
    furthest = max(int(length * (1 - overlap) + 1e-9), 1)
    steps = -(-(side - length) // furthest)
    return [(side - length) * step // steps for step in range(steps)] + [side - length]
