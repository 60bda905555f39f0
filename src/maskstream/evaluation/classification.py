"""How well the percentage of the positive class tells positive images from negative ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECISION_THRESHOLD = 0.5
"""Probability from which an image is called positive in `balanced_accuracy`."""


def roc_auc(probability: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

    Parameters
    ----------
    probability : (n,) any score that grows with the belief in the positive class.
    label : (n,) bool, true for positive.

    Raises
    ------
    ValueError : one of the two classes is missing; no pair, no area.

    Computed from ranks: J. A. Hanley and B. J. McNeil, Radiology 143 (1982).
    """
    positives = int(np.count_nonzero(label))
    negatives = len(label) - positives
    _refuse_one_class(positives, negatives)
    _, place, ties = np.unique(probability, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(ties) - (ties - 1) / 2
    rank_sum = mean_ranks[place][label].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def decision_metrics(probability: NDArray[np.float64], label: NDArray[np.bool_]) -> dict[str, float]:
    """`sensitivity`, `specificity` and `balanced_accuracy` (their mean) at `DECISION_THRESHOLD`.

    Raises
    ------
    ValueError : one of the two classes is missing.
    """
    positives = int(np.count_nonzero(label))
    _refuse_one_class(positives, len(label) - positives)
    called_positive = probability >= DECISION_THRESHOLD
    sensitivity = float(called_positive[label].mean())
    specificity = float((~called_positive[~label]).mean())
    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }


def _refuse_one_class(positives: int, negatives: int) -> None:
    if not positives or not negatives:
        raise ValueError(f"needs images of both classes, got {positives} positive and {negatives} negative")
