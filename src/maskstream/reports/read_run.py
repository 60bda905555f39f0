"""A finished run as the report reads it: facts, tracks, and what each track did over time.

Memory is bounded: `tracks.csv` and `detections.jsonl` are streamed, the best `TRACK_LIMIT` tracks are
kept, and each curve holds at most `POINT_LIMIT` points.
"""

from __future__ import annotations

import csv
import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.errors import SourceError
from maskstream.media.lines import read_lines
from maskstream.reports.curves import Curve

TRACK_LIMIT = 200
"""Tracks shown with a card; the others are counted, and stand in tracks.csv."""


@dataclass(frozen=True, slots=True)
class Percentage:
    """The percentage of one class over a whole track, 0..100, with its 95 % interval where there is one."""

    name: str
    percent: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class TrackRow:
    """One line of `tracks.csv`."""

    track_id: int
    source: str
    class_name: str
    first_time_s: float
    last_time_s: float
    frames_seen: int
    mean_area_px: float
    mean_score: float
    views: int
    best_frame: int
    best_time_s: float
    percentages: tuple[Percentage, ...]

    @property
    def picture_name(self) -> str:
        """Name of the image it was found in, without the folders."""
        return Path(self.source).name

    def percentage(self, name: str) -> Percentage | None:
        """The percentage of a class, None when the file has no such column."""
        return next((entry for entry in self.percentages if entry.name == name), None)


class BestView(NamedTuple):
    """Where an object is in its best frame.

    Attributes
    ----------
    box_xyxy : (4,) in the frame's pixels.
    size_hw : the frame's height and width.
    overlay_name : the overlay's file in a run of single images.
    """

    box_xyxy: NDArray[np.float64]
    size_hw: tuple[int, int]
    overlay_name: str


@dataclass(slots=True)
class History:
    """What one track did over time. `best` is None when no line shows the track's best frame."""

    curve: Curve = field(default_factory=Curve)
    best: BestView | None = None


class OverlayNames:
    """The names that `media.sinks.ImageSink` gives to the overlays of single images, asked for in the same order."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, source: str) -> str:
        """The file name of the next image's overlay."""
        stem = Path(source).stem
        candidates = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in candidates if candidate.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return f"{name}.jpg"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a finished run left on disk.

    Attributes
    ----------
    path : the folder.
    summary : `summary.json` as it stands.
    tracks : the tracks to show, the highest percentage of the positive class first (without one: the
        longest first), at most `TRACK_LIMIT`.
    tracks_per_class : number of tracks of each class, shown or not.
    """

    path: Path
    summary: Mapping[str, Any]
    tracks: tuple[TrackRow, ...]
    tracks_per_class: Mapping[str, int]

    @property
    def title(self) -> str:
        """What the run is called after: its source without the folders it lies in, a sample without its settings."""
        source = str(self.summary.get("source") or self.path.name)
        return source.partition("?")[0] if source.startswith("sample:") else Path(source).name

    @property
    def is_video(self) -> bool:
        """Whether the run read a video rather than single images."""
        return self.summary.get("kind") != "images"

    @property
    def model(self) -> Mapping[str, Any]:
        """The model's part of the summary; empty when there is none."""
        model = self.summary.get("model")
        return model if isinstance(model, dict) else {}

    @property
    def positive_class(self) -> str | None:
        """The class whose percentage the reader is after, where the model has one."""
        return self.model.get("positive_class") or None

    def headline(self, track: TrackRow) -> Percentage | None:
        """The percentage to show first: the positive class's, else the track's own class's.

        None for a model of one class, whose probability says nothing.
        """
        if len(track.percentages) < 2:
            return None
        return track.percentage(self.positive_class or track.class_name) or track.percentage(track.class_name)


