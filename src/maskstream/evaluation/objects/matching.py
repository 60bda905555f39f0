"""Which found object is which true one: COCO's greedy matching of one image, at its ten IoU thresholds at once.

The best-scored object takes, of the true ones that are still free, the one with the greatest IoU, if that reaches the
threshold; then the next. An object that takes none but reaches a crowd is ignored: neither right nor wrong. As in
`COCOeval.evaluateImg` of cocoapi for objects of all sizes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream.evaluation.objects.shapes import Ious

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""COCO's."""

AT_HALF = 1
"""The bit of the first threshold, IoU 0.50, in `Matches`."""

NONE = -1
"""No object."""


class Matches(NamedTuple):
    """What became of n found objects.

    Attributes
    ----------
    hits : (n,) uint16, bit t set where the object matches a true one at `IOU_THRESHOLDS[t]`.
    ignored : (n,) uint16, bit t set where it matches nothing but a crowd.
    partners : (n,) int64, the true object matched at IoU 0.50, or `NONE`.
    """

    hits: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
    partners: NDArray[np.int64]


def match(ious: Ious, crowds: NDArray[np.bool_]) -> Matches:
    """Match found objects with true ones.

    Parameters
    ----------
    ious : (found, true), the found objects in the order of their scores, best first.
    crowds : (true,) flags.
    """
    hits, partners = [0] * len(ious), [NONE] * len(ious)
    taken = [0] * len(crowds)
    levels = np.searchsorted(IOU_THRESHOLDS, ious, side="right")
    found, true = np.nonzero(levels * ~crowds)
    # of equal IoUs COCO takes the last
    order = np.lexsort((-true, -ious[found, true], found))
    found, true = found[order], true[order]
    reached = (1 << levels[found, true]) - 1
    for row, column, bits in zip(found.tolist(), true.tolist(), reached.tolist(), strict=True):
        new = bits & ~taken[column] & ~hits[row]
        taken[column] |= new
        hits[row] |= new
        if new & AT_HALF:
            partners[row] = column
    hit = np.array(hits, np.uint16)
    in_crowd = (1 << levels[:, crowds].max(axis=1, initial=0)) - 1
    return Matches(hit, in_crowd.astype(np.uint16) & ~hit, np.array(partners, np.int64))
