"""ROC, precision-recall and operating points against scikit-learn, by hand, and by trying every threshold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from maskstream.evaluation.classes.class_tables import MOST_POINTS, class_pr_curve, operating_points, roc_curve
from maskstream.evaluation.classes.ranking import FIXED_LEVELS, OperatingPoint, Ranking

PROBABILITY = np.array([0.9, 0.8, 0.8, 0.6, 0.3, 0.1])
LABEL = np.array([1, 1, 0, 0, 1, 0], bool)

labelled = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def _arrays(rows: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([value / 6 for value, _ in rows]), np.array([positive for _, positive in rows])


def _turns(before: np.ndarray, corner: np.ndarray, after: np.ndarray) -> bool:
    first, second = corner - before, after - corner
    return abs(first[0] * second[1] - first[1] * second[0]) > 1e-9


def test_by_hand() -> None:
    ranking = Ranking.of(PROBABILITY, LABEL)
    assert ranking.thresholds.tolist() == [0.9, 0.8, 0.6, 0.3, 0.1]
    assert ranking.true_positives.tolist() == [1, 2, 2, 3, 3]
    assert ranking.false_positives.tolist() == [0, 1, 2, 2, 3]
    # of nine pairs: 0.9 beats three, 0.8 beats two and ties one, 0.3 beats one
    assert ranking.roc_auc() == pytest.approx(6.5 / 9)
    assert ranking.pr_auc() == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert ranking.at_specificity(0.95) == OperatingPoint(1 / 3, 1.0, 0.9)
    assert ranking.at_specificity(0.6) == OperatingPoint(2 / 3, 2 / 3, 0.8)
    assert ranking.at_sensitivity(0.5) == OperatingPoint(2 / 3, 2 / 3, 0.8)
    assert ranking.at_sensitivity(0.7) == OperatingPoint(1.0, 1 / 3, 0.3)


@given(labelled)
def test_areas_equal_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    probability, label = _arrays(rows)
    ranking = Ranking.of(probability, label)
    assert ranking.roc_auc() == pytest.approx(sklearn_metrics.roc_auc_score(label, probability), abs=1e-12)
    assert ranking.pr_auc() == pytest.approx(sklearn_metrics.average_precision_score(label, probability), abs=1e-12)


@given(labelled)
def test_curves_equal_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    probability, label = _arrays(rows)
    ranking = Ranking.of(probability, label)
    across, up, thresholds = sklearn_metrics.roc_curve(label, probability, drop_intermediate=False)
    every = {threshold: point for threshold, *point in zip(thresholds, across, up, strict=True)}
    table = roc_curve({"x": ranking}).rows
    assert table[0] == ("x", 0.0, 0.0, None)
    for _, false_positive_rate, sensitivity, threshold in table[1:]:
        assert [false_positive_rate, sensitivity] == pytest.approx(every[threshold])
    # points on a straight line are left out, so that the curve is the same
    corners = np.array([row[1:3] for row in table])
    assert np.trapezoid(corners[:, 1], corners[:, 0]) == pytest.approx(sklearn_metrics.auc(across, up))
    assert all(_turns(*corners[place - 1 : place + 2]) for place in range(2, len(corners) - 1))
    # scikit-learn's curve runs the other way, and begins with a point (recall 0, precision 1) that is no threshold's
    precision, recall, thresholds = sklearn_metrics.precision_recall_curve(label, probability)
    expected = np.stack([recall[:-1], precision[:-1], thresholds], axis=1)[::-1]
    np.testing.assert_allclose([row[1:] for row in class_pr_curve({"x": ranking}).rows], expected)


@given(labelled, st.sampled_from([*FIXED_LEVELS, 0.01, 0.5, 2 / 3, 1.0]))
def test_operating_points_are_the_best_of_all_thresholds(rows: list[tuple[int, bool]], level: float) -> None:
    probability, label = _arrays(rows)
    ranking = Ranking.of(probability, label)
    every = [
        (np.count_nonzero(called[label]) / label.sum(), np.count_nonzero(~called[~label]) / (~label).sum())
        for called in [probability >= threshold for threshold in [*probability, 2.0]]
    ]
    specific, sensitive = ranking.at_specificity(level), ranking.at_sensitivity(level)
    assert (specific.sensitivity, specific.specificity) == max(point for point in every if point[1] >= level)
    best = max((point for point in every if point[0] >= level), key=lambda point: point[::-1])
    assert sensitive.specificity == best[1]
    for point in (specific, sensitive):
        if point.threshold is None:
            assert (point.sensitivity, point.specificity) == (0, 1)
        else:
            called = probability >= point.threshold
            assert (point.sensitivity, point.specificity) == (called[label].mean(), (~called[~label]).mean())


def test_a_level_that_the_images_meet_exactly_counts_as_met() -> None:
    """19 of 20 negatives are 95 %, whatever floating point makes of 1 - 1/20."""
    ranking = Ranking.of(np.append(np.linspace(0, 0.5, 20), 0.49), np.append(np.zeros(20, bool), True))
    assert ranking.operating_figures()["sensitivity_at_specificity_0.95"] == 1.0


def test_no_threshold_is_specific_enough() -> None:
    point = Ranking.of(np.array([0.2, 0.9]), np.array([True, False])).at_specificity(0.95)
    assert point == OperatingPoint(0.0, 1.0, None)
    table = operating_points({"x": Ranking.of(np.array([0.2, 0.9]), np.array([True, False]))})
    assert table.rows[0] == ("x", "specificity", 0.95, 0.0, 1.0, None, 0.5, None, 0.5)


def test_the_table_of_operating_points_has_predictive_values() -> None:
    table = operating_points({"x": Ranking.of(PROBABILITY, LABEL)})
    row = dict(zip(table.columns, table.rows[-1], strict=True))
    called = row["threshold"] <= PROBABILITY
    assert (row["fixed"], row["level"], row["prevalence"]) == ("sensitivity", 0.8, 0.5)
    assert row["ppv"] == pytest.approx(LABEL[called].mean())
    assert row["npv"] == pytest.approx((~LABEL[~called]).mean())


@pytest.mark.parametrize("label", [[], [True, True], [False]])
def test_one_class_alone_is_refused(label: list[bool]) -> None:
    found = f"got {sum(label)} positive and {len(label) - sum(label)} negative"
    with pytest.raises(ValueError, match=found):
        Ranking.of(np.full(len(label), 0.5), np.array(label, bool))


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    rng = np.random.default_rng(0)
    probability, label = rng.random(5000), rng.random(5000) < 0.3
    ranking = Ranking.of(probability, label)
    assert len(ranking.thresholds) == 5000
    for table, extra in ((class_pr_curve({"x": ranking}), 0), (roc_curve({"x": ranking}), 1)):
        assert len(table.rows) == MOST_POINTS + extra
        assert table.rows[-1][-1] == probability.min()
    assert class_pr_curve({"x": ranking}).rows[0][-1] == probability.max()
