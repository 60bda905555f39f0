"""The fit of a calibration against scikit-learn and simulation; ECE, Brier, slope and intercept by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from maskstream.core.calibration import EPSILON, logit, sigmoid
from maskstream.errors import DatasetError
from maskstream.evaluation.classes.calibration import (
    ECE_BINS,
    MIN_SLOPE,
    brier_score,
    calibration_metrics,
    expected_calibration_error,
    fit_calibration,
    reliability_bins,
    separable,
    slope_and_intercept,
    wilson_interval,
)


def simulated(seed: int, n: int, slope: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Raw probabilities whose true calibration is known."""
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(-1, 2, n)
    return sigmoid(log_odds), rng.random(n) < sigmoid(slope * log_odds + bias)


@pytest.mark.parametrize("seed", range(5))
def test_plain_fit_equals_scikit_learn(seed: int) -> None:
    raw, label = simulated(seed, 150, slope=0.6, bias=-0.4)
    fitted = fit_calibration(raw, label, "malignant", view_sd=0.3, prior_sd=np.inf)
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit(raw)[:, None], label)
    assert fitted.slope == pytest.approx(reference.coef_[0, 0], abs=1e-5)
    assert fitted.bias == pytest.approx(reference.intercept_[0], abs=1e-5)
    assert (fitted.positive, fitted.view_sd) == ("malignant", 0.3)


def test_the_prior_moves_an_ordinary_fit_by_little() -> None:
    raw, label = simulated(0, 150, slope=0.6, bias=-0.4)
    held = fit_calibration(raw, label, "malignant", view_sd=0)
    plain = fit_calibration(raw, label, "malignant", view_sd=0, prior_sd=np.inf)
    assert abs(held.slope - plain.slope) < 0.01 * np.sqrt(plain.covariance[0][0])
    assert abs(held.bias - plain.bias) < 0.01 * np.sqrt(plain.covariance[1][1])


def test_the_covariance_is_the_scatter_of_repeated_fits() -> None:
    fits = [fit_calibration(*simulated(seed, 400, 0.8, 0.5), "malignant", view_sd=0) for seed in range(300)]
    scatter = np.cov([(fit.slope, fit.bias) for fit in fits], rowvar=False)
    stated = np.mean([fit.covariance for fit in fits], axis=0)
    assert np.mean([fit.slope for fit in fits]) == pytest.approx(0.8, abs=0.03)
    assert np.sqrt(np.diag(stated)) == pytest.approx(np.sqrt(np.diag(scatter)), rel=0.1)
    assert stated[0, 1] == pytest.approx(scatter[0, 1], rel=0.25)


def test_fitted_probabilities_are_calibrated_on_their_own_data() -> None:
    raw, label = simulated(1, 500, slope=0.5, bias=1.0)
    fit = fit_calibration(raw, label, "malignant", view_sd=0, prior_sd=np.inf)
    calibrated = sigmoid(fit.slope * logit(raw) + fit.bias)
    assert slope_and_intercept(calibrated, label) == pytest.approx((1, 0), abs=1e-6)
    assert calibrated.mean() == pytest.approx(label.mean(), abs=1e-9)
    assert brier_score(calibrated, label) < brier_score(raw, label)


def test_separable_classes_are_held_by_the_prior_and_refused_without_it() -> None:
    raw, label = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1], bool)
    fit = fit_calibration(raw, label, "malignant", view_sd=0)
    assert 1 < fit.slope < 30
    assert np.isfinite(fit.covariance).all()
    with pytest.raises(DatasetError, match="finite prior_sd"):
        fit_calibration(raw, label, "malignant", view_sd=0, prior_sd=np.inf)


def test_a_constant_probability_becomes_the_share_of_positives() -> None:
    fit = fit_calibration(np.full(200, 0.9), np.arange(200) < 40, "malignant", view_sd=0)
    assert sigmoid(np.array(fit.slope * logit(np.array(0.9)) + fit.bias)) == pytest.approx(0.2, abs=1e-3)


def test_a_ranking_worse_than_chance_is_flattened_and_not_turned_round() -> None:
    raw, label = simulated(2, 300, slope=-1.0, bias=0.0)
    fit = fit_calibration(raw, label, "malignant", view_sd=0)
    assert fit.slope == MIN_SLOPE
    calibrated = sigmoid(fit.slope * logit(raw) + fit.bias)
    assert calibrated == pytest.approx(np.full(300, label.mean()), abs=0.03)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=30))
def test_any_data_of_two_classes_gives_a_finite_fit(rows: list[tuple[float, bool]]) -> None:
    raw, label = np.array([p for p, _ in rows]), np.array([positive for _, positive in rows])
    if label.all() or not label.any():
        with pytest.raises(DatasetError, match="both classes"):
            fit_calibration(raw, label, "malignant", view_sd=0)
        return
    fit = fit_calibration(raw, label, "malignant", view_sd=0)
    assert fit.slope >= MIN_SLOPE
    assert np.isfinite([fit.slope, fit.bias]).all()
    assert (np.linalg.eigvalsh(np.array(fit.covariance)) > 0).all()


