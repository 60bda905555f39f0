"""Decoded video frames -> RGB arrays the right way up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

UNIT = 1 << 16
"""1.0 in the fixed-point numbers of a display matrix."""

Matrix = tuple[int, int, int, int]
"""a, b, c, d of a display matrix: a stored pixel (x, y) is shown at (a x + c y, b x + d y), y downwards."""

UPRIGHT: Matrix = (1, 0, 0, 1)


def to_rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """RGB array (h, w, 3) as stored, not turned; transparent pixels are laid over white."""
    if not any(component.is_alpha for component in frame.format.components):
        return reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray().astype(np.uint8, copy=False)
    rgba = reformatter.reformat(frame, format="rgba", threads=1).to_ndarray()
    alpha = rgba[:, :, 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[:, :, :3]).astype(np.uint8, copy=False)
    blended = (rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


def display_matrix(frame: VideoFrame) -> Matrix | None:
    """The quarter turn or mirroring to show a frame with; None when it is turned by another angle."""
    side_data = cast(Mapping[str, Buffer], frame.side_data).get("DISPLAYMATRIX")
    if side_data is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(bytes(side_data), np.int32)[:5].tolist()
    straight = {(abs(a), abs(b), abs(c), abs(d))} <= {(UNIT, 0, 0, UNIT), (0, UNIT, UNIT, 0)}
    return (a // UNIT, b // UNIT, c // UNIT, d // UNIT) if straight else None


def orient(image: NDArray[np.uint8], matrix: Matrix) -> NDArray[np.uint8]:
    """Turn and mirror an image (h, w, 3) as its display matrix says."""
    a, b, c, d = matrix
    if b:
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: d or 1, :: a or 1])
