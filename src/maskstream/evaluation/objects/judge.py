"""The one judgement of a model on labelled images, for training's validation and for deployed models."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.errors import DatasetError
from maskstream.evaluation.classes.percentages import Percentages
from maskstream.evaluation.objects import instance
from maskstream.evaluation.objects.average_precision import AveragePrecision, RankedMatches
from maskstream.evaluation.objects.instance import Compared, Entry, ImageTruth
from maskstream.evaluation.objects.object_counts import BEST, DECIDED, ObjectCounts, shares
from maskstream.evaluation.objects.object_matches import ranked_matches
from maskstream.evaluation.objects.object_store import ObjectStore, StoredImage
from maskstream.evaluation.objects.pr_curves import pr_curves
from maskstream.evaluation.objects.true_objects import TrueObjects
from maskstream.evaluation.pixels.image_figures import FIGURES, ImageFigures, PixelCounts, image_figures
from maskstream.evaluation.pixels.pixel import JACCARD_THRESHOLD
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table, Value

__all__ = ["SCORE_FLOOR", "ImageTruth", "Judge", "check_pair", "judge"]

SCORE_FLOOR = 0.05
"""Score down to which detections should be decoded for AP, which wants them without a threshold."""

_AP_KEYS = ("AP", "AP50", "AP75", "AR_100")


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
    score_threshold : score from which an object counts as found, in everything but AP and AR.
    calibration : the model's calibration, already applied in the detections; None when they are raw.
    positive : class whose percentage is judged; by default the calibration's class, else the second of two
        classes, else none.
    max_detections : of a class in an image; the best so many count in AP and AR.

    Attributes
    ----------
    positive : the class whose percentage is judged, or None.
    evaluator : name and version of what computes AP and AR.

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
        self.evaluator = instance.evaluator_name()  # a missing package is told before the work, not after
        self._ids: dict[int, None] = {}
        self._store = ObjectStore(len(classes))
        self._ranked: dict[Compared, list[RankedMatches]] = {"mask": [], "box": []}
        self._counts = ObjectCounts(score_threshold)
        self._objects = TrueObjects(classes)
        self._pixels = PixelCounts()
        self._image_figures: list[ImageFigures] = []
        self._percentages = Percentages(classes, positive, calibration)
        self.positive = self._percentages.positive
        self._with_detection = 0
        self._ready: _Ready | None = None
        self._family: dict[str, float] | None = None

    @property
    def results(self) -> Iterator[Entry]:
        """What was found so far, in COCO's result form with 0-based class ids; see `object_store.ranked`."""
        return self._store.results()

    def add(self, truth: ImageTruth, found: Detections) -> None:
        """Judge one image. `found` should be decoded down to `SCORE_FLOOR`.

        Raises
        ------
        DatasetError : the image was judged before, or its detections are of another size or other classes.
        """
        check_pair(truth, found, self.classes, self._ids)
        self._ids[truth.image_id] = None  # in the order they come
        self._ready = self._family = None
        image = StoredImage.of(truth, found)
        self._store.add(image)
        mask_ious, box_ious = image.ious("mask"), image.ious("box")
        self._ranked["mask"].append(ranked_matches(image, mask_ious, self.max_detections))
        self._ranked["box"].append(ranked_matches(image, box_ious, self.max_detections))
        self._counts.add(image, found, mask_ious)
        is_found = found.scores >= self.score_threshold
        above = found.select(is_found)
        self._objects.add(truth.name or str(truth.image_id), image, above, mask_ious[is_found])
        self._image_figures.append(image_figures(truth.masks, above.masks, truth.size_hw))
        self._pixels.add(self._image_figures[-1])
        label = any(self.classes[class_id] == self.positive for class_id in truth.class_ids)
        self._with_detection += bool(len(above))
        self._percentages.add(label, above.probabilities[np.argmax(above.scores)] if len(above) else None)

    def metrics(self) -> Metrics:
        """All figures of the images so far.

        - `AP`, `AP50`, `AP75`, `AP_small`, `AP_medium`, `AP_large`, `AR_1`, `AR_10`, `AR_100`, `AR_small`, `AR_medium`,
          `AR_large`, `AR_<max_detections>`: of masks, see `evaluation.objects.instance`; with `/<class>` behind them
          of each class, with `box_` before them of boxes. An object competes in every class with its score x
          probability.
        - `precision`, `recall`, `f1` at the score threshold and a mask IoU of 0.50, `best_f1` and the score that gives
          it, `best_f1_score`: of all classes together, see `evaluation.objects.object_counts`; the first three of each
          class too. An object has its most probable class and its own score in these.
        - the figures of `evaluation.pixels.image_figures`: of the pixels of all objects of an image against the
          background, `mean_` over images, each counting once, `pooled_` over all pixels; `n_in_KEY`: images that
          define it.
        - those of `evaluation.classes.percentages` (`auc`, `sensitivity`, `specificity`, `ece` and others). An image's
          percentage is the positive class's probability of its best-scored detection, 0 without one; an image is
          positive when it shows an object of the positive class. Calibration is judged over the `n_with_detection`
          images that have a percentage to show.
        - counts, thresholds and the evaluator: `n_objects` and `n_objects/<class>` without the `n_crowds` regions that
          are many objects; and `undefined`: the figures that were left out because these images do not define them (no
          object of a class or size, one class only), or "none".

        Raises
        ------
        DatasetError : there is no image.
        """
        if not self._ids:
            raise DatasetError(
                "evaluation", expected="at least one image", found="none", remedy="choose a split that holds images"
            )
        figures: Metrics = {**self._coco_family(), **self._counts.figures()}
        for name, of_class in zip(self.classes, self._counts.of_classes(len(self.classes)), strict=True):
            figures |= {f"{key}/{name}": of_class[key] for key in DECIDED if key in of_class}
        figures |= {**self._pixels.figures(), **self._pixels.counts()}
        figures |= self._percentages.figures()
        figures |= self._conditions()
        missing = [key for key in self._expected_keys() if key not in figures]
        figures["undefined"] = ", ".join(missing) or "none"
        return figures

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`: `AP`, `AP50`, `AP75`, `box_AP`, `box_AP50`, `precision`, `recall`, `f1`, and those of
        pixels and percentages.
        """
        if not len(images):
            return {}
        ready, times = self._prepare(), np.bincount(images, minlength=len(self._ids))
        of_masks, of_boxes = ready.masks.figures(times), ready.boxes.figures(times)
        figures: dict[str, float] = {key: of_masks[key] for key in ("AP", "AP50", "AP75") if key in of_masks}
        figures |= {f"box_{key}": of_boxes[key] for key in ("AP", "AP50") if key in of_boxes}
        figures |= shares(*(times @ ready.counts).tolist())
        return figures | self._pixels.figures(images) | self._percentages.headline(images)

    def image_rows(self) -> list[ImageRow]:
        """Pixel figures of each image, numbers of objects (`n_truth`, `n_found`, `n_hit`), `percentage` and `label`."""
        parts = zip(self._image_figures, self._objects.image_rows(), self._percentages.image_rows(), strict=True)
        return [pixels.row() | counts | percentage for pixels, counts, percentage in parts]

    def tables(self) -> list[Table]:
        """`classes`, `objects`, `pr_curve`, `threshold`, `confusion`, and those of the percentages."""
        if not self._ids:
            return []
        return [
            self._class_table(),
            self._objects.objects(),
            pr_curves(self._prepare().masks, self.classes),
            Table.of("threshold", self._counts.thresholds(), columns=("score", *DECIDED)),
            self._objects.confusion(),
            *self._percentages.tables(),
        ]

    def percentages(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The positive class's probability and the label, each (n,), of the images with a detection.

        On raw detections of a validation split this is what `fit_calibration` takes.

        Raises
        ------
        DatasetError : the classes have no positive one.
        """
        return self._percentages.percentages()

    def _coco_family(self) -> dict[str, float]:
        if self._family is None:
            entries, limit = self._store.entries, self.max_detections
            of_masks = instance.coco_figures(entries, self.classes, of="mask", max_detections=limit)
            of_boxes = instance.coco_figures(entries, self.classes, of="box", max_detections=limit)
            of_classes = {f"{key}/{name}" for key in instance.family_keys(limit) for name in self.classes}
            self._family = of_masks | {f"box_{key}": of_boxes[key] for key in of_boxes if key not in of_classes}
        return self._family

    def _prepare(self) -> _Ready:
        if self._ready is None:
            ids, n_classes = list(self._ids), len(self.classes)
            masks, boxes = (AveragePrecision(self._ranked[of], ids, n_classes) for of in ("mask", "box"))
            self._ready = _Ready(masks, boxes, self._counts.per_image())
        return self._ready

    def _class_table(self) -> Table:
        """`classes`, a row each; a cell is empty where the images do not define the figure."""
        family, decided = self._coco_family(), self._counts.of_classes(len(self.classes))
        columns = ("class", "n_objects", *_AP_KEYS, *DECIDED, *BEST)
        rows: list[dict[str, Value]] = [
            {"class": name, "n_objects": count, **{key: family.get(f"{key}/{name}") for key in _AP_KEYS}, **of_class}
            for name, count, of_class in zip(self.classes, self._store.objects_per_class(), decided, strict=True)
        ]
        return Table.of("classes", rows, columns)

    def _conditions(self) -> Metrics:
        objects = self._store.objects_per_class()
        return {
            "n_pictures": len(self._ids),
            "n_objects": sum(objects),
            **{f"n_objects/{name}": count for name, count in zip(self.classes, objects, strict=True)},
            "n_crowds": self._store.crowds(),
            "n_with_detection": self._with_detection,
            "n_without_detection": len(self._ids) - self._with_detection,
            "score_threshold": self.score_threshold,
            "jaccard_threshold": JACCARD_THRESHOLD,
            "max_detections": self.max_detections,
            "evaluator": self.evaluator,
            **self._percentages.conditions(),
        }

    def _expected_keys(self) -> list[str]:
        family = instance.family_keys(self.max_detections)
        return [
            *family,
            *(f"{key}/{name}" for name in self.classes for key in family),
            *(f"box_{key}" for key in family),
            *DECIDED,
            *BEST,
            *(f"{key}/{name}" for name in self.classes for key in DECIDED),
            *FIGURES,
            *self._percentages.expected_keys(),
        ]


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """What `headline` needs, sorted and counted; `counts` is of the hits, found and true objects of each image."""

    masks: AveragePrecision
    boxes: AveragePrecision
    counts: NDArray[np.int64]


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