def read_run(path: Path) -> FinishedRun:
    """Read `summary.json` and `tracks.csv`.

    Raises
    ------
    SourceError : a file is missing or is not what a run writes.
    """
    summary = _summary(path / "summary.json")
    model = summary.get("model")
    positive_class = model.get("positive_class") if isinstance(model, dict) else None
    counts: Counter[str] = Counter()

    def counted() -> Iterator[TrackRow]:
        for row in _rows(path / "tracks.csv"):
            counts[row.class_name] += 1
            yield row

    def rank(row: TrackRow) -> tuple[float, int, int]:
        shown = row.percentage(positive_class) if positive_class else None
        return (shown.percent if shown else 0.0, row.frames_seen, -row.track_id)

    tracks = tuple(heapq.nlargest(TRACK_LIMIT, counted(), key=rank))
    return FinishedRun(path, summary, tracks, dict(counts))


def _summary(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _not_a_run(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise _not_a_run(path, f"text that is not JSON ({error})") from error
    if not isinstance(summary, dict):
        raise _not_a_run(path, f"JSON of type {type(summary).__name__}")
    return summary


def _not_a_run(place: object, found: str) -> SourceError:
    return SourceError(
        place,
        expected="a file of a finished run folder",
        found=found,
        remedy="run `maskstream segment` again, with --resume to keep what is there",
    )


def _rows(path: Path) -> Iterator[TrackRow]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            classes = _classes(reader.fieldnames or ())
            for row in reader:
                yield _track_row(row, classes, f"{path}, line {reader.line_num}")
    except OSError as error:
        raise _not_a_run(path, error.strerror or str(error)) from error


def _classes(columns: Sequence[str]) -> list[str]:
    """Class names, read off the columns `<class>_percent`, `<class>_percent_low`, `<class>_percent_high`."""
    return [
        column.removesuffix("_percent")
        for column in columns
        if f"{column}_low" in columns and f"{column}_high" in columns
    ]


def _track_row(row: Mapping[str, str], classes: Sequence[str], place: str) -> TrackRow:
    try:
        return TrackRow(
            track_id=int(row["track_id"]),
            source=row["source"],
            class_name=row["class"],
            first_time_s=float(row["first_time_s"]),
            last_time_s=float(row["last_time_s"]),
            frames_seen=int(row["frames_seen"]),
            mean_area_px=float(row["mean_area_px"]),
            mean_score=float(row["mean_score"]),
            views=int(row["views"]),
            best_frame=int(row["best_frame"]),
            best_time_s=float(row["best_time_s"]),
            percentages=tuple(_percentage(row, name) for name in classes),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_run(place, f"a row that does not read as a track ({error!r})") from error


def _percentage(row: Mapping[str, str], name: str) -> Percentage:
    column = f"{name}_percent"
    return Percentage(name, float(row[column]), _optional(row[f"{column}_low"]), _optional(row[f"{column}_high"]))


def _optional(text: str) -> float | None:
    return float(text) if text else None


def read_histories(run: FinishedRun) -> dict[int, History]:
    """Stream `detections.jsonl` once, for the tracks that are shown.

    Raises
    ------
    SourceError : the file is missing, or a whole line is not what a run writes.
    """
    path = run.path / "detections.jsonl"
    histories = {track.track_id: History() for track in run.tracks}
    tracks = {track.track_id: track for track in run.tracks}
    names = OverlayNames()
    for number, line in enumerate(read_lines(path)):
        try:
            overlay_name = "" if run.is_video else names.name(line["source"])
            for detection in line["detections"]:
                track = tracks.get(detection["track_id"])
                if track is not None:
                    history = histories[track.track_id]
                    _add_to_curve(history.curve, run.headline(track), number, line["time_s"], detection)
                    if line["frame"] == track.best_frame:
                        history.best = _best_view(detection, line["size_hw"], overlay_name)
        except (KeyError, TypeError, ValueError) as error:
            raise _not_a_run(f"{path}, line {number + 1}", f"no line of a run ({error!r})") from error
    return histories


def _add_to_curve(
    curve: Curve, headline: Percentage | None, number: int, time_s: float, detection: Mapping[str, Any]
) -> None:
    probability = detection["probabilities"][headline.name] if headline else detection["score"]
    curve.add(number, time_s, 100 * probability, detection["area_px"])


def _best_view(detection: Mapping[str, Any], size_hw: Sequence[int], overlay_name: str) -> BestView:
    height, width = size_hw
    return BestView(np.array(detection["box_xyxy"], np.float64).reshape(4), (height, width), overlay_name)
