"""Where the results of a run go; each sink is a context manager."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.files import whole_file, write_text
from maskstream.errors import OutputError
from maskstream.media.lines import JsonLinesSink, read_lines
from maskstream.media.video_sink import VideoSink

__all__ = ["ImageSink", "JsonLinesSink", "VideoSink", "read_lines", "write_csv"]

JPEG_QUALITY = 92

JPEG_SIDE = 65_500
"""Pixels a side that libjpeg can write."""


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write a CSV table with a header, whole or not at all.

    None becomes an empty field; floats have as many digits as it takes to read them back.

    Raises
    ------
    OutputError : the place cannot be written.
    ValueError : a row has a key that is no column.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


class ImageSink:
    """Writes one JPEG an image into a folder, each whole or not at all, named like its source.

    Of two sources with one name (`a.png` and `a.jpg`) the second becomes `a-2.jpg`.

    Parameters
    ----------
    folder : made on the first image.
    earlier : sources of an earlier run's images in their order, so that a resumed run names its own as
        an unbroken one would.
    """

    def __init__(self, folder: Path, earlier: Iterable[str] = ()) -> None:
        self.folder = folder
        self._taken: set[str] = set()
        for source in earlier:
            self._new_name(source)

    def write(self, source: str, image: NDArray[np.uint8]) -> Path:
        """Write an RGB image (h, w, 3) and return its path. OutputError: it cannot be written."""
        path = self.folder / f"{self._new_name(source)}.jpg"
        write_jpeg(path, image)
        return path

    def _new_name(self, source: str) -> str:
        stem = Path(source).stem
        name, number = stem, 1
        # some file systems do not tell upper from lower case
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Every image is closed already."""


def write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB image (h, w, 3), whole or not at all. OutputError: it cannot be written."""
    jpeg = _encode(path, image)
    with whole_file(path) as temporary:
        temporary.write_bytes(jpeg)


def _encode(path: Path, image: NDArray[np.uint8]) -> bytes:
    if max(image.shape) > JPEG_SIDE:
        raise OutputError(
            path,
            expected=f"an image of at most {JPEG_SIDE} pixels a side, which JPEG can hold",
            found=f"{image.shape[1]} x {image.shape[0]}",
            remedy="cut the image into tiles",
        )
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()
