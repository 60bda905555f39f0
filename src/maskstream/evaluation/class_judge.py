"""The one judgement of a classifier on labelled images, for training's validation and for deployed models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream import __version__
from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.errors import DatasetError
from maskstream.evaluation.calibration import ECE_BINS, calibration_metrics, expected_calibration_error
from maskstream.evaluation.classification import (
    brier_score_of_all,
    confusion_matrix,
    log_loss,
    positive_class,
    roc_auc,
)
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table

_CALIBRATION_KEYS = ("ece", "brier", "calibration_slope", "calibration_intercept")


class ClassJudge:
    """Takes images one at a time and keeps their probabilities.

    Parameters
    ----------
    classes : the model's class names in the order of their ids, which the truth's ids follow as well.
    positive : class whose percentage is judged; by default the calibration's class, else the second of two
        classes, else none.
    calibration : the model's calibration, already applied in the answers; None when they are raw.

    Raises
    ------
    DatasetError : `positive` is not one of the classes.
    """

    def __init__(
        self, classes: Classes, *, positive: str | None = None, calibration: Calibration | None = None
    ) -> None:
        self.classes = classes
        self.calibration = calibration
        self.positive = positive_class(classes, calibration, positive)
        self._rows: dict[str, tuple[int, NDArray[np.float32]]] = {}

    def add(self, name: str, class_id: int, answer: Classification) -> None:
        """Take one image: its name, the id of its true class, and what the model says.

        Raises
        ------
        DatasetError : the image was there before, or truth or answer have other classes.
        """
        if name in self._rows:
            raise DatasetError(
                f"image {name}",
                expected="each image once",
                found="it a second time",
                remedy="give every image its own name",
            )
        if answer.classes != self.classes or not 0 <= class_id < len(self.classes):
            raise DatasetError(
                f"image {name}",
                expected=f"the classes {', '.join(self.classes)}",
                found=f"an answer of {', '.join(answer.classes)} and truth with id {class_id}",
                remedy="judge a model on a dataset of its own classes",
            )
        self._rows[name] = class_id, answer.probabilities

    def metrics(self) -> Metrics:
        """All figures of the images so far. An image is called the class with the highest probability.

        - `accuracy`: share of images called what they are; `sensitivity/<class>`: the same among the images of
          one class; `balanced_accuracy`: the mean of these over all classes.
        - `auc`: area under the ROC curve of two classes; of more, the mean of `auc/<class>`, each class
          against the rest.
        - `log_loss`: see `evaluation.classification`.
        - with a positive class, `ece`, `brier`, `calibration_slope` and `calibration_intercept` of its percentage, see
          `evaluation.calibration`; with `_uncalibrated` behind them the same of the network's own probabilities, when
          there is a calibration. Without one, `ece` is that of the called class's probability, and `brier` the sum over
          all classes.
        - `confusion/<true>/<called>`: numbers of images; `n_pictures` and `n_pictures/<class>`.
        - the evaluator, and `undefined`: the figures that were left out because these images do not define them (none
          of a class, one class only), or "none".

        Raises
        ------
        DatasetError : there is no image.
        """
        truth, probabilities = self._arrays()
        figures: Metrics = {}
        figures |= self._decisions(truth, probabilities)
        figures |= self._areas(truth, probabilities)
        figures["log_loss"] = log_loss(probabilities, truth)
        figures |= self._calibration(truth, probabilities)
        figures |= self._conditions(truth)
        missing = [key for key in self._expected_keys() if key not in figures]
        figures["undefined"] = ", ".join(missing) or "none"
        return figures

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`."""
        if not len(images):
            return {}
        truth, probabilities = self._arrays()
        return {"accuracy": float(np.mean(probabilities[images].argmax(axis=1) == truth[images]))}

    def image_rows(self) -> list[ImageRow]:
        """`truth`, `called` and the probability of every class, `probability/<class>`."""
        return [
            {
                "truth": self.classes[class_id],
                "called": self.classes[int(probabilities.argmax())],
                **{f"probability/{name}": float(p) for name, p in zip(self.classes, probabilities, strict=True)},
            }
            for class_id, probabilities in self._rows.values()
        ]

    def tables(self) -> list[Table]:
        """None yet."""
        return []

    def percentages(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The positive class's probability and the label, each (n,).

        On raw answers of a validation split this is what `fit_calibration` takes.

        Raises
        ------
        DatasetError : there is no image, or the classes have no positive one.
        """
        if self.positive is None:
            raise DatasetError(
                "positive class",
                expected=f"one of {', '.join(self.classes)}",
                found="none chosen",
                remedy="name the class whose percentage matters",
            )
        column = self.classes.index(self.positive)
        truth, probabilities = self._arrays()
        return probabilities[:, column].astype(np.float64), truth == column

    def _arrays(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """True class ids (n,) and probabilities (n, c)."""
        if not self._rows:
            raise DatasetError(
                "evaluation", expected="at least one image", found="none", remedy="choose a split that holds images"
            )
        truth, probabilities = zip(*self._rows.values(), strict=True)
        return np.array(truth, np.int64), np.stack(probabilities)

    def _decisions(self, truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Metrics:
        counts = confusion_matrix(truth, probabilities.argmax(axis=1), len(self.classes))
        right, images = counts.diagonal(), counts.sum(axis=1)
        figures: Metrics = {"accuracy": float(right.sum() / images.sum())}
        if images.all():
            figures["balanced_accuracy"] = float((right / images).mean())
        for row, name in enumerate(self.classes):
            if images[row]:
                figures[f"sensitivity/{name}"] = float(right[row] / images[row])
        for row, true_name in enumerate(self.classes):
            for column, called_name in enumerate(self.classes):
                figures[f"confusion/{true_name}/{called_name}"] = int(counts[row, column])
        return figures

    def _areas(self, truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> dict[str, float]:
        """ROC AUC of each class against the rest, where there are both, and their mean, where all are."""
        areas = {
            name: roc_auc(probabilities[:, column].astype(np.float64), truth == column)
            for column, name in enumerate(self.classes)
            if 0 < np.count_nonzero(truth == column) < len(truth)
        }
        if len(self.classes) == 2:
            # the other class's area is the same, as the probabilities sum to 1
            return {"auc": areas[self.classes[1]]} if areas else {}
        mean = {"auc": float(np.mean(list(areas.values())))} if len(areas) == len(self.classes) else {}
        return mean | {f"auc/{name}": area for name, area in areas.items()}

    def _calibration(self, truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> dict[str, float]:
        if self.positive is None:
            sure = probabilities.max(axis=1).astype(np.float64)
            right = probabilities.argmax(axis=1) == truth
            return {"ece": expected_calibration_error(sure, right), "brier": brier_score_of_all(probabilities, truth)}
        shown, label = self.percentages()
        figures = calibration_metrics(shown, label)
        if self.calibration is not None:
            raw = self.calibration.undo(probabilities, self.classes)[:, self.classes.index(self.positive)]
            before = calibration_metrics(raw.astype(np.float64), label)
            figures |= {f"{key}_uncalibrated": value for key, value in before.items()}
        return figures

    def _conditions(self, truth: NDArray[np.int64]) -> Metrics:
        images = np.bincount(truth, minlength=len(self.classes))
        conditions: Metrics = {"n_pictures": len(truth)}
        conditions |= {f"n_pictures/{name}": int(count) for name, count in zip(self.classes, images, strict=True)}
        conditions |= {"ece_bins": ECE_BINS, "evaluator": f"maskstream {__version__}"}
        if self.positive is not None:
            conditions |= {
                "positive_class": self.positive,
                "calibration": "none" if self.calibration is None else "temperature and bias",
            }
        return conditions

    def _expected_keys(self) -> list[str]:
        keys = ["accuracy", "balanced_accuracy", *(f"sensitivity/{name}" for name in self.classes), "auc"]
        if len(self.classes) != 2:
            keys += [f"auc/{name}" for name in self.classes]
        if self.positive is None:
            return keys
        keys += _CALIBRATION_KEYS
        if self.calibration is not None:
            keys += [f"{key}_uncalibrated" for key in _CALIBRATION_KEYS]
        return keys
