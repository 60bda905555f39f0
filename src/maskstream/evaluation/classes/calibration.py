"""Fitting a calibration, and measuring how far percentages are from what happens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration, logit, sigmoid
from maskstream.errors import DatasetError

ECE_BINS = 5
"""Bins of the expected calibration error, each with an equal share of the images."""

CALIBRATION_KEYS = ("ece", "brier", "calibration_slope", "calibration_intercept")
"""What `calibration_metrics` gives."""

WILSON_Z = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""

PRIOR_SD = 10.0
"""Standard deviation of the normal priors on slope (mean 1) and bias (mean 0) in `fit_calibration`.

Wide enough to move a fit on a hundred images by less than a hundredth of its own standard error, tight
enough to keep it finite where the classes are separable and the likelihood has no maximum.
"""

MIN_SLOPE = 0.01
"""A slope at or below 0 would turn the ranking round and cannot be undone; this is the least one given."""

MAX_STEPS = 100

Array = NDArray[np.float64]


def fit_calibration(
    raw_probability: Array,
    label: NDArray[np.bool_],
    positive: str,
    *,
    view_sd: float,
    prior_sd: float = PRIOR_SD,
) -> Calibration:
    """Temperature and bias by maximum likelihood, lightly held by a prior.

    Parameters
    ----------
    raw_probability : (n,) in 0..1, the network's own probability of the positive class.
    label : (n,) bool, true where the object is of that class.
    positive : name of the class.
    view_sd : stored as it is; see `Calibration`.
    prior_sd : see `PRIOR_SD`; infinite for plain maximum likelihood.

    The covariance is the inverse of the Fisher information plus the prior's. A model that ranks no better
    than chance gets `MIN_SLOPE` and the bias that goes with it, so that its percentages all come close to
    the share of positives.

    Raises
    ------
    DatasetError : one of the two classes is missing, or the classes are separable and there is no prior.

    Source: J. Platt, "Probabilistic outputs for support vector machines", 1999, on the network's logit.
    """
    positives = int(np.count_nonzero(label))
    if positives in (0, len(label)):
        raise _unfit(positive, f"{positives} positive of {len(label)}", "use a split that holds both")
    if not np.isfinite(prior_sd) and separable(raw_probability, label):
        raise _unfit(positive, "classes that a threshold separates", "use more images or a finite prior_sd")
    log_odds = logit(raw_probability)
    precision = np.full(2, prior_sd**-2.0)
    slope, bias = _newton(_design(log_odds), label, np.zeros(len(label)), np.array([1.0, 0.0]), precision)
    if slope < MIN_SLOPE:
        slope = MIN_SLOPE
        (bias,) = _newton(np.ones((len(label), 1)), label, slope * log_odds, np.zeros(1), precision[1:])
    spread = np.linalg.inv(_information(_design(log_odds), slope * log_odds + bias) + np.diag(precision))
    return Calibration(
        positive=positive,
        slope=float(slope),
        bias=float(bias),
        covariance=((float(spread[0, 0]), float(spread[0, 1])), (float(spread[1, 0]), float(spread[1, 1]))),
        view_sd=view_sd,
    )


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One of the equal-mass bins of a reliability diagram.

    Attributes
    ----------
    n : number of images.
    mean_probability : of these.
    share : of positives among them, and `share_low`, `share_high`, its 95 % interval by Wilson.
    """

    n: int
    mean_probability: float
    share: float
    share_low: float
    share_high: float


def reliability_bins(probability: Array, label: NDArray[np.bool_], bins: int = ECE_BINS) -> list[ReliabilityBin]:
    """Images sorted by probability, in bins whose sizes differ by at most one; fewer bins where there are fewer images.

    Images with the same probability share their labels evenly, so that their order does not matter.

    Raises
    ------
    ValueError : there is no image.
    """
    if not len(label):
        raise ValueError("the calibration error needs at least one image")
    _, place, ties = np.unique(probability, return_inverse=True, return_counts=True)
    shared_label = (np.bincount(place, weights=label) / ties)[place]
    order = np.argsort(probability, kind="stable")
    return [_bin(probability[rows], shared_label[rows]) for rows in np.array_split(order, min(bins, len(order)))]


def wilson_interval(positives: float, n: int) -> tuple[float, float]:
    """95 % interval of a share, 0..1, of `positives` among `n` (at least 1).

    Source: E. B. Wilson, JASA 22 (1927).
    """
    squared = WILSON_Z**2
    centre = (positives + squared / 2) / (n + squared)
    half = WILSON_Z * np.sqrt(positives * (n - positives) / n + squared / 4) / (n + squared)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def expected_calibration_error(probability: Array, label: NDArray[np.bool_], bins: int = ECE_BINS) -> float:
    """Mean over equal-mass bins of |mean probability - share of positives|, weighted by the bins' sizes.

    The bins are those of `reliability_bins`.

    Raises
    ------
    ValueError : there is no image.

    Source: M. P. Naeini et al., AAAI 2015; equal-mass bins as in K. Nguyen and B. O'Connor, EMNLP 2015.
    """
    gaps = [rows.n * (rows.mean_probability - rows.share) for rows in reliability_bins(probability, label, bins)]
    return float(np.abs(gaps).sum() / len(label))


