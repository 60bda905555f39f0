"""Risk and coverage by hand, and against the definition image by image."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.evaluation.classes.class_tables import risk_coverage
from maskstream.evaluation.classes.coverage import RiskCoverage, of_percentage

answers = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30)


def test_by_hand() -> None:
    curve = RiskCoverage.of(np.array([0.9, 0.6, 0.8, 0.6]), np.array([False, True, True, False]))
    assert curve.coverage.tolist() == [0.25, 0.5, 1.0]
    assert curve.risk.tolist() == [0.0, 0.5, 0.5]
    assert curve.area() == pytest.approx((0 + 0.5 + 0.5 + 0.5) / 4)
    table = risk_coverage(curve)
    assert table.columns == ("coverage", "risk", "n", "least_confidence")
    assert table.rows == ((0.25, 0.0, 1, 0.9), (0.5, 0.5, 2, 0.8), (1.0, 0.5, 4, 0.6))


@given(answers)
def test_the_area_is_the_mean_risk_at_every_images_confidence(rows: list[tuple[int, bool]]) -> None:
    confidence, wrong = np.array([value / 5 for value, _ in rows]), np.array([is_wrong for _, is_wrong in rows])
    curve = RiskCoverage.of(confidence, wrong)
    assert curve.area() == pytest.approx(np.mean([wrong[confidence >= least].mean() for least in confidence]))
    assert curve.risk[-1] == wrong.mean()
    assert curve.coverage[-1] == 1.0
    assert np.all(np.diff(curve.least_confidence) < 0)


@given(answers, st.randoms())
def test_the_order_of_the_images_does_not_matter(rows: list[tuple[int, bool]], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    areas = [RiskCoverage.of(*(np.array(column) for column in zip(*each))).area() for each in (rows, shuffled)]
    assert areas[0] == areas[1]


def test_of_a_percentage_the_confidence_is_that_of_the_called_side() -> None:
    curve = of_percentage(np.array([0.1, 0.5, 0.75]), np.array([False, False, True]), 0.5)
    assert curve.least_confidence == pytest.approx([0.9, 0.75, 0.5])
    assert curve.wrong.tolist() == [0, 0, 1]  # one half is called positive, and is not


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        RiskCoverage.of(np.zeros(0), np.zeros(0, bool))
