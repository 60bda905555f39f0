"""How well a probability ranks images of one class before the others: ROC, precision-recall, operating points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIXED_LEVELS = (0.95, 0.90, 0.80)
"""Specificities at which sensitivity is told, and the reverse."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one threshold does.

    Attributes
    ----------
    sensitivity, specificity : share of the positive images called positive, of the negative ones called negative.
    threshold : probability from which an image is called positive; None: no image is.
    """

    sensitivity: float
    specificity: float
    threshold: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Images of two classes sorted by probability, once for every figure that needs it.

    Attributes
    ----------
    thresholds : (k,) the distinct probabilities, falling.
    true_positives, false_positives : (k,) int64, numbers of images of each class at or above each threshold.
    """

    thresholds: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]

    @classmethod
    def of(cls, probability: NDArray[np.float64], label: NDArray[np.bool_]) -> Ranking:
        """Sort images.

        Parameters
        ----------
        probability : (n,) any finite score that grows with the belief in the positive class.
        label : (n,) bool, true for positive.

        Raises
        ------
        ValueError : one of the two classes is missing; there is nothing to tell apart.
        """
        positives = int(np.count_nonzero(label))
        if positives in (0, len(label)):
            raise ValueError(
                f"needs images of both classes, got {positives} positive and {len(label) - positives} negative"
            )
        order = np.argsort(-probability)
        falling = probability[order]
        last_of_ties = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
        true_positives = np.cumsum(label[order])[last_of_ties]
        return cls(falling[last_of_ties], true_positives, last_of_ties + 1 - true_positives)

    @property
    def positives(self) -> int:
        """Number of positive images."""
        return int(self.true_positives[-1])

    @property
    def negatives(self) -> int:
        """Number of negative images."""
        return int(self.false_positives[-1])

    @property
    def sensitivity(self) -> NDArray[np.float64]:
        """Share of the positive images at or above each threshold, (k,); recall is another name for it."""
        return self.true_positives / self.positives

    @property
    def specificity(self) -> NDArray[np.float64]:
        """Share of the negative images below each threshold, (k,)."""
        return (self.negatives - self.false_positives) / self.negatives

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of positive ones among the images at or above each threshold, (k,)."""
        return self.true_positives / (self.true_positives + self.false_positives)

    def roc_auc(self) -> float:
        """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

        Source: J. A. Hanley and B. J. McNeil, Radiology 143 (1982).
        """
        # counted in whole numbers, so that equal orders give equal areas to the last digit
        width = np.diff(self.false_positives, prepend=0)
        twice_height = self.true_positives + np.append(0, self.true_positives[:-1])
        return int(width @ twice_height) / (2 * self.positives * self.negatives)

    def pr_auc(self) -> float:
        """Average precision, the usual area under the precision-recall curve: precision weighted by gain in recall.

        As scikit-learn's `average_precision_score`: steps, no interpolation, which would flatter. A model that ranks
        at random gets the share of positive images.

        Source: J. Davis and M. Goadrich, ICML 2006, on why not to interpolate.
        """
        return float(np.diff(self.true_positives, prepend=0) @ self.precision) / self.positives

    def at_specificity(self, least: float) -> OperatingPoint:
        """The most sensitive threshold whose specificity on these images is at least `least`, 0..1.

        Conservative: only thresholds that these images have, nothing is interpolated between them. Where none that
        finds a positive image reaches the specificity, no image is called positive: sensitivity 0, specificity 1.
        """
        allowed = int(np.count_nonzero(self.specificity >= least))  # specificity falls from threshold to threshold
        if not allowed or not self.true_positives[allowed - 1]:
            return OperatingPoint(0.0, 1.0, None)
        return self._point(allowed - 1)

    def at_sensitivity(self, least: float) -> OperatingPoint:
        """The most specific threshold whose sensitivity is at least `least`, above 0; as conservative."""
        return self._point(int(np.count_nonzero(self.sensitivity < least)))

    def _point(self, place: int) -> OperatingPoint:
        # of thresholds that are equally sensitive the highest is the most specific, and none beats it
        place = int(np.searchsorted(self.true_positives, self.true_positives[place]))
        return OperatingPoint(
            float(self.sensitivity[place]), float(self.specificity[place]), float(self.thresholds[place])
        )

    def operating_figures(self) -> dict[str, float]:
        """`sensitivity_at_specificity_0.95` and `specificity_at_sensitivity_0.95`, and so on for `FIXED_LEVELS`."""
        figures = {f"sensitivity_at_specificity_{x:.2f}": self.at_specificity(x).sensitivity for x in FIXED_LEVELS}
        return figures | {
            f"specificity_at_sensitivity_{x:.2f}": self.at_sensitivity(x).specificity for x in FIXED_LEVELS
        }
