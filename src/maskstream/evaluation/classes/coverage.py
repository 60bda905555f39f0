"""What is gained when the least sure answers are left to a person: risk against coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """Images ordered by confidence, the surest first; those with the same confidence are covered together.

    Attributes
    ----------
    least_confidence : (k,) the distinct confidences, falling: at each, the images at least so sure are covered.
    covered : (k,) int64, numbers of covered images; the last is n.
    wrong : (k,) int64, numbers of wrong answers among them.
    """

    least_confidence: NDArray[np.float64]
    covered: NDArray[np.int64]
    wrong: NDArray[np.int64]

    @classmethod
    def of(cls, confidence: NDArray[np.float64], wrong: NDArray[np.bool_]) -> RiskCoverage:
        """Order images.

        Parameters
        ----------
        confidence : (n,) probability that the model itself gives its answer.
        wrong : (n,) bool, whether the answer is wrong.

        Raises
        ------
        ValueError : there is no image.

        Source: R. El-Yaniv and Y. Wiener, JMLR 11 (2010); Y. Geifman and R. El-Yaniv, NeurIPS 2017.
        """
        if not len(wrong):
            raise ValueError("risk and coverage need at least one image")
        order = np.argsort(-confidence)
        falling = confidence[order]
        last_of_ties = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
        return cls(falling[last_of_ties], last_of_ties + 1, np.cumsum(wrong[order])[last_of_ties])

    @property
    def coverage(self) -> NDArray[np.float64]:
        """Share of the images that are covered, (k,), rising to 1."""
        share: NDArray[np.float64] = self.covered / self.covered[-1]
        return share

    @property
    def risk(self) -> NDArray[np.float64]:
        """Share of wrong answers among the covered images, (k,); the last is that of all images."""
        share: NDArray[np.float64] = self.wrong / self.covered
        return share

    def area(self) -> float:
        """AURC, 0 (best) to 1: the mean over images of the risk when all at least as sure as it are covered.

        Source: Y. Geifman, G. Uziel and R. El-Yaniv, ICLR 2019.
        """
        return float(np.diff(self.covered, prepend=0) @ self.risk) / int(self.covered[-1])


def of_percentage(percentage: NDArray[np.float64], label: NDArray[np.bool_], threshold: float) -> RiskCoverage:
    """Risk and coverage of a class against the rest, called from a threshold on; confidence is max(p, 1 - p)."""
    return RiskCoverage.of(np.maximum(percentage, 1 - percentage), (percentage >= threshold) != label)
