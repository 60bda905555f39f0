"""Images that are in a dataset twice: the same file, the same pixels, or the same picture after an edit.

Near-duplicates are found after resizing, recompression, other brightness, contrast and colours, mirroring, quarter
turns and, in part, a crop (most of those by 2 % off each side, some by 5 %); `core.likeness` says how. Besides, two
images are near-duplicates whatever they show when their 16 x 16 thumbnails differ by no more than 4 of 255 grey levels
(root mean square): a model hardly tells them apart.

The thresholds were chosen on ISIC 2017 and the lungs and hold on the other sets; `benchmarks/near_duplicates.py`
measures that, and docs/splits.md has the figures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.core.likeness import FREQUENCIES, VIEWS, Floats, agreement, scaled, view, view_of_descriptors
from maskstream.core.parallel import OnProgress, ordered_map
from maskstream.core.union_find import UnionFind
from maskstream.data.duplicates.fingerprints import SMALL_PX, Fingerprints, fingerprint, fit
from maskstream.data.records import ImageRecord
from maskstream.media.images import read_grey_square, read_image, read_size_hw

METHOD = "brightness agrees in fine detail, block by block, after an affine map; version 1"

WORTH_A_LOOK = 0.92
"""Scalar product of descriptors from which a pair is compared; 0.935 is the least of ISIC 2017's near-duplicates."""
ROUGHLY_ALIKE = 0.5
"""Agreement at 72 pixels from which a pair is compared at 144."""
NEAR = 0.5
"""Agreement at 144 pixels from which a pair is a near-duplicate."""
SAME_COARSELY = 0.985
"""Scalar product of descriptors that speaks for itself. Different images of ISIC 2017, HAM10000, the lungs and DAVIS
reach 0.979."""
NEAR_IF_SAME_COARSELY = 0.35
"""Agreement that is then enough: heavy compression leaves little detail to agree in."""
LITTLE_DETAIL = 0.2
"""Detail at 72 pixels below which then none is asked for, as in blurred images; others have 0.44 or more."""
SAME_GREY_LEVELS = 4.0
"""Root mean square difference of 16 x 16 thumbnails, of 255, up to which two images are near-duplicates."""

SURELY = 0.9999
"""Scalar product of descriptors from which all pixels are compared: they may be the same in another file."""
UNLIKE = -1.0

FINE_PX, COARSEST_PX = 144, 48
KEPT_SQUARES = 4096
MOST_CANDIDATES = 32
"""Comparisons an image, the most promising ones: the bound on work where everything looks alike."""
LINKED_ENOUGH = 20
"""In a set of more images that are linked already, no further pairs are sought."""
ROWS, COLUMNS = 1024, 8192

