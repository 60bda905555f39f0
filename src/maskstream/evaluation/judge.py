"""The one judgement of a model on labelled images, for training's validation and for deployed models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.errors import DatasetError
from maskstream.evaluation import instance
from maskstream.evaluation.calibration import ECE_BINS, calibration_metrics
from maskstream.evaluation.classification import DECISION_THRESHOLD, decision_metrics, positive_class, roc_auc
from maskstream.evaluation.instance import Entry, ImageTruth
from maskstream.evaluation.pixel import JACCARD_THRESHOLD, Overlap, overlap, pixel_metrics
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table

__all__ = ["SCORE_FLOOR", "ImageTruth", "Judge", "check_pair", "judge"]

SCORE_FLOOR = 0.05
"""Score down to which detections should be decoded for AP, which wants them without a threshold."""

BOX_FIGURES = ("AP", "AP50")
"""Those of boxes that are told beside the ones of masks."""


def judge(
    truth_and_found: Iterable[tuple[ImageTruth, Detections]],
    classes: Classes,
    score_threshold: float,
    *,
    calibration: Calibration | None = None,
    positive: str | None = None,
    max_detections: int = instance.MAX_DETECTIONS,
) -> Metrics:
    """Judge detections image by image; the parameters and the result are those of `Judge`.

    Raises
    ------
    DatasetError : there is no image, or one of them contradicts the others or its detections.
    MissingDependency : faster-coco-eval is not installed.
    """
    verdict = Judge(classes, score_threshold, calibration=calibration, positive=positive, max_detections=max_detections)
    for truth, found in truth_and_found:
        verdict.add(truth, found)
    return verdict.metrics()


class Judge:
    """Takes images one at a time and keeps run-length codes and counts of them, never dense masks.

    Parameters
    ----------
    classes : the model's class names in the order of their ids, which the truth's ids follow as well.
    score_threshold : score from which an object counts as found, in everything but AP.
    calibration : the model's calibration, already applied in the detections; None when they are raw.
    positive : class whose percentage is judged; by default the calibration's class, else the second of two
        classes, else none.
    max_detections : of a class in an image; the best so many count in AP.

    Attributes
    ----------
    results : what was found so far, in COCO's result form with 0-based class ids.
    evaluator : name and version of what computes AP.

    Raises
    ------
    DatasetError : `positive` is not one of the classes.
    MissingDependency : faster-coco-eval is not installed.
    """

    def __init__(
        self,
        classes: Classes,
        score_threshold: float,
        *,
        calibration: Calibration | None = None,
        positive: str | None = None,
        max_detections: int = instance.MAX_DETECTIONS,
    ) -> None:
        self.classes = classes
        self.max_detections = max_detections
        self.score_threshold = score_threshold
        self.calibration = calibration
        self.positive = positive_class(classes, calibration, positive)
        self.evaluator = instance.evaluator_name()  # a missing package is told before the work, not after
        self.results: list[Entry] = []
        self._images: dict[int, Entry] = {}
        self._truths: list[Entry] = []
        self._overlaps: list[Overlap] = []
        self._labels: list[bool] = []
        self._probabilities: list[NDArray[np.float32] | None] = []

    def add(self, truth: ImageTruth, found: Detections) -> None:
        """Judge one image. `found` should be decoded down to `SCORE_FLOOR`, best score first.

        Raises
        ------
        DatasetError : the image was judged before, or its detections are of another size or other classes.
        """
        check_pair(truth, found, self.classes, self._images)
        above = found.select(found.scores >= self.score_threshold)
        self._images[truth.image_id] = instance.image_entry(truth)
        self._truths += instance.truth_entries(truth)
        self.results += instance.result_entries(truth.image_id, found)
        self._overlaps.append(overlap(truth.masks, above.masks, truth.size_hw))
        self._labels.append(any(self.classes[class_id] == self.positive for class_id in truth.class_ids))
        self._probabilities.append(above.probabilities[np.argmax(above.scores)] if len(above) else None)

    def metrics(self) -> Metrics:
        """All figures of the images so far.

        - `AP`, `AP50`, `AP75`, `AP/<class>`, `AP50/<class>`: of masks, see `evaluation.instance`; `box_AP`, `box_AP50`:
          of boxes.
        - `mean_jaccard`, `thresholded_jaccard`, `mean_dice`: see `evaluation.pixel`.
        - `auc`, `sensitivity`, `specificity`, `balanced_accuracy`: see `evaluation.classification`. An
          image's percentage is the positive class's probability of its best-scored detection, 0 without
          one; an image is positive when it shows an object of the positive class.
        - `ece`, `brier`, `calibration_slope`, `calibration_intercept`: see `evaluation.calibration`, over
          the `n_with_detection` images that have a percentage to show; with `_uncalibrated` behind them
          the same of the network's own probabilities, when there is a calibration.
        - counts, thresholds and the evaluator, and `undefined`: the figures that were left out because these
          images do not define them (no object of a class, one class only), or "none".

        Raises
        ------
        DatasetError : there is no image.
        """
        if not self._images:
            raise DatasetError(
                "evaluation", expected="at least one image", found="none", remedy="choose a split that holds images"
            )
        figures: Metrics = {}
        figures |= self._average_precision("mask")
        figures |= {f"box_{key}": value for key, value in self._average_precision("box").items() if key in BOX_FIGURES}
        figures |= pixel_metrics(self._overlaps)
        figures |= self._class_metrics()
        figures |= self._conditions()
        missing = [key for key in self._expected_keys() if key not in figures]
        figures["undefined"] = ", ".join(missing) or "none"
        return figures

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`."""
        return pixel_metrics([self._overlaps[position] for position in images]) if len(images) else {}

    def image_rows(self) -> list[ImageRow]:
        """`jaccard` and `dice` of each image."""
        return [{"jaccard": image.jaccard, "dice": image.dice} for image in self._overlaps]

    def tables(self) -> list[Table]:
        """None yet."""
        return []

    def percentages(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The positive class's probability and the label, each (n,), of the images with a detection.

        On raw detections of a validation split this is what `fit_calibration` takes.

        Raises
        ------
        DatasetError : the classes have no positive one.
        """
        if self.positive is None:
            raise DatasetError(
                "positive class",
                expected=f"one of {', '.join(self.classes)}",
                found="none chosen",
                remedy="name the class whose percentage matters",
            )
        detected = np.array([p is not None for p in self._probabilities], bool)
        label = np.array(self._labels, bool)[detected]
        return self._shown()[:, self.classes.index(self.positive)].astype(np.float64), label

    def _shown(self) -> NDArray[np.float32]:
        """Class probabilities of the best-scored detection of each image that has one, (n, c)."""
        shown = [p for p in self._probabilities if p is not None]
        return np.array(shown, np.float32).reshape(-1, len(self.classes))

    def _average_precision(self, of: Literal["mask", "box"]) -> dict[str, float]:
        images = list(self._images.values())
        return instance.average_precision(
            images, self._truths, self.results, self.classes, of=of, max_detections=self.max_detections
        )

    def _class_metrics(self) -> dict[str, float]:
        if self.positive is None:
            return {}
        shown, shown_label = self.percentages()
        label = np.array(self._labels)
        percentage = np.zeros(len(label))
        percentage[[p is not None for p in self._probabilities]] = shown
        figures = {}
        if label.any() and not label.all():
            figures = {"auc": roc_auc(percentage, label), **decision_metrics(percentage, label)}
        if len(shown):
            figures |= calibration_metrics(shown, shown_label)
        if len(shown) and self.calibration is not None:
            raw = self.calibration.undo(self._shown(), self.classes)[:, self.classes.index(self.positive)]
            before = calibration_metrics(raw.astype(np.float64), shown_label)
            figures |= {f"{key}_uncalibrated": value for key, value in before.items()}
        return figures

    def _conditions(self) -> Metrics:
        without = sum(p is None for p in self._probabilities)
        conditions: Metrics = {
            "n_pictures": len(self._images),
            "n_objects": len(self._truths),
            **self._objects_per_class(),
            "n_with_detection": len(self._images) - without,
            "n_without_detection": without,
            "score_threshold": self.score_threshold,
            "jaccard_threshold": JACCARD_THRESHOLD,
            "max_detections": self.max_detections,
            "evaluator": self.evaluator,
        }
        if self.positive is not None:
            conditions |= {
                "n_positive": sum(self._labels),
                "positive_class": self.positive,
                "decision_threshold": DECISION_THRESHOLD,
                "ece_bins": ECE_BINS,
                "calibration": "none" if self.calibration is None else "temperature and bias",
            }
        return conditions

    def _objects_per_class(self) -> dict[str, int]:
        counts = Counter(entry["category_id"] for entry in self._truths)
        return {f"n_objects/{name}": counts[class_id] for class_id, name in enumerate(self.classes)}

    def _expected_keys(self) -> list[str]:
        keys = ["AP", "AP50", "AP75", *(f"{key}/{name}" for name in self.classes for key in ("AP", "AP50"))]
        keys += [f"box_{key}" for key in BOX_FIGURES]
        if self.positive is None:
            return keys
        calibration = ["ece", "brier", "calibration_slope", "calibration_intercept"]
        keys += ["auc", "sensitivity", "specificity", "balanced_accuracy", *calibration]
        if self.calibration is not None:
            keys += [f"{key}_uncalibrated" for key in calibration]
        return keys


def check_pair(truth: ImageTruth, found: Detections, classes: Classes, judged: Container[int]) -> None:
    """Refuse an image that cannot be judged.

    Raises
    ------
    DatasetError : its id is among those `judged` before, or its detections are of another size or other classes.
    """
    place = f"image {truth.image_id}"
    if truth.image_id in judged:
        raise DatasetError(
            place, expected="each image once", found="it a second time", remedy="give every image its own id"
        )
    if found.size_hw != truth.size_hw:
        raise DatasetError(
            place,
            expected=f"detections in an image of {truth.size_hw} (height, width)",
            found=f"{found.size_hw}",
            remedy="decode them in the pixels of the labelled image",
        )
    if found.classes != classes or any(not 0 <= c < len(classes) for c in truth.class_ids):
        raise DatasetError(
            place,
            expected=f"the classes {', '.join(classes)}",
            found=f"detections of {', '.join(found.classes)} and truth with ids {sorted(set(truth.class_ids))}",
            remedy="judge a model on a dataset of its own classes",
        )
