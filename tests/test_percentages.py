"""What is collected of the positive class's percentage: figures, their like of chosen images, tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core.calibration import Calibration
from maskstream.errors import DatasetError
from maskstream.evaluation.classes.calibration import calibration_metrics
from maskstream.evaluation.classes.percentages import Percentages

CLASSES = ("benign", "malignant")
CALIBRATION = Calibration("malignant", 0.5, -0.3, ((0.01, 0.002), (0.002, 0.03)), 0.4)
IMAGES = [(False, 0.25), (True, 0.75), (False, None), (True, 0.5), (False, 0.625), (True, None), (False, 0.125)]


def _collected(
    images: list[tuple[bool, float | None]], positive: str | None = None, calibration: Calibration | None = None
) -> Percentages:
    percentages = Percentages(CLASSES, positive, calibration)
    for label, p in images:
        percentages.add(label, None if p is None else np.array([1 - p, p], np.float32))
    return percentages


def test_by_hand() -> None:
    figures = _collected(IMAGES).figures()
    # positives at 0.75, 0.5 and, with nothing found, 0; negatives at 0.625, 0.25, 0.125 and 0
    assert figures["auc"] == pytest.approx((4 + 3 + 0.5) / 12)
    assert figures["sensitivity"] == 2 / 3
    assert figures["specificity"] == 3 / 4
    assert figures["balanced_accuracy"] == pytest.approx(17 / 24)
    assert figures["sensitivity_at_specificity_0.95"] == 1 / 3
    assert figures["specificity_at_sensitivity_0.80"] == 0.0
    # of the five that were found: 0.75 and 0.125 are right and sure, 0.625 is wrong
    assert figures["brier"] == pytest.approx((0.0625 + 0.0625 + 0.25 + 0.390625 + 0.015625) / 5)
    assert figures["aurc"] == pytest.approx((0 + 0 + 0 + 1 / 4 + 1 / 5) / 5)


def test_the_figures_are_the_expected_ones() -> None:
    for calibration in (None, CALIBRATION):
        percentages = _collected(IMAGES, calibration=calibration)
        assert set(percentages.figures()) == set(percentages.expected_keys())
        headline = {key for key in percentages.expected_keys() if not key.endswith("_uncalibrated")}
        assert set(percentages.headline()) == headline


images = st.lists(
    st.tuples(st.booleans(), st.none() | st.integers(0, 8).map(lambda eighths: eighths / 8)), min_size=1, max_size=15
)


@settings(max_examples=60, deadline=None)
@given(images, st.data())
def test_chosen_images_are_judged_as_if_they_alone_were_there(
    rows: list[tuple[bool, float | None]], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
    every = _collected(rows, calibration=CALIBRATION)
    alone = _collected([rows[place] for place in chosen], calibration=CALIBRATION)
    positions = np.array(chosen, np.int64)
    assert every.headline(positions) == pytest.approx(alone.headline(), nan_ok=False)
    assert every.figures(positions) == pytest.approx(alone.figures(), nan_ok=False)
    assert set(every.headline(positions)) <= set(every.expected_keys())


def test_with_a_calibration_the_raw_figures_stand_beside() -> None:
    raw = np.array([p for _, p in IMAGES if p is not None])
    label = np.array([is_positive for is_positive, p in IMAGES if p is not None])
    rows = np.stack([1 - raw, raw], axis=1).astype(np.float32)
    percentages = Percentages(CLASSES, None, CALIBRATION)
    for is_positive, row in zip(label, CALIBRATION.apply(rows, CLASSES), strict=True):
        percentages.add(bool(is_positive), row)
    figures = percentages.figures()
    for key, value in calibration_metrics(raw, label).items():
        assert figures[f"{key}_uncalibrated"] == pytest.approx(value, rel=1e-4)
    assert percentages.conditions()["calibration"] == "temperature and bias"
    table = percentages.reliability()
    assert [row[:3] for row in table.rows] == [
        (kind, number, 1) for kind in ("calibrated", "uncalibrated") for number in range(1, 6)
    ]
    assert [row[3] for row in table.rows[5:]] == pytest.approx(sorted(raw), rel=1e-5)


def test_one_class_alone_still_has_the_figures_that_it_defines() -> None:
    figures = _collected([(True, 0.75), (True, 0.25)]).figures()
    assert set(figures) == {"sensitivity", "ece", "brier", "aurc"}
    assert figures["sensitivity"] == 0.5
    assert set(_collected([(False, 0.75)]).figures()) == {"specificity", "ece", "brier", "aurc"}


def test_nothing_found_and_no_image_at_all() -> None:
    percentages = _collected([(True, None), (False, None)])
    assert percentages.figures()["auc"] == 0.5
    assert not {"ece", "brier", "aurc"} & set(percentages.figures())
    assert [table.name for table in percentages.tables()] == ["roc_curve", "class_pr_curve", "operating_points"]
    assert _collected([]).figures() == {}
    assert _collected([]).tables() == []
    shown, label = percentages.percentages()
    assert (shown.shape, label.shape) == ((0,), (0,))


def test_without_a_positive_class_there_is_nothing_to_say() -> None:
    percentages = Percentages(("tank",), None, None)
    percentages.add(False, np.array([1], np.float32))
    assert percentages.figures() == percentages.headline() == percentages.conditions() == {}
    assert percentages.expected_keys() == percentages.tables() == []
    assert percentages.image_rows() == [{}]
    with pytest.raises(DatasetError, match="name the class whose percentage matters"):
        percentages.percentages()


def test_image_rows_leave_empty_what_was_not_shown() -> None:
    assert _collected(IMAGES[1:3]).image_rows() == [{"percentage": 0.75, "label": 1}, {"percentage": None, "label": 0}]


def test_tables() -> None:
    tables = {table.name: table for table in _collected(IMAGES).tables()}
    assert list(tables) == ["roc_curve", "class_pr_curve", "operating_points", "reliability", "risk_coverage"]
    assert tables["roc_curve"].rows[-1] == ("malignant", 1.0, 1.0, 0.0)
    assert {row[0] for row in tables["reliability"].rows} == {"uncalibrated"}
    assert tables["risk_coverage"].rows[-1] == (1.0, 0.2, 5, 0.5)


def test_what_is_added_later_counts() -> None:
    percentages = _collected([(True, 0.75)])
    before = percentages.figures()
    percentages.add(False, np.array([0.9, 0.1], np.float32))
    assert "auc" not in before
    assert percentages.figures()["auc"] == 1.0
