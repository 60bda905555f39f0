"""The objects that the pixels of a mask stand for, by the kind of the mask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.data.formats.mask_folder.kinds import BRIGHT, DARK
from maskstream.data.formats.mask_folder.pixels import BACKGROUND, IGNORE, MaskPixels, shown
from maskstream.errors import DatasetError

LOSSY_TOLERANCE = 24
"""How far a channel of a lossy file may be from the colour that was meant: on drawn discs, JPEG at quality 75 kept
99.7 % of the pixels inside areas of one colour this close."""

MOST_TINY = 64
"""Codes without any solid pixel that a mask of single objects may have: blurred edges have hundreds."""


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What one mask holds.

    Attributes
    ----------
    found : code and pixels of each object; none is empty.
    ignored : pixels that are of no certain class.
    blurred_px : pixels of blurred edges, which took the code beside them.
    """

    found: tuple[tuple[int, CroppedMask], ...]
    ignored: CroppedMask = masks.EMPTY
    blurred_px: int = 0


def of_binary(pixels: MaskPixels, top: int) -> Objects:
    """The pixels nearer to the level `top` than to 0, as one object of the code `top`.

    Raises
    ------
    DatasetError : the mask is coloured, or has areas of other levels.
    """
    levels = set() if _is_clean(pixels, top) else set(pixels.solid_codes()) - {BACKGROUND}
    dark, bright = top * DARK // 255, top * BRIGHT // 255
    between = {level for level in levels if dark < level < bright}
    faint = levels if levels and max(levels) <= top // 2 else set()
    if pixels.is_colour or between or faint:
        raise DatasetError(
            pixels.path,
            expected=f"a mask of 0 and {top}, as the others are",
            found="colours" if pixels.is_colour else f"areas of {min(between or faint)}",
            remedy="convert it, leave it out, or name the kind of all masks with --mask-kind",
        )
    mask = masks.crop(pixels.codes > top // 2)
    blurred_px = int(np.count_nonzero((pixels.codes != BACKGROUND) & (pixels.codes != top)))
    return Objects(((top, mask),) if mask.area_px else (), blurred_px=blurred_px)


def of_classes(pixels: MaskPixels, class_codes: Collection[int]) -> Objects:
    """The pixels of each class. Where 255 is no class, it marks pixels to ignore in masks of 8 bits.

    Raises
    ------
    DatasetError : see `to_listed`; and numbers of classes in a file that does not keep pixels exactly.
    """
    if pixels.is_lossy and not pixels.is_colour:
        raise _lossy(pixels)
    ignores = not pixels.is_colour and pixels.is_8_bit and IGNORE not in class_codes
    codes, blurred_px = to_listed(pixels, {*class_codes, IGNORE} if ignores else set(class_codes))
    found = dict(separate(codes))
    ignored = found.pop(IGNORE, masks.EMPTY) if ignores else masks.EMPTY
    return Objects(tuple(found.items()), ignored, blurred_px)


def of_instances(pixels: MaskPixels) -> Objects:
    """The pixels of each object. Index 255 of a palette marks pixels to ignore, as in PASCAL VOC.

    Raises
    ------
    DatasetError : the edges are blurred, so that it is not known whose their pixels are.
    """
    if pixels.is_lossy:
        raise _lossy(pixels)
    found = dict(separate(pixels.codes))
    solid = set(pixels.solid_codes())
    if len(found.keys() - solid) > max(MOST_TINY, 4 * len(solid)):
        raise DatasetError(
            pixels.path,
            expected="objects with sharp edges",
            found=f"{len(found.keys() - solid)} colours that cover no area, as blurred edges have",
            remedy="export the masks without smoothing",
        )
    ignored = found.pop(IGNORE, masks.EMPTY) if pixels.has_palette and not pixels.is_colour else masks.EMPTY
    return Objects(tuple(found.items()), ignored)


def _is_clean(pixels: MaskPixels, top: int) -> bool:
    return bool(((pixels.codes == BACKGROUND) | (pixels.codes == top)).all())


def _lossy(pixels: MaskPixels) -> DatasetError:
    return DatasetError(
        pixels.path,
        expected="a file that keeps numbers and objects exactly, such as PNG",
        found=f"a {pixels.path.suffix} file",
        remedy="export the masks as PNG",
    )


def to_listed(pixels: MaskPixels, listed: Collection[int]) -> tuple[NDArray[np.int32], int]:
    """The codes with those that are not listed replaced, and how many pixels that were.

    A pixel of a blurred edge takes the code of the nearest listed pixel: the nearest colour would do harm, since
    red blurred into black passes through brown, which may be another class.

    Raises
    ------
    DatasetError : an area, and no edge, has a code that is not listed.
    """
    known = np.array(sorted({*listed, BACKGROUND}), np.int32)
    codes = _without_noise(pixels.codes, known) if pixels.is_lossy and pixels.is_colour else pixels.codes
    # np.isin would sort all pixels
    strange = known[np.searchsorted(known, codes).clip(max=len(known) - 1)] != codes
    count = int(np.count_nonzero(strange))
    if not count:
        return codes, 0
    areas = _wide(strange) if pixels.is_lossy else strange & pixels.solid()
    if areas.any() or count == codes.size:
        code = int(codes[areas if areas.any() else strange][0])
        raise DatasetError(
            pixels.path,
            expected=f"only {_listing(known.tolist(), pixels.is_colour)}",
            found=shown(code, pixels.is_colour),
            remedy="name every class (--classes, --colour, classes.txt or label_colors.txt), or correct the mask",
        )
    _, nearest = cv2.distanceTransformWithLabels(
        strange.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # OpenCV numbers the pixels that are not strange; each number back to its code
    code_of_label = np.zeros(int(nearest.max()) + 1, np.int32)
    code_of_label[nearest[~strange]] = codes[~strange]
    return code_of_label[nearest], count


def _wide(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels in the middle of 5 by 5 such pixels: JPEG leaves no area of one code, nor edges as wide as that."""
    return cv2.erode(pixels.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


def _without_noise(codes: NDArray[np.int32], known: NDArray[np.int32]) -> NDArray[np.int32]:
    """Colours with those close to a known one replaced by it."""
    found, index = np.unique(codes, return_inverse=True)
    shifts = np.array([16, 8, 0])
    found_rgb, known_rgb = (values[:, None] >> shifts & 255 for values in (found, known))
    distance = np.abs(found_rgb[:, None] - known_rgb[None]).max(axis=2)
    replaced = np.where(distance.min(axis=1) <= LOSSY_TOLERANCE, known[distance.argmin(axis=1)], found)
    return np.asarray(replaced[index].reshape(codes.shape), np.int32)


def separate(codes: NDArray[np.int32]) -> list[tuple[int, CroppedMask]]:
    """The pixels of each code but the background's, in the order of the codes.

    Runs of equal pixels give the box of each code, so that hundreds of objects cost little more than one.
    """
    height, width = codes.shape
    flat = codes.ravel()
    starts = np.union1d(np.flatnonzero(np.diff(flat)) + 1, np.arange(height) * width)
    lengths = np.diff(np.append(starts, flat.size))
    order = np.argsort(flat[starts], kind="stable")
    starts, lengths = starts[order], lengths[order]
    values, firsts = np.unique(flat[starts], return_index=True)
    y0, y1 = (edge.reduceat(starts // width, firsts) for edge in (np.minimum, np.maximum))
    x0, x1 = np.minimum.reduceat(starts % width, firsts), np.maximum.reduceat(starts % width + lengths, firsts)
    return [
        (code, CroppedMask(np.ascontiguousarray(codes[top : bottom + 1, left:right] == code), left, top))
        for code, top, bottom, left, right in zip(*(part.tolist() for part in (values, y0, y1, x0, x1)), strict=True)
        if code != BACKGROUND
    ]


def parts(mask: CroppedMask) -> list[CroppedMask]:
    """The connected parts of a mask (pixels that touch at a corner are connected), top left ones first."""
    if not mask.bitmap.size:
        return []
    count, labels = cv2.connectedComponents(mask.bitmap.astype(np.uint8), connectivity=8)
    cut = [masks.crop(labels == label) for label in range(1, count)]
    return [CroppedMask(part.bitmap, part.x0 + mask.x0, part.y0 + mask.y0) for part in cut]


def _listing(codes: list[int], is_colour: bool) -> str:
    first = ", ".join(shown(code, is_colour) for code in codes[:8])
    return f"{first} and {len(codes) - 8} more" if len(codes) > 8 else first
