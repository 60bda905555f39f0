"""Images with their true classes and a classifier's probabilities, and what follows from the two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes
from maskstream.evaluation.classes.classification import confusion_matrix
from maskstream.evaluation.classes.coverage import RiskCoverage
from maskstream.evaluation.classes.ranking import Ranking


@dataclass(frozen=True, slots=True, eq=False)
class ClassifiedImages:
    """Images as a whole, at least one.

    Attributes
    ----------
    truth : (n,) ids of the true classes.
    probabilities : (n, c), rows sum to 1.
    """

    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    @property
    def called(self) -> NDArray[np.int64]:
        """Ids of the most probable classes, (n,); of equal ones the first."""
        ids: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return ids

    @property
    def sure(self) -> NDArray[np.float64]:
        """Probability of the called class, (n,)."""
        highest: NDArray[np.float64] = self.probabilities.max(axis=1).astype(np.float64)
        return highest

    def counts(self) -> NDArray[np.int64]:
        """Confusion matrix (c, c): row the true class, column the called one."""
        return confusion_matrix(self.truth, self.called, self.probabilities.shape[1])

    def risk_coverage(self) -> RiskCoverage:
        """An answer's confidence is the probability of the called class."""
        return RiskCoverage.of(self.sure, self.called != self.truth)

    def rankings(self, classes: Classes) -> dict[str, Ranking]:
        """Of each class against the rest, where there are both."""
        return {
            name: Ranking.of(self.probabilities[:, column].astype(np.float64), self.truth == column)
            for column, name in enumerate(classes)
            if 0 < np.count_nonzero(self.truth == column) < len(self.truth)
        }

    def areas(self, classes: Classes) -> dict[str, float]:
        """`auc/<class>` and `pr_auc/<class>`, and `auc` and `pr_auc`, their means, where every class has an area."""
        rankings = self.rankings(classes)
        auc = {f"auc/{name}": ranking.roc_auc() for name, ranking in rankings.items()}
        pr_auc = {f"pr_auc/{name}": ranking.pr_auc() for name, ranking in rankings.items()}
        figures = auc | pr_auc
        if rankings and len(rankings) == len(classes):
            figures["auc"] = float(np.mean(list(auc.values())))
            figures["pr_auc"] = float(np.mean(list(pr_auc.values())))
        return figures