@pytest.mark.parametrize("labels", [[], [True], [False, False, False]])
def test_one_class_alone_cannot_be_fitted(labels: list[bool]) -> None:
    with pytest.raises(DatasetError, match=f"{sum(labels)} positive of {len(labels)}; use a split that holds both"):
        fit_calibration(np.full(len(labels), 0.5), np.array(labels, bool), "malignant", view_sd=0)


def test_hand_computed_calibration_error() -> None:
    probability = np.array([0.1, 0.1, 0.3, 0.3, 0.5, 0.5, 0.7, 0.7, 0.9, 0.9])
    label = np.array([0, 0, 0, 1, 1, 1, 0, 1, 1, 1], bool)
    # gaps of the five bins of two: 0.1, 0.2, 0.5, 0.2, 0.1
    assert expected_calibration_error(probability, label) == pytest.approx(0.22)
    assert expected_calibration_error(probability, label, bins=1) == pytest.approx(0.6 - 0.5)


def test_bins_have_equal_mass_and_not_equal_width() -> None:
    probability = np.linspace(0.01, 0.05, 100)
    assert expected_calibration_error(probability, np.zeros(100, bool)) == pytest.approx(0.03)


@given(st.permutations(range(10)))
def test_order_does_not_change_the_calibration_error(order: list[int]) -> None:
    probability = np.array([0.2] * 6 + [0.6] * 4)[order]
    label = np.array([1, 0, 0, 0, 0, 0, 0, 1, 1, 1], bool)[order]
    assert expected_calibration_error(probability, label) == pytest.approx(0.6 * (0.2 - 1 / 6) + 0.4 * (3 / 4 - 0.6))


def test_fewer_images_than_bins() -> None:
    assert expected_calibration_error(np.array([0.25]), np.array([True])) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="at least one image"):
        expected_calibration_error(np.zeros(0), np.zeros(0, bool))


def test_the_bins_are_those_of_the_calibration_error() -> None:
    probability, label = simulated(5, 203, slope=0.5, bias=0.2)
    bins = reliability_bins(probability, label)
    assert [at.n for at in bins] == [41, 41, 41, 40, 40]
    assert len(bins) == ECE_BINS
    gap = sum(at.n * abs(at.mean_probability - at.share) for at in bins) / 203
    assert expected_calibration_error(probability, label) == pytest.approx(gap)
    assert sum(at.n * at.share for at in bins) == pytest.approx(label.sum())
    for at in bins:
        assert 0 <= at.share_low < at.share < at.share_high <= 1
    assert [at.n for at in reliability_bins(probability[:3], label[:3])] == [1, 1, 1]


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_equals_scipy(of: tuple[int, int]) -> None:
    reference = binomtest(*of).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*of) == pytest.approx((reference.low, reference.high), abs=1e-12)


def test_brier_score_equals_scikit_learn() -> None:
    probability, label = simulated(3, 50, 1, 0)
    assert brier_score(probability, label) == pytest.approx(brier_score_loss(label, probability))


def test_slope_and_intercept_tell_what_was_done_to_the_probabilities() -> None:
    raw, label = simulated(4, 20_000, slope=1.0, bias=0.0)
    assert slope_and_intercept(raw, label) == pytest.approx((1, 0), abs=0.05)
    too_extreme_and_high = sigmoid(2 * (logit(raw) + 1))
    assert slope_and_intercept(too_extreme_and_high, label) == pytest.approx((0.5, -1), abs=0.05)


@pytest.mark.parametrize(
    "probability, label, expected",
    [
        ([0.1, 0.9], [0, 1], True),
        ([0.9, 0.1], [0, 1], True),
        ([0.1, 0.5, 0.5, 0.9], [0, 0, 1, 1], True),  # one value in common: still no maximum
        ([0.1, 0.5, 0.4, 0.9], [0, 0, 1, 1], False),
        ([0.5, 0.5], [0, 1], True),
        ([0.2, 0.3], [1, 1], True),
        ([], [], True),
    ],
)
def test_where_slope_and_intercept_are_undefined(probability: list[float], label: list[int], expected: bool) -> None:
    data = np.array(probability), np.array(label, bool)
    assert separable(*data) is expected
    if expected:
        with pytest.raises(ValueError, match="overlap"):
            slope_and_intercept(*data)
    if len(label):
        assert ("calibration_slope" in calibration_metrics(*data)) is not expected


def test_slope_and_intercept_where_probabilities_are_certain() -> None:
    """Two of three right at each end: log odds of ln 2 a slope's way, whatever the network's certainty."""
    probability = np.array([0, 0, 0, 1, 1, 1], np.float64)
    slope, intercept = slope_and_intercept(probability, np.array([0, 0, 1, 1, 1, 0], bool))
    assert slope == pytest.approx(math.log(2) / math.log((1 - EPSILON) / EPSILON), rel=1e-6)
    assert intercept == pytest.approx(0, abs=1e-9)
