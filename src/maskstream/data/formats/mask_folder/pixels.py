"""The pixels of a mask file as numbers: stored indices and levels, or the codes of colours."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstream.errors import DatasetError
from maskstream.media.images import read_as_stored

BACKGROUND = 0
"""Black, or index 0: no object."""

IGNORE = 255
"""Index of the pixels that are of no certain class, in masks of 8 bits (as in PASCAL VOC)."""

LOSSY = frozenset({".jpg", ".jpeg", ".jfif", ".webp", ".jp2"})

Rgb = tuple[int, int, int]


class MaskKind(StrEnum):
    """What the pixels of a mask say."""

    BINARY = "binary"
    INDEX = "index"
    CLASS_COLOUR = "class-colour"
    INSTANCE_COLOUR = "instance-colour"


@dataclass(frozen=True, slots=True, eq=False)
class MaskPixels:
    """A mask file, read.

    Attributes
    ----------
    path : the file.
    codes : (h, w) int32; of a grey or palette image the stored numbers, of a colour image red * 65536 + green *
        256 + blue.
    is_colour : the codes are colours.
    has_palette : the codes are indices of a palette.
    is_8_bit : the stored numbers end at 255.
    """

    path: Path
    codes: NDArray[np.int32]
    is_colour: bool
    has_palette: bool
    is_8_bit: bool

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.codes.shape[0], self.codes.shape[1]

    @property
    def is_lossy(self) -> bool:
        """The file's format does not keep pixels exactly."""
        return self.path.suffix.lower() in LOSSY

    def solid(self) -> NDArray[np.bool_]:
        """Pixels whose eight neighbours are of their own code. Blurred edges, and lines up to two pixels, have none."""
        window = np.ones((3, 3), np.uint8)
        exact = self.codes.astype(np.float32)  # of 24 bits, as the codes are at most
        return np.asarray(cv2.erode(exact, window) == cv2.dilate(exact, window))

    def solid_codes(self) -> list[int]:
        """Codes of the solid pixels in the order in which they appear, row by row."""
        return _in_order(self.codes[self.solid()])

    def all_codes(self) -> list[int]:
        """Every code in the order in which they appear, row by row."""
        return _in_order(self.codes.ravel())


def read_pixels(path: Path, *, as_colour: bool = False) -> MaskPixels:
    """Read a mask.

    Parameters
    ----------
    as_colour : colours in any case: of a palette its colours, of grey the grey.

    Raises
    ------
    SourceError : the file is missing, damaged or no image.
    DatasetError : pixels of a kind that masks are not made of.
    """
    picture = read_as_stored(path)
    has_palette = picture.mode in {"P", "PA"}
    picture = _opaque(picture, as_colour)
    if picture.mode in {"1", "L", "P"} and not as_colour:
        return MaskPixels(path, np.asarray(picture).astype(np.int32), False, has_palette, True)
    if picture.mode.startswith("I") and not as_colour:
        deep = np.asarray(picture).astype(np.int64)
        if not 0 <= deep.min() <= deep.max() < 1 << 24:
            raise _unsuitable(path, f"numbers from {deep.min()} to {deep.max()}")
        return MaskPixels(path, deep.astype(np.int32), False, False, False)
    if picture.mode in {"1", "L", "P", "RGB"}:
        rgb = np.asarray(picture.convert("RGB"))
        if not as_colour and (rgb == rgb[:, :, :1]).all():
            return MaskPixels(path, rgb[:, :, 0].astype(np.int32), False, False, True)
        return MaskPixels(path, _codes(rgb), True, False, True)
    raise _unsuitable(path, f"pixels of the kind {picture.mode!r}")


def _codes(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    red, green, blue = (rgb[:, :, channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _opaque(picture: Image.Image, as_colour: bool) -> Image.Image:
    """The picture without transparency: what is transparent is background."""
    if picture.mode == "PA" and not as_colour:
        return picture.getchannel("P")
    if picture.mode not in {"LA", "PA", "RGBA"}:
        return picture
    layer = picture.convert("RGBA")
    return Image.composite(
        layer, Image.new("RGBA", layer.size, "black"), layer.getchannel("A").point(_is_seen)
    ).convert("L" if picture.mode == "LA" and not as_colour else "RGB")


def _is_seen(alpha: float) -> int:
    return 255 if alpha > 127 else 0


def _unsuitable(path: Path, found: str) -> DatasetError:
    return DatasetError(
        path,
        expected="a mask with 1, 8, 16 or 24 bits a pixel",
        found=found,
        remedy="convert it, or leave it out with --masks",
    )


def code_of(colour: Rgb) -> int:
    """The code of a colour."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def colour_of(code: int) -> Rgb:
    """The colour of a code."""
    return code >> 16, code >> 8 & 255, code & 255


def shown(code: int, is_colour: bool) -> str:
    """A code as a reader knows it."""
    return "({}, {}, {})".format(*colour_of(code)) if is_colour else str(code)


def _in_order(codes: NDArray[np.int32]) -> list[int]:
    """Codes in the order in which they first appear."""
    if not codes.size:
        return []
    # neighbours are mostly equal: looking at changes alone spares sorting every pixel
    changed = codes[np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])]
    values, first = np.unique(changed, return_index=True)
    return [int(code) for code in values[np.argsort(first)]]
