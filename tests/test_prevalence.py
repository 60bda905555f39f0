"""Percentages at another prevalence: by hand, by simulation, and what must hold whatever the numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.core.calibration import logit, sigmoid
from maskstream.evaluation.classes.prevalence import at_prevalence, predictive_values

shares = st.floats(0.01, 0.99)


def test_by_hand() -> None:
    # odds of 1 among one in five; where one in hundred is positive they are 4/99
    assert at_prevalence(0.5, 0.2, 0.01) == pytest.approx(4 / 103)
    assert at_prevalence(np.array([0.0, 1.0]), 0.2, 0.01).tolist() == [0.0, 1.0]


@given(st.floats(0.001, 0.999), shares, shares)
def test_it_adds_to_the_log_odds_and_can_be_undone(percentage: float, here: float, there: float) -> None:
    moved = at_prevalence(percentage, here, there)
    shift = np.log(there / (1 - there)) - np.log(here / (1 - here))
    assert moved == pytest.approx(sigmoid(np.log(percentage / (1 - percentage)) + shift), rel=1e-9)
    assert at_prevalence(moved, there, here) == pytest.approx(percentage, rel=1e-9)
    assert at_prevalence(percentage, here, here) == pytest.approx(percentage, rel=1e-12)


def test_a_calibrated_model_stays_calibrated_where_positives_are_rarer() -> None:
    """Two normal distributions a unit around 0: the exact posterior is known at every prevalence."""
    rng = np.random.default_rng(1)
    label = rng.random(200_000) < 0.05
    look = rng.normal(np.where(label, 1.0, -1.0))
    learnt_at_one_fifth = sigmoid(2 * look + logit(np.array(0.2)))
    moved = at_prevalence(learnt_at_one_fifth, 0.2, 0.05)
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 1)):
        inside = (moved >= low) & (moved < high)
        assert moved[inside].mean() == pytest.approx(label[inside].mean(), abs=0.01)


@pytest.mark.parametrize("here, there", [(0, 0.5), (1, 0.5), (0.5, 0), (0.5, 1), (0.5, float("nan"))])
def test_a_share_of_nothing_or_everything_is_refused(here: float, there: float) -> None:
    with pytest.raises(ValueError, match="both excluded, got"):
        at_prevalence(0.5, here, there)


def test_predictive_values_by_hand() -> None:
    """Of 1000 people 100 are ill: 90 of them are found, with 180 of the 900 others."""
    assert predictive_values(0.9, 0.8, 0.1) == pytest.approx((90 / 270, 720 / 730))
    assert predictive_values(0.0, 1.0, 0.1) == (None, pytest.approx(0.9))
    assert predictive_values(1.0, 0.0, 0.1) == (pytest.approx(0.1), None)
