"""How well class probabilities tell images apart: one class against the rest, and all classes at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.errors import DatasetError

DECISION_THRESHOLD = 0.5
"""Probability from which an image is called positive in `balanced_accuracy`."""


def positive_class(classes: Classes, calibration: Calibration | None, positive: str | None) -> str | None:
    """The class whose percentage is judged: the named one, else the calibration's, else the second of two, else none.

    Raises
    ------
    DatasetError : the named one is not one of the classes.
    """
    if positive is None and calibration is not None:
        positive = calibration.positive
    if positive is None:
        return classes[1] if len(classes) == 2 else None
    if positive not in classes:
        raise DatasetError(
            f"positive class {positive!r}",
            expected=f"one of {', '.join(classes)}",
            found="another name",
            remedy="name one of the model's classes",
        )
    return positive


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


def confusion_matrix(truth: NDArray[np.int64], called: NDArray[np.int64], class_count: int) -> NDArray[np.int64]:
    """Counts (c, c) of class ids (n,): row the true class, column the called one."""
    flat = np.bincount(truth * class_count + called, minlength=class_count**2)
    return flat.reshape(class_count, class_count).astype(np.int64)


def log_loss(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Mean of -log of the true class's probability, in nats.

    Parameters
    ----------
    probabilities : (n, c), rows sum to 1; kept one float32 step away from 0 and 1, as scikit-learn does.
    truth : (n,) class ids, n at least 1.
    """
    step = np.finfo(np.float32).eps
    likelihood = np.clip(probabilities[np.arange(len(truth)), truth].astype(np.float64), step, 1 - step)
    return float(-np.log(likelihood).mean())


def brier_score_of_all(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Mean over images of the squared differences of all classes' probabilities and outcomes, 0 (best) to 2.

    Of two classes it is twice the score of one of them. Source: G. W. Brier, 1950.
    """
    outcome = np.eye(probabilities.shape[1])[truth]
    return float(((probabilities.astype(np.float64) - outcome) ** 2).sum(axis=1).mean())


def _refuse_one_class(positives: int, negatives: int) -> None:
    if not positives or not negatives:
        raise ValueError(f"needs images of both classes, got {positives} positive and {negatives} negative")
