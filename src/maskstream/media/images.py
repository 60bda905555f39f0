"""Still images, and folders and lists of them, as frames."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from maskstream.core.files import sha256
from maskstream.core.frame import Frame
from maskstream.errors import SourceError
from maskstream.media.base import Source, first_index

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2", ".tga"}
)
"""Suffixes, in lower case, of the files that are read as still images."""

MAX_IMAGE_PIXELS = 400_000_000
"""Pixels of the largest image that is read, 20 000 x 20 000; 1.2 GB as RGB."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that swap height and width."""

_pillow_limit = threading.Lock()


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read one image as RGB.

    The EXIF orientation is applied. Grey is repeated in three channels; 16-bit grey is divided by 257 and
    rounded, so that 65535 becomes 255; of 16-bit colour the high byte is kept. Transparent pixels
    are laid over white. Palette, YCbCr and CMYK are converted to RGB; colour profiles are not applied.
    Of an image of several pages or moments the first is read.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8.

    Raises
    ------
    SourceError : the file is missing, damaged, larger than `MAX_IMAGE_PIXELS`, or of a kind without a
        defined range or meaning as RGB (floating point, 32-bit, CIELAB).
    """
    return _read(path)[0]


@dataclass(frozen=True, slots=True)
class Header:
    """What an image file says of itself before its pixels.

    Attributes
    ----------
    kind : Pillow's name of the file format, such as "JPEG".
    stored_hw : height and width in pixels, as stored.
    orientation : EXIF's, from 1 to 8, or whatever stands in its place; None where there is none.
    """

    kind: str
    stored_hw: tuple[int, int]
    orientation: object

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels after EXIF rotation."""
        return self.stored_hw[::-1] if self.orientation in SIDEWAYS else self.stored_hw


def read_header(path: Path) -> Header:
    """Read what stands before the pixels.

    Raises
    ------
    SourceError : the file is missing or no image; damage behind the header goes unseen.
    """
    with _readable(path), _open(path) as picture:
        # to ask a PNG picture for its EXIF data is to decode all of it
        has_exif = picture.format != "PNG" or b"eXIf" in path.read_bytes()
        orientation = picture.getexif().get(ExifTags.Base.Orientation) if has_exif else None
        return Header(picture.format or "unknown", (picture.height, picture.width), orientation)


def read_size_hw(path: Path) -> tuple[int, int]:
    """Height and width in pixels after EXIF rotation, from the file's header alone.

    Raises
    ------
    SourceError : the file is missing or no image; damage behind the header goes unseen.
    """
    return read_header(path).size_hw


def read_as_stored(path: Path) -> Image.Image:
    """Read one image without converting its pixels: palette indices, 16 bits and single bits stay what they are.

    For label maps, whose pixels are numbers and no colours. The EXIF orientation is applied.

    Raises
    ------
    SourceError : the file is missing, damaged, or larger than `MAX_IMAGE_PIXELS`.
    """
    with _readable(path), _open(path) as picture:
        _check_size(path, picture)
        picture.load()
        return ImageOps.exif_transpose(picture)


