"""What overlapping windows of one image found, as one answer: nothing cut, nothing twice.

Two windows both look at the strip that they have in common, so detections of theirs are compared there:

- The same object fills the same pixels of the strip. A detection has one such partner in another window, or several
  that lie beside each other; so two objects side by side, or one on top of the other, stay two.
- Of an object that some window sees whole, the best-scored whole view is the answer; the others are dropped.
- A part at a window's inner edge is dropped where another window sees the same place and all around it: that window
  knows better what is there, and whether there is anything. Scores have no say in that, so a higher score threshold
  never brings a cut object back.
- What is left are parts of objects that no window sees whole: partners are joined into one object.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes, masks
from maskstream.core.boxes import Boxes
from maskstream.core.classes import Classes
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.masks import CroppedMask
from maskstream.core.union_find import UnionFind
from maskstream.inference.windows import TileSettings, Window


class View(NamedTuple):
    """What one window shows, in the image's pixels."""

    window: Window
    found: Detections


def merge(views: Sequence[View], classes: Classes, size_hw: tuple[int, int], settings: TileSettings) -> Detections:
    """The objects of an image of `size_hw`, best first; the windows cover it."""
    sights = [
        _Sight(view.window, mask, class_id)
        for view in views
        for mask, class_id in zip(view.found.masks, view.found.class_ids.tolist(), strict=True)
    ]
    if not sights:
        return Detections.empty(classes, size_hw)
    seen = Detections(
        boxes_xyxy=np.concatenate([view.found.boxes_xyxy for view in views]),
        masks=tuple(sight.mask for sight in sights),
        scores=np.concatenate([view.found.scores for view in views]),
        probabilities=np.concatenate([view.found.probabilities for view in views]),
        track_ids=np.full(len(sights), NO_TRACK, np.int64),
        classes=classes,
        size_hw=size_hw,
    )
    image = Window(0, 0, *size_hw)
    partners = _partners(sights, settings)
    cut = np.array([sight.goes_on_in(image, settings.edge_px) for sight in sights])
    whole, shown = _best_whole(seen.scores, cut, partners)
    seen_better = _inside_any(_extents(sights), _interiors([view.window for view in views], image, settings.edge_px))
    parts = np.flatnonzero(cut & ~shown & ~seen_better).tolist()
    objects = [[row] for row in whole] + _groups(parts, partners)
    return _joined(seen, objects) if objects else Detections.empty(classes, size_hw)


@dataclass(frozen=True, slots=True)
class _Sight:
    """One detection and the window that shows it."""

    window: Window
    mask: CroppedMask
    class_id: int

    @property
    def extent(self) -> Window:
        """The part of the image that the mask's bitmap covers."""
        return Window(self.mask.y0, self.mask.x0, *self.mask.bitmap.shape)

    def goes_on_in(self, other: Window, edge_px: int) -> bool:
        """Whether the object reaches an edge of its window beyond which the other window shows more."""
        y0, x0, y1, x1 = self.window.y0, self.window.x0, self.window.y1, self.window.x1
        height, width = self.window.height, self.window.width
        edges = (
            (other.y0 < y0, Window(y0, x0, edge_px, width)),
            (other.y1 > y1, Window(y1 - edge_px, x0, edge_px, width)),
            (other.x0 < x0, Window(y0, x0, height, edge_px)),
            (other.x1 > x1, Window(y0, x1 - edge_px, height, edge_px)),
        )
        return any(beyond and other.meet(edge).area_px(self.mask) > 0 for beyond, edge in edges)


class _Pair(NamedTuple):
    """Two sights that show the same; more of `smaller`, which has `smaller_px` in the strip, lies in the other."""

    a: int
    b: int
    iou: float
    same_class: bool
    common_px: int
    smaller: int
    smaller_px: int


def _partners(sights: Sequence[_Sight], settings: TileSettings) -> list[set[int]]:
    """For each sight those of other windows that show the same object, or a part of it."""
    rows_of: dict[Window, list[int]] = defaultdict(list)
    for row, sight in enumerate(sights):
        rows_of[sight.window].append(row)
    partners: list[set[int]] = [set() for _ in sights]
    for window, other in combinations(rows_of, 2):
        if not window.meets(other):
            continue
        neighbours = _neighbours(sights, rows_of[window], rows_of[other])
        pairs = [pair for a, b in neighbours if (pair := _compare(sights, a, b, settings))]
        told_px: dict[int, int] = defaultdict(int)
        for pair in sorted(pairs, key=lambda pair: (-pair.iou, not pair.same_class)):
            if told_px[pair.smaller] + pair.common_px > pair.smaller_px:
                continue  # a better partner has those pixels already
            for row, partner in ((pair.a, pair.b), (pair.b, pair.a)):
                told_px[row] += pair.common_px
                partners[row].add(partner)
    return partners


