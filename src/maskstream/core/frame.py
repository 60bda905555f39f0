"""One image with its index, time and source: what every source yields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of a video, a stream or a folder.

    Attributes
    ----------
    image : ndarray of shape (h, w, 3), uint8, RGB, EXIF and video rotation already applied.
    index : 0-based position in the source, damaged frames included in the count.
    time_s : container timestamp in seconds; 0.0 for a still image.
    source : path or name of what the frame was read from. Frames of one video share it; each
        image of a folder has its own, which is how a tracker knows that a new scene begins.
    """

    image: NDArray[np.uint8]
    index: int
    time_s: float
    source: str

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]
