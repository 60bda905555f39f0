"""The judgement of a classifier: hand-computed figures, scikit-learn's, and what few images leave undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.errors import DatasetError
from maskstream.evaluation.classes.calibration import expected_calibration_error, fit_calibration
from maskstream.evaluation.classes.class_judge import ClassJudge
from maskstream.evaluation.classes.classification import brier_score_of_all, confusion_matrix, log_loss

TWO = ("bcc", "melanoma")
THREE = ("a", "b", "c")
CALIBRATION = Calibration("melanoma", 0.8, -0.3, ((0.01, 0.002), (0.002, 0.03)), 0.4)


def _judge(classes: Classes, truth: list[int], probabilities: np.ndarray, **options: object) -> ClassJudge:
    verdict = ClassJudge(classes, **options)  # type: ignore[arg-type]
    for number, (class_id, row) in enumerate(zip(truth, np.asarray(probabilities, np.float32), strict=True)):
        verdict.add(f"image {number}", class_id, Classification(row, classes))
    return verdict


def _of_two(melanoma: list[float]) -> np.ndarray:
    return np.stack([1 - np.array(melanoma), melanoma], axis=1)


def test_hand_computed_of_two_classes() -> None:
    figures = _judge(TWO, [0, 0, 1, 1, 1], _of_two([0.1, 0.75, 0.9, 0.25, 0.75])).metrics()
    assert figures["accuracy"] == 3 / 5
    assert figures["sensitivity/bcc"] == 1 / 2
    assert figures["sensitivity/melanoma"] == 2 / 3
    assert figures["balanced_accuracy"] == pytest.approx(7 / 12)
    # of the six pairs four are in order, and 0.75 against 0.75 counts half
    assert figures["auc"] == pytest.approx(4.5 / 6)
    assert figures["log_loss"] == pytest.approx(-np.log([0.9, 0.25, 0.9, 0.25, 0.75]).mean(), rel=1e-6)
    assert figures["brier"] == pytest.approx(np.mean([0.01, 0.5625, 0.01, 0.5625, 0.0625]), rel=1e-6)
    assert {key: value for key, value in figures.items() if key.startswith("confusion")} == {
        "confusion/bcc/bcc": 1,
        "confusion/bcc/melanoma": 1,
        "confusion/melanoma/bcc": 1,
        "confusion/melanoma/melanoma": 2,
    }
    assert (figures["n_pictures"], figures["n_pictures/bcc"], figures["n_pictures/melanoma"]) == (5, 2, 3)
    assert (figures["positive_class"], figures["calibration"], figures["undefined"]) == ("melanoma", "none", "none")
    assert "auc/melanoma" not in figures


def test_hand_computed_of_three_classes() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    figures = _judge(THREE, [0, 1, 1, 2], rows).metrics()
    assert figures["accuracy"] == 3 / 4
    assert figures["balanced_accuracy"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert (figures["auc/a"], figures["auc/b"], figures["auc/c"]) == (1.0, 1.0, 1.0)
    assert figures["auc"] == 1.0
    assert figures["confusion/b/a"] == 1
    squares = [0.09 + 0.04 + 0.01, 0.01 + 0.16 + 0.09, 0.25 + 0.49 + 0.04, 0.04 + 0.04 + 0.16]
    assert figures["brier"] == pytest.approx(np.mean(squares), rel=1e-6)
    assert "positive_class" not in figures
    assert "calibration_slope" not in figures
    assert figures["undefined"] == "none"


images = st.integers(2, 4).flatmap(
    lambda c: st.lists(
        st.tuples(st.integers(0, c - 1), st.lists(st.integers(0, 5), min_size=c, max_size=c).filter(any)),
        min_size=c,
        max_size=40,
    ).filter(lambda rows: {row[0] for row in rows} == set(range(c)))
)


@settings(max_examples=30)
@given(images)
def test_equals_scikit_learn(rows: list[tuple[int, list[int]]]) -> None:
    truth = np.array([row[0] for row in rows])
    weights = np.array([row[1] for row in rows], np.float32)
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    count = probabilities.shape[1]
    names = tuple("abcd"[:count])
    figures = _judge(names, truth.tolist(), probabilities).metrics()
    exact = weights.astype(np.float64) / weights.sum(axis=1, dtype=np.float64, keepdims=True)
    called = probabilities.argmax(axis=1)
    assert figures["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, called))
    assert figures["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(truth, called))
    assert figures["log_loss"] == pytest.approx(sklearn_metrics.log_loss(truth, probabilities), rel=1e-5, abs=1e-6)
    scores = probabilities[:, 1] if count == 2 else probabilities
    assert figures["auc"] == pytest.approx(
        sklearn_metrics.roc_auc_score(truth, scores.astype(np.float64), multi_class="ovr", labels=range(count)),
        abs=1e-9,
    )
    assert figures["brier"] == pytest.approx(
        sklearn_metrics.brier_score_loss(truth, exact, labels=range(count)), abs=1e-6
    )
    areas = [sklearn_metrics.average_precision_score(truth == c, probabilities[:, c]) for c in range(count)]
    assert figures["pr_auc"] == pytest.approx(areas[1] if count == 2 else np.mean(areas), abs=1e-9)
    assert figures["cohen_kappa"] == pytest.approx(sklearn_metrics.cohen_kappa_score(truth, called))
    assert figures["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(truth, called, average="macro"))
    matrix = sklearn_metrics.confusion_matrix(truth, called, labels=range(count))
    np.testing.assert_array_equal(confusion_matrix(truth, called, count), matrix)
    for row, name in enumerate(names):
        assert figures[f"sensitivity/{name}"] == pytest.approx(matrix[row, row] / matrix[row].sum())
        assert figures[f"confusion/{name}/b"] == matrix[row, 1]


def test_certain_and_wrong_is_finite() -> None:
    assert log_loss(np.array([[1, 0]], np.float32), np.array([1])) == pytest.approx(-math.log(np.finfo(np.float32).eps))
    assert brier_score_of_all(np.array([[1, 0]], np.float32), np.array([1])) == 2.0


def test_calibration_error_of_the_called_class_without_a_positive_one() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], np.float32)
    figures = _judge(THREE, [0, 1, 1, 2], rows).metrics()
    sure, right = rows.max(axis=1).astype(np.float64), np.array([True, True, False, True])
    assert figures["ece"] == expected_calibration_error(sure, right)


def test_a_positive_class_of_three() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], np.float32)
    figures = _judge(THREE, [0, 1, 1, 2], rows, positive="c").metrics()
    assert figures["positive_class"] == "c"
    assert figures["brier"] == pytest.approx(np.mean([0.01, 0.09, 0.04, 0.16]), rel=1e-6)


def test_with_a_calibration_the_raw_figures_stand_beside_it() -> None:
    raw = np.asarray(_of_two([0.1, 0.7, 0.9, 0.4, 0.7]), np.float32)
    before = _judge(TWO, [0, 0, 1, 1, 1], raw).metrics()
    after = _judge(TWO, [0, 0, 1, 1, 1], CALIBRATION.apply(raw, TWO), calibration=CALIBRATION).metrics()
    for key in ("ece", "brier", "calibration_slope", "calibration_intercept"):
        assert after[f"{key}_uncalibrated"] == pytest.approx(before[key], rel=1e-4)
    assert after["brier"] != pytest.approx(before["brier"])
    assert after["calibration"] == "temperature and bias"
    assert after["undefined"] == "none"


def test_percentages_fit_a_calibration() -> None:
    melanoma = [0.1, 0.75, 0.9, 0.25, 0.75]
    shown, label = _judge(TWO, [0, 0, 1, 1, 1], _of_two(melanoma)).percentages()
    np.testing.assert_allclose(shown, melanoma, rtol=1e-6)
    assert label.tolist() == [False, False, True, True, True]
    assert fit_calibration(shown, label, "melanoma", view_sd=0.0).slope > 0


def test_one_class_alone_leaves_figures_undefined() -> None:
    figures = _judge(TWO, [1, 1], _of_two([0.75, 0.25])).metrics()
    assert figures["accuracy"] == 1 / 2
    assert figures["sensitivity/melanoma"] == 1 / 2
    assert figures["brier"] == pytest.approx((0.0625 + 0.5625) / 2)
    levels = ("0.95", "0.90", "0.80")
    undefined = ["balanced_accuracy", "sensitivity/bcc", "auc", "pr_auc", "specificity"]
    undefined += [f"sensitivity_at_specificity_{level}" for level in levels]
    undefined += [f"specificity_at_sensitivity_{level}" for level in levels]
    assert figures["undefined"] == ", ".join([*undefined, "calibration_slope", "calibration_intercept"])
    assert figures["sensitivity"] == 1 / 2
    assert not {"auc", "balanced_accuracy", "sensitivity/bcc"} & set(figures)


def test_a_class_without_images_leaves_its_own_figures_undefined() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    figures = _judge(THREE, [0, 1], rows).metrics()
    assert figures["auc/a"] == 1.0
    assert figures["undefined"] == "balanced_accuracy, sensitivity/c, macro_f1, auc, pr_auc, auc/c, pr_auc/c"
    assert figures["confusion/c/c"] == 0


def test_no_image_is_an_error() -> None:
    for ask in (ClassJudge(TWO).metrics, ClassJudge(TWO).percentages):
        with pytest.raises(DatasetError, match="at least one image"):
            ask()


def test_an_image_counts_once() -> None:
    verdict = ClassJudge(TWO)
    answer = Classification(np.array([0.5, 0.5], np.float32), TWO)
    verdict.add("x", 0, answer)
    with pytest.raises(DatasetError, match="second time"):
        verdict.add("x", 0, answer)


@pytest.mark.parametrize("class_id, classes", [(2, TWO), (-1, TWO), (0, ("melanoma", "bcc"))])
def test_other_classes_are_refused(class_id: int, classes: Classes) -> None:
    with pytest.raises(DatasetError, match="the classes bcc, melanoma"):
        ClassJudge(TWO).add("x", class_id, Classification(np.array([0.5, 0.5], np.float32), classes))


def test_the_positive_class() -> None:
    assert ClassJudge(TWO).positive == "melanoma"
    assert ClassJudge(THREE).positive is None
    assert ClassJudge(("melanoma", "bcc"), calibration=CALIBRATION).positive == "melanoma"
    with pytest.raises(DatasetError, match="another name"):
        ClassJudge(TWO, positive="mole")
    with pytest.raises(DatasetError, match="none chosen"):
        _judge(THREE, [0], [[1, 0, 0]]).percentages()


def test_a_positive_class_leaves_the_means_over_all_classes_alone() -> None:
    rows = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.1, 0.2, 0.7]])
    truth = [0, 1, 1, 2, 0]
    plain, positive = _judge(THREE, truth, rows).metrics(), _judge(THREE, truth, rows, positive="c").metrics()
    for key in ("accuracy", "balanced_accuracy", "auc", "pr_auc", "auc/c", "macro_f1", "aurc", "log_loss"):
        assert positive[key] == plain[key]
    assert (positive["sensitivity"], positive["specificity"]) == (1.0, 3 / 4)
    assert "specificity" not in plain
    # without an image of b the means are undefined, though those of c against the rest are not
    without_b = _judge(THREE, [0, 2, 0], rows[[0, 3, 4]], positive="c").metrics()
    assert not {"auc", "pr_auc", "balanced_accuracy"} & set(without_b)
    assert {"auc/a", "auc/c", "sensitivity_at_specificity_0.90"} <= set(without_b)


@pytest.mark.parametrize("classes, positive", [(TWO, None), (THREE, None), (THREE, "b")])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_the_headline_is_that_of_the_chosen_images_alone(
    classes: Classes, positive: str | None, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    weights = rng.integers(1, 5, (12, len(classes)))
    rows, truth = weights / weights.sum(axis=1, keepdims=True), rng.integers(0, len(classes), 12).tolist()
    every = _judge(classes, truth, rows, positive=positive)
    chosen = data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=15))
    alone = _judge(classes, [truth[place] for place in chosen], rows[chosen], positive=positive)
    figures, expected = every.headline(np.array(chosen)), alone.metrics()
    assert figures == pytest.approx({key: expected[key] for key in figures})
    known = {*every._expected_keys(), "log_loss", "aurc", "ece", "brier"}
    assert set(figures) == {key for key in known if key in expected}
    assert every.headline(np.zeros(0, np.int64)) == {}


def test_tables_of_two_classes() -> None:
    verdict = _judge(TWO, [0, 0, 1, 1, 1], _of_two([0.1, 0.75, 0.9, 0.25, 0.75]))
    tables = {table.name: table for table in verdict.tables()}
    assert list(tables) == [
        *("classes", "confusion", "roc_curve", "class_pr_curve", "operating_points", "reliability", "risk_coverage")
    ]
    figures = verdict.metrics()
    row = dict(zip(tables["classes"].columns, tables["classes"].rows[1], strict=True))
    assert row == {
        "class": "melanoma", "n_images": 3, "sensitivity": 2 / 3, "specificity": 1 / 2, "precision": 2 / 3,
        "f1": 2 / 3, "auc": figures["auc"], "pr_auc": figures["pr_auc"],
    }  # fmt: skip
    assert tables["confusion"].rows[1] == ("bcc", "melanoma", 1)
    assert {row[0] for row in tables["roc_curve"].rows} == {"melanoma"}
    assert tables["risk_coverage"].rows[-1] == (1.0, 0.4, 5, 0.75)
    assert verdict.image_rows()[1] == {
        "truth": "bcc", "called": "melanoma", "probability/bcc": 0.25, "probability/melanoma": 0.75,
        "percentage": 0.75, "label": 0,
    }  # fmt: skip


def test_tables_of_three_classes() -> None:
    verdict = _judge(THREE, [0, 1, 1], np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2]]))
    tables = {table.name: table for table in verdict.tables()}
    assert {row[0] for row in tables["roc_curve"].rows} == {"a", "b"}
    assert tables["classes"].rows[2] == ("c", 0, None, 1.0, None, None, None, None)
    # the called class's probability, of which 0.5 was wrong
    assert np.array([row[3:5] for row in tables["reliability"].rows]) == pytest.approx(
        np.array([[0.5, 0], [0.6, 1], [0.7, 1]])
    )
    assert "percentage" not in verdict.image_rows()[0]
    assert ClassJudge(THREE).tables() == []


@pytest.mark.parametrize("values", [[np.nan, 0.5], [np.inf, 0], [0.5, 0.6], [1.5, -0.5], [2.0, 1.5], [0, 0]])
def test_what_are_no_probabilities_is_refused_with_the_image(values: list[float]) -> None:
    with pytest.raises(DatasetError, match=r"image some\.png: expected a probability of each class, with sum 1"):
        ClassJudge(TWO).add("some.png", 0, Classification(np.array(values, np.float32), TWO))


def test_probabilities_of_two_decimals_are_taken() -> None:
    verdict = ClassJudge(THREE)
    verdict.add("x", 0, Classification(np.array([0.33, 0.33, 0.33], np.float32), THREE))
    assert verdict.metrics()["accuracy"] == 1.0
