"""What a percentage means where the positive class is rarer, or more common, than in the images it was learnt from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def at_prevalence(percentage: NDArray[np.float64] | float, from_share: float, to_share: float) -> NDArray[np.float64]:
    """Calibrated probabilities moved from one share of positives to another by Bayes' rule on odds.

    ``odds(new) = odds(old) * odds(to_share) / odds(from_share)``, where ``odds(x) = x / (1 - x)``. It holds where only
    the shares of the classes differ: the positives of both places look alike, and so do the negatives.

    Parameters
    ----------
    percentage : of any shape, 0..1, calibrated on images of which `from_share` are positive.
    from_share, to_share : between 0 and 1, both excluded.

    Raises
    ------
    ValueError : a share is not between 0 and 1.

    Source: M. Saerens, P. Latinne and C. Decaestecker, Neural Computation 14 (2002), equation 2.4.
    """
    for share in (from_share, to_share):
        if not 0 < share < 1:
            raise ValueError(f"a share of positives lies between 0 and 1, both excluded, got {share}")
    probability = np.asarray(percentage, np.float64)
    positive = probability * (to_share / from_share)
    negative = (1 - probability) * ((1 - to_share) / (1 - from_share))
    moved: NDArray[np.float64] = positive / (positive + negative)
    return moved


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> tuple[float | None, float | None]:
    """Positive and negative predictive value of an operating point at a prevalence, all 0..1.

    The share of positives among what is called positive, and of negatives among what is called negative; None where
    nothing is called so.

    Source: D. G. Altman and J. M. Bland, BMJ 309 (1994).
    """
    true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_negative, false_negative = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return _share(true_positive, false_positive), _share(true_negative, false_negative)


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0 else None