def _neighbours(sights: Sequence[_Sight], rows_a: Sequence[int], rows_b: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of sights whose boxes meet."""
    extents_a, extents_b = _extents([sights[row] for row in rows_a]), _extents([sights[row] for row in rows_b])
    for a, b in np.argwhere(boxes.intersections(extents_a, extents_b) > 0).tolist():
        yield rows_a[a], rows_b[b]


def _compare(sights: Sequence[_Sight], row_a: int, row_b: int, settings: TileSettings) -> _Pair | None:
    """The pair, when the two show the same object, or parts of one that belong together.

    A sight that ends inside its window tells of all its object, so nothing of the other may lie elsewhere. One that
    goes on in the other's window does not know what comes there, so the other counts in the strip only.
    """
    a, b = sights[row_a], sights[row_b]
    common_px = masks.intersection_px(a.mask, b.mask)
    if not common_px:
        return None
    strip = a.window.meet(b.window)
    strip_a_px, strip_b_px = strip.area_px(a.mask), strip.area_px(b.mask)
    a_goes_on, b_goes_on = a.goes_on_in(b.window, settings.edge_px), b.goes_on_in(a.window, settings.edge_px)
    area_a_px = strip_a_px if b_goes_on else a.mask.area_px
    area_b_px = strip_b_px if a_goes_on else b.mask.area_px
    iou = common_px / (area_a_px + area_b_px - common_px)
    both = a_goes_on and b_goes_on
    share_a = common_px / (strip_a_px if both else a.mask.area_px)
    share_b = common_px / (strip_b_px if both else b.mask.area_px)
    same_class = a.class_id == b.class_id
    share = max(share_a, share_b)
    nested = share >= settings.join_share and same_class if both else share >= settings.merge_share
    if iou < settings.merge_iou and not nested:
        return None
    smaller, smaller_px = (row_a, strip_a_px) if share_a >= share_b else (row_b, strip_b_px)
    return _Pair(row_a, row_b, iou, same_class, common_px, smaller, smaller_px)


def _best_whole(
    scores: NDArray[np.float32], cut: NDArray[np.bool_], partners: Sequence[set[int]]
) -> tuple[list[int], NDArray[np.bool_]]:
    """The best whole view of each object, and which sights (n,) show an object that is answered for so."""
    shown = np.zeros(len(scores), bool)
    whole = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if not cut[row] and not shown[row]:
            whole.append(row)
            shown[[row, *partners[row]]] = True
    return whole, shown


def _extents(sights: Sequence[_Sight]) -> Boxes:
    return np.array([sight.extent.box_xyxy for sight in sights], np.float32).reshape(-1, 4)


def _interiors(tiles: Sequence[Window], image: Window, edge_px: int) -> Boxes:
    """Boxes (n, 4) of windows less their edges inside the image."""
    edges = np.array([tile.box_xyxy for tile in tiles], np.float32)
    outer = edges == np.array(image.box_xyxy, np.float32)
    return np.where(outer, edges, edges + np.array([edge_px, edge_px, -edge_px, -edge_px], np.float32))


def _inside_any(inner: Boxes, outer: Boxes) -> NDArray[np.bool_]:
    """Which of the boxes (n, 4) lie in one of the others (m, 4) with all they have, shape (n,)."""
    begins = np.all(inner[:, None, :2] >= outer[None, :, :2], axis=2)
    ends = np.all(inner[:, None, 2:] <= outer[None, :, 2:], axis=2)
    return np.asarray(np.any(begins & ends, axis=1))


def _groups(rows: Sequence[int], partners: Sequence[set[int]]) -> list[list[int]]:
    """Rows that are partners of each other, be it by way of others."""
    places = {row: place for place, row in enumerate(rows)}
    sets = UnionFind(len(rows))
    for row, place in places.items():
        for partner in partners[row] & places.keys():
            sets.join(place, places[partner])
    groups: dict[int, list[int]] = defaultdict(list)
    for row, place in places.items():
        groups[sets.find(place)].append(row)
    return list(groups.values())


def _joined(seen: Detections, groups: Sequence[Sequence[int]]) -> Detections:
    """One object a group, best first: masks and boxes united, score and probabilities averaged over the pixels."""
    areas_px = np.maximum(seen.areas_px, 1)
    shares = [(areas_px[rows] / areas_px[rows].sum()).astype(np.float32) for rows in groups]
    boxes_of = [seen.boxes_xyxy[rows] for rows in groups]
    joined = Detections(
        boxes_xyxy=np.array([(*b[:, :2].min(axis=0), *b[:, 2:].max(axis=0)) for b in boxes_of], np.float32),
        masks=tuple(_united([seen.masks[row] for row in rows]) for rows in groups),
        scores=np.array([share @ seen.scores[rows] for share, rows in zip(shares, groups, strict=True)], np.float32),
        probabilities=np.stack([share @ seen.probabilities[rows] for share, rows in zip(shares, groups, strict=True)]),
        track_ids=np.full(len(groups), NO_TRACK, np.int64),
        classes=seen.classes,
        size_hw=seen.size_hw,
    )
    return joined.select(np.argsort(-joined.scores, kind="stable"))


def _united(parts: Sequence[CroppedMask]) -> CroppedMask:
    """The pixels of any part, on a bitmap no larger than they need."""
    if len(parts) == 1:
        return parts[0]
    y0, x0 = min(part.y0 for part in parts), min(part.x0 for part in parts)
    size_hw = (max(part.slices[0].stop for part in parts) - y0, max(part.slices[1].stop for part in parts) - x0)
    return CroppedMask(
        masks.union([CroppedMask(part.bitmap, part.x0 - x0, part.y0 - y0) for part in parts], size_hw), x0, y0
    )
