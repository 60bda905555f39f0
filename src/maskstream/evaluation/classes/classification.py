"""How good decisions about images are: of one class against the rest, and of all classes at once.

Areas under curves and operating points are in `evaluation.classes.ranking`.
"""

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


def decision_metrics(probability: NDArray[np.float64], label: NDArray[np.bool_]) -> dict[str, float]:
    """`sensitivity`, `specificity` and `balanced_accuracy` (their mean) at `DECISION_THRESHOLD`.

    Left out is what the images do not define: `sensitivity` without a positive one, `specificity` without a negative
    one, and their mean without both.
    """
    right = (probability >= DECISION_THRESHOLD) == label
    positives = int(np.count_nonzero(label))
    figures: dict[str, float] = {}
    if positives:
        figures["sensitivity"] = float(right[label].mean())
    if positives < len(label):
        figures["specificity"] = float(right[~label].mean())
    if len(figures) == 2:
        figures["balanced_accuracy"] = (figures["sensitivity"] + figures["specificity"]) / 2
    return figures


def confusion_matrix(truth: NDArray[np.int64], called: NDArray[np.int64], class_count: int) -> NDArray[np.int64]:
    """Counts (c, c) of class ids (n,): row the true class, column the called one."""
    flat = np.bincount(truth * class_count + called, minlength=class_count**2)
    return flat.reshape(class_count, class_count).astype(np.int64)


def of_class(counts: NDArray[np.int64], class_id: int) -> dict[str, float]:
    """`sensitivity`, `specificity`, `precision` and `f1` of one class against the rest; left out what is not defined.

    Parameters
    ----------
    counts : as `confusion_matrix` gives them.

    `sensitivity` needs images of the class, `specificity` others, `precision` images called so, `f1` one of either.
    """
    right = int(counts[class_id, class_id])
    images, called, total = int(counts[class_id].sum()), int(counts[:, class_id].sum()), int(counts.sum())
    figures: dict[str, float] = {}
    if images:
        figures["sensitivity"] = right / images
    if total > images:
        figures["specificity"] = (total - images - called + right) / (total - images)
    if called:
        figures["precision"] = right / called
    if images + called:
        figures["f1"] = 2 * right / (images + called)
    return figures


def called_metrics(counts: NDArray[np.int64], classes: Classes) -> dict[str, float]:
    """What a confusion matrix of at least one image says; left out what is not defined.

    - `accuracy`: share of images called what they are.
    - `sensitivity/<class>`: the same among the images of a class; `balanced_accuracy`: the mean of these over all
      classes, each of which needs an image.
    - `macro_f1`: the mean over all classes of F1, each of which needs an image or to be called.
    - `cohen_kappa`: how far the agreement goes beyond what chance would give, 1 at best, 0 at chance; it needs more
      than one class. Source: J. Cohen, Educational and Psychological Measurement 20 (1960).
    """
    total, right = int(counts.sum()), int(counts.trace())
    each = [of_class(counts, class_id) for class_id in range(len(classes))]
    figures = {"accuracy": right / total}
    sensitivity = {name: one["sensitivity"] for name, one in zip(classes, each, strict=True) if "sensitivity" in one}
    f1 = [one["f1"] for one in each if "f1" in one]
    if len(sensitivity) == len(classes):
        figures["balanced_accuracy"] = sum(sensitivity.values()) / len(classes)
    if len(f1) == len(classes):
        figures["macro_f1"] = sum(f1) / len(classes)
    by_chance = int(counts.sum(axis=0) @ counts.sum(axis=1))
    if by_chance < total**2:
        figures["cohen_kappa"] = (total * right - by_chance) / (total**2 - by_chance)
    return figures | {f"sensitivity/{name}": share for name, share in sensitivity.items()}


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
