"""Which earlier frame shows the same picture: frozen frames, copies and loops, also when encoded again.

Two frames show the same picture when no cell of their 32 x 32 thumbnails differs by more than `SAME_GREY_LEVELS`: the
mean of so many pixels hides what a codec adds, and shows a camera that drifts or one car that moves. Films with copies
planted 60 frames after their originals and encoded by x264 at quality 18 and 23 gave the limit (`benchmarks/
frame_selection.py` measures it on others). Thumbnails do not see blur, so the sharpness must be about the same too.

Only the first of several repeats is compared with, so a slow drift does not join pictures that differ. The hash says
which of all earlier pictures are worth a look; their thumbnails lie in a file, and memory holds 20 bytes a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from maskstream.data.frames_scores import THUMBNAIL_SIDE, Look, Scores, Thumbnail
from maskstream.errors import OutputError

SAME_GREY_LEVELS = 3.8
SAME_SHARPNESS = 0.6
"""Least ratio of two sharpnesses."""

SAME_HASH_BITS = 6
LOOKS = 16
"""Earlier pictures whose thumbnails are looked at: the last one, and those nearest by hash."""

_BYTES = 2 * THUMBNAIL_SIDE * THUMBNAIL_SIDE
_PICTURE = np.dtype([("hash", np.uint64), ("frame", np.int64), ("sharpness", np.float32)])


class Repeats:
    """The distinct pictures of one film so far: a context manager that holds a file of thumbnails.

    Parameters
    ----------
    path : the file.
    known : frames of an earlier run that are no repeats, in order; their thumbnails are in the file.

    Raises
    ------
    OutputError : the file cannot be written, or lacks thumbnails of the frames that are known.
    """

    def __init__(self, path: Path, known: Iterable[Scores] = ()) -> None:
        self._path = path
        self._room: NDArray[Any] = np.zeros(1024, _PICTURE)
        self._count = 0
        for scores in known:
            self._append(scores.frame, scores.hash_bits, scores.sharpness)
        try:
            # unbuffered: thumbnails must be there before the line that says so
            self._file = path.open("r+b" if self._count else "w+b", buffering=0)
            short = path.stat().st_size < self._count * _BYTES
            if not short:
                self._file.truncate(self._count * _BYTES)
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error
        if short:
            self._file.close()
            raise self._failed("too short a file")

    def find(self, look: Look) -> int | None:
        """Index of the earlier frame that shows the same picture, the most alike of them; None for a new picture."""
        if not self._count:
            return None
        worst = {place: self._difference(place, look) for place in self._worth_a_look(look.hash)}
        place = min(worst, key=lambda place: worst[place])
        return int(self._room["frame"][place]) if worst[place] <= SAME_GREY_LEVELS else None

    def add(self, frame: int, look: Look) -> None:
        """Remember a new picture. OutputError: the disk is full."""
        try:
            self._file.seek(self._count * _BYTES)
            self._file.write(look.thumbnail.tobytes())
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error
        self._append(frame, look.hash, look.sharpness)

    def _append(self, frame: int, hash_bits: int, sharpness: float) -> None:
        if self._count == len(self._room):
            self._room = np.concatenate([self._room, np.zeros_like(self._room)])
        self._room[self._count] = hash_bits, frame, sharpness
        self._count += 1

    def _worth_a_look(self, hash_bits: int) -> list[int]:
        apart = np.bitwise_count(self._room["hash"][: self._count] ^ np.uint64(hash_bits))
        near = np.flatnonzero(apart <= SAME_HASH_BITS)
        nearest = near[np.argsort(apart[near], kind="stable")][: LOOKS - 1]
        return [*nearest.tolist(), self._count - 1]

    def _difference(self, place: int, look: Look) -> float:
        """Largest difference of a cell, in grey levels; infinite where the sharpness is another."""
        low, high = sorted((float(self._room["sharpness"][place]), look.sharpness))
        if low < SAME_SHARPNESS * high:
            return float("inf")
        self._file.seek(place * _BYTES)
        earlier = np.frombuffer(self._file.read(_BYTES), np.float16).reshape(look.thumbnail.shape)
        return float(np.abs(earlier - look.thumbnail).max())

    def _failed(self, found: str) -> OutputError:
        return OutputError(
            self._path,
            expected="a file of thumbnails that can be written and read",
            found=found,
            remedy="free space and go on with --resume, or start without it in a new folder",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def motion(before: Thumbnail | None, now: Thumbnail) -> float | None:
    """Mean grey difference of two thumbnails; None without one before."""
    if before is None:
        return None
    return round(float(np.abs(before - now).mean(dtype=np.float32)), 3)
