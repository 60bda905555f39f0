"""How sharp and how well lit a picture is, and a short hash of what it shows.

One definition for the objects of a frame (`tracking/views.py`) and for whole frames (`data/frames.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BLACK, BURNT_OUT, GLARE = 8, 253, 230
"""Levels: all channels at or below, any channel at or above, all channels at or above."""

HASH_BITS = 64
_HASH_SIDE = 32
_HASH_FREQUENCIES = 8


def sharpness(grey: NDArray[np.float32]) -> float:
    """Share of the grey steps that one more blur would take away: 0.45 when sharp, 0.05 when badly out of focus.

    Being a share, it does not depend on the contrast. After Crete et al., "The blur effect" (2007).

    Parameters
    ----------
    grey : (h, w) float32; 0 for a picture of one grey.
    """
    steps = float(sum(_mean_steps(grey)))
    if steps == 0:
        return 0.0
    return max(0.0, 1 - float(sum(_mean_steps(_blurred(grey)))) / steps)


def least_sharpness(grey: NDArray[np.float32]) -> float:
    """Sharpness along columns or rows, whichever is less: a camera's movement blurs in one direction alone."""
    before, after = _mean_steps(grey), _mean_steps(_blurred(grey))
    return min(max(0.0, 1 - float(a) / float(b)) if b else 0.0 for b, a in zip(before, after, strict=True))


def _blurred(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    return cv2.GaussianBlur(grey, (0, 0), 1.0).astype(np.float32, copy=False)


def _mean_steps(grey: NDArray[np.float32]) -> tuple[np.float32, np.float32]:
    """Mean difference of neighbours down the columns and along the rows; 0 where there are none."""
    down, along = (np.abs(np.diff(grey, axis=axis)) for axis in (0, 1))
    return (down.mean() if down.size else np.float32(0)), (along.mean() if along.size else np.float32(0))


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Which pixels of a picture (h, w) show nothing, and why; a pixel may be burnt out and under glare at once."""

    black: NDArray[np.bool_]
    burnt_out: NDArray[np.bool_]
    glare: NDArray[np.bool_]

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> Light:
        """Of an RGB picture (h, w, 3)."""
        red, green, blue = cv2.split(image)
        darkest, brightest = cv2.min(cv2.min(red, green), blue), cv2.max(cv2.max(red, green), blue)
        return cls(black=brightest <= BLACK, burnt_out=brightest >= BURNT_OUT, glare=darkest >= GLARE)

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Pixels that cannot be read."""
        return self.black | self.burnt_out | self.glare


def perceptual_hash(grey: NDArray[np.float32]) -> int:
    """64 bits of what a picture shows: the number of bits in which two differ says how different they look.

    The signs of the 64 lowest frequencies (cosine transform) without the mean grey, which leaves one bit unused.
    Size, compression and overall brightness change few of them: at most 3 in films that x264 has encoded at
    quality 23, while unrelated pictures differ in 32 on average (`benchmarks/frame_selection.py`).

    Parameters
    ----------
    grey : (h, w) float32, of any size; aspect is not seen.
    """
    square = cv2.resize(grey, (_HASH_SIDE, _HASH_SIDE), interpolation=cv2.INTER_AREA)
    low = cv2.dct(square)[:_HASH_FREQUENCIES, :_HASH_FREQUENCIES] > 0
    low[0, 0] = False
    return int.from_bytes(np.packbits(low).tobytes(), "big")
