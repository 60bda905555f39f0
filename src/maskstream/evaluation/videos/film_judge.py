"""One video from its first frame to its last: every figure of it and of its true objects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.evaluation.verdict import ImageRow
from maskstream.evaluation.videos.davis import DavisJudge
from maskstream.evaluation.videos.hota import HotaJudge, HotaSums
from maskstream.evaluation.videos.jitter import Jitter, robust_sd
from maskstream.evaluation.videos.video import VideoJudge, VideoMetrics, iou_matrix
from maskstream.tracking.tracker import Tracker
from maskstream.tracking.tracks import TrackBook
from maskstream.tracking.views import observe

Sums = dict[str, NDArray[np.float64]]
"""Numbers that add up over videos, and from which `figures` follow."""

OF_OBJECTS = ("J", "J_recall", "J_decay", "F", "F_recall", "F_decay")
"""Figures of which the one of several objects is their mean."""

JITTERS = ("area_jitter", "true_area_jitter", "percentage_jitter")
"""The same, of the objects that were found long enough."""

SHARES = ("frame_class_accuracy", "track_class_accuracy")
"""Shares of the frames in which an object was hit."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoResult:
    """What a video is judged to be.

    Attributes
    ----------
    sums : numbers that add up over videos.
    objects : a row of columns for each true object, by its number.
    """

    sums: Sums
    objects: Mapping[int, ImageRow]


class FilmJudge:
    """Takes the frames of one video in order, tracks what was found, and judges it.

    Some figures are decided only by the whole video. Until it ends some 100 bytes are kept for each object and frame,
    and no mask; after it, sums.

    Parameters
    ----------
    classes : of what is found, and of the truth.
    calibration : the model's, already applied; None without.
    """

    def __init__(self, classes: Classes, calibration: Calibration | None) -> None:
        self._classes = classes
        self._frames = 0
        self._tracker, self._book = Tracker(), TrackBook(classes, calibration)
        self._clear, self._hota, self._davis = VideoJudge(), HotaJudge(), DavisJudge()
        self._jitter: defaultdict[int, Jitter] = defaultdict(Jitter)
        self._seen: Counter[int] = Counter()
        self._class_of: dict[int, int] = {}
        self._hits: Counter[int] = Counter()
        self._right: Counter[int] = Counter()
        # hits of an object of a class by a track: right or wrong once the track's class is known
        self._by_track: Counter[tuple[int, int, int]] = Counter()

    def add(self, frame: Frame, truth: Detections, found: Detections) -> None:
        """Judge the next frame: its true objects with their numbers as track ids, and what was found in it."""
        tracked = self._tracker.update(frame, found)
        self._book.add(frame.index, frame.time_s, frame.source, tracked, observe(frame, tracked))
        ious = iou_matrix(truth, tracked)
        self._hota.add(truth.track_ids.tolist(), tracked.track_ids.tolist(), ious)
        self._davis.add(truth, tracked, ious)
        for row, column in self._clear.add(truth, tracked, ious):
            number, class_id = int(truth.track_ids[row]), int(truth.class_ids[row])
            self._jitter[number].add(
                self._frames,
                int(tracked.areas_px[column]),
                int(truth.areas_px[row]),
                float(tracked.probabilities[column, class_id]),
            )
            self._hits[number] += 1
            self._right[number] += int(tracked.class_ids[column]) == class_id
            self._by_track[number, class_id, int(tracked.track_ids[column])] += 1
        for number, class_id in zip(truth.track_ids.tolist(), truth.class_ids.tolist(), strict=True):
            self._seen[number] += 1
            self._class_of.setdefault(number, class_id)
        self._frames += 1

    def result(self) -> VideoResult:
        """What the frames so far are judged to be."""
        track_class = {track.track_id: self._classes.index(track.class_name) for track in self._book.summaries()}
        track_right: Counter[int] = Counter()
        for (number, class_id, track_id), count in self._by_track.items():
            track_right[number] += count * (track_class[track_id] == class_id)
        several_classes = len(self._classes) > 1
        objects: dict[int, ImageRow] = {}
        for number, (j, f) in self._davis.result().items():
            jitter = self._jitter[number]
            hits = self._hits[number]
            objects[number] = {
                "class": self._classes[self._class_of[number]],
                "frames": self._seen[number],
                "frames_hit": hits,
                "J": j.mean,
                "J_recall": j.recall,
                "J_decay": j.decay,
                "F": f.mean,
                "F_recall": f.recall,
                "F_decay": f.decay,
                "JF": (j.mean + f.mean) / 2,
                "area_jitter": robust_sd(jitter.areas),
                "true_area_jitter": robust_sd(jitter.true_areas),
                # of a single class every percentage is 100, and every class right
                "percentage_jitter": robust_sd(jitter.probabilities) if several_classes else None,
                "frame_class_accuracy": self._right[number] / hits if hits and several_classes else None,
                "track_class_accuracy": track_right[number] / hits if hits and several_classes else None,
            }
        return VideoResult(self._sums(objects), objects)

    def _sums(self, objects: Mapping[int, ImageRow]) -> Sums:
        rows = list(objects.values())
        sums = {f"clear/{name}": float(value) for name, value in asdict(self._clear.result()).items()}
        sums |= {key: _total(rows, key) for key in (*OF_OBJECTS, *JITTERS)}
        sums |= {f"{key}/n": float(sum(row[key] is not None for row in rows)) for key in (*OF_OBJECTS, *JITTERS)}
        for key in SHARES:
            judged = [row for row in rows if row[key] is not None]
            sums[f"{key}/n"] = _total(judged, "frames_hit")
            sums[key] = float(sum(float(row[key] or 0) * int(row["frames_hit"] or 0) for row in judged))
        hota = self._hota.result()
        arrays = {"hota/hits": hota.hits, "hota/association": hota.association, "hota/location": hota.location}
        return {key: np.array(value) for key, value in sums.items()} | arrays


