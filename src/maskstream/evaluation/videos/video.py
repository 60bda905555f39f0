"""How well tracked masks follow the true objects of a video, judged frame by frame.

- IDF1, identity F1: Ristani, Solera, Zou, Cucchiara and Tomasi, "Performance Measures and a Data Set for
  Multi-Target, Multi-Camera Tracking", 2016. Whole tracks are paired one to one with whole true objects.
- MOTA and identity switches: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance:
  The CLEAR MOT Metrics", 2008. Pairs go on from frame to frame as long as they overlap.
- Track IoU: mean IoU over the frames that show an object, of the one track that fits it best on the whole (0 where
  that track is absent), then the mean over objects. DAVIS's J (`evaluation.videos.davis`) also counts the frames that
  do not show the object.

Two masks are a hit from an IoU of 0.5 on, whatever their classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.tracking.assignment import best_pairs

Ious = NDArray[np.float64]
Pairs = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class VideoMetrics:
    """Counts over the frames of one video or, added up by `pooled`, of several; the ratios follow from them.

    Attributes
    ----------
    frames : frames judged.
    objects : true objects, each counted once in a video.
    tracks : track ids found, each counted once in a video.
    truths, detections : true objects and found objects, counted in every frame.
    hits : found objects that overlap a true one, paired frame by frame (CLEAR MOT).
    switches : hits whose true object was hit by another track the time before.
    identity_hits : hits of each object by the one track that is its own (IDTP).
    track_iou_sum : sum over objects of their track IoU.
    """

    frames: int
    objects: int
    tracks: int
    truths: int
    detections: int
    hits: int
    switches: int
    identity_hits: int
    track_iou_sum: float

    @property
    def idf1(self) -> float:
        """2 IDTP / (truths + detections), 0..1. 1 where nothing was to be found and nothing was found."""
        total = self.truths + self.detections
        return 2 * self.identity_hits / total if total else 1.0

    @property
    def mota(self) -> float | None:
        """1 - (misses + false positives + switches) / truths, at most 1. None where nothing was to be found."""
        misses, false_positives = self.truths - self.hits, self.detections - self.hits
        return 1 - (misses + false_positives + self.switches) / self.truths if self.truths else None

    @property
    def track_iou(self) -> float | None:
        """Track IoU, 0..1: mean over true objects. None where there is no true object."""
        return self.track_iou_sum / self.objects if self.objects else None

    def flat(self) -> dict[str, float | int | None]:
        """Ratios and counts under flat keys, ready for JSON."""
        return {
            "idf1": self.idf1,
            "mota": self.mota,
            "track_iou": self.track_iou,
            "id_switches": self.switches,
            "misses": self.truths - self.hits,
            "false_positives": self.detections - self.hits,
            "n_truths": self.truths,
            "n_objects": self.objects,
            "n_tracks": self.tracks,
            "n_frames": self.frames,
        }


def pooled(videos: Iterable[VideoMetrics]) -> VideoMetrics:
    """The counts of several videos added up; ids of one video have nothing to do with those of another."""
    total = {field.name: 0 for field in fields(VideoMetrics)}
    for video in videos:
        total = {name: value + getattr(video, name) for name, value in total.items()}
    return VideoMetrics(**total)


class VideoJudge:
    """Takes the frames of one video in order; keeps sums over pairs of ids, never masks.

    Parameters
    ----------
    hit_iou : mask IoU from which a found object is a hit, above 0 and at most 1.
    """

    def __init__(self, hit_iou: float = 0.5) -> None:
        self._hit_iou = hit_iou
        self._frames = self._detections = self._hits = self._switches = 0
        self._seen: defaultdict[int, int] = defaultdict(int)
        self._track_ids: set[int] = set()
        self._pair_hits: defaultdict[tuple[int, int], int] = defaultdict(int)
        self._pair_iou: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._partner: dict[int, int] = {}

    def add(self, truth: Detections, found: Detections, ious: Ious | None = None) -> Pairs:
        """Judge the next frame.

        Parameters
        ----------
        ious : what `iou_matrix` gives for the two, where it is known already.

        Returns
        -------
        The pairs of a true and a found object (their places in `truth` and `found`) that count as hits.

        Raises
        ------
        ValueError : an object has no track id, or two of one frame share one.
        """
        truth_ids, found_ids = _checked_ids("truth", truth), _checked_ids("found", found)
        ious = iou_matrix(truth, found) if ious is None else ious
        self._frames += 1
        self._detections += len(found_ids)
        self._track_ids.update(found_ids)
        for truth_id in truth_ids:
            self._seen[truth_id] += 1
        for row, column in zip(*np.nonzero(ious), strict=True):
            pair = truth_ids[row], found_ids[column]
            self._pair_iou[pair] += float(ious[row, column])
            self._pair_hits[pair] += int(ious[row, column] >= self._hit_iou)
        return self._follow(truth_ids, found_ids, np.where(ious >= self._hit_iou, ious, 0.0))

    def result(self) -> VideoMetrics:
        """The metrics of all frames so far."""
        lengths = np.array(list(self._seen.values()), np.float64)
        return VideoMetrics(
            frames=self._frames,
            objects=len(self._seen),
            tracks=len(self._track_ids),
            truths=sum(self._seen.values()),
            detections=self._detections,
            hits=self._hits,
            switches=self._switches,
            identity_hits=round(_best_total(self._table(self._pair_hits))),
            track_iou_sum=_best_total(self._table(self._pair_iou) / np.maximum(lengths, 1)[:, None]),
        )

    def _follow(self, truth_ids: list[int], found_ids: list[int], ious: Ious) -> Pairs:
        """CLEAR MOT: pairs of before stay while they overlap; the rest pairs anew, as many as can be."""
        free, hits = ious.copy(), []
        for row, truth_id in enumerate(truth_ids):
            partner = self._partner.get(truth_id)
            column = found_ids.index(partner) if partner in found_ids else None
            if column is not None and free[row, column] > 0:
                hits.append((row, column))
                free[row, :] = free[:, column] = 0
        # a pair more outweighs any overlap
        more_first = np.where(free > 0, free + min(ious.shape), 0.0)
        for row, column in best_pairs(more_first):
            hits.append((row, column))
            self._switches += truth_ids[row] in self._partner
            self._partner[truth_ids[row]] = found_ids[column]
        self._hits += len(hits)
        return hits

    def _table(self, pairs: defaultdict[tuple[int, int], int] | defaultdict[tuple[int, int], float]) -> Ious:
        rows = {truth_id: row for row, truth_id in enumerate(self._seen)}
        columns = {found_id: column for column, found_id in enumerate(sorted({found for _, found in pairs}))}
        table = np.zeros((len(rows), len(columns)))
        for (truth_id, found_id), value in pairs.items():
            table[rows[truth_id], columns[found_id]] = value
        return table


def _best_total(table: Ious) -> float:
    return float(sum(table[row, column] for row, column in best_pairs(table)))


def iou_matrix(truth: Detections, found: Detections) -> Ious:
    """Mask IoU of every true object with every found one, (n, m)."""
    values = [[masks.iou(a, b) for b in found.masks] for a in truth.masks]
    return np.array(values, np.float64).reshape(len(truth), len(found))


def _checked_ids(what: str, detections: Detections) -> list[int]:
    ids: list[int] = detections.track_ids.tolist()
    if NO_TRACK in ids:
        raise ValueError(f"{what}: an object has no track id; run the tracker first")
    if len(set(ids)) < len(ids):
        raise ValueError(f"{what}: two objects of one frame share a track id: {sorted(ids)}")
    return ids
