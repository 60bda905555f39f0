"""What `maskstream segment` leaves on disk, and how a run that was killed goes on.

run.json           how the run came about, written first: source, model and arguments with their hashes
overlay.mp4        the video with its objects drawn; for images `overlay/NAME.jpg`
detections.jsonl   a line a frame, written when the frame is finished
tracks.csv         a row a track
summary.json       counts, times per stage, versions, hashes
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from maskstream import __version__
from maskstream.core.detections import Detections
from maskstream.core.files import require_unused, write_json
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.errors import OutputError
from maskstream.inference.load import DeployedModel
from maskstream.media.base import Source
from maskstream.media.lines import JsonLinesSink, Line, detections_to_line, read_lines
from maskstream.media.sinks import ImageSink
from maskstream.media.video_sink import VideoSink
from maskstream.tracking.views import Observation

FACTS, LINES, OVERLAY, TRACKS, SUMMARY = "run.json", "detections.jsonl", "overlay", "tracks.csv", "summary.json"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What decides a run's result; a resumed run must have the same.

    Attributes
    ----------
    source_sha256 : hash of what is read; None for a live source.
    model_sha256 : hash of the model's manifest, which holds the hash of each of its files; None for a model that
        did not come from a model folder.
    """

    source: str
    source_sha256: str | None
    model: str
    model_sha256: str | None
    score: float
    every: int
    maskstream: str = __version__

    @classmethod
    def gather(cls, source: Source, segmenter: Segmenter, score: float | None, every: int) -> RunFacts:
        """The facts of a run that is about to begin."""
        return cls(
            source=source.name,
            source_sha256=None if source.live else source.content_sha256(),
            model=segmenter.name,
            model_sha256=segmenter.sha256 if isinstance(segmenter, DeployedModel) else None,
            score=segmenter.score_threshold if score is None else score,
            every=every,
        )


class RunFolder:
    """The open run folder: a context manager that takes finished frames, and knows those of an earlier run.

    Parameters
    ----------
    resume : go on with the run that the folder holds; else it must be new or empty.

    Attributes
    ----------
    finished : lines of the earlier run; 0 for a new one.
    start : index of the first frame to read again: to be drawn once more, or new.
    done : frames that need nothing more.

    Raises
    ------
    OutputError : the folder holds another run or cannot be written.
    """

    def __init__(self, path: Path, facts: RunFacts, source: Source, *, resume: bool) -> None:
        self.path = path
        self.facts = facts
        claim(path, asdict(facts), resume=resume)
        self._lines = JsonLinesSink(path / LINES, resume=resume)
        last_index, self.finished = -1, 0
        for line in self.lines():
            last_index, self.finished = line["frame"], self.finished + 1
        self._overlay = self._open_overlay(source)
        self.done = self._overlay.frame_count
        self._undrawn = itertools.islice(self.lines(), self.done, self.finished)
        self._next_undrawn = next(self._undrawn, None)
        self.start = self._next_undrawn["frame"] if self._next_undrawn else last_index + 1

    def lines(self) -> Iterator[Line]:
        """The finished lines, in order."""
        return read_lines(self.path / LINES)

    def finished_line(self, frame: Frame) -> Line | None:
        """The frame's line, where an earlier run finished it and only its picture is missing."""
        line = self._next_undrawn
        if line is None or line["frame"] != frame.index:
            return None
        self._next_undrawn = next(self._undrawn, None)
        return line

    def _open_overlay(self, source: Source) -> _Overlay:
        if source.kind == "images":
            return _ImageOverlay(self.path / OVERLAY, [line["source"] for line in self.lines()])
        rate = source.frame_rate / self.facts.every if source.frame_rate else None
        return _VideoOverlay(VideoSink(self.path / f"{OVERLAY}.mp4", rate, keep_frames=self.finished))

    def draw(self, frame: Frame, image: NDArray[np.uint8]) -> None:
        """Add the frame's overlay (h, w, 3) to the video or the folder of images."""
        self._overlay.write(frame, image)
        self.done += 1

    def write(self, frame: Frame, found: Detections, observations: Sequence[Observation]) -> None:
        """Write the frame's line, which says that it is finished."""
        extras = [asdict(observation) for observation in observations]
        self._lines.write(detections_to_line(frame.index, frame.time_s, frame.source, found, extras))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._lines.__exit__(kind, error, trace)
        finally:
            self._overlay.__exit__(kind, error, trace)


def claim(path: Path, facts: Mapping[str, Any], *, resume: bool) -> None:
    """Write `run.json` into a new folder, or see that the one to resume began with the same facts.

    Raises
    ------
    OutputError : the folder is in use or cannot be written, or the run to resume is missing or another one.
    """
    known = path / FACTS
    if not resume:
        require_unused(path, remedy="go on with --resume, or choose another --out")
        write_json(known, dict(facts))
        return
    try:
        begun = json.loads(known.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            known, expected="the facts of a run to resume", found=str(error), remedy="start it without --resume"
        ) from error
    differing = [name for name, value in facts.items() if begun.get(name) != value]
    if differing:
        raise OutputError(
            known,
            expected="a run of the same source, model and arguments",
            found="another " + ", ".join(f"{name} ({begun.get(name)})" for name in differing),
            remedy="resume with what the run began with, or choose another --out",
        )


class _Overlay(Protocol):
    """The drawn frames, as a video or as images; `frame_count` of them are there already."""

    frame_count: int

    def write(self, frame: Frame, image: NDArray[np.uint8]) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _VideoOverlay:
    def __init__(self, sink: VideoSink) -> None:
        self._sink = sink
        self.frame_count = sink.frame_count

    def write(self, frame: Frame, image: NDArray[np.uint8]) -> None:
        self._sink.write(image, frame.time_s)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)


class _ImageOverlay:
    def __init__(self, folder: Path, earlier: list[str]) -> None:
        self._sink = ImageSink(folder, earlier)
        self.frame_count = len(earlier)

    def write(self, frame: Frame, image: NDArray[np.uint8]) -> None:
        self._sink.write(frame.source, image)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.__exit__(kind, error, trace)
