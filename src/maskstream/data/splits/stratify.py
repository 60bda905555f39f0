"""Whole groups of images into splits, so that each split has its share of the images and of every class.

First by chance: groups with the same classes are put in the order of a hash and cut at the shares. Then by repair:
single groups move, and pairs of groups change places, as long as that brings the counts nearer to the shares; in a set
of single images with one class each there is little to repair. Chance comes from SHA-256 of seed and names, so that it
depends on nothing else, and an image that is added moves few others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float32]
Floats = NDArray[np.float64]

MOST_REPAIRS = 5000
"""Moves and exchanges; a bound on time for sets with many classes an image, which end a little less even."""


def assign(
    groups: Mapping[str, str],
    strata: Mapping[str, Collection[str]],
    shares: Mapping[str, float],
    seed: int,
    kept: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The split of each image.

    Sizes and class counts come as near to the shares as whole groups allow. Single images with one class each:
    sizes are off by less than 1, each class by 1 or less. Groups: no size is off by more than the largest group. Both
    hold where the smallest share is worth a group; no split is left empty.

    Parameters
    ----------
    groups : the group of each image.
    strata : the classes of each image; any number of them.
    shares : of each split, which sum to 1; there are at least as many groups as splits.
    kept : images whose split is settled; the rest of their group follows them.
    """
    if not groups:
        return {}
    members: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(groups):
        members[groups[name]].append(name)
    order = sorted(members, key=lambda group: _chance(seed, group))
    counts, labels = _count(order, members, strata)
    names, settled = list(shares), kept or {}
    fixed = np.array([_settled(members[group], settled, names) for group in order])
    share = np.array([shares[name] for name in names])
    start = np.where(fixed < 0, _by_chance(counts, labels, share, seed, fixed < 0), fixed)
    place = _Places(counts, share, start, fixed < 0).repaired()
    return {name: names[split] for group, split in zip(order, place) for name in members[group]}


def _chance(seed: int, text: str) -> float:
    """A number from 0 to below 1."""
    digest = hashlib.sha256(f"{seed}\0{text}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _count(
    order: list[str], members: Mapping[str, list[str]], strata: Mapping[str, Collection[str]]
) -> tuple[Counts, list[str]]:
    """Images of each group, (g, 1 + c): all of them first, then those with each of the c classes."""
    labels = sorted({label for names in members.values() for name in names for label in strata[name]})
    column = {label: index for index, label in enumerate(labels, start=1)}
    counts = np.zeros((len(order), 1 + len(labels)), np.float32, order="F")
    for row, group in enumerate(order):
        counts[row, 0] = len(members[group])
        for name in members[group]:
            for label in set(strata[name]):
                counts[row, column[label]] += 1
    return counts, labels


def _settled(names: list[str], kept: Mapping[str, str], splits: list[str]) -> int:
    return next((splits.index(kept[name]) for name in names if name in kept), -1)


