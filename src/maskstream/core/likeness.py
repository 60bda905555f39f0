"""Whether two images show the same scene: after resizing, recompression, other light, a flip, a turn or a slight crop.

Three measures, each on brightness alone, each dearer and sharper than the one before:

1. `descriptors`: 64 numbers an image. Their scalar product says which of millions of pairs are worth a look; the
   numbers of the flipped and turned image follow from the image's own.
2. `agreement` of two small squares, brought over each other by an affine map.
3. The same on larger squares, starting from that map.

`agreement` asks for fine detail, block by block: most blocks must agree. Round lesions in the middle, black corners and
rulers look alike in many images, but they fill few blocks, or hold little detail.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FREQUENCIES = 8
VIEWS = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "turned by 180 degrees",
    "mirrored along the diagonal",
    "turned clockwise",
    "turned counterclockwise",
    "mirrored along the other diagonal",
)
"""The eight ways to lay one square over another, in the order of `view`."""

LIT_SHARE = 0.1
"""Pixels darker than this share of the image's bright ones are its black frame, not its scene."""
FRAME_SHARE = 1 / 18
"""Width of the rim, a share of the side, around image and black frame that does not count."""
NOISE_GREY_LEVELS = 1.5
"""Detail of this root mean square weighs half: what compression and sensors add is of this size."""
LARGEST_SKEW = 0.3
"""Maps that stretch, turn or shear by more were not found but fitted."""
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-3)


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How well two squares agree.

    Attributes
    ----------
    score : mean correlation of the blocks' detail, weighted by how much detail there is; at most 1.
    detail : how much there is to judge by, from 0 (all blocks are smooth) to 1.
    matrix : (2, 3), maps pixels of the first square to those of the second.
    """

    score: float
    detail: float
    matrix: Floats


def descriptors(squares: NDArray[np.uint8]) -> Floats:
    """The low frequencies (cosine transform) of squares (n, k, k), without mean brightness and contrast.

    Returns
    -------
    ndarray of shape (n, 8, 8), float32, each of length 1 (0 for an image of one grey).
    """
    # natural images lose amplitude with frequency; the root evens half of that out
    weights = np.sqrt(np.hypot(*np.mgrid[:FREQUENCIES, :FREQUENCIES])).astype(np.float32)
    found = np.empty((len(squares), FREQUENCIES, FREQUENCIES), np.float32)
    for index, square in enumerate(squares):
        found[index] = cv2.dct(_even(square))[:FREQUENCIES, :FREQUENCIES] * weights
    lengths = np.linalg.norm(found, axis=(1, 2), keepdims=True)
    found /= np.where(lengths > 1e-3, lengths, np.inf)
    return found


def _even(square: NDArray[np.uint8]) -> Floats:
    """OpenCV's cosine transform wants an even side; 64 is a fast one."""
    return cv2.resize(square, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)


def view_of_descriptors(found: Floats, index: int) -> Floats:
    """The descriptors of the images in the view `VIEWS[index]`: a mirror changes the sign of odd frequencies."""
    if index >= 4:
        found = found.transpose(0, 2, 1)
    signs = np.where(np.arange(FREQUENCIES) % 2, -1, 1).astype(np.float32)
    if index % 2:
        found = found * signs[None, None, :]
    if index % 4 >= 2:
        found = found * signs[None, :, None]
    return found


def view(square: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
    """The square in the view `VIEWS[index]`."""
    if index >= 4:
        square = square.T
    return np.ascontiguousarray(square[:: -1 if index % 4 >= 2 else 1, :: -1 if index % 2 else 1])


def agreement(
    first: NDArray[np.uint8], second: NDArray[np.uint8], *, blur_px: float, block_px: int, start: Floats | None = None
) -> Agreement:
    """How well two squares (k, k) agree, as they lie or where an affine map brings the second over the first.

    Parameters
    ----------
    blur_px : detail is what a Gaussian blur of this sigma takes away.
    block_px : side of the blocks.
    start : where the search for the map begins, (2, 3); by default with the squares as they lie.
    """
    a, b = first.astype(np.float32), second.astype(np.float32)
    details, lit = (_detail(a, blur_px), _detail(b, blur_px)), (_lit(a), _lit(b))
    start = np.eye(2, 3, dtype=np.float32) if start is None else start
    best = Agreement(*_score(details, lit, start, block_px), start)
    if best.score > 0.9:
        return best
    try:
        _, found = cv2.findTransformECC(a, b, start.copy(), cv2.MOTION_AFFINE, STEPS)
    except cv2.error:  # it did not converge: there is nothing to bring over each other
        return best
    matrix = np.asarray(found, np.float32)
    if not np.isfinite(matrix).all() or np.abs(matrix[:, :2] - np.eye(2)).max() > LARGEST_SKEW:
        return best
    moved = Agreement(*_score(details, lit, matrix, block_px), matrix)
    return moved if moved.score > best.score else best


def scaled(matrix: Floats, factor: float) -> Floats:
    """The map between squares that are `factor` times as large; pixel centres lie at whole numbers."""
    shift = (factor - 1) / 2
    turned = matrix[:, :2]
    offset = factor * matrix[:, 2] + shift - turned @ np.full(2, shift)
    return np.column_stack([turned, offset]).astype(np.float32)


def _detail(square: Floats, blur_px: float) -> Floats:
    blurred = cv2.GaussianBlur(square, (0, 0), blur_px, borderType=cv2.BORDER_REFLECT)
    return np.asarray(square - blurred, np.float32)


def _lit(square: Floats) -> Floats:
    """1 where the scene is, 0 in a black frame and around it."""
    rim_px = max(1, round(len(square) * FRAME_SHARE))
    bright = cv2.GaussianBlur(square, (0, 0), 1) > LIT_SHARE * np.percentile(square, 90)
    kernel = np.ones((2 * rim_px + 1, 2 * rim_px + 1), np.uint8)
    lit = cv2.erode(bright.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return lit.astype(np.float32)


def _score(
    details: tuple[Floats, Floats], lit: tuple[Floats, Floats], matrix: Floats, block_px: int
) -> tuple[float, float]:
    """Score and detail."""
    side, flags = len(details[0]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    first, second = details[0], cv2.warpAffine(details[1], matrix, (side, side), flags=flags)
    inside = lit[0] * (cv2.warpAffine(lit[1], matrix, (side, side), flags=flags) > 0.99)
    count = _block_sums(inside, block_px) + 1e-6
    mean_a, mean_b = (_block_sums(x * inside, block_px) / count for x in (first, second))
    power_a, power_b, common = (
        _block_sums(x * y * inside, block_px) / count - mean_x * mean_y
        for x, y, mean_x, mean_y in (
            (first, first, mean_a, mean_a), (second, second, mean_b, mean_b), (first, second, mean_a, mean_b),
        )
    )  # fmt: skip
    correlation = common / np.sqrt((power_a + 1e-3) * (power_b + 1e-3))
    power = np.maximum(np.minimum(power_a, power_b), 0)
    weight = count / block_px**2 * power / (power + NOISE_GREY_LEVELS**2)
    # the 1 keeps images without detail from agreeing by a block or two
    score = float((correlation * weight).sum() / (weight.sum() + 1))
    return score, float(weight.sum() * block_px**2 / count.sum())


def _block_sums(square: Floats, block_px: int) -> Floats:
    across = len(square) // block_px
    cut = square[: across * block_px, : across * block_px]
    return np.asarray(cut.reshape(across, block_px, across, block_px).sum((1, 3)), np.float32)
