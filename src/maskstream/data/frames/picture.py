"""The picture that is made of a frame, and where the frame lies in it, so that labels can be mapped back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.errors import OutputError

PNG_SETTINGS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
"""A third faster than trying every filter and two and a half times as fast as level 3, for files 4 % larger."""

JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a frame lies in its picture: x in the picture = scale * x in the frame + offset, and so for y.

    x and y count from pixel edges (the first pixel's centre is 0.5). As everywhere in maskstream a padded frame lies in
    the top left corner, where a model's own preprocessing would put it; a cropped one loses the same on both sides.

    Attributes
    ----------
    size_hw : height and width of the picture.
    scale_xy : picture pixels per frame pixel; the two differ a little, as sides are whole pixels.
    offset_xy : picture pixels; below 0 where a frame is cropped.
    """

    size_hw: tuple[int, int]
    scale_xy: tuple[float, float] = (1.0, 1.0)
    offset_xy: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, frame_hw: tuple[int, int], size_hw: tuple[int, int] | None, *, crop: bool = False) -> Fit:
        """The fit of a frame: as it is without a size, else as large as the size allows (or needs, for a crop)."""
        if size_hw is None:
            return cls(frame_hw)
        ratios = size_hw[0] / frame_hw[0], size_hw[1] / frame_hw[1]
        # rounding up keeps a crop from falling short of the size by a pixel
        whole, ratio = (math.ceil, max(ratios)) if crop else (round, min(ratios))
        height, width = (max(1, whole(round(side * ratio, 6))) for side in frame_hw)
        offset = ((size_hw[1] - width) // 2, (size_hw[0] - height) // 2) if crop else (0, 0)
        return cls(size_hw, (width / frame_hw[1], height / frame_hw[0]), offset)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture (h, w, 3) of a frame (h, w, 3): scaled, then cut, or padded with black."""
        height, width = image.shape[:2]
        if self.size_hw == (height, width) and self.scale_xy == (1.0, 1.0):
            return image
        scaled_wh = round(width * self.scale_xy[0]), round(height * self.scale_xy[1])
        shrinks = scaled_wh[0] * scaled_wh[1] < width * height
        scaled = cv2.resize(image, scaled_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        left, top = -self.offset_xy[0], -self.offset_xy[1]
        cut = scaled[top : top + self.size_hw[0], left : left + self.size_hw[1]]
        picture = np.zeros((*self.size_hw, 3), np.uint8)
        picture[: cut.shape[0], : cut.shape[1]] = cut
        return picture


def encode(image: NDArray[np.uint8], suffix: str) -> bytes:
    """An RGB picture as the bytes of a file of that kind: ".jpg", or without loss ".png" or ".bmp".

    Raises
    ------
    OutputError : the format cannot hold a picture of this size.
    """
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    settings = {".png": PNG_SETTINGS, ".jpg": [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]}
    try:
        return cv2.imencode(suffix, bgr, settings.get(suffix, []))[1].tobytes()
    except cv2.error as error:
        found = f"{image.shape[1]} x {image.shape[0]} pixels"
        remedy = "choose --format png, or a smaller --size"
        raise OutputError("--format", expected=f"a size that {suffix} holds", found=found, remedy=remedy) from error


def change_format(before: Path, after: Path) -> None:
    """Write a picture once more, in the format of another suffix. OutputError: there is no picture."""
    picture = cv2.imdecode(np.fromfile(before, np.uint8), cv2.IMREAD_COLOR) if before.stat().st_size else None
    if picture is None:
        remedy = "start again without --resume in a new folder"
        raise OutputError(before, expected="a picture that was written before", found="another file", remedy=remedy)
    after.write_bytes(encode(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), after.suffix))
