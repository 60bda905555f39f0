"""The percentage of the positive class that is shown for each image, and how far it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.errors import DatasetError
from maskstream.evaluation.classes import class_tables, coverage
from maskstream.evaluation.classes.calibration import (
    CALIBRATION_KEYS,
    ECE_BINS,
    calibration_metrics,
)
from maskstream.evaluation.classes.classification import DECISION_THRESHOLD, decision_metrics, positive_class
from maskstream.evaluation.classes.ranking import FIXED_LEVELS, Ranking
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table

_RANKING_KEYS = (
    *("auc", "pr_auc", "sensitivity", "specificity", "balanced_accuracy"),
    *(f"sensitivity_at_specificity_{level:.2f}" for level in FIXED_LEVELS),
    *(f"specificity_at_sensitivity_{level:.2f}" for level in FIXED_LEVELS),
)


@dataclass(frozen=True, slots=True, eq=False)
class _Images:
    """Images by position: `percentage` (n,) is 0 where nothing is `shown`, `raw` the same before calibration."""

    label: NDArray[np.bool_]
    shown: NDArray[np.bool_]
    percentage: NDArray[np.float64]
    raw: NDArray[np.float64] | None

    def of(self, images: Positions) -> _Images:
        raw = None if self.raw is None else self.raw[images]
        return _Images(self.label[images], self.shown[images], self.percentage[images], raw)

    @property
    def both_classes(self) -> bool:
        return bool(self.label.any() and not self.label.all())


class Percentages:
    """Takes, image by image, whether it shows the positive class and the class probabilities shown for it.

    Parameters
    ----------
    classes : class names in the order of their ids.
    positive : class whose percentage is judged; None: the calibration's, else the second of two, else none. Without
        one there are no figures and no tables.
    calibration : already applied in the probabilities; None when they are raw.

    Attributes
    ----------
    positive : the name of the class, or None.

    Raises
    ------
    DatasetError : `positive` is not one of the classes.
    """

    def __init__(self, classes: Classes, positive: str | None, calibration: Calibration | None) -> None:
        self.classes = classes
        self.calibration = calibration
        self.positive = positive_class(classes, calibration, positive)
        self._labels: list[bool] = []
        self._probabilities: list[NDArray[np.float32] | None] = []
        self._all: _Images | None = None

    def add(self, label: bool, probabilities: NDArray[np.float32] | None) -> None:
        """Take one image.

        Parameters
        ----------
        label : whether it shows the positive class.
        probabilities : (c,) shown for it; None where nothing was found.
        """
        self._labels.append(label)
        self._probabilities.append(probabilities)
        self._all = None

    def figures(self, images: Positions | None = None) -> dict[str, float]:
        """All figures of a choice of images, of all by default; those that they do not define are left out.

        - `auc`, `pr_auc` (average precision), `sensitivity_at_specificity_0.95` and its like: see
          `evaluation.classes.ranking`; `sensitivity`, `specificity`, `balanced_accuracy`: at `DECISION_THRESHOLD`. An
          image in which nothing was found has percentage 0 in these.
        - `ece`, `brier`, `calibration_slope`, `calibration_intercept`: see `evaluation.classes.calibration`; `aurc`:
          see `evaluation.classes.coverage`. These are over the images that have a percentage to show.
        - with `_uncalibrated` behind the first four of these, the same of the network's own probabilities, when there
          is a calibration.
        """
        figures = self.headline(images)
        if self.positive is None:
            return figures
        chosen = self._of(images)
        if chosen.raw is not None and chosen.shown.any():
            before = calibration_metrics(chosen.raw[chosen.shown], chosen.label[chosen.shown])
            figures |= {f"{key}_uncalibrated": value for key, value in before.items()}
        return figures

    def headline(self, images: Positions | None = None) -> dict[str, float]:
        """`figures` but those of the uncalibrated percentages: a millisecond for 600 images."""
        if self.positive is None:
            return {}
        chosen = self._of(images)
        figures = decision_metrics(chosen.percentage, chosen.label)
        if chosen.both_classes:
            ranking = Ranking.of(chosen.percentage, chosen.label)
            figures |= {"auc": ranking.roc_auc(), "pr_auc": ranking.pr_auc(), **ranking.operating_figures()}
        label, percentage = chosen.label[chosen.shown], chosen.percentage[chosen.shown]
        if len(label):
            figures |= calibration_metrics(percentage, label)
            figures["aurc"] = coverage.of_percentage(percentage, label, DECISION_THRESHOLD).area()
        return figures

    def expected_keys(self) -> list[str]:
        """What `figures` holds where the images define everything."""
        if self.positive is None:
            return []
        uncalibrated = [] if self.calibration is None else [f"{key}_uncalibrated" for key in CALIBRATION_KEYS]
        return [*_RANKING_KEYS, *CALIBRATION_KEYS, *uncalibrated, "aurc"]

    def conditions(self) -> Metrics:
        """What the figures were made with; nothing without a positive class."""
        if self.positive is None:
            return {}
        return {
            "n_positive": sum(self._labels),
            "positive_class": self.positive,
            "decision_threshold": DECISION_THRESHOLD,
            "ece_bins": ECE_BINS,
            "calibration": "none" if self.calibration is None else "temperature and bias",
        }

    def percentages(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The positive class's probability and the label, each (n,), of the images that have a percentage to show.

        On raw answers for a validation split this is what `fit_calibration` takes.

        Raises
        ------
        DatasetError : the classes have no positive one.
        """
        images = self._of(None)
        return images.percentage[images.shown], images.label[images.shown]

    def image_rows(self) -> list[ImageRow]:
        """`percentage` (None where nothing was found) and `label` (0 or 1) of each image; empty without a positive."""
        if self.positive is None:
            return [{} for _ in self._labels]
        images = self._of(None)
        return [
            {"percentage": float(percentage) if shown else None, "label": int(label)}
            for percentage, shown, label in zip(images.percentage, images.shown, images.label, strict=True)
        ]

    def tables(self) -> list[Table]:
        """`roc_curve`, `class_pr_curve`, `operating_points`, `reliability`, `risk_coverage`: those that are defined."""
        if self.positive is None:
            return []
        images = self._of(None)
        tables = []
        if images.both_classes:
            tables += class_tables.of_rankings({self.positive: Ranking.of(images.percentage, images.label)})
        label, percentage = images.label[images.shown], images.percentage[images.shown]
        if len(label):
            tables.append(self.reliability())
            tables.append(class_tables.risk_coverage(coverage.of_percentage(percentage, label, DECISION_THRESHOLD)))
        return tables

    def reliability(self) -> Table:
        """The reliability diagram's bins, before calibration and, when there is one, after it."""
        images = self._of(None)
        label, percentage = images.label[images.shown], images.percentage[images.shown]
        if images.raw is None:
            return class_tables.reliability({"uncalibrated": (percentage, label)})
        return class_tables.reliability(
            {"calibrated": (percentage, label), "uncalibrated": (images.raw[images.shown], label)}
        )

    def _of(self, images: Positions | None) -> _Images:
        if self._all is None:
            self._all = self._gathered()
        return self._all if images is None else self._all.of(images)

    def _gathered(self) -> _Images:
        if self.positive is None:
            raise DatasetError(
                "positive class",
                expected=f"one of {', '.join(self.classes)}",
                found="none chosen",
                remedy="name the class whose percentage matters",
            )
        column = self.classes.index(self.positive)
        shown = np.array([p is not None for p in self._probabilities], bool)
        rows = np.array([p for p in self._probabilities if p is not None], np.float32).reshape(-1, len(self.classes))
        percentage, raw = np.zeros(len(shown)), None
        percentage[shown] = rows[:, column]
        if self.calibration is not None:
            raw = np.zeros(len(shown))
            raw[shown] = self.calibration.undo(rows, self.classes)[:, column]
        return _Images(np.array(self._labels, bool), shown, percentage, raw)
