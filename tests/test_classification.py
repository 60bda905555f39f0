"""ROC AUC and decisions at one half."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from maskstream.evaluation.classification import decision_metrics, roc_auc

labelled = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@pytest.mark.parametrize(
    "probability, label, expected",
    [
        ([0.1, 0.9], [0, 1], 1.0),
        ([0.9, 0.1], [0, 1], 0.0),
        ([0.5, 0.5], [0, 1], 0.5),
        ([0.0, 0.0, 0.0, 0.7], [0, 1, 0, 1], 0.75),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
    ],
)
def test_hand_computed_area(probability: list[float], label: list[int], expected: float) -> None:
    assert roc_auc(np.array(probability), np.array(label, bool)) == pytest.approx(expected)


@given(labelled)
def test_equals_scikit_learn_with_ties(rows: list[tuple[int, bool]]) -> None:
    probability = np.array([value / 6 for value, _ in rows])
    label = np.array([positive for _, positive in rows])
    assert roc_auc(probability, label) == pytest.approx(roc_auc_score(label, probability), abs=1e-12)
    assert decision_metrics(probability, label)["balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(label, probability >= 0.5)
    )


def test_sensitivity_and_specificity_at_one_half() -> None:
    probability = np.array([0.5, 0.49, 0.9, 0.1, 0.7])
    label = np.array([1, 1, 1, 0, 0], bool)
    expected = {"sensitivity": 2 / 3, "specificity": 1 / 2, "balanced_accuracy": 7 / 12}
    assert decision_metrics(probability, label) == pytest.approx(expected)


@pytest.mark.parametrize("label", [[], [True, True], [False]])
def test_one_class_alone_is_refused(label: list[bool]) -> None:
    found = f"got {sum(label)} positive and {len(label) - sum(label)} negative"
    for figure in (roc_auc, decision_metrics):
        with pytest.raises(ValueError, match=found):
            figure(np.full(len(label), 0.5), np.array(label, bool))