def _by_chance(
    counts: Counts, labels: list[str], share: Floats, seed: int, free: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Cut the groups of each kind, which are in the order of their hash, at the shares."""
    kinds: defaultdict[bytes, list[int]] = defaultdict(list)
    for row in np.flatnonzero(free):
        kinds[counts[row].tobytes()].append(int(row))
    place = np.zeros(len(counts), np.int64)
    upto = np.cumsum(share)[:-1]
    for rows in kinds.values():
        holds = {labels[i]: int(n) for i, n in enumerate(counts[rows[0], 1:].tolist()) if n}
        # rounding the cuts by chance keeps many small kinds from all falling to the largest split
        cuts = np.floor(upto * len(rows) + _chance(seed, f"{counts[rows[0], 0]:.0f} {holds}"))
        place[rows] = np.searchsorted(cuts, np.arange(len(rows)), side="right")
    return place


def _weights(total: Floats, *, single: bool) -> Floats:
    """How much each column's errors weigh: sizes as much as all classes together.

    Between single images only the rounding matters, which is the same for every class. Whole groups leave larger
    errors, which hurt a rare class more.
    """
    weights = np.ones_like(total) if single else 1 / np.sqrt(np.maximum(total, 1))
    weights /= max(1, len(total) - 1)
    weights[0] = 1
    return weights


class _Places:
    """Where each group is, and what it would bring to move it.

    The cost is the sum over splits and columns of weight * (count - wanted)². For the move of group g from split s to
    t it changes by 2 (pull[t, g] - pull[s, g]) + 2 own[g], with pull[s] = counts @ (weights * excess[s]) and
    own = counts² @ weights.
    """

    def __init__(self, counts: Counts, share: Floats, place: NDArray[np.int64], free: NDArray[np.bool_]) -> None:
        self._counts, self._place, self._free = counts, place, free
        total = counts.sum(axis=0, dtype=np.float64)
        self._weights = _weights(total, single=bool((counts[:, 0] == 1).all()))
        excess = np.stack([counts[place == split].sum(axis=0, dtype=np.float64) for split in range(len(share))])
        excess -= share[:, None] * total
        self._size_excess = excess[:, 0]
        self._own = np.square(counts) @ self._weights
        self._pull = (counts @ (self._weights * excess).T).T

    def repaired(self) -> NDArray[np.int64]:
        """Move and exchange groups while it helps; at last no split is empty."""
        for _ in range(MOST_REPAIRS):
            moves = [(self._best(s, self._change(s, t)), s, t) for s, t in self._ways()]
            (change, group), source, target = min(moves, default=((0.0, -1), 0, 0))
            if change < -1e-6:
                self._move(group, source, target)
                continue
            exchanges = [(*self._exchange(s, t), s, t) for s, t in self._ways()]
            change, group, other, source, target = min(exchanges, default=(0.0, -1, -1, 0, 0))
            if change >= -1e-6:
                break
            self._move(group, source, target)
            self._move(other, target, source)
        self._fill_empty()
        return self._place

    def _ways(self) -> Iterator[tuple[int, int]]:
        return permutations(range(len(self._pull)), 2)

    def _change(self, source: int, target: int) -> Floats:
        return np.asarray(2 * (self._pull[target] - self._pull[source] + self._own))

    def _best(self, source: int, change: Floats) -> tuple[float, int]:
        """The best change that a free group of `source` makes, and the group."""
        allowed = np.where(self._free & (self._place == source), change, np.inf)
        group = int(np.argmin(allowed))
        return float(allowed[group]), group

    def _exchange(self, source: int, target: int) -> tuple[float, int, int]:
        """The group that most helps the classes, whatever it does to the sizes, and the best one to come back."""
        forth = self._change(source, target)
        size = self._counts[:, 0]
        sizes_part = 2 * size * (self._size_excess[target] - self._size_excess[source] + size)
        gain, group = self._best(source, forth - sizes_part)
        if gain == np.inf:
            return np.inf, -1, -1
        met = self._meeting(group)
        back, other = self._best(target, self._change(target, source) - 4 * met)
        return float(forth[group]) + back, group, other

    def _meeting(self, group: int) -> Floats:
        """Weighted scalar product of each group's counts with those of `group`."""
        held = np.flatnonzero(self._counts[group])
        return np.asarray(self._counts[:, held] @ (self._weights[held] * self._counts[group, held]))

    def _move(self, group: int, source: int, target: int) -> None:
        met = self._meeting(group)
        self._pull[source] -= met
        self._pull[target] += met
        self._size_excess[source] -= self._counts[group, 0]
        self._size_excess[target] += self._counts[group, 0]
        self._place[group] = target

    def _fill_empty(self) -> None:
        for target in range(len(self._pull)):
            if not (self._place == target).any():
                sources = [s for s in range(len(self._pull)) if (self._place == s).sum() > 1]
                moves = [(self._best(s, self._change(s, target)), s) for s in sources]
                (change, group), source = min(moves, default=((np.inf, -1), 0))
                if change < np.inf:
                    self._move(group, source, target)
