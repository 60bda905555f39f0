"""The calibration a model folder carries: hand-computed values, and undo after apply."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.core.calibration import EPSILON, Calibration, logit, sigmoid

TWO = ("benign", "malignant")
THREE = ("nevus", "melanoma", "keratosis")
NONE = ((0.0, 0.0), (0.0, 0.0))


def calibration(positive: str = "malignant", slope: float = 1.0, bias: float = 0.0) -> Calibration:
    return Calibration(positive, slope, bias, covariance=NONE, view_sd=0.0)


def rows(*values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("slope", "bias", "raw", "expected"),
    [
        (1.0, 0.0, 0.3, 0.3),
        (0.5, 0.0, 0.8, 2 / 3),
        (2.0, 0.0, 0.8, 16 / 17),
        (1.0, float(np.log(2)), 0.5, 2 / 3),
        (0.5, 0.0, 0.5, 0.5),
    ],
    ids=["identity", "flatter", "steeper", "odds doubled", "the middle stays"],
)
def test_apply_by_hand(slope: float, bias: float, raw: float, expected: float) -> None:
    result = calibration(slope=slope, bias=bias).apply(rows((1 - raw, raw)), TWO)
    np.testing.assert_allclose(result, [[1 - expected, expected]], atol=1e-6)
    assert result.dtype == np.float32


def test_other_classes_share_the_rest_in_proportion() -> None:
    result = calibration("melanoma", slope=0.5).apply(rows((0.15, 0.8, 0.05)), THREE)
    np.testing.assert_allclose(result, [[0.25, 2 / 3, 1 / 12]], atol=1e-6)


def test_sure_rows_stay_finite_and_share_equally_what_the_others_had_none_of() -> None:
    result = calibration("melanoma", slope=0.5).apply(rows((0, 1, 0), (1, 0, 0)), THREE)
    np.testing.assert_allclose(result.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(result[0], [0.0005, 0.999, 0.0005], atol=1e-5)
    np.testing.assert_allclose(result[1], [0.999, 0.001, 0.0], atol=1e-5)


def test_no_objects() -> None:
    empty = np.zeros((0, 2), np.float32)
    assert calibration().apply(empty, TWO).shape == (0, 2)
    assert calibration().undo(empty, TWO).shape == (0, 2)


@given(
    positive=st.sampled_from(THREE),
    slope=st.floats(0.2, 3.0),
    bias=st.floats(-2.0, 2.0),
    weights=st.lists(st.tuples(*[st.floats(0.05, 1.0)] * 3), min_size=1, max_size=5),
)
def test_undo_gives_back_what_was_applied(
    positive: str, slope: float, bias: float, weights: list[tuple[float, ...]]
) -> None:
    raw = rows(*weights)
    raw /= raw.sum(axis=1, keepdims=True)
    value = calibration(positive, slope, bias)
    calibrated = value.apply(raw, THREE)
    np.testing.assert_allclose(calibrated.sum(axis=1), 1.0, atol=1e-6)
    assert (calibrated >= 0).all()
    np.testing.assert_allclose(value.undo(calibrated, THREE), raw, atol=1e-3)


@given(st.floats(EPSILON, 1 - EPSILON))
def test_sigmoid_undoes_logit(probability: float) -> None:
    assert sigmoid(logit(np.array(probability))) == pytest.approx(probability, abs=1e-12)


def test_logit_and_sigmoid_at_their_ends() -> None:
    ends = logit(np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(ends, [-13.8155, 0.0, 13.8155], atol=1e-4)
    assert sigmoid(np.array([-1e9, 0.0, 1e9])).tolist() == [0.0, 0.5, 1.0]


def test_views_of_one_object_shrink_their_scatter_but_not_the_doubt_of_the_fit() -> None:
    value = Calibration("malignant", 2.0, 1.0, covariance=((0.04, 0.01), (0.01, 0.09)), view_sd=0.6)
    # raw log odds (5 - 1) / 2 = 2: 4 * 0.04 + 2 * 2 * 0.01 + 0.09 = 0.29
    assert value.log_odds_variance(5.0, views=1) == pytest.approx(0.29 + 0.36)
    assert value.log_odds_variance(5.0, views=4) == pytest.approx(0.29 + 0.09)
    assert value.log_odds_variance(5.0, views=1e12) == pytest.approx(0.29)


def test_unknown_positive_class_is_an_error() -> None:
    with pytest.raises(KeyError, match="unknown class 'wart'; known: benign, malignant"):
        calibration("wart").apply(rows((0.5, 0.5)), TWO)