Kind = Literal["identical", "near"]


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images of one picture.

    Attributes
    ----------
    a, b : names of the images; a sorts before b.
    kind : "identical" for the same bytes or pixels, "near" for the same picture after an edit.
    similarity : 1 for identical ones; else the agreement of their detail, from -1 to 1.
    how : what was found, in words, such as "the same picture, mirrored left to right".
    """

    a: str
    b: str
    kind: Kind
    similarity: float
    how: str


@dataclass(frozen=True, slots=True)
class Search:
    """What came out of a search.

    Attributes
    ----------
    pairs : by name.
    closest : the most alike pair that is no duplicate, if one came near.
    """

    pairs: tuple[DuplicatePair, ...]
    closest: DuplicatePair | None


class _Candidate(NamedTuple):
    """Numbers of two files, the view of the second that may be the first, and the product of their descriptors."""

    first: int
    second: int
    view: int
    alike: float


class _Comparison(NamedTuple):
    similarity: float
    kind: Kind | None
    how: str


def find_duplicates(records: Sequence[ImageRecord], on_progress: OnProgress | None = None) -> list[DuplicatePair]:
    """Every pair of duplicates, by name; images that are not there or cannot be read are passed over.

    In sets of more than 20 duplicates not every pair is listed, but enough to link them all.
    """

    def reading(done: int, total: int | None) -> None:
        if on_progress:
            on_progress(done, 2 * (total or 0))

    def comparing(done: int, total: int | None) -> None:
        if on_progress:
            on_progress((total or 0) + done, 2 * (total or 0))

    return list(search(fingerprint(records, reading), comparing).pairs)


def search(
    prints: Fingerprints, on_progress: OnProgress | None = None, *, apart: Mapping[str, str] | None = None
) -> Search:
    """Find duplicates among fingerprints.

    Parameters
    ----------
    apart : where only some pairs matter: a key for each image (its group, its split); pairs with equal
        keys are not looked at, nor are images without a key.
    """
    files = _distinct_files(prints, apart)
    pairs = list(files.identical_pairs())
    closest: DuplicatePair | None = None
    linked = UnionFind(len(files.members))
    found = set[tuple[int, int]]()
    square_of = lru_cache(KEPT_SQUARES)(lambda path: read_grey_square(path, FINE_PX))

    def compare(candidate: _Candidate) -> _Comparison:
        first, second = files.members[candidate.first][0], files.members[candidate.second][0]
        return _compare(prints, first, second, candidate, square_of)

    for wave in _waves(prints.descriptors[[members[0] for members in files.members]], files.keys, on_progress):
        todo = [c for c in wave if (c.first, c.second) not in found and not _linked_enough(linked, c)]
        for candidate, compared in zip(todo, ordered_map(compare, todo)):
            if compared.kind:
                found.add((candidate.first, candidate.second))
                linked.join(candidate.first, candidate.second)
                pairs += files.pairs_between(candidate.first, candidate.second, compared)
            elif closest is None or compared.similarity > closest.similarity:
                closest = next(files.pairs_between(candidate.first, candidate.second, compared))
    if closest and closest.similarity <= UNLIKE:
        closest = None
    return Search(tuple(sorted(pairs, key=lambda pair: (pair.a, pair.b))), closest)


def _linked_enough(linked: UnionFind, candidate: _Candidate) -> bool:
    together = linked.together(candidate.first, candidate.second)
    return together and linked.size(candidate.first) > LINKED_ENOUGH


@dataclass(frozen=True, slots=True, eq=False)
class _Files:
    """The distinct files: identical ones stand as one.

    Attributes
    ----------
    names : of all images.
    members : positions in `names` of each file's images.
    key_of : of each image, by its position.
    keys : of each file, as numbers; a file whose images have several keys has a number of its own.
    """

    names: tuple[str, ...]
    members: list[list[int]]
    key_of: dict[int, str]
    keys: NDArray[np.int64]

    def identical_pairs(self) -> Iterator[DuplicatePair]:
        for members in self.members:
            few = len(members) <= LINKED_ENOUGH
            for i, j in combinations(members, 2) if few else product(members[:1], members[1:]):
                yield from self._pair(i, j, _Comparison(1.0, "identical", "the same bytes"))

    def pairs_between(self, first: int, second: int, compared: _Comparison) -> Iterator[DuplicatePair]:
        for i, j in product(self.members[first][:LINKED_ENOUGH], self.members[second][:LINKED_ENOUGH]):
            yield from self._pair(i, j, compared)

    def _pair(self, i: int, j: int, compared: _Comparison) -> Iterator[DuplicatePair]:
        if self.key_of[i] != self.key_of[j]:
            a, b = sorted((self.names[i], self.names[j]))
            yield DuplicatePair(a, b, compared.kind or "near", compared.similarity, compared.how)


def _distinct_files(prints: Fingerprints, apart: Mapping[str, str] | None) -> _Files:
    if apart is None:
        apart = {name: name for name in prints.names}
    key_of = {position: apart[name] for position, name in enumerate(prints.names) if name in apart}
    by_hash: defaultdict[str, list[int]] = defaultdict(list)
    for position in key_of:
        by_hash[prints.sha256[position]].append(position)
    members = list(by_hash.values())
    numbers: dict[object, int] = {}
    keys = [frozenset(key_of[position] for position in positions) for positions in members]
    # several keys: a number that no other file has
    several = (number if len(found) > 1 else found for number, found in enumerate(keys))
    numbered = [numbers.setdefault(key, len(numbers)) for key in several]
    return _Files(prints.names, members, key_of, np.array(numbered, np.int64))


def _waves(descriptors: Floats, keys: NDArray[np.int64], on_progress: OnProgress | None) -> Iterator[list[_Candidate]]:
    """What to compare: for some rows at a time every row's best candidate, then every row's second best, and so on.

    In between, what was found may make further candidates needless.
    """
    starts = range(0, len(descriptors), ROWS)
    for start, found in zip(starts, ordered_map(lambda start: _products(descriptors, keys, start), starts)):
        first, second, which, alike = found
        order = np.lexsort((which, second, -alike, first))
        first, second, which, alike = first[order], second[order], which[order], alike[order]
        rank = np.arange(len(first)) - np.searchsorted(first, first)
        for wave in range(min(MOST_CANDIDATES, int(rank.max(initial=-1)) + 1)):
            chosen = rank == wave
            yield list(map(_Candidate, *(column[chosen].tolist() for column in (first, second, which, alike))))
        if on_progress:
            on_progress(min(start + ROWS, len(descriptors)), len(descriptors))


def _products(descriptors: Floats, keys: NDArray[np.int64], start: int) -> tuple[NDArray[Any], ...]:
    """First, second, view and product of the pairs worth a look whose first is one of the rows from `start` on."""
    rows = descriptors[start : start + ROWS].reshape(-1, FREQUENCIES**2)
    found: list[tuple[NDArray[Any], ...]] = []
    for left in range(start, len(descriptors), COLUMNS):
        block = descriptors[left : left + COLUMNS]
        for which in range(len(VIEWS)):
            columns = np.ascontiguousarray(view_of_descriptors(block, which)).reshape(-1, FREQUENCIES**2)
            alike = rows @ columns.T
            i, j = np.divmod(np.flatnonzero(alike >= WORTH_A_LOOK), len(block))
            wanted = (start + i < left + j) & (keys[start + i] != keys[left + j])
            i, j = i[wanted], j[wanted]
            found.append((start + i, left + j, np.full(len(i), which), alike[i, j]))
    return tuple(np.concatenate(column) for column in zip(*found, strict=True))


def _compare(
    prints: Fingerprints,
    first: int,
    second: int,
    candidate: _Candidate,
    square_of: Callable[[Path], NDArray[np.uint8]],
) -> _Comparison:
    a, b = prints.squares[first], view(prints.squares[second], candidate.view)
    plain = candidate.view == 0
    same = "the same picture" if plain else f"the same picture, {VIEWS[candidate.view]}"
    rough = agreement(a, b, blur_px=2.5, block_px=9)
    similarity = UNLIKE
    if rough.score >= ROUGHLY_ALIKE:
        fine_a, fine_b = square_of(prints.paths[first]), square_of(prints.paths[second])
        side_px = max(COARSEST_PX, min(len(fine_a), len(fine_b)))
        fine_a, fine_b = fit(fine_a, side_px), view(fit(fine_b, side_px), candidate.view)
        start = scaled(rough.matrix, side_px / SMALL_PX)
        similarity = agreement(fine_a, fine_b, blur_px=2, block_px=12, start=start).score
    if plain and candidate.alike > SURELY and _same_pixels(prints.paths[first], prints.paths[second]):
        return _Comparison(1.0, "identical", "the same pixels in another file")
    same_coarsely = candidate.alike >= SAME_COARSELY
    if similarity >= (NEAR_IF_SAME_COARSELY if same_coarsely else NEAR):
        return _Comparison(similarity, "near", same)
    if same_coarsely and rough.detail < LITTLE_DETAIL:
        return _Comparison(candidate.alike, "near", f"{same}, as far as its few details tell")
    grey_levels = float(np.sqrt(np.mean((fit(a, 16).astype(np.float32) - fit(b, 16)) ** 2)))
    if plain and grey_levels <= SAME_GREY_LEVELS:
        return _Comparison(1 - grey_levels / 255, "near", f"thumbnails differ by {grey_levels:.1f} of 255 grey levels")
    return _Comparison(similarity, None, same)


def _same_pixels(first: Path, second: Path) -> bool:
    return read_size_hw(first) == read_size_hw(second) and np.array_equal(read_image(first), read_image(second))
