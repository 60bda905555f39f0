"""What is known of each track: when it was seen, how large it was, and its percentages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes, class_id
from maskstream.core.detections import NO_TRACK, Detection, Detections
from maskstream.tracking.percentages import Percentage, Views
from maskstream.tracking.views import Observation

FORGET_AFTER_S = 60.0
"""Seconds unseen after which a track is finished; far more than a tracker keeps a lost object in mind."""


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """One track, as `tracks.csv` and the report tell it.

    Attributes
    ----------
    track_id : from 1.
    source : the source in which it was seen.
    class_name : the class with the highest percentage over the whole track.
    first_frame, last_frame, first_time_s, last_time_s : where it begins and ends.
    frames_seen : frames with a detection of it; a track of very few frames is listed like any other.
    mean_area_px, mean_score : plain means over these frames.
    views : distinct views among these frames.
    effective_views : how many independent looks these amount to, 1 to `views`.
    best_frame, best_time_s : the first frame with the highest quality x score.
    percentages : by class name, over the whole track.
    """

    track_id: int
    source: str
    class_name: str
    first_frame: int
    last_frame: int
    first_time_s: float
    last_time_s: float
    frames_seen: int
    mean_area_px: float
    mean_score: float
    views: int
    effective_views: float
    best_frame: int
    best_time_s: float
    percentages: Mapping[str, Percentage]


@dataclass(slots=True)
class _OpenTrack:
    """A track that may still go on: sums over its frames, and its views."""

    track_id: int
    source: str
    first_frame: int
    first_time_s: float
    views: Views
    last_frame: int = 0
    last_time_s: float = 0.0
    frames_seen: int = 0
    area_px: int = 0
    score: float = 0.0
    best: tuple[float, int, float] = field(default=(-1.0, 0, 0.0))

    def add(self, frame_index: int, time_s: float, detection: Detection, observation: Observation) -> None:
        weight = observation.quality * detection.score
        self.last_frame, self.last_time_s = frame_index, time_s
        self.frames_seen += 1
        self.area_px += detection.mask.area_px
        self.score += detection.score
        if weight > self.best[0]:
            self.best = (weight, frame_index, time_s)
        self.views.add(int(observation.view, 16), weight, detection.probabilities)

    def summary(self) -> TrackSummary:
        percentages = self.views.percentages()
        return TrackSummary(
            track_id=self.track_id,
            source=self.source,
            class_name=max(percentages, key=lambda name: percentages[name].percent),
            first_frame=self.first_frame,
            last_frame=self.last_frame,
            first_time_s=self.first_time_s,
            last_time_s=self.last_time_s,
            frames_seen=self.frames_seen,
            mean_area_px=self.area_px / self.frames_seen,
            mean_score=self.score / self.frames_seen,
            views=len(self.views),
            effective_views=self.views.effective,
            best_frame=self.best[1],
            best_time_s=self.best[2],
            percentages=percentages,
        )


class TrackBook:
    """Gathers the frames of every track as they come.

    It needs only what stands in `detections.jsonl`, so that a resumed run comes to the same numbers, bit for bit,
    by reading the finished lines. A track still open takes a few kilobytes at most, a finished one its summary.

    Parameters
    ----------
    classes : the model's class names.
    calibration : the model's, already applied to the detections' probabilities; None leaves intervals out.
    forget_after_s : seconds unseen after which a track is finished; more than the tracker's memory.

    Raises
    ------
    KeyError : the calibrated class is not one of `classes`.
    """

    def __init__(
        self,
        classes: Classes,
        calibration: Calibration | None = None,
        forget_after_s: float = FORGET_AFTER_S,
    ) -> None:
        if calibration is not None:
            class_id(classes, calibration.positive)
        self._classes = classes
        self._calibration = calibration
        self._forget_after_s = forget_after_s
        self._open: dict[int, _OpenTrack] = {}
        self._finished: dict[int, TrackSummary] = {}

    def add(
        self,
        frame_index: int,
        time_s: float,
        source: str,
        detections: Detections,
        observations: Sequence[Observation],
    ) -> None:
        """Count one frame's detections, each with its observation; those without a track id are left out.

        Raises
        ------
        ValueError : there is not one observation a detection, or a finished track's id comes back.
        """
        self._finish_left_behind(source, time_s)
        for detection, observation in zip(detections, observations, strict=True):
            if detection.track_id != NO_TRACK:
                track = self._track(detection.track_id, frame_index, time_s, source)
                track.add(frame_index, time_s, detection, observation)

    def summaries(self) -> list[TrackSummary]:
        """All tracks so far, by id."""
        found = self._finished | {track_id: track.summary() for track_id, track in self._open.items()}
        return [found[track_id] for track_id in sorted(found)]

    @property
    def columns(self) -> list[str]:
        """The header of `tracks.csv`."""
        fixed = [
            "track_id",
            "source",
            "class",
            "first_frame",
            "last_frame",
            "first_time_s",
            "last_time_s",
            "frames_seen",
            "mean_area_px",
            "mean_score",
            "views",
            "best_frame",
            "best_time_s",
        ]
        return fixed + [f"{name}_percent{end}" for name in self._classes for end in ("", "_low", "_high")]

    def rows(self) -> list[dict[str, object]]:
        """The rows of `tracks.csv`, one a track; ends of intervals are empty without a calibration."""
        return [_row(summary) for summary in self.summaries()]

    def _track(self, track_id: int, frame_index: int, time_s: float, source: str) -> _OpenTrack:
        if track_id in self._finished:
            raise ValueError(
                f"track {track_id} comes back in frame {frame_index} after it was finished: "
                "forget_after_s must exceed the tracker's memory, and no track goes on in another source"
            )
        if track_id not in self._open:
            views = Views(self._classes, self._calibration)
            self._open[track_id] = _OpenTrack(track_id, source, frame_index, time_s, views)
        return self._open[track_id]

    def _finish_left_behind(self, source: str, time_s: float) -> None:
        """Close the tracks of an earlier source, and those not seen for long."""
        oldest_s = time_s - self._forget_after_s
        for track in list(self._open.values()):
            if track.source != source or track.last_time_s < oldest_s:
                self._finished[track.track_id] = self._open.pop(track.track_id).summary()


def _row(summary: TrackSummary) -> dict[str, object]:
    row: dict[str, object] = {
        "track_id": summary.track_id,
        "source": summary.source,
        "class": summary.class_name,
        "first_frame": summary.first_frame,
        "last_frame": summary.last_frame,
        "first_time_s": round(summary.first_time_s, 6),
        "last_time_s": round(summary.last_time_s, 6),
        "frames_seen": summary.frames_seen,
        "mean_area_px": round(summary.mean_area_px, 1),
        "mean_score": round(summary.mean_score, 4),
        "views": summary.views,
        "best_frame": summary.best_frame,
        "best_time_s": round(summary.best_time_s, 6),
    }
    for name, percentage in summary.percentages.items():
        row[f"{name}_percent"] = round(percentage.percent, 2)
        row[f"{name}_percent_low"] = "" if percentage.low is None else round(percentage.low, 2)
        row[f"{name}_percent_high"] = "" if percentage.high is None else round(percentage.high, 2)
    return row
