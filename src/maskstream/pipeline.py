"""The run: source -> segment -> track -> sinks.

`segment` yields results one by one and writes nothing; `run` writes a run folder and can be killed and resumed. Both
walk a frame through the same steps, hold a bounded number of frames, and give the same detections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from maskstream.core.detections import Detections
from maskstream.core.files import write_json
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.draw.overlay import draw_overlay
from maskstream.inference.load import load_model
from maskstream.media.lines import Line, line_to_detections
from maskstream.media.prefetch import prefetch
from maskstream.media.sinks import write_csv
from maskstream.media.sources import open_source
from maskstream.results import Result
from maskstream.run_folder import SUMMARY, TRACKS, RunFacts, RunFolder
from maskstream.summary import Stopwatch, summarise
from maskstream.tracking.tracker import Tracker
from maskstream.tracking.tracks import TrackBook
from maskstream.tracking.views import Observation, observe

PREFETCHED_FRAMES = 4

OnFrame = Callable[[int, int | None], None]
"""Told after each frame how many are done, and how many there will be where that is known."""


def segment(
    source: str | Path,
    model: Segmenter | str | Path = "lesions",
    *,
    score: float | None = None,
    every: int = 1,
    track: bool = True,
) -> Iterator[Result]:
    """Segment and track a source, frame by frame.

    Parameters
    ----------
    source : image, folder, glob, video or `sample:lesions`.
    model : a loaded model, the name of a bundled one, or a model folder.
    score : least probability that there is an object, 0..1; default: the model's own threshold.
    every : segment each n-th frame only.
    track : give each object an id that it keeps from frame to frame.

    Raises
    ------
    SourceError, ModelFolderError : when the first result is asked for, or a later frame cannot be read.
    """
    segmenter = _loaded(model)
    tracker = Tracker()
    with open_source(source) as frames, prefetch(frames.frames(every=every), PREFETCHED_FRAMES) as ahead:
        for frame in ahead:
            (found,) = segmenter.segment([frame], score)
            yield Result(frame, tracker.update(frame, found) if track else found)


def run(
    source: str | Path,
    out: Path,
    model: Segmenter | str | Path = "lesions",
    *,
    score: float | None = None,
    every: int = 1,
    resume: bool = False,
    on_frame: OnFrame = lambda done, total: None,
) -> None:
    """Segment and track a source into a run folder; `maskstream.run_folder` says what it holds.

    Parameters
    ----------
    source, model, score, every : as in `segment`.
    out : the run folder; new or empty, unless `resume`.
    resume : go on after the last finished line; lines, tracks and video become those of an unbroken run.

    Raises
    ------
    SourceError, ModelFolderError : the source or the model cannot be read; nothing is written.
    OutputError : the folder cannot be written or holds another run; finished lines are kept.
    """
    segmenter = _loaded(model)
    watch = Stopwatch()
    with open_source(source) as frames:
        facts = RunFacts.gather(frames, segmenter, score, every)
        total = -(-frames.frame_count // every) if frames.frame_count else None
        with RunFolder(out, facts, frames, resume=resume) as folder:
            memory = _Memory(segmenter)
            for line in folder.lines():
                memory.replay(line)
            with prefetch(frames.frames(folder.start, every), PREFETCHED_FRAMES) as ahead:
                for frame in watch.each("decode", ahead):
                    if (earlier := folder.finished_line(frame)) is not None:
                        folder.draw(frame, draw_overlay(frame.image, line_to_detections(earlier, segmenter.classes)))
                    else:
                        with watch("segment"):
                            (found,) = segmenter.segment([frame], score)
                        with watch("track"):
                            tracked, observations = memory.add(frame, found)
                        with watch("draw"):
                            image = draw_overlay(frame.image, tracked)
                        with watch("write"):
                            folder.draw(frame, image)
                            folder.write(frame, tracked, observations)
                    on_frame(folder.done, total)
        write_csv(out / TRACKS, memory.book.rows(), memory.book.columns)
        write_json(out / SUMMARY, summarise(folder, frames, segmenter, memory.book, watch))


class _Memory:
    """What a run knows of the frames before: a function of the finished lines alone, so that it can be rebuilt."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.classes = segmenter.classes
        self.tracker = Tracker()
        self.book = TrackBook(segmenter.classes, getattr(segmenter, "calibration", None))

    def add(self, frame: Frame, found: Detections) -> tuple[Detections, list[Observation]]:
        """Give the objects of a new frame their track ids, and count them."""
        observations = observe(frame, found)
        tracked = self.tracker.update(frame, found)
        self.book.add(frame.index, frame.time_s, frame.source, tracked, observations)
        return tracked, observations

    def replay(self, line: Line) -> None:
        """Count a frame that an earlier run finished."""
        moment = _Moment(line["time_s"], line["source"])
        tracked = self.tracker.update(moment, line_to_detections(line, self.classes))
        observations = [Observation(found["quality"], found["view"]) for found in line["detections"]]
        self.book.add(line["frame"], moment.time_s, moment.source, tracked, observations)


class _Moment(NamedTuple):
    time_s: float
    source: str


def _loaded(model: Segmenter | str | Path) -> Segmenter:
    return load_model(model) if isinstance(model, str | Path) else model
