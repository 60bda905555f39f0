"""What every source of frames has in common, whatever it reads from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Literal, Self

from maskstream.core.frame import Frame

MAX_WARNINGS = 50
"""Warnings a source keeps; later damage is still counted, but no longer described."""


class Source(ABC):
    """An iterable of Frame and a context manager.

    A source opens its file or device anew for each iteration, inside the thread that iterates, so it
    can be handed to a reader thread and iterated more than once.

    Attributes
    ----------
    name : path or description, as the user gave it.
    kind : "video" when frames follow each other in time, "images" when each is a scene of its own.
    live : frames come at their own pace and cannot be asked for again (cameras, streams).
    frame_rate : average frames per second of a video, when it is known.
    frame_count : number of frames, damaged ones included; an estimate for some containers.
    size_hw : height and width in pixels, when all frames share it.
    duration_s : length of a video in seconds, when it is known.
    damaged : frames met by the latest iteration that could not be read; they are left out but keep
        their index.
    warnings : what a user should know about the latest iteration, one line each.
    """

    live = False
    kind: Literal["images", "video"]

    def __init__(self, name: str) -> None:
        self.name = name
        self.frame_rate: Fraction | None = None
        self.frame_count: int | None = None
        self.size_hw: tuple[int, int] | None = None
        self.duration_s: float | None = None
        self.damaged = 0
        self.warnings: list[str] = []

    @abstractmethod
    def frames(self, start: int = 0, every: int = 1) -> Iterator[Frame]:
        """Frames in order: those with `index >= start` and `index % every == 0`.

        A frame has the same image, index and time whatever `start` and `every` are, so a run that
        was broken off goes on where it stopped.

        Raises
        ------
        SourceError : the source cannot be read.
        """

    @abstractmethod
    def content_sha256(self) -> str:
        """SHA-256 of what is read, as 64 hexadecimal digits: equal for equal content, wherever it lies."""

    def close(self) -> None:  # noqa: B027 (most sources hold nothing, so there is nothing they must write)
        """Let go of the device, for sources that hold one between iterations."""

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, start: int, every: int) -> None:
        """Check the arguments of `frames` and forget what an earlier iteration met."""
        if start < 0 or every < 1:
            raise ValueError(f"start must be at least 0 and every at least 1, got {start} and {every}")
        self.damaged = 0
        self.warnings = []

    def _warn(self, message: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(message)
        elif len(self.warnings) == MAX_WARNINGS:
            self.warnings.append("further warnings are left out")


def first_index(start: int, every: int) -> int:
    """The smallest multiple of `every` that is at least `start`."""
    return -(-start // every) * every
