"""A few small pictures of a run, so that its report need not read the source again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.files import whole_file

SIDE_PX = 320
"""Longest side of a thumbnail."""

JPEG_QUALITY = 85

FIRST_LIMIT = 60
"""Thumbnails of images that are scenes of their own: of the first ones."""

SPREAD_LIMIT = 16
"""Thumbnails of a video, evenly spread over its frames: at most so many."""


class Thumbnails:
    """Small JPEG files of frames, named by the frame's number in the run; their count is bounded.

    Parameters
    ----------
    folder : made on the first frame.
    spread : keep thumbnails from the whole length, however long it gets, instead of the first ones.
    """

    def __init__(self, folder: Path, *, spread: bool) -> None:
        self.folder = folder
        self._spread = spread
        for torn in folder.glob(".*.jpg"):  # what a run that was killed in the middle of a file has left
            torn.unlink()

    def add(self, number: int, image: NDArray[np.uint8]) -> None:
        """Take the frame (h, w, 3) with this number, counted from 0 without gaps; the same one again is fine.

        Raises
        ------
        OutputError : it cannot be written.
        """
        if not self._spread:
            if number < FIRST_LIMIT:
                self._write(number, image)
            return
        stride = spread_stride(number + 1)
        if number % stride == 0:
            self._write(number, image)
        if stride != spread_stride(number):
            for path in self.folder.glob("*.jpg"):
                if int(path.stem) % stride:
                    path.unlink()

    def _write(self, number: int, image: NDArray[np.uint8]) -> None:
        shrink = min(1.0, SIDE_PX / max(image.shape[:2]))
        size_wh = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
        small = cv2.cvtColor(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
        _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        with whole_file(thumbnail_path(self.folder, number)) as temporary:
            temporary.write_bytes(jpeg.tobytes())


def thumbnail_path(folder: Path, number: int) -> Path:
    """Where the thumbnail of the frame with this number lies, if it has one."""
    return folder / f"{number:06d}.jpg"


def spread_stride(count: int) -> int:
    """The power of two for which every n-th of `count` frames are `SPREAD_LIMIT` or fewer."""
    stride = 1
    while -(-count // stride) > SPREAD_LIMIT:
        stride *= 2
    return stride
