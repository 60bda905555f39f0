"""HOTA: how well objects are detected, kept apart and placed over a video, all in one figure.

Luiten, Osep, Dendorfer, Torr, Geiger, Leal-Taixe and Leibe, "HOTA: A Higher Order Metric for Evaluating Multi-Object
Tracking", IJCV 2021. In each frame true and found objects are paired one to one for the largest total of overlap x
agreement of their whole tracks; of these pairs those count whose IoU reaches a threshold alpha, and every figure is
the mean over alpha 0.05, 0.10 .. 0.95.

- DetA: hits / (hits + misses + false detections).
- AssA: mean over hits of hits / (hits + misses + false detections) of that one object with that one track.
- HOTA: the root of their product, at each alpha. LocA: mean IoU of the hits.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.tracking.assignment import best_pairs

ALPHAS = np.arange(1, 20) / 20
"""IoU from which a pair counts."""

_EPSILON = float(np.finfo(np.float64).eps)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class HotaSums:
    """What the figures follow from; the sums of several videos add up.

    Attributes
    ----------
    hits : pairs that count, (19,), one an alpha.
    association : over these, sum of the agreement of object and track, (19,).
    location : over these, sum of IoU, (19,).
    truths, found : objects in all frames.
    """

    hits: Array
    association: Array
    location: Array
    truths: int
    found: int

    def figures(self) -> dict[str, float]:
        """`HOTA`, `DetA`, `AssA` and `LocA`, 0..1.

        None of them where nothing is there and nothing was found, and no `LocA` without any hit. As in TrackEval an
        alpha without hits counts 0 in AssA and 1 in LocA.
        """
        if not self.truths + self.found:
            return {}
        detection = self.hits / (self.truths + self.found - self.hits)
        association = self.association / np.maximum(self.hits, 1)
        figures = {
            "HOTA": float(np.sqrt(detection * association).mean()),
            "DetA": float(detection.mean()),
            "AssA": float(association.mean()),
        }
        if self.hits.any():
            location = np.where(self.hits > 0, self.location / np.maximum(self.hits, 1), 1.0)
            figures["LocA"] = float(location.mean())
        return figures


class HotaJudge:
    """Takes the frames of one video.

    Whole tracks agree or not only when the video has ended, so that until then the overlaps are kept: 24 bytes for
    each pair of masks that touch in a frame, and never masks.
    """

    def __init__(self) -> None:
        self._truth_frames: Counter[int] = Counter()
        self._found_frames: Counter[int] = Counter()
        self._together: defaultdict[tuple[int, int], float] = defaultdict(float)
        self._truth, self._found, self._ious = array("q"), array("q"), array("d")
        self._ends = array("q", [0])

    def add(self, truth_ids: list[int], found_ids: list[int], ious: Array) -> None:
        """Judge the next frame: ids, each once, and the IoU of every true object with every found one, (n, m)."""
        self._truth_frames.update(truth_ids)
        self._found_frames.update(found_ids)
        beside = ious.sum(axis=0)[None] + ious.sum(axis=1)[:, None] - ious
        for row, column in zip(*np.nonzero(ious), strict=True):
            pair = truth_ids[row], found_ids[column]
            self._together[pair] += float(ious[row, column] / beside[row, column])
            self._truth.append(pair[0])
            self._found.append(pair[1])
            self._ious.append(float(ious[row, column]))
        self._ends.append(len(self._ious))

    def result(self) -> HotaSums:
        """The sums of all frames so far."""
        agreement = {
            (truth, found): together / (self._truth_frames[truth] + self._found_frames[found] - together)
            for (truth, found), together in self._together.items()
        }
        hits_of: defaultdict[tuple[int, int], Array] = defaultdict(lambda: np.zeros(len(ALPHAS)))
        location = np.zeros(len(ALPHAS))
        for start, end in zip(self._ends, self._ends[1:], strict=False):
            for pair, iou in self._paired(start, end, agreement):
                counts = iou >= ALPHAS - _EPSILON
                hits_of[pair] += counts
                location += iou * counts
        hits, association = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS))
        for (truth, found), own in hits_of.items():
            hits += own
            association += own * own / (self._truth_frames[truth] + self._found_frames[found] - own)
        return HotaSums(hits, association, location, self._truth_frames.total(), self._found_frames.total())

    def _paired(
        self, start: int, end: int, agreement: Mapping[tuple[int, int], float]
    ) -> list[tuple[tuple[int, int], float]]:
        """The pairs of one frame, and their IoU."""
        ids = list(zip(self._truth[start:end], self._found[start:end], strict=True))
        rows = {truth: row for row, truth in enumerate(dict.fromkeys(truth for truth, _ in ids))}
        columns = {found: column for column, found in enumerate(dict.fromkeys(found for _, found in ids))}
        scores = np.zeros((len(rows), len(columns)))
        ious: dict[tuple[int, int], tuple[tuple[int, int], float]] = {}
        for (truth, found), iou in zip(ids, self._ious[start:end], strict=True):
            place = rows[truth], columns[found]
            scores[place] = iou * agreement[truth, found]
            ious[place] = (truth, found), iou
        return [ious[place] for place in best_pairs(scores)]
