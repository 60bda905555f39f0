"""Greedy matching of one image: as COCO's own loops do it, and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskstream.evaluation.objects.matching import IOU_THRESHOLDS, NONE, match
from maskstream.evaluation.objects.object_matches import by_class

# few values, so that ties and values on a threshold occur
IOUS = st.sampled_from([0.0, 0.3, 0.5, 0.55, 0.6, 0.75, 0.8, 0.9, 0.95, 1.0])


def as_cocoeval(ious: np.ndarray, crowds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits and ignored, (10, found): the loops of `COCOeval.evaluateImg`, written out again."""
    order = np.argsort(crowds, kind="stable")
    ious, crowds = ious[:, order], crowds[order]
    hits, ignored = np.zeros((2, 10, len(ious)), bool)
    for t, threshold in enumerate(IOU_THRESHOLDS):
        taken = np.zeros(len(crowds), bool)
        for d in range(len(ious)):
            best, m = min(threshold, 1 - 1e-10), -1
            for g in range(len(crowds)):
                if taken[g] and not crowds[g]:
                    continue
                if m > -1 and not crowds[m] and crowds[g]:
                    break
                if ious[d, g] < best:
                    continue
                best, m = ious[d, g], g
            if m > -1:
                taken[m] = True
                hits[t, d], ignored[t, d] = not crowds[m], crowds[m]
    return hits, ignored


@given(st.data(), st.integers(0, 6), st.integers(0, 5))
def test_equals_cocos_loops(data: st.DataObject, found: int, true: int) -> None:
    ious = data.draw(hnp.arrays(np.float64, (found, true), elements=IOUS))
    crowds = data.draw(hnp.arrays(bool, true))
    matches, (hits, ignored) = match(ious, crowds), as_cocoeval(ious, crowds)
    bits = 1 << np.arange(10)[:, None]
    assert (((matches.hits & bits) > 0) == hits).all()
    assert (((matches.ignored & bits) > 0) == ignored).all()
    assert ((matches.partners != NONE) == hits[0]).all()
    partners = matches.partners[matches.partners != NONE]
    assert len(set(partners.tolist())) == len(partners)
    assert not crowds[partners].any()


def test_the_better_score_takes_the_object_and_the_second_is_wrong() -> None:
    matches = match(np.array([[0.6, 0.0], [0.9, 0.5]]), np.zeros(2, bool))
    # at 0.50, 0.55 and 0.60 the first object is taken by the better score; the second object is left, at 0.50 only
    assert matches.hits.tolist() == [0b0000000111, 0b0111111001]
    assert matches.partners.tolist() == [0, 1]


def test_in_a_crowd_nothing_is_right_or_wrong() -> None:
    matches = match(np.array([[0.7], [0.7], [0.2]]), np.array([True]))
    assert matches.hits.tolist() == [0, 0, 0]
    assert matches.ignored.tolist() == [0b11111, 0b11111, 0]


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 2)])
def test_nothing_to_match(shape: tuple[int, int]) -> None:
    matches = match(np.zeros(shape), np.zeros(shape[1], bool))
    assert [part.tolist() for part in matches] == [[0] * shape[0], [0] * shape[0], [NONE] * shape[0]]


def test_classes_are_matched_apart() -> None:
    """Both found objects lie on both true ones; each may take that of its own class only."""
    ious = np.array([[0.9, 0.8], [0.8, 0.9], [0.9, 0.9]])
    matches = by_class(ious, np.array([1, 0, 2], np.int32), np.array([0, 1], np.int32), np.zeros(2, bool))
    assert matches.partners.tolist() == [1, 0, NONE]
    assert matches.hits.tolist() == [0b1111111, 0b1111111, 0]
