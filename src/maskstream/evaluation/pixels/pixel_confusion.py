"""Which class the pixels of each class were called."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes
from maskstream.evaluation.verdict import Table

BACKGROUND = "background"


class PixelConfusion:
    """Counts of pixels by true and found class, the background being the last of both.

    A pixel of one true and one found class, either of which may be the background, counts once. Where masks overlap, a
    pixel has several classes: each that is both there and found counts as right, then each other true one is paired
    with each other found one; what has no partner left is paired with the background.
    """

    def __init__(self, classes: Classes) -> None:
        self._names = (*classes, BACKGROUND)
        self._px = np.zeros((len(self._names), len(self._names)), np.int64)

    def add(
        self,
        is_true: Mapping[int, NDArray[np.bool_]],
        is_found: Mapping[int, NDArray[np.bool_]],
        size_hw: tuple[int, int],
    ) -> None:
        """Count the pixels of the next image, given by the class ids that it shows."""
        right = {own: mask & is_found[own] for own, mask in is_true.items() if own in is_found}
        missed = _without(is_true, right)
        surplus = _without(is_found, right)
        none_missed, none_surplus = ~_any(missed, size_hw), ~_any(surplus, size_hw)
        background = len(self._names) - 1
        for own, mask in right.items():
            self._px[own, own] += np.count_nonzero(mask)
        for truth, mask in missed.items():
            self._px[truth, background] += np.count_nonzero(mask & none_surplus)
            for called, other in surplus.items():
                self._px[truth, called] += np.count_nonzero(mask & other)
        for called, mask in surplus.items():
            self._px[background, called] += np.count_nonzero(mask & none_missed)
        nowhere = none_missed & none_surplus & ~_any(right, size_hw)
        self._px[background, background] += np.count_nonzero(nowhere)

    def table(self) -> Table:
        """`confusion`: a row for each pair of a true and a called class, with the number of pixels."""
        rows = [
            (truth, called, int(self._px[row, column]))
            for row, truth in enumerate(self._names)
            for column, called in enumerate(self._names)
        ]
        return Table("confusion", ("truth", "called", "count"), tuple(rows))


def _without(
    of_class: Mapping[int, NDArray[np.bool_]], right: Mapping[int, NDArray[np.bool_]]
) -> dict[int, NDArray[np.bool_]]:
    """The pixels of each class that are not among the right ones of the same class."""
    return {own: mask & ~right[own] if own in right else mask for own, mask in of_class.items()}


def _any(of_class: Mapping[int, NDArray[np.bool_]], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    together = np.zeros(size_hw, bool)
    for mask in of_class.values():
        together |= mask
    return together
