"""Which earlier frame shows the same picture: frozen frames, copies and loops, also when encoded again.

Two frames show the same picture when, on thumbnails of 32 x 32 cells,

- no cell differs by more than `SAME_GREY_LEVELS`: the mean of so many pixels hides what a codec adds, and shows one
  car that moves;
- the picture as a whole has not moved by more than `SAME_PLACE`: a codec's noise moves nothing, a hand always does;
- the sharpness is about the same, as thumbnails do not see blur.

In moving films with frames frozen and copies planted 60 frames after their originals, encoded by x264 at quality 18 and
23, copies were out of place by at most 1.05 thousandths of the side (nine in ten by at most 0.84), other frames by at
least 0.97 (49 in 50 by at least 1.26). `benchmarks/frame_selection.py` measures the outcome on other films.

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

from maskstream.data.frames.scores import THUMBNAIL_SIDE, Look, Scores, Thumbnail
from maskstream.errors import OutputError

SAME_GREY_LEVELS = 5.0
SAME_PLACE = 1e-3
"""Share of the side."""

SAME_SHARPNESS = 0.6
"""Least ratio of two sharpnesses."""

SAME_HASH_BITS = 6
LOOKS = 16
"""Earlier pictures whose thumbnails are looked at: the last one, and those nearest by hash."""

_BYTES = 2 * THUMBNAIL_SIDE * THUMBNAIL_SIDE
_CENTRES = (np.arange(THUMBNAIL_SIDE, dtype=np.float32) + 0.5) * 2 / THUMBNAIL_SIDE - 1
_X, _Y = np.meshgrid(_CENTRES, _CENTRES)
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
        alike: list[tuple[float, int]] = []
        for place in self._worth_a_look(look):
            earlier = self._thumbnail(place)
            worst = float(np.abs(earlier - look.thumbnail).max())
            if worst <= SAME_GREY_LEVELS and moved_by(earlier, look.thumbnail) <= SAME_PLACE:
                alike.append((worst, int(self._room["frame"][place])))
        return min(alike)[1] if alike else None

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

    def _worth_a_look(self, look: Look) -> list[int]:
        """Places of pictures that may be the same: like it by hash, or the last one; and as sharp."""
        known = self._room[: self._count]
        apart = np.bitwise_count(known["hash"] ^ np.uint64(look.hash))
        near = np.flatnonzero(apart <= SAME_HASH_BITS)
        nearest = near[np.argsort(apart[near], kind="stable")][: LOOKS - 1].tolist()
        places = [*nearest, self._count - 1]
        ratios = [known["sharpness"][place] / max(look.sharpness, 1e-6) for place in places]
        return [
            place for place, ratio in zip(places, ratios, strict=True) if SAME_SHARPNESS <= ratio <= 1 / SAME_SHARPNESS
        ]

    def _thumbnail(self, place: int) -> Thumbnail:
        self._file.seek(place * _BYTES)
        return np.frombuffer(self._file.read(_BYTES), np.float16).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)

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


def moved_by(before: Thumbnail, now: Thumbnail) -> float:
    """How far a picture has moved, turned, stretched or sheared: root mean square over the picture, share of its side.

    The least-squares answer to: which affine motion, together with a change of brightness, explains the difference by
    the slopes of grey? Lucas and Kanade (1981), one step, so it holds for motions within a cell. A picture without
    detail has not moved.
    """
    first, second = before.astype(np.float32), now.astype(np.float32)
    down, along = np.gradient((first + second) / 2)
    causes = [along, along * _X, along * _Y, down, down * _X, down * _Y, np.ones_like(down)]
    columns = np.stack([cause.ravel() for cause in causes], axis=1).astype(np.float64)
    square = columns.T @ columns
    # keeps what the picture cannot tell at zero
    square[np.diag_indices(6)] += 1e-3 * np.trace(square[:6, :6]) / 6 + 1e-9
    found = np.linalg.solve(square, columns.T @ (second - first).ravel())
    shift, rest = found[[0, 3]], found[[1, 2, 4, 5]]
    # over the picture x and y run from -1 to 1, so their mean squares are 1/3
    return float(np.sqrt((shift**2).sum() + (rest**2).sum() / 3)) / THUMBNAIL_SIDE
