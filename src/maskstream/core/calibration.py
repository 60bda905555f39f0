"""The map from a model's raw class probability to one that can be shown to a person.

Platt's form on the logit: P(positive) = sigmoid(slope * logit(raw) + bias), where slope is one over the
temperature. `evaluation/classes/calibration.py` fits it on the validation split; a model folder stores it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes, class_id

EPSILON = 1e-6
"""Probabilities are kept this far from 0 and 1 before their logit is taken."""


def logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log odds of probabilities, which are first kept `EPSILON` away from 0 and 1."""
    clipped = np.clip(np.asarray(probability, np.float64), EPSILON, 1 - EPSILON)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of log odds, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(log_odds, np.float64)))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and bias of one class against the rest, and how sure they are.

    Attributes
    ----------
    positive : name of the calibrated class; the others share what is left, in proportion.
    slope : one over the temperature; above 0.
    bias : added to the scaled log odds.
    covariance : 2x2 covariance of (slope, bias), from the fit on a finite validation split.
    view_sd : standard deviation of the calibrated log odds between views of one object (turned, moved,
        zoomed, lit otherwise), measured on the validation split.
    """

    positive: str
    slope: float
    bias: float
    covariance: tuple[tuple[float, float], tuple[float, float]]
    view_sd: float

    def apply(self, probabilities: NDArray[np.float32], classes: Classes) -> NDArray[np.float32]:
        """Calibrated probabilities, shape (n, c) like the raw ones; rows sum to 1."""
        column = class_id(classes, self.positive)
        raw = probabilities[:, column].astype(np.float64)
        positive = sigmoid(self.slope * logit(raw) + self.bias)
        return _with_column(probabilities, column, positive)

    def undo(self, probabilities: NDArray[np.float32], classes: Classes) -> NDArray[np.float32]:
        """Raw probabilities that `apply` turns into the given ones, to its precision."""
        column = class_id(classes, self.positive)
        calibrated = probabilities[:, column].astype(np.float64)
        raw = sigmoid((logit(calibrated) - self.bias) / self.slope)
        return _with_column(probabilities, column, raw)

    def log_odds_variance(self, calibrated_log_odds: float, views: float) -> float:
        """Variance of an object's mean calibrated log odds over `views` independent views (at least 1).

        The fit's own doubt (delta method) does not shrink with more views of the same object; the
        scatter between views does.
        """
        raw = (calibrated_log_odds - self.bias) / self.slope
        gradient = np.array([raw, 1.0])
        return float(gradient @ np.array(self.covariance) @ gradient) + self.view_sd**2 / views


def _with_column(probabilities: NDArray[np.float32], column: int, values: NDArray[np.float64]) -> NDArray[np.float32]:
    rest = np.delete(probabilities.astype(np.float64), column, axis=1)
    total = rest.sum(axis=1, keepdims=True)
    share = np.divide(rest, total, out=np.full_like(rest, 1.0 / max(rest.shape[1], 1)), where=total > 0)
    rows: NDArray[np.float64] = np.insert(share * (1.0 - values)[:, None], column, values, axis=1)
    return rows.astype(np.float32)