def _total(rows: list[ImageRow], key: str) -> float:
    return float(sum(float(row[key] or 0) for row in rows))


def added(sums: Mapping[str, NDArray[np.float64]]) -> Sums:
    """Sums of several videos, each number (videos, ...), added up over the videos."""
    return {key: values.sum(axis=0) for key, values in sums.items()}


def clear_of(sums: Sums) -> VideoMetrics:
    """MOTA, identity F1 and the counts behind them."""
    counts = {name.removeprefix("clear/"): value for name, value in sums.items() if name.startswith("clear/")}
    whole = {name: round(float(value)) for name, value in counts.items() if name != "track_iou_sum"}
    return VideoMetrics(**whole, track_iou_sum=float(counts["track_iou_sum"]))


def figures(sums: Sums) -> dict[str, float]:
    """The figures that follow from sums; those that the videos do not define are left out.

    - `J`, `F` and their mean `JF`, `J_recall`, `J_decay`, `F_recall`, `F_decay`: see `evaluation.videos.davis`; mean
      over objects.
    - `HOTA`, `DetA`, `AssA`, `LocA`: see `evaluation.videos.hota`. `MOTA`, `IDF1`: see `evaluation.videos.video`. Over
      all frames.
    - `area_jitter`, `percentage_jitter`: see `evaluation.videos.jitter`; mean over the objects that were hit in enough
      neighbouring frames. `true_area_jitter` is that of the true masks in the same frames.
    - `frame_class_accuracy`: of the frames in which an object was hit, the share in which the frame's own answer names
      its class; `track_class_accuracy`: in which the class of the whole track is its own. `tracking_gain`: the second
      less the first.
    """
    found = {}
    for key in (*OF_OBJECTS, *JITTERS, *SHARES):
        if sums[f"{key}/n"]:
            found[key] = float(sums[key] / sums[f"{key}/n"])
    if "J" in found:
        found["JF"] = (found["J"] + found["F"]) / 2
    if "track_class_accuracy" in found:
        found["tracking_gain"] = found["track_class_accuracy"] - found["frame_class_accuracy"]
    clear = clear_of(sums)
    hota = HotaSums(
        sums["hota/hits"], sums["hota/association"], sums["hota/location"], clear.truths, clear.detections
    ).figures()
    if clear.mota is not None:
        found["MOTA"] = clear.mota
    if clear.truths + clear.detections:
        found["IDF1"] = clear.idf1
    return {key: value for key, value in (hota | found).items() if value is not None}
