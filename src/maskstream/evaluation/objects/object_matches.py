"""The matches that AP counts: of each class on its own, the best so many detections of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream.evaluation.objects.average_precision import RankedMatches
from maskstream.evaluation.objects.matching import NONE, Matches, match
from maskstream.evaluation.objects.object_store import StoredImage
from maskstream.evaluation.objects.shapes import Ious


def ranked_matches(image: StoredImage, ious: Ious, max_detections: int) -> RankedMatches:
    """Match what competes in each class of an image with the true objects of that class."""
    ranked, truth_class_ids = image.ranked, image.truth_class_ids
    order = np.lexsort((-ranked.scores, ranked.class_ids))
    class_ids = ranked.class_ids[order]
    starts = np.searchsorted(class_ids, class_ids)
    order = order[np.arange(len(order)) - starts < max_detections]
    class_ids = ranked.class_ids[order]
    matches = by_class(ious[ranked.rows[order]], class_ids, truth_class_ids, image.crowds)
    return RankedMatches(class_ids, ranked.scores[order], matches, truth_class_ids[~image.crowds])


def by_class(
    ious: Ious, class_ids: NDArray[np.int32], truth_class_ids: NDArray[np.int32], crowds: NDArray[np.bool_]
) -> Matches:
    """`match` class by class: found objects, best first in each class, with true ones of the same class."""
    n = len(class_ids)
    matches = Matches(np.zeros(n, np.uint16), np.zeros(n, np.uint16), np.full(n, NONE, np.int64))
    for class_id in set(truth_class_ids.tolist()):
        rows, columns = np.flatnonzero(class_ids == class_id), np.flatnonzero(truth_class_ids == class_id)
        of_class = match(ious[np.ix_(rows, columns)], crowds[columns])
        matches.hits[rows], matches.ignored[rows] = of_class.hits, of_class.ignored
        partnered = of_class.partners != NONE
        matches.partners[rows[partnered]] = columns[of_class.partners[partnered]]
    return matches
