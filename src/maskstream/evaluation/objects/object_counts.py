"""Precision, recall and F1 of objects, each with its most probable class and its own score, at IoU 0.50.

Matched class by class as in `evaluation.objects.matching`; what matches nothing but a crowd is neither right nor wrong
and does not count. F1 is the harmonic mean of both: C. J. van Rijsbergen, Information Retrieval (1979). Matching goes
by score, so that what a lower threshold lets in changes nothing above it: one matching holds for every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.evaluation.objects.arrays import joined
from maskstream.evaluation.objects.matching import AT_HALF
from maskstream.evaluation.objects.object_matches import by_class
from maskstream.evaluation.objects.object_store import StoredImage
from maskstream.evaluation.objects.shapes import Ious
from maskstream.evaluation.verdict import Value

Ints = NDArray[np.int64]

DECIDED = ("precision", "recall", "f1")
"""What there is at one threshold."""

BEST = ("best_f1", "best_f1_score")
"""What there is over all thresholds."""


def shares(hits: float, found: float, true: float) -> dict[str, float]:
    """`precision`, `recall` and `f1` of numbers of objects; without a found or without a true one what that leaves."""
    figures = {"precision": hits / found} if found else {}
    return figures | ({"recall": hits / true, "f1": 2 * hits / (found + true)} if true else {})


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """All images' objects, best score first; (n,) each, and the class of each true one, (k,)."""

    scores: NDArray[np.float32]
    class_ids: Ints
    hits: NDArray[np.bool_]
    truth_class_ids: Ints

    def of_class(self, class_id: int) -> _Sorted:
        own = self.class_ids == class_id
        true = self.truth_class_ids[self.truth_class_ids == class_id]
        return _Sorted(self.scores[own], self.class_ids[own], self.hits[own], true)

    def at(self, threshold: float) -> dict[str, float]:
        above = self.scores >= threshold
        return shares(int((self.hits & above).sum()), int(above.sum()), len(self.truth_class_ids))

    def best(self) -> dict[str, float]:
        if not len(self.truth_class_ids):
            return {}
        # a threshold lets in all objects of a score, so that only the last of each counts
        last = np.flatnonzero(np.append(self.scores[1:] != self.scores[:-1], True)[: len(self.scores)])
        f1 = 2 * np.cumsum(self.hits)[last] / (last + 1 + len(self.truth_class_ids))
        if not f1.any():
            return {"best_f1": 0.0}
        place = int(np.argmax(f1))
        return {"best_f1": float(f1[place]), "best_f1_score": float(self.scores[last[place]])}


class ObjectCounts:
    """Takes images one at a time.

    Parameters
    ----------
    score_threshold : score from which an object counts as found.
    """

    def __init__(self, score_threshold: float) -> None:
        self._threshold = score_threshold
        self._images: list[_Sorted] = []
        self._per_image: list[tuple[int, int, int]] = []

    def add(self, image: StoredImage, found: Detections, ious: Ious) -> None:
        """Take one image; `ious` (found, true) are those of the masks."""
        order = np.argsort(-found.scores, kind="stable")
        class_ids = found.class_ids[order].astype(np.int32)
        matches = by_class(ious[order], class_ids, image.truth_class_ids, image.crowds)
        counting = matches.ignored & AT_HALF == 0
        scores, hits = found.scores[order][counting], (matches.hits[counting] & AT_HALF).astype(bool)
        true = image.truth_class_ids[~image.crowds].astype(np.int64)
        self._images.append(_Sorted(scores, class_ids[counting].astype(np.int64), hits, true))
        above = scores >= self._threshold
        self._per_image.append((int((hits & above).sum()), int(above.sum()), len(true)))

    def per_image(self) -> Ints:
        """Of each image: hits, objects found at the threshold, true objects; (images, 3)."""
        return np.array(self._per_image, np.int64).reshape(-1, 3)

    def figures(self) -> dict[str, float]:
        """`precision`, `recall`, `f1` at the score threshold, all classes together, `best_f1` and `best_f1_score`.

        The last two are the greatest F1 that any threshold gives, and the highest score that gives it; left out where
        every threshold gives 0. Without a true object there is no recall and no F1, without a found one no precision.
        """
        objects = self._all()
        return objects.at(self._threshold) | objects.best()

    def of_classes(self, n_classes: int) -> list[dict[str, float]]:
        """The same of the objects that are of a class, or called so, class by class."""
        every = self._all()
        of_classes = [every.of_class(class_id) for class_id in range(n_classes)]
        return [objects.at(self._threshold) | objects.best() for objects in of_classes]

    def thresholds(self) -> list[dict[str, Value]]:
        """`precision`, `recall` and `f1`, all classes together, at each `score` of 0.01, 0.02, ... 0.99."""
        objects = self._all()
        return [{"score": percent / 100, **objects.at(percent / 100)} for percent in range(1, 100)]

    def _all(self) -> _Sorted:
        images = self._images
        scores = joined([image.scores for image in images], np.float32)
        order = np.argsort(-scores, kind="stable")
        return _Sorted(
            scores[order],
            joined([image.class_ids for image in images], np.int64)[order],
            joined([image.hits for image in images], np.bool_)[order],
            joined([image.truth_class_ids for image in images], np.int64),
        )