def brier_score(probability: Array, label: NDArray[np.bool_]) -> float:
    """Mean squared difference of probability and outcome, 0 (best) to 1. Source: G. W. Brier, 1950."""
    return float(np.mean((probability - label) ** 2))


def slope_and_intercept(probability: Array, label: NDArray[np.bool_]) -> tuple[float, float]:
    """Logistic regression of the label on the logit of the probability: (1, 0) for a calibrated model.

    A slope below 1 says that the percentages are too extreme, an intercept below 0 that they are too high.

    Raises
    ------
    ValueError : a threshold separates the classes, or one is missing: the likelihood has no maximum.

    Source: D. R. Cox, Biometrika 45 (1958); B. Van Calster et al., BMC Medicine 17 (2019).
    """
    if separable(probability, label):
        raise ValueError("calibration slope and intercept need classes that overlap")
    log_odds = logit(probability)
    slope, intercept = _newton(_design(log_odds), label, np.zeros(len(label)), np.array([1.0, 0.0]), np.zeros(2))
    return float(slope), float(intercept)


def calibration_metrics(probability: Array, label: NDArray[np.bool_]) -> dict[str, float]:
    """`ece`, `brier`, `calibration_slope` and `calibration_intercept`.

    The last two are left out where they are not defined (see `slope_and_intercept`).
    """
    figures = {"ece": expected_calibration_error(probability, label), "brier": brier_score(probability, label)}
    if not separable(probability, label):
        slope, intercept = slope_and_intercept(probability, label)
        figures |= {"calibration_slope": slope, "calibration_intercept": intercept}
    return figures


def separable(probability: Array, label: NDArray[np.bool_]) -> bool:
    """Whether a threshold parts the classes (one value may be common), so that no maximum likelihood exists.

    True as well when one of the two classes is missing.
    """
    # compared as the fit sees them: what is clipped alike is alike
    positive, negative = logit(probability[label]), logit(probability[~label])
    if not len(positive) or not len(negative):
        return True
    return bool(negative.max() <= positive.min() or positive.max() <= negative.min())


def _bin(probability: Array, shared_label: Array) -> ReliabilityBin:
    n, positives = len(probability), float(shared_label.sum())
    # shared labels are fractions, whose sum may miss a whole number by a rounding error
    low, high = wilson_interval(min(max(positives, 0.0), float(n)), n)
    return ReliabilityBin(n, float(probability.mean()), positives / n, low, high)


def _newton(design: Array, label: NDArray[np.bool_], offset: Array, centre: Array, precision: Array) -> Array:
    """Coefficients of a logistic regression under independent normal priors, by damped Newton steps.

    `design` (n, k) and `offset` (n,) give the log odds `design @ coefficients + offset`; `centre` and
    `precision` (k,) are the priors' means and inverse variances.
    """

    def loss(coefficients: Array) -> float:
        log_odds = design @ coefficients + offset
        likelihood = np.sum(np.logaddexp(0.0, log_odds) - label * log_odds)
        return float(likelihood + 0.5 * np.sum(precision * (coefficients - centre) ** 2))

    # from no opinion at all: where probabilities are 0 and 1, their own slope leaves no curvature to step by
    coefficients = np.zeros_like(centre)
    for _ in range(MAX_STEPS):
        log_odds = design @ coefficients + offset
        gradient = design.T @ (sigmoid(log_odds) - label) + precision * (coefficients - centre)
        step = np.linalg.solve(_information(design, log_odds) + np.diag(precision), gradient)
        current, size = loss(coefficients), 1.0
        while loss(coefficients - size * step) > current and size > 1e-6:
            size /= 2
        coefficients = coefficients - size * step
        if gradient @ step < 1e-14:
            break
    return coefficients


def _design(log_odds: Array) -> Array:
    return np.column_stack([log_odds, np.ones(len(log_odds))])


def _information(design: Array, log_odds: Array) -> Array:
    """Fisher information of a logistic regression, (k, k)."""
    probability = sigmoid(log_odds)
    return design.T @ (design * (probability * (1 - probability))[:, None])


def _unfit(positive: str, found: str, remedy: str) -> DatasetError:
    return DatasetError(
        f"calibration of {positive!r}", expected="overlapping images of both classes", found=found, remedy=remedy
    )
