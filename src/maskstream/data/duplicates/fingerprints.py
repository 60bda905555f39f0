"""What is kept of each image to find its copies: a hash of the file and a small square of its brightness."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.files import sha256
from maskstream.core.likeness import Floats, descriptors
from maskstream.core.parallel import OnProgress, ordered_map
from maskstream.data.findings import Finding, Severity
from maskstream.data.records import ImageRecord
from maskstream.errors import SourceError
from maskstream.media.images import read_grey_square

SMALL_PX = 72
BATCH = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprints:
    """What is kept of the images that could be read, in the order of their names.

    Attributes
    ----------
    names, paths : of the n images.
    sha256 : of each file, 64 hexadecimal digits.
    squares : (n, 72, 72) uint8, brightness; in a temporary file, so that memory does not grow with n.
    descriptors : (n, 8, 8) float32, see `core.likeness`.
    absent : names of images that are not there (yet).
    unreadable : a finding for each image that is there and cannot be read.
    """

    names: tuple[str, ...]
    paths: tuple[Path, ...]
    sha256: tuple[str, ...]
    squares: NDArray[np.uint8]
    descriptors: Floats
    absent: tuple[str, ...]
    unreadable: tuple[Finding, ...]


def fingerprint(records: Sequence[ImageRecord], on_progress: OnProgress | None = None) -> Fingerprints:
    """Read each image once, small. Images that are not there are counted, those that cannot be read are told of."""
    ordered = sorted(records, key=lambda record: record.name)
    present = [record for record in ordered if record.has_file]
    absent = tuple(record.name for record in ordered if not record.has_file)
    shape = (max(len(present), 1), SMALL_PX, SMALL_PX)
    with tempfile.TemporaryFile() as file:  # the map keeps the space until nobody holds it
        squares: NDArray[np.uint8] = np.memmap(file, np.uint8, "w+", shape=shape)
    kept: list[tuple[ImageRecord, str]] = []
    unreadable: list[Finding] = []
    for done, (record, seen) in enumerate(zip(present, ordered_map(_look, present)), start=1):
        if isinstance(seen, Finding):
            unreadable.append(seen)
        else:
            squares[len(kept)] = seen[1]
            kept.append((record, seen[0]))
        if on_progress:
            on_progress(done, len(present))
    squares = squares[: len(kept)]
    batches = [descriptors(squares[first : first + BATCH]) for first in range(0, len(kept), BATCH)]
    return Fingerprints(
        names=tuple(record.name for record, _ in kept),
        paths=tuple(record.path for record, _ in kept),
        sha256=tuple(digest for _, digest in kept),
        squares=squares,
        descriptors=np.concatenate([np.zeros((0, 8, 8), np.float32), *batches]),
        absent=absent,
        unreadable=tuple(unreadable),
    )


def _look(record: ImageRecord) -> tuple[str, NDArray[np.uint8]] | Finding:
    try:
        # twice the size first: a JPEG decoder's own scaling is coarse
        square = read_grey_square(record.path, 2 * SMALL_PX)
        return sha256(record.path), fit(square, SMALL_PX)
    except SourceError as error:
        return _unreadable(record, error.found)
    except OSError as error:  # the hash
        return _unreadable(record, error.strerror or str(error))


def _unreadable(record: ImageRecord, found: str) -> Finding:
    return Finding(
        code="unreadable-image",
        severity=Severity.ERROR,
        place=str(record.path),
        expected="an image that can be read",
        found=found,
        remedy="replace the file or leave it out",
        image=record.name,
    )


def fit(square: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """A square (k, k) at another size."""
    shrinks = len(square) >= side_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(square, (side_px, side_px), interpolation=how).astype(np.uint8, copy=False)
