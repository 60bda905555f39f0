"""COCO's AP of any choice of images, with repeats, fast enough to be asked a thousand times.

Matching does not depend on the choice, so it is done once; sorting neither. What is left are sums of how often each
image counts. Precision, made monotone, can only be greatest at a hit, so that it is computed at hits alone, for all
classes and IoU thresholds together. Of all images, each once, the figures are those of `evaluation.objects.instance`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.evaluation.objects.arrays import joined
from maskstream.evaluation.objects.matching import IOU_THRESHOLDS, Matches

Ints = NDArray[np.int64]

RECALLS = np.linspace(0.0, 1.0, 101)
"""COCO's."""

_AP75 = 5


@dataclass(frozen=True, slots=True, eq=False)
class RankedMatches:
    """Detections of an image that count in AP, by class, best first in each; m of them, and n true objects.

    Attributes
    ----------
    class_ids, scores : (m,).
    matches : of these, class by class.
    truth_class_ids : (n,), crowds not among them.
    """

    class_ids: NDArray[np.int32]
    scores: NDArray[np.float64]
    matches: Matches
    truth_class_ids: NDArray[np.int32]


class AveragePrecision:
    """Detections of images, sorted once.

    Parameters
    ----------
    images : of each image in turn.
    image_ids : theirs; of equal scores COCO takes the image with the lower id first.
    n_classes : number of classes.
    thresholds : how many of `IOU_THRESHOLDS` are looked at, from 0.50 on.
    """

    def __init__(
        self,
        images: list[RankedMatches],
        image_ids: list[int],
        n_classes: int,
        thresholds: int = len(IOU_THRESHOLDS),
    ) -> None:
        self._n_images, self._n_classes, self._thresholds = len(images), n_classes, thresholds
        self._truth_image = np.repeat(np.arange(len(images)), [len(image.truth_class_ids) for image in images])
        self._truth_class = joined([image.truth_class_ids for image in images], np.int64)
        image = np.repeat(np.arange(len(images)), [len(image.class_ids) for image in images])
        class_ids = joined([image.class_ids for image in images], np.int64)
        scores = joined([image.scores for image in images], np.float64)
        hits = joined([image.matches.hits for image in images], np.int64)
        by_id = np.argsort(np.argsort(image_ids, kind="stable"))
        order = np.lexsort((by_id[image], -scores, class_ids))
        order = order[_up_to_last_hit(class_ids[order], hits[order], n_classes)]
        self._image, self._scores = image[order], scores[order]
        self._starts = np.searchsorted(class_ids[order], np.arange(n_classes + 1))
        ignored = joined([image.matches.ignored for image in images], np.int64)[order]
        self._hits = _Marked.of(hits[order], class_ids[order], thresholds, n_classes)
        self._ignored = _Marked.of(ignored, class_ids[order], thresholds, n_classes)
        # of each hit: how many ignored detections of its class and threshold are better
        length = len(order)
        keys = self._ignored.segments * length + self._ignored.places
        self._ignored_before = np.searchsorted(keys, self._hits.segments * length + self._hits.places)

    def figures(self, counts: Ints) -> dict[str, float]:
        """`AP`, `AP50`, `AP75` and `AR`; empty where no true object is among the images.

        Parameters
        ----------
        counts : (images,) how often each one counts.
        """
        n_true = np.bincount(self._truth_class, weights=counts[self._truth_image], minlength=self._n_classes)
        n_true = n_true.astype(np.int64)
        defined = np.flatnonzero(n_true)
        if not len(defined):
            return {}
        found, precision = self._at_hits(counts)
        totals = np.concatenate([[0], found])
        before, after = totals[self._hits.starts[:-1]], totals[self._hits.starts[1:]]
        before, after = (part.reshape(self._thresholds, self._n_classes)[:, defined] for part in (before, after))
        # a recall is reached at the first hit that makes the number of hits large enough
        needed = before[:, :, None] + hits_for_recalls(n_true[defined])
        reached = needed <= after[:, :, None]
        places = np.minimum(np.searchsorted(found, needed), max(len(found) - 1, 0))
        at_recalls = np.where(reached, precision[places], 0.0) if len(found) else np.zeros(reached.shape)
        by_threshold = at_recalls.mean(axis=(1, 2))
        figures = {"AP": float(by_threshold.mean()), "AP50": float(by_threshold[0])}
        if self._thresholds > _AP75:
            figures["AP75"] = float(by_threshold[_AP75])
        return figures | {"AR": float(((after - before) / n_true[defined]).mean())}

    def curve(self, class_id: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Recall, precision and score at each hit of a class at IoU 0.50, all images once; (n,) each, best score first.

        Empty without a true object of the class.
        """
        n_true = np.count_nonzero(self._truth_class == class_id)
        rows = slice(*self._hits.starts[class_id : class_id + 2]) if n_true else slice(0)
        _, precision = self._at_hits(np.ones(self._n_images, np.int64), monotone=False)
        places = self._hits.places[rows]
        recall = np.arange(1, len(places) + 1) / np.float64(n_true or 1)
        return recall, precision[rows], self._scores[places]

    def _at_hits(self, counts: Ints, *, monotone: bool = True) -> tuple[Ints, NDArray[np.float64]]:
        """Number of hits so far, over all segments, and precision, at each hit."""
        hits, segments = self._hits, self._hits.segments
        found = np.cumsum(counts[self._image[hits.places]])
        so_far = np.concatenate([[0], np.cumsum(counts[self._image])])
        answers = so_far[hits.places + 1] - so_far[self._starts[segments % self._n_classes]]
        if len(self._ignored.places):
            left_out = np.concatenate([[0], np.cumsum(counts[self._image[self._ignored.places]])])
            answers -= left_out[self._ignored_before] - left_out[self._ignored.starts[segments]]
        right = found - np.concatenate([[0], found])[hits.starts[segments]]
        precision = right / np.maximum(answers, 1)
        if not monotone:
            return found, precision
        # greatest from here to the end of the segment: those behind lie lower by more than any precision
        shifted = precision - 2.0 * segments
        return found, np.maximum.accumulate(shifted[::-1])[::-1] + 2.0 * segments


@dataclass(frozen=True, slots=True, eq=False)
class _Marked:
    """Places of marked detections in the sorted order, by threshold and class.

    Attributes
    ----------
    places : (k,) in the sorted order, segment by segment.
    segments : (k,) threshold x classes + class.
    starts : (segments + 1,) where each segment begins among these.
    """

    places: Ints
    segments: Ints
    starts: Ints

    @classmethod
    def of(cls, bits: Ints, class_ids: Ints, thresholds: int, n_classes: int) -> _Marked:
        at = [np.flatnonzero(bits >> threshold & 1) for threshold in range(thresholds)]
        places = np.concatenate(at)
        segments = np.repeat(np.arange(thresholds), [len(part) for part in at]) * n_classes + class_ids[places]
        return cls(places, segments, np.searchsorted(segments, np.arange(thresholds * n_classes + 1)))


def _up_to_last_hit(class_ids: Ints, hits: Ints, n_classes: int) -> NDArray[np.bool_]:
    """Which detections, sorted by class and score, come before the last hit of their class: others change nothing."""
    last = np.full(n_classes, -1)
    places = np.flatnonzero(hits)
    last[class_ids[places]] = places
    kept: NDArray[np.bool_] = np.arange(len(hits)) <= last[class_ids]
    return kept


def hits_for_recalls(n_true: Ints) -> Ints:
    """For each number of true objects, (n,), the fewest hits that reach each of `RECALLS`, (n, 101); at least one.

    Reached as COCO compares it: two floating-point numbers, so that 7 of 100 do not reach a recall of 0.07.
    """
    total = n_true[:, None]
    hits = np.ceil(RECALLS * total).astype(np.int64)
    hits -= (hits - 1) / total >= RECALLS
    hits += hits / total < RECALLS
    return np.maximum(hits, 1)