def read_grey_square(path: Path, side_px: int) -> NDArray[np.uint8]:
    """The brightness of one image, squeezed to a square; a large JPEG is decoded at a fraction of its size.

    The EXIF orientation is applied. The square is no larger than the image's shorter side.

    Returns
    -------
    ndarray of shape (k, k), uint8, with k = `side_px` or less.

    Raises
    ------
    SourceError : as `read_image`.
    """
    with _readable(path), _open(path) as picture:
        _check_size(path, picture)
        side_px = min(side_px, *picture.size)
        picture.draft("L", (side_px, side_px))
        picture = ImageOps.exif_transpose(picture)
        plain = picture.mode == "L" and "transparency" not in picture.info
        grey = np.asarray(picture) if plain else cv2.cvtColor(_to_rgb(path, picture), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def read_colour_square(path: Path, side_px: int) -> NDArray[np.uint8]:
    """The colours of one image, as `read_grey_square` has its brightness: (k, k, 3), uint8, RGB.

    Raises
    ------
    SourceError : as `read_image`.
    """
    with _readable(path), _open(path) as picture:
        _check_size(path, picture)
        side_px = min(side_px, *picture.size)
        picture.draft("RGB", (side_px, side_px))
        image = _to_rgb(path, ImageOps.exif_transpose(picture))
        return cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _read(path: Path) -> tuple[NDArray[np.uint8], int]:
    """The image and its number of pages."""
    with _readable(path), _open(path) as picture:
        _check_size(path, picture)
        pages = getattr(picture, "n_frames", 1)
        return _to_rgb(path, ImageOps.exif_transpose(picture)), pages


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what Pillow says about damage into a SourceError."""
    try:
        yield
    except SourceError:
        raise
    # Pillow's readers meet damage with a dozen kinds of exception, SyntaxError and struct.error among them
    except Exception as error:
        raise SourceError(
            path,
            expected="an image that can be read",
            found=_reason(error),
            remedy="replace the file or leave it out",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "a file that is no image of a known format"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _open(path: Path) -> Image.Image:
    """Read an image's header, under our limit of pixels in place of Pillow's, which warns on stderr."""
    with _pillow_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _check_size(path: Path, picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_IMAGE_PIXELS:
        raise SourceError(
            path,
            expected=f"an image of at most {MAX_IMAGE_PIXELS // 1_000_000} million pixels",
            found=f"{picture.width} x {picture.height}",
            remedy="cut it into tiles or scale it down",
        )


def _to_rgb(path: Path, picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.uint32)
        return np.repeat(((grey + 128) // 257).astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.array(Image.alpha_composite(white, layer).convert("RGB"))
    if picture.mode in {"1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV", "CMYK"}:
        return np.array(picture.convert("RGB"))
    raise SourceError(
        path,
        expected="an RGB, CMYK, palette or grey image with 8 or 16 bits a channel",
        found=f"pixels of the kind {picture.mode!r}",
        remedy="convert it to RGB or grey",
    )


class ImageSource(Source):
    """Image files, in the given order, each a scene of its own.

    An image that cannot be read is counted and left out; when it is the only one, that is an error.

    Raises
    ------
    SourceError : the only image cannot be read (on opening), or none of several could (on reading).
    """

    kind = "images"

    def __init__(self, name: str, paths: Sequence[Path]) -> None:
        super().__init__(name)
        self._paths = list(paths)
        self.frame_count = len(self._paths)
        if len(self._paths) == 1:
            height, width, _ = read_image(self._paths[0]).shape
            self.size_hw = height, width

    def frames(self, start: int = 0, every: int = 1) -> Iterator[Frame]:
        """See `Source.frames`. Files that are passed over are not opened."""
        self._begin(start, every)
        for index in range(first_index(start, every), len(self._paths), every):
            image = self._image(self._paths[index])
            if image is not None:
                yield Frame(image, index, 0.0, str(self._paths[index]))
        if self.damaged and self.damaged == len(range(0, len(self._paths), every)):
            raise SourceError(
                self.name,
                expected="images that can be read",
                found=f"{self.damaged} damaged of {self.damaged}",
                remedy=f"replace the files; the first: {self.warnings[0]}",
            )

    def _image(self, path: Path) -> NDArray[np.uint8] | None:
        try:
            image, pages = _read(path)
        except SourceError as error:
            if len(self._paths) == 1:
                raise
            self.damaged += 1
            self._warn(str(error))
            return None
        if pages > 1:
            self._warn(f"{path}: has {pages} pages or moments, of which the first is read")
        return image

    def content_sha256(self) -> str:
        """SHA-256 over the files' names (without folders) and bytes, in order."""
        digest = hashlib.sha256()
        for path in self._paths:
            digest.update(f"{path.name}\0{sha256(path)}\n".encode())
        return digest.hexdigest()
