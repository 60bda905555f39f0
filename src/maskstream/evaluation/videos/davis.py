"""J, F and J&F of the true objects of a video, as DAVIS's benchmark of unsupervised methods defines them.

Definitions: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016
(J, F, recall, decay); Caelles et al., "The 2019 DAVIS Challenge on VOS", arXiv:1905.00737 (several objects, nobody
told where they are). Each object gets the one track that makes the sum of J + F over all objects largest. Every frame
counts, also the first and the last, which only those leave out that are given the first mask, and also the frames
that do not show the object: 1 where its track is absent too, 0 where it is not.

One rule of the benchmark is left out: a video may have more than 20 tracks.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.pixels.boundary import boundary_f, default_tolerance_px
from maskstream.tracking.assignment import best_pairs

RECALL_ABOVE = 0.5
"""Recall is the share of frames above this."""

Array = NDArray[np.float64]
Pair = tuple[int, int | None]
"""Ids of an object and a track; None for an empty track."""


@dataclass(frozen=True, slots=True)
class Course:
    """A figure of one object over the frames of its video.

    Attributes
    ----------
    mean : 0..1.
    recall : share of the frames above `RECALL_ABOVE`.
    decay : mean of the first quarter less that of the last; above 0 where it gets worse with time.
    """

    mean: float
    recall: float
    decay: float

    @classmethod
    def of(cls, values: Array) -> Course:
        """The course of the values of one frame after the other, (n,), n at least 1."""
        # the quarters share the frames at their ends; the term keeps halves from being rounded down
        ends = np.round(np.linspace(1, len(values), 5) + 1e-10).astype(int) - 1
        first, last = values[ends[0] : ends[1] + 1], values[ends[3] : ends[4] + 1]
        return cls(float(values.mean()), float(np.mean(values > RECALL_ABOVE)), float(first.mean() - last.mean()))


class DavisJudge:
    """Takes the frames of one video.

    Which track is whose is known only when the video has ended, so that until then the figures of each object and
    track that come near each other are kept, 24 bytes a frame and pair, and never masks.
    """

    def __init__(self) -> None:
        self._frames = 0
        self._regions, self._boundaries = _Measure(), _Measure()

    def add(self, truth: Detections, found: Detections, ious: Array) -> None:
        """Judge the next frame; `ious` of every true object with every found one, (n, m).

        Raises
        ------
        MissingDependency : SciPy is not installed.
        """
        frame, size_hw = self._frames, truth.size_hw
        self._frames += 1
        tolerance_px = default_tolerance_px(size_hw)
        for side, detections in (("truth", truth), ("found", found)):
            for item in detections:
                if item.mask.area_px:
                    self._regions.see(side, item.track_id, frame)
                if _has_boundary(item.mask, size_hw):
                    self._boundaries.see(side, item.track_id, frame)
        for row, a in enumerate(truth):
            for column, b in enumerate(found):
                if ious[row, column]:
                    self._regions.add((a.track_id, b.track_id), frame, float(ious[row, column]))
                lined = _has_boundary(a.mask, size_hw) and _has_boundary(b.mask, size_hw)
                if lined and _near(a.mask, b.mask, tolerance_px):
                    figure = _boundary_f(a.mask, b.mask, size_hw, tolerance_px)
                    self._boundaries.add((a.track_id, b.track_id), frame, figure)

    def result(self) -> dict[int, tuple[Course, Course]]:
        """J and F of each true object, by its id."""
        truth_ids = self._regions.ids("truth")
        found_ids: list[int | None] = [*self._regions.ids("found")]
        # who is short of tracks proposes empty ones
        found_ids += [None] * (len(truth_ids) - len(found_ids))
        j = self._regions.means(truth_ids, found_ids, self._frames)
        f = self._boundaries.means(truth_ids, found_ids, self._frames)
        of_object = {truth_ids[row]: found_ids[column] for row, column in best_pairs(j + f)}
        return {
            truth_id: (
                Course.of(self._regions.values(truth_id, of_object[truth_id], self._frames)),
                Course.of(self._boundaries.values(truth_id, of_object[truth_id], self._frames)),
            )
            if truth_id in of_object
            else (Course(0.0, 0.0, 0.0), Course(0.0, 0.0, 0.0))
            for truth_id in truth_ids
        }


class _Measure:
    """A figure of every pair of an object and a track in every frame: 1 where neither is there, 0 where only one is."""

    def __init__(self) -> None:
        self._seen: dict[str, defaultdict[int, array[int]]] = {
            side: defaultdict(lambda: array("q")) for side in ("truth", "found")
        }
        self._pairs: defaultdict[Pair, tuple[array[int], array[float]]] = defaultdict(lambda: (array("q"), array("d")))

    def see(self, side: str, track_id: int, frame: int) -> None:
        """An object or a track is there."""
        self._seen[side][track_id].append(frame)

    def add(self, pair: Pair, frame: int, value: float) -> None:
        """Both are there, and the figure is not 0."""
        frames, values = self._pairs[pair]
        frames.append(frame)
        values.append(value)

    def ids(self, side: str) -> list[int]:
        """The objects or tracks that were there at all, by first sight."""
        return list(self._seen[side])

    def means(self, truth_ids: list[int], found_ids: list[int | None], frames: int) -> Array:
        """Mean over all frames of each object (n) with each track (m; None: an empty one), (n, m)."""
        seen = [self._frames_of("found", found_id) for found_id in found_ids]
        track_of = np.repeat(np.arange(len(seen)), [len(own) for own in seen])
        track_frames = np.concatenate([*seen, np.zeros(0, np.int64)])
        means = np.zeros((len(truth_ids), len(found_ids)))
        for row, truth_id in enumerate(truth_ids):
            there = np.zeros(frames, bool)
            there[self._frames_of("truth", truth_id)] = True
            # a frame counts 1 unless the object is there, or the track where the object is not
            track_alone = np.bincount(track_of, weights=~there[track_frames], minlength=len(found_ids))
            sums = [np.sum(self._of((truth_id, found_id))[1]) for found_id in found_ids]
            means[row] = (frames - np.count_nonzero(there) - track_alone + sums) / frames
        return means

    def values(self, truth_id: int, found_id: int | None, frames: int) -> Array:
        """The figure of an object with a track (None: an empty one) in each frame, (frames,)."""
        values = np.ones(frames)
        values[self._frames_of("truth", truth_id)] = 0
        values[self._frames_of("found", found_id)] = 0
        together, figures = self._of((truth_id, found_id))
        values[together] = figures
        return values

    def _of(self, pair: Pair) -> tuple[NDArray[np.int64], Array]:
        """The frames in which the figure of a pair is not 0, and the figure."""
        frames, values = self._pairs.get(pair, ((), ()))
        return np.array(frames, np.int64), np.array(values, np.float64)

    def _frames_of(self, side: str, track_id: int | None) -> NDArray[np.int64]:
        return np.array(self._seen[side].get(track_id, ()) if track_id is not None else (), np.int64)


def _has_boundary(mask: CroppedMask, size_hw: tuple[int, int]) -> bool:
    """What fills the whole image has none: its edge is no boundary."""
    return 0 < mask.area_px < size_hw[0] * size_hw[1]


def _near(a: CroppedMask, b: CroppedMask, by_px: float) -> bool:
    """Whether the boxes around two masks are so near that boundaries may match."""
    (a_rows, a_columns), (b_rows, b_columns) = a.slices, b.slices
    # a boundary pixel may lie one pixel outside of its mask, to the left or above
    reach = by_px + 1
    return all(
        one.start - reach <= other.stop and other.start - reach <= one.stop
        for one, other in ((a_rows, b_rows), (a_columns, b_columns))
    )


def _boundary_f(a: CroppedMask, b: CroppedMask, size_hw: tuple[int, int], tolerance_px: float) -> float:
    """Boundary F of two masks of an image, in the part of it that holds both."""
    (a_rows, a_columns), (b_rows, b_columns) = a.slices, b.slices
    top, left = (max(min(one.start, other.start) - 1, 0) for one, other in ((a_rows, b_rows), (a_columns, b_columns)))
    bottom = min(max(a_rows.stop, b_rows.stop) + 1, size_hw[0])
    right = min(max(a_columns.stop, b_columns.stop) + 1, size_hw[1])
    part_hw = bottom - top, right - left
    near, far = (CroppedMask(mask.bitmap, mask.x0 - left, mask.y0 - top).dense(part_hw) for mask in (a, b))
    return boundary_f(near, far, tolerance_px)
