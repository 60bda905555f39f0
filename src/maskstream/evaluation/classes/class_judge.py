"""The one judgement of a classifier on labelled images, for training's validation and for deployed models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream import __version__
from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.errors import DatasetError
from maskstream.evaluation.classes import class_tables
from maskstream.evaluation.classes.calibration import ECE_BINS, expected_calibration_error
from maskstream.evaluation.classes.classification import brier_score_of_all, called_metrics, log_loss
from maskstream.evaluation.classes.classified_images import ClassifiedImages
from maskstream.evaluation.classes.percentages import Percentages
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table

SUM_TOLERANCE = 0.01
"""How far an answer's probabilities may miss 1 together: some write them with two decimals."""

_AREAS = ("auc", "pr_auc")
_MEANS = (*_AREAS, "balanced_accuracy")
"""Means over the classes where there are more than two; of two they are those of the positive one."""


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
        self._percentages = Percentages(classes, positive, calibration)
        self.positive = self._percentages.positive
        self._rows: dict[str, tuple[int, NDArray[np.float32]]] = {}
        self._all: ClassifiedImages | None = None

    def add(self, name: str, class_id: int, answer: Classification) -> None:
        """Take one image: its name, the id of its true class, and what the model says.

        Raises
        ------
        DatasetError : the image was there before, truth or answer have other classes, or the answer's numbers are no
            probabilities: not finite, below 0, or with a sum that misses 1 by more than `SUM_TOLERANCE`.
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
        p = answer.probabilities
        # written so that NaN is refused as well
        if not (p.min() >= 0 and abs(float(p.sum(dtype=np.float64)) - 1) <= SUM_TOLERANCE):
            raise DatasetError(
                f"image {name}",
                expected=f"a probability of each class, with sum 1 to within {SUM_TOLERANCE}",
                found=", ".join(f"{class_name} {value:.4g}" for class_name, value in zip(self.classes, p, strict=True)),
                remedy="give the probabilities after the softmax, as shares of 1",
            )
        self._rows[name] = class_id, p
        self._percentages.add(self.classes[class_id] == self.positive, p)
        self._all = None

    def metrics(self) -> Metrics:
        """All figures of the images so far. An image is called the class with the highest probability.

        - `accuracy`, `balanced_accuracy`, `sensitivity/<class>`, `macro_f1`, `cohen_kappa`, `log_loss`: see
          `evaluation.classes.classification`.
        - `auc`, `pr_auc`: areas under the ROC and the precision-recall curve, see `evaluation.classes.ranking`. Of two
          classes those of the positive one; of more the means of `auc/<class>` and `pr_auc/<class>`, each against the
          rest.
        - `aurc`: see `evaluation.classes.coverage`; an answer's confidence is the probability of the called class.
        - with a positive class, what `Percentages.figures` says of its percentage (`sensitivity`, `specificity`, at
          fixed levels as well, `ece`, `brier`, `calibration_slope`, ...), but `balanced_accuracy` as above. Without
          one, `ece` is that of the called class's probability, and `brier` the sum over all classes.
        - `confusion/<true>/<called>`: numbers of images; `n_pictures` and `n_pictures/<class>`.
        - the evaluator, and `undefined`: the figures that were left out because these images do not define them (none
          of a class, one class only), or "none".

        Raises
        ------
        DatasetError : there is no image.
        """
        images = self._images()
        figures: Metrics = {**self._figures(images, self._percentages.figures())}
        counts = images.counts()
        for row, true_name in enumerate(self.classes):
            for column, called_name in enumerate(self.classes):
                figures[f"confusion/{true_name}/{called_name}"] = int(counts[row, column])
        figures |= {"n_pictures": len(images.truth)}
        figures |= {f"n_pictures/{name}": int(counts[row].sum()) for row, name in enumerate(self.classes)}
        figures |= {"ece_bins": ECE_BINS, "evaluator": f"maskstream {__version__}"}
        figures |= self._percentages.conditions()
        missing = [key for key in self._expected_keys() if key not in figures]
        figures["undefined"] = ", ".join(missing) or "none"
        return figures

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`: all figures but those of the uncalibrated percentages."""
        if not len(images):
            return {}
        every = self._images()
        chosen = ClassifiedImages(every.truth[images], every.probabilities[images])
        return self._figures(chosen, self._percentages.headline(images))

    def image_rows(self) -> list[ImageRow]:
        """`truth`, `called`, every class's `probability/<class>`; with a positive class `percentage` and `label`."""
        return [
            {
                "truth": self.classes[class_id],
                "called": self.classes[int(probabilities.argmax())],
                **{f"probability/{name}": float(p) for name, p in zip(self.classes, probabilities, strict=True)},
                **shown,
            }
            for (class_id, probabilities), shown in zip(
                self._rows.values(), self._percentages.image_rows(), strict=True
            )
        ]

    def tables(self) -> list[Table]:
        """`classes`, `confusion`, `reliability`, `risk_coverage`, and with two classes shown the curves.

        `roc_curve`, `class_pr_curve` and `operating_points` are of the positive one of two classes, of each class
        against the rest where there are more. `reliability` is of the positive class's percentage, or without one of
        the called class's probability.
        """
        if not self._rows:
            return []
        images = self._images()
        rankings = images.rankings(self.classes)
        counts = images.counts()
        tables = [class_tables.each_class(counts, self.classes, rankings), class_tables.confusion(counts, self.classes)]
        if len(self.classes) == 2:
            rankings = {name: ranking for name, ranking in rankings.items() if name == self.positive}
        if rankings:
            tables += class_tables.of_rankings(rankings)
        if self.positive is None:
            right = images.called == images.truth
            tables.append(class_tables.reliability({"uncalibrated": (images.sure, right)}))
        else:
            tables.append(self._percentages.reliability())
        return [*tables, class_tables.risk_coverage(images.risk_coverage())]

    def percentages(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """See `Percentages.percentages`. DatasetError: there is no image, or the classes have no positive one."""
        self._images()
        return self._percentages.percentages()

    def _images(self) -> ClassifiedImages:
        if not self._rows:
            raise DatasetError(
                "evaluation", expected="at least one image", found="none", remedy="choose a split that holds images"
            )
        if self._all is None:
            truth, probabilities = zip(*self._rows.values(), strict=True)
            self._all = ClassifiedImages(np.array(truth, np.int64), np.stack(probabilities))
        return self._all

    def _figures(self, images: ClassifiedImages, of_positive: dict[str, float]) -> dict[str, float]:
        """Figures of all classes, and beside them the positive one's."""
        figures = called_metrics(images.counts(), self.classes)
        figures["log_loss"] = log_loss(images.probabilities, images.truth)
        figures["aurc"] = images.risk_coverage().area()
        if len(self.classes) != 2:
            of_positive = {key: value for key, value in of_positive.items() if key not in _MEANS}
            figures |= images.areas(self.classes)
        if self.positive is None:
            figures["ece"] = expected_calibration_error(images.sure, images.called == images.truth)
            figures["brier"] = brier_score_of_all(images.probabilities, images.truth)
        return of_positive | figures

    def _expected_keys(self) -> list[str]:
        keys = ["accuracy", "balanced_accuracy", *(f"sensitivity/{name}" for name in self.classes)]
        keys += ["macro_f1", "cohen_kappa", *_AREAS]
        if len(self.classes) != 2:
            keys += [f"{key}/{name}" for key in _AREAS for name in self.classes]
        return list(dict.fromkeys([*keys, *self._percentages.expected_keys()]))
