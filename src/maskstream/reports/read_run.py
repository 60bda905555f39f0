"""A finished run as the report reads it: its facts and its tracks.

Memory is bounded: `tracks.csv` is streamed, and the first `TRACK_LIMIT` tracks are kept.
"""

from __future__ import annotations

import csv
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskstream.errors import SourceError

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
    summary = read_summary(path / "summary.json")
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


def read_summary(path: Path) -> dict[str, Any]:
    """`summary.json` as it stands. SourceError: it is missing or is not what a run writes."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise not_a_run(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise not_a_run(path, f"text that is not JSON ({error})") from error
    if not isinstance(summary, dict):
        raise not_a_run(path, f"JSON of type {type(summary).__name__}")
    return summary


def not_a_run(place: object, found: str) -> SourceError:
    """The error for a file that no finished run writes."""
    return SourceError(
        place,
        expected="a file of a finished run folder",
        found=found,
        remedy="give the command again, with --resume to keep what is there",
    )


def _rows(path: Path) -> Iterator[TrackRow]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            classes = _classes(reader.fieldnames or ())
            for row in reader:
                yield _track_row(row, classes, f"{path}, line {reader.line_num}")
    except OSError as error:
        raise not_a_run(path, error.strerror or str(error)) from error


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
        raise not_a_run(place, f"a row that does not read as a track ({error!r})") from error


def _percentage(row: Mapping[str, str], name: str) -> Percentage:
    column = f"{name}_percent"
    return Percentage(name, float(row[column]), _optional(row[f"{column}_low"]), _optional(row[f"{column}_high"]))


def _optional(text: str) -> float | None:
    return float(text) if text else None
