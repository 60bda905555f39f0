"""Ids that stay with their objects through shake, short disappearance and crossing.

A tracker of boxes and class probabilities: it never sees pixels, so that a resumed run replays the lines it
has written and goes on with the same ids. Every frame takes four steps.

1. Predict: each track moves on with the camera and with its own velocity relative to it. Tracks out of sight
   move with the camera too, since what they show is fixed to the same ground.
2. Find the common shift: a hand that jerks moves everything alike. Of the shifts that bring some track onto
   some detection the one is taken that explains most detections, less a price for its surprise.
3. Pair tracks and detections one to one for the largest total likeness (place, size, class); then once more,
   with a wide reach, what is still alone: objects that were away and came back elsewhere.
4. Refresh the paired tracks, begin new ones, forget those unseen for too long.

An object gets its id on first sight, so that no line waits for a later one; whoever reads the tracks leaves
out those that were seen only once or twice. `docs/adr/0002-tracker.md` says why, with figures.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.tracking.assignment import best_pairs
from maskstream.tracking.cut_boxes import CutBoxes

Array = NDArray[np.float64]
Pairs = list[tuple[int, int]]


class Moment(Protocol):
    """When and where a frame was seen: a `Frame`, or what its written line says."""

    @property
    def time_s(self) -> float:
        """Timestamp in seconds."""
        ...

    @property
    def source(self) -> str:
        """What the frame was read from; another source begins a new scene."""
        ...


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What a tracker takes for granted. Likeness is 0..1; lengths are shares of an object or of the diagonal.

    Attributes
    ----------
    memory_s : a track unseen for longer than this is forgotten.
    first_memory_s, memory_per_hit_s : the same for a track seen on few frames, most often a false
        detection: so much at first, and so much more for each frame.
    proven_hits : frames after which a track is trusted to tell the camera's movement and to come back.
    reach : standard deviation of an object's place around its prediction, in object sizes.
    least_likeness : likeness below which a track and a detection are not paired.
    wide_reach_per_s, blind_reach_per_s, wide_least_likeness : the same for tracks and detections left alone,
        in diagonals for each second unseen: where others tell the camera's movement, and where none does.
    shift_at_once, shift_per_s : a usual surprise of the common shift, in diagonals: at once, and for each
        second since a trusted track was last seen.
    shift_price : likeness that a usual surprise costs; it grows with the square.
    """

    memory_s: float = 2.5
    first_memory_s: float = 0.4
    memory_per_hit_s: float = 0.1
    proven_hits: int = 5
    reach: float = 0.3
    least_likeness: float = 0.2
    wide_reach_per_s: float = 0.25
    blind_reach_per_s: float = 1.5
    wide_least_likeness: float = 0.4
    shift_at_once: float = 0.08
    shift_per_s: float = 0.8
    shift_price: float = 0.35


