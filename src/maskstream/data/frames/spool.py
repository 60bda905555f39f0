"""The frames of one film that may yet be picked: a bounded number of pictures on disk, whatever the film's length.

The film is cut into slots of equal length, and of each slot one frame is kept as a picture: a good one that shows what
the slot before did not. When there are more slots than may be, neighbours are joined in pairs, and of each pair the
better picture stays: slots are then twice as long. So pictures are spread over the film from the first frame on, though
nobody knows how long it will be; and a film of `n` frames writes about `capacity * (1 + log2(n / capacity) / 2)`
pictures rather than one a frame. What it costs: two frames that both would have been picked may fall into one slot.
Hence several slots for each frame asked for.

A slot's lines are written together when it ends, after its picture. A run that is killed loses at most the scores of
one slot; everything else is rebuilt from the lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from maskstream.core.files import whole_file
from maskstream.data.frames.scores import UNRELATED_BITS, Image, Opinion, Scores
from maskstream.media.lines import JsonLinesSink

LONGEST_FIRST_SLOT = 16
"""Frames of a slot at the start of a long film; a file that lies about its length then still has enough slots."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What a spool works with.

    Attributes
    ----------
    lines : where finished lines go.
    path : where the picture of a frame lies.
    encode : a frame's image as the bytes of its picture.
    ask : what the model says of an image, where there is a model.
    """

    lines: JsonLinesSink
    path: Callable[[Scores], Path]
    encode: Callable[[Image], bytes]
    ask: Callable[[Scores, Image], Opinion] | None


def first_slot_frames(frame_count: int | None, capacity: int) -> int:
    """Frames of a slot at the start of a film: a power of 2, so that few pictures are written to be deleted."""
    frames = 1
    while 2 * frames * capacity <= (frame_count or 0) and frames < LONGEST_FIRST_SLOT:
        frames *= 2
    return frames


class Spool:
    """The candidates of one film.

    Parameters
    ----------
    capacity : most pictures kept.
    slot_frames : frames of a slot at the start.
    every : only each n-th frame is given.
    """

    def __init__(self, desk: Desk, capacity: int, slot_frames: int, every: int) -> None:
        self._desk = desk
        self._capacity = capacity
        self._slot_frames = slot_frames
        self._every = every
        self._candidates: dict[int, Scores] = {}
        self._slot: int | None = None
        self._best: Scores | None = None
        self._best_image: Image | None = None
        self._best_worth = -1.0
        self._before: Scores | None = None
        self._unwritten: list[Scores] = []

    @property
    def candidates(self) -> list[Scores]:
        """The best frame of each slot that has ended, in order."""
        return [self._candidates[slot] for slot in sorted(self._candidates)]

    def replay(self, scores: Scores) -> None:
        """Take a frame whose line an earlier run has written; the picture of the best of a slot is there already."""
        self._add(scores, None)

    def add(self, scores: Scores, image: Image) -> None:
        """Take the next frame. OutputError: the disk is full."""
        self._add(scores, image)
        self._unwritten.append(scores)

    def _add(self, scores: Scores, image: Image | None) -> None:
        if scores.frame // self._every // self._slot_frames != self._slot:
            self.end_slot()
            self._slot = scores.frame // self._every // self._slot_frames
        worth = self._worth(scores)
        if worth > self._best_worth:
            self._best, self._best_image, self._best_worth = scores, image, worth

    def _worth(self, scores: Scores) -> float:
        """What decides inside a slot: quality, and up to twice as much for what the slot before did not show.

        The model has no say here, as it is asked about the best frame alone. A repeat comes behind everything else.
        """
        if scores.repeat_of is not None:
            return scores.quality / 4
        apart = UNRELATED_BITS if self._before is None else (scores.hash_bits ^ self._before.hash_bits).bit_count()
        return 1 + scores.quality * (1 + min(1.0, apart / UNRELATED_BITS)) / 2

    def end_slot(self) -> None:
        """Keep the best frame of the slot: its picture, then the slot's lines. OutputError: the disk is full."""
        best, slot = self._best, self._slot
        if best is None or slot is None:
            return
        if self._best_image is not None:
            if self._desk.ask:
                opinion = self._desk.ask(best, self._best_image)
                best = replace(
                    best,
                    objects=opinion.objects,
                    top_score=opinion.top_score,
                    uncertainty=opinion.uncertainty,
                )
            with whole_file(self._desk.path(best)) as temporary:
                temporary.write_bytes(self._desk.encode(self._best_image))
        for scores in self._unwritten:
            self._desk.lines.write((best if scores.frame == best.frame else scores).to_line())
        self._offer(slot, best)
        self._before = best
        while len(self._candidates) > self._capacity:
            self._join_slots()
        self._unwritten, self._slot = [], None
        self._best, self._best_image, self._best_worth = None, None, -1.0

    def _join_slots(self) -> None:
        before, self._candidates = self._candidates, {}
        self._slot_frames *= 2
        for slot, scores in before.items():
            self._offer(slot // 2, scores)

    def _offer(self, slot: int, scores: Scores) -> None:
        """Let a slot keep the better of its candidate and this one; the other's picture goes."""
        rival = self._candidates.get(slot)
        if rival is None:
            self._candidates[slot] = scores
            return
        better, worse = (scores, rival) if scores.order > rival.order else (rival, scores)
        self._candidates[slot] = better
        self._desk.path(worse).unlink(missing_ok=True)
