"""Which of the good frames are picked: the most valuable, far from each other in time and in what they show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.quality import HASH_BITS
from maskstream.data.frames.scores import UNRELATED_BITS, Scores

UNSEEN_SHARE = 0.2
"""Share of the picked frames in which the model sees nothing, as long as there are others."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A good frame.

    Attributes
    ----------
    place : where it lies in its film: seconds, or the number of the image in its folder.
    """

    scores: Scores
    place: float


def choose(candidates: Sequence[Candidate], count: int, apart_bits: int) -> list[Scores]:
    """Pick up to `count` frames, one after the other, best first.

    Each time it is the turn of the film with the fewest frames so far that has one left, so that films share alike and
    a poor one leaves its share to the others. Its next frame has the largest product of value, distance in time to the
    nearest picked frame of its film (full from the even spacing on) and hash distance to the nearest picked frame of
    any film (full from `UNRELATED_BITS` on). A frame within `apart_bits` of a picked one is never picked. Frames
    without an object, when a model was asked, stop at `UNSEEN_SHARE` of `count` while there are others; they fill up
    at the end.

    Returns
    -------
    The picked frames; fewer than `count` when the candidates do not have so many that differ.
    """
    if not candidates:
        return []
    state = _State(candidates, count, apart_bits)
    seen_first = np.array([candidate.scores.seen is False for candidate in candidates])
    unseen_limit = max(1, round(UNSEEN_SHARE * count))
    picked: list[int] = []
    for limit in (unseen_limit, count):
        while len(picked) < count:
            allowed = state.free if seen_first[picked].sum() < limit else state.free & ~seen_first
            if not allowed.any():
                break
            picked.append(state.pick(allowed))
    return [candidates[row].scores for row in picked]


class _State:
    """Distances of n candidates from what is picked so far."""

    def __init__(self, candidates: Sequence[Candidate], count: int, apart_bits: int) -> None:
        self._apart_bits = apart_bits
        self._video = np.array([candidate.scores.video for candidate in candidates])
        self._place = np.array([candidate.place for candidate in candidates], np.float64)
        self._hash = np.array([candidate.scores.hash_bits for candidate in candidates], np.uint64)
        self._value = np.array([candidate.scores.value for candidate in candidates], np.float64)
        self._spacing = _spacings(self._video, self._place, count)
        self._in_time = np.ones(len(candidates))
        self._bits = np.full(len(candidates), HASH_BITS)
        self._picked_of_video = np.zeros(self._video.max() + 1, np.int64)
        self.free = np.ones(len(candidates), bool)

    def pick(self, allowed: NDArray[np.bool_]) -> int:
        """Take the best of the allowed rows, and move the others away from it."""
        turn = self._picked_of_video[self._video]
        allowed = allowed & (turn == turn[allowed].min())
        allowed &= self._video == self._video[allowed].min()
        novelty = self._in_time * np.minimum(1.0, self._bits / UNRELATED_BITS)
        # even what has no value at all beats what is not allowed
        row = int(np.argmax(np.where(allowed, self._value * novelty, -1.0)))
        self._picked_of_video[self._video[row]] += 1
        same_video = self._video == self._video[row]
        gap = np.abs(self._place - self._place[row]) / self._spacing
        self._in_time = np.where(same_video, np.minimum(self._in_time, gap), self._in_time)
        self._bits = np.minimum(self._bits, bits_apart(self._hash, self._hash[row : row + 1])[:, 0])
        self.free &= self._bits > self._apart_bits
        self.free[row] = False
        return row


def _spacings(video: NDArray[np.int64], place: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Distance in time between even shares of `count` over all films, for each row."""
    videos = np.unique(video)
    spacing = np.ones(len(video))
    for number in videos:
        of_video = video == number
        span = float(np.ptp(place[of_video]))
        spacing[of_video] = span / math.ceil(count / len(videos)) or 1.0
    return spacing


def bits_apart(hashes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hash distances (n, m) of n hashes from m others."""
    return np.asarray(np.bitwise_count(hashes[:, None] ^ others[None, :]), np.int64)