class Tracker:
    """Gives track ids to the detections of one frame after another.

    Its state is a function of the detections, times and sources it was given, in order. Memory holds the
    tracks of the last few seconds only.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self._settings = settings or TrackerSettings()
        self._source: str | None = None
        self._next_id = 1

    def update(self, frame: Moment, detections: Detections) -> Detections:
        """The same detections with track ids, each 1 or more and once in a frame.

        Ids count on over the whole life of the tracker, also where a new source begins a new scene.
        """
        if frame.source != self._source:
            self._begin_scene(frame, len(detections.classes))
        self._predict(frame.time_s)
        self._forget()
        seen = CutBoxes(detections)
        pairs = self._pair(seen)
        ids = np.zeros(len(detections), np.int64)
        for row, column in pairs:
            ids[column] = self._tracks.ids[row]
        new = np.flatnonzero(ids == 0)
        ids[new] = self._next_id + np.arange(len(new))
        self._refresh(seen, pairs)
        self._begin_tracks(seen, new, ids[new])
        return detections.with_track_ids(ids)

    def _begin_scene(self, frame: Moment, class_count: int) -> None:
        self._source = frame.source
        self._tracks = _Tracks.none(class_count)
        self._time_s = self._camera_seen_s = frame.time_s
        self._camera_velocity = np.zeros(2)

    def _predict(self, time_s: float) -> None:
        step_s = max(time_s - self._time_s, 0.0)
        self._time_s += step_s
        # a hand does not go on in one direction for long: what is extrapolated dies away
        self._camera_velocity *= np.exp(-(self._time_s - self._camera_seen_s) / 0.25)
        own = self._tracks.velocities * np.exp(-self._unseen_s() / 0.5)[:, None]
        self._tracks.centres += (self._camera_velocity + own) * step_s

    def _pair(self, seen: CutBoxes) -> Pairs:
        """Pairs (track, detection); the tracks are moved by the common shift that the pairs show."""
        if not len(self._tracks) or not len(seen):
            return []
        settings = self._settings
        trust = 0.5 + 0.5 * self._tracks.hits / (self._tracks.hits + 3)
        likeness = self._resemblance(seen) * trust[:, None]
        near = likeness * self._nearness(seen, self._common_shift(seen, likeness)[None])[0]
        pairs = _pairs_from(near, settings.least_likeness)
        if pairs:
            self._follow_camera(seen, pairs)
        alone = self._resemblance(seen) * self._wide_nearness(seen, camera_known=bool(pairs)) * self._proven()[:, None]
        alone[[row for row, _ in pairs]] = 0
        alone[:, [column for _, column in pairs]] = 0
        returned = _pairs_from(alone, settings.wide_least_likeness)
        # one detection of several lost objects may be false, and must not carry the others away
        if returned and not pairs and 2 * len(returned) >= int(self._proven().sum()):
            self._follow_camera(seen, returned)
        return pairs + returned

    def _common_shift(self, seen: CutBoxes, likeness: Array) -> Array:
        """The shift of everything that was not foreseen, (2,) in pixels.

        Only the eight best known tracks and the eight best detections are asked, which bounds the work.
        """
        settings = self._settings
        known = np.lexsort((-self._tracks.hits, self._unseen_s()))[:8]
        shifts = np.vstack([np.zeros(2), self._moves(seen)[known, :8].reshape(-1, 2)])
        near = likeness * self._nearness(seen, shifts)
        explained = np.minimum(near.max(axis=1).sum(axis=1), near.max(axis=2).sum(axis=1))
        blind_s = self._time_s - self._camera_seen_s
        usual = seen.diagonal * (settings.shift_at_once + settings.shift_per_s * blind_s)
        price = settings.shift_price * (shifts**2).sum(axis=1) / usual**2
        best: Array = shifts[np.argmax(explained - price)]
        return best

    def _follow_camera(self, seen: CutBoxes, pairs: Pairs) -> None:
        proven = self._proven()
        moves = self._moves(seen)
        shown = [moves[pair] for pair in pairs if proven[pair[0]]] or [moves[pair] for pair in pairs]
        shift = np.median(shown, axis=0)
        blind_s = self._time_s - self._camera_seen_s
        self._tracks.centres += shift
        if blind_s > 0:
            self._camera_velocity += shift / blind_s
        if any(proven[row] for row, _ in pairs) or not proven.any():
            self._camera_seen_s = self._time_s

    def _refresh(self, seen: CutBoxes, pairs: Pairs) -> None:
        """Move the paired tracks to what they are paired with: place, velocity, size and class."""
        if not pairs:
            return
        tracks = self._tracks
        rows, columns = (np.array(side, np.intp) for side in zip(*pairs, strict=True))
        own = self._moves(seen)[rows, columns]
        gaps_s = np.maximum(self._unseen_s()[rows], 1e-3)
        tracks.centres[rows] += 0.8 * own
        tracks.velocities[rows] = 0.95 * tracks.velocities[rows] + 0.2 * own / gaps_s[:, None]
        tracks.sizes[rows] = seen.grown(tracks.sizes[rows], columns, share=0.2)
        tracks.probabilities[rows] += 0.1 * (seen.probabilities[columns] - tracks.probabilities[rows])
        tracks.seen_s[rows] = self._time_s
        tracks.hits[rows] += 1

    def _begin_tracks(self, seen: CutBoxes, columns: NDArray[np.intp], ids: NDArray[np.int64]) -> None:
        count = len(columns)
        begun = _Tracks(
            ids=ids,
            centres=seen.middles[columns],
            sizes=seen.sizes[columns],
            velocities=np.zeros((count, 2)),
            probabilities=seen.probabilities[columns],
            seen_s=np.full(count, self._time_s),
            hits=np.ones(count),
        )
        self._tracks = self._tracks.joined(begun)
        self._next_id += count

    def _forget(self) -> None:
        settings = self._settings
        memory_s = settings.first_memory_s + settings.memory_per_hit_s * self._tracks.hits
        self._tracks = self._tracks.select(self._unseen_s() <= np.minimum(memory_s, settings.memory_s))

    def _unseen_s(self) -> Array:
        return self._time_s - self._tracks.seen_s

    def _proven(self) -> NDArray[np.bool_]:
        return self._tracks.hits >= self._settings.proven_hits

    def _moves(self, seen: CutBoxes) -> Array:
        """How far each track would have to move to be each detection, (n, m, 2) in pixels."""
        return seen.centres(self._tracks.sizes) - self._tracks.centres[:, None]

    def _resemblance(self, seen: CutBoxes) -> Array:
        """How alike in size and class, (n, m) in 0..1. Classes flicker, so that they count little."""
        apart = 0.5 * np.abs(self._tracks.probabilities[:, None] - seen.probabilities).sum(axis=2)
        resemblance: Array = seen.size_likeness(self._tracks.sizes) * (1 - 0.3 * apart)
        return resemblance

    def _nearness(self, seen: CutBoxes, shifts: Array) -> Array:
        """How near to the prediction, after each of the shifts (s, 2): (s, n, m) in 0..1."""
        lengths = np.maximum(np.sqrt(self._tracks.sizes.prod(axis=1)), 0.03 * seen.diagonal)
        reach = self._settings.reach * lengths * (1 + self._unseen_s())
        off = self._moves(seen)[None] - shifts[:, None, None]
        return _bell((off**2).sum(axis=3), reach[:, None])

    def _wide_nearness(self, seen: CutBoxes, camera_known: bool) -> Array:
        """How near, in frame diagonals rather than object sizes, (n, m) in 0..1."""
        settings = self._settings
        per_s = settings.wide_reach_per_s if camera_known else settings.blind_reach_per_s
        reach = np.maximum(seen.diagonal * per_s * self._unseen_s(), 1e-3)
        return _bell((self._moves(seen) ** 2).sum(axis=2), reach[:, None])


@dataclass(slots=True, eq=False)
class _Tracks:
    """The n tracks in mind, an array each: place and size in pixels, velocity beside the camera's in pixels/s."""

    ids: NDArray[np.int64]
    centres: Array
    sizes: Array
    velocities: Array
    probabilities: Array
    seen_s: Array
    hits: Array

    @classmethod
    def none(cls, class_count: int) -> _Tracks:
        ids, number, vector = np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 2))
        return cls(ids, vector, vector, vector, np.zeros((0, class_count)), number, number)

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: NDArray[np.bool_]) -> _Tracks:
        return _Tracks(*(getattr(self, field.name)[rows] for field in fields(self)))

    def joined(self, others: _Tracks) -> _Tracks:
        names = [field.name for field in fields(self)]
        return _Tracks(*(np.concatenate([getattr(self, name), getattr(others, name)]) for name in names))


def _pairs_from(likeness: Array, least: float) -> Pairs:
    return best_pairs(np.where(likeness >= least, likeness, 0.0))


def _bell(squared_distance: Array, reach: Array) -> Array:
    bell: Array = np.exp(-0.5 * squared_distance / reach**2)
    return bell
