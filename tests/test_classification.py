"""Decisions at one half, and what a confusion matrix says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from maskstream.evaluation.classes.classification import called_metrics, confusion_matrix, decision_metrics, of_class

labelled = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(labelled)
def test_balanced_accuracy_equals_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    probability = np.array([value / 6 for value, _ in rows])
    label = np.array([positive for _, positive in rows])
    assert decision_metrics(probability, label)["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(label, probability >= 0.5)
    )


def test_sensitivity_and_specificity_at_one_half() -> None:
    probability = np.array([0.5, 0.49, 0.9, 0.1, 0.7])
    label = np.array([1, 1, 1, 0, 0], bool)
    expected = {"sensitivity": 2 / 3, "specificity": 1 / 2, "balanced_accuracy": 7 / 12}
    assert decision_metrics(probability, label) == pytest.approx(expected)


@pytest.mark.parametrize(
    "label, expected", [([], {}), ([True, True], {"sensitivity": 1.0}), ([False], {"specificity": 0.0})]
)
def test_one_class_alone_defines_its_own_share(label: list[bool], expected: dict[str, float]) -> None:
    assert decision_metrics(np.full(len(label), 0.5), np.array(label, bool)) == expected


called = st.integers(2, 4).flatmap(
    lambda c: st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), min_size=1, max_size=30)
)


@given(called)
def test_figures_of_a_confusion_matrix_equal_scikit_learn(rows: list[tuple[int, int]]) -> None:
    truth, answer = (np.array(column) for column in zip(*rows, strict=True))
    count = int(max(truth.max(), answer.max())) + 1
    counts, names = confusion_matrix(truth, answer, count), "abcd"[:count]
    figures = called_metrics(counts, tuple(names))
    assert figures["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, answer))
    if "cohen_kappa" in figures:
        assert figures["cohen_kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, answer))
    else:
        assert len({*truth, *answer}) == 1
    if "macro_f1" in figures:
        assert figures["macro_f1"] == pytest.approx(
            sklearn_metrics.f1_score(truth, answer, average="macro", labels=range(count), zero_division=0)
        )
    else:
        assert {*truth, *answer} != set(range(count))
    for class_id in range(count):
        one = of_class(counts, class_id)
        for key, of in (
            ("sensitivity", sklearn_metrics.recall_score),
            ("precision", sklearn_metrics.precision_score),
            ("f1", sklearn_metrics.f1_score),
        ):
            reference = of(truth == class_id, answer == class_id, zero_division=np.nan)
            assert np.isnan(reference) if key not in one else one[key] == pytest.approx(reference)
        if (truth != class_id).any():
            assert one["specificity"] == pytest.approx(np.mean(answer[truth != class_id] != class_id))
        else:
            assert "specificity" not in one


def test_agreement_by_hand() -> None:
    """Cohen's own form: 70 of 100 agree where chance alone would give 50."""
    figures = called_metrics(np.array([[35, 15], [15, 35]]), ("a", "b"))
    assert figures["cohen_kappa"] == pytest.approx(0.4)
    assert figures["macro_f1"] == pytest.approx(0.7)
    assert "cohen_kappa" not in called_metrics(np.array([[3, 0], [0, 0]]), ("a", "b"))
