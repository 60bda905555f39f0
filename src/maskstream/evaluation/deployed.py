"""A deployed model of any task on labelled images: its figures, and what it said of each image."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Protocol

from maskstream.core.classification import Classification
from maskstream.core.masks import to_rle
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.evaluation.class_judge import ClassJudge
from maskstream.evaluation.instance import MAX_DETECTIONS, Entry
from maskstream.evaluation.judge import SCORE_FLOOR, Judge, Metrics
from maskstream.evaluation.regions import RegionJudge
from maskstream.evaluation.split import classify_records, coco_results, match_classes, segment_records
from maskstream.inference.load import DeployedClassifier, DeployedModel

MAX_DETECTIONS_IN_TILES = 1000
"""Of a class in an image that is looked at in windows, and so may show more objects than COCO's images do."""


class Evaluation(Protocol):
    """Takes labelled images one at a time, and knows the figures of all of them."""

    def add(self, record: ImageRecord) -> None:
        """Run the model on an image and judge its answer. DatasetError: the image cannot be judged."""
        ...

    def metrics(self) -> Metrics:
        """All figures, by their flat names. DatasetError: there is no image."""
        ...

    def predictions(self) -> tuple[str, str]:
        """Name and text of the file that holds what was found."""
        ...


def evaluation_of(
    model: DeployedModel | DeployedClassifier,
    dataset: Dataset,
    *,
    score_threshold: float | None = None,
    score_floor: float = SCORE_FLOOR,
    positive: str | None = None,
) -> Evaluation:
    """The evaluation of the model's task.

    Parameters
    ----------
    score_threshold : score from which an object or region counts as found; None: the model's own.
    score_floor : score down to which objects are ranked for AP.
    positive : class whose percentage is judged; None: see `evaluation.judge` and `evaluation.class_judge`.

    Raises
    ------
    DatasetError : the dataset has a class that the model does not know, or `positive` is none of the model's.
    """
    if isinstance(model, DeployedClassifier):
        return ClassEvaluation(model, dataset, positive)
    threshold = model.score_threshold if score_threshold is None else score_threshold
    if model.manifest.task == "semantic":
        return RegionEvaluation(model, dataset, threshold)
    return InstanceEvaluation(model, dataset, threshold, score_floor, positive)


def judge_deployed(
    model: DeployedModel | DeployedClassifier,
    dataset: Dataset,
    records: Iterable[ImageRecord],
    *,
    positive: str | None = None,
) -> Metrics:
    """The figures of `maskstream evaluate` on images of a dataset, with its name."""
    evaluation = evaluation_of(model, dataset, positive=positive)
    for record in records:
        evaluation.add(record)
    return evaluation.metrics() | {"dataset": dataset.provenance.name}


class InstanceEvaluation:
    """Objects: the figures of `Judge`; predictions as COCO's results, a line an object and class."""

    def __init__(
        self, model: DeployedModel, dataset: Dataset, score_threshold: float, score_floor: float, positive: str | None
    ) -> None:
        self._model, self._dataset = model, dataset
        self._class_ids = match_classes(dataset, model.classes)
        self._floor = min(score_floor, score_threshold)
        self._verdict = Judge(
            model.classes,
            score_threshold,
            calibration=model.calibration,
            positive=positive,
            max_detections=MAX_DETECTIONS if model.manifest.tiles is None else MAX_DETECTIONS_IN_TILES,
        )

    def add(self, record: ImageRecord) -> None:
        """Judge what is found down to the floor."""
        for truth, found in segment_records([record], self._model, self._class_ids, self._floor):
            self._verdict.add(truth, found)

    def metrics(self) -> Metrics:
        """All figures."""
        return self._verdict.metrics() | {"score_floor": self._floor}

    def predictions(self) -> tuple[str, str]:
        """COCO's result list, with the category ids of the dataset."""
        return "predictions.json", _json(coco_results(self._verdict.results, self._dataset, self._model.classes))


class RegionEvaluation:
    """Regions: the figures of `RegionJudge`; predictions as COCO's results, each region with its own class."""

    def __init__(self, model: DeployedModel, dataset: Dataset, score_threshold: float) -> None:
        self._model, self._dataset = model, dataset
        self._class_ids = match_classes(dataset, model.classes)
        self._threshold = score_threshold
        self._verdict = RegionJudge(model.classes, score_threshold)
        self._results: list[Entry] = []

    def add(self, record: ImageRecord) -> None:
        """Judge the regions that count as found."""
        for truth, found in segment_records([record], self._model, self._class_ids, self._threshold):
            self._verdict.add(truth, found)
            self._results += [
                {
                    "image_id": truth.image_id,
                    "category_id": region.class_id,
                    "segmentation": to_rle(region.mask, found.size_hw),
                    "score": region.score,
                }
                for region in found
            ]

    def metrics(self) -> Metrics:
        """All figures."""
        return self._verdict.metrics()

    def predictions(self) -> tuple[str, str]:
        """COCO's result list, with the category ids of the dataset."""
        return "predictions.json", _json(coco_results(self._results, self._dataset, self._model.classes))


class ClassEvaluation:
    """Images as a whole: the figures of `ClassJudge`; predictions as a table, a row an image."""

    def __init__(self, model: DeployedClassifier, dataset: Dataset, positive: str | None) -> None:
        self._model = model
        self._class_ids = match_classes(dataset, model.classes)
        self._verdict = ClassJudge(model.classes, calibration=model.calibration, positive=positive)
        self._rows: list[tuple[str, str, Classification]] = []

    def add(self, record: ImageRecord) -> None:
        """Judge the class of the image."""
        for _, class_id, answer in classify_records([record], self._model, self._class_ids):
            self._verdict.add(record.name, class_id, answer)
            self._rows.append((record.name, self._model.classes[class_id], answer))

    def metrics(self) -> Metrics:
        """All figures."""
        return self._verdict.metrics()

    def predictions(self) -> tuple[str, str]:
        """CSV: image, true class, called class, and the probability of every class."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["image", "truth", "called", *self._model.classes])
        for name, truth, answer in self._rows:
            table.writerow([name, truth, answer.class_name, *(f"{p:.6f}" for p in answer.probabilities)])
        return "predictions.csv", text.getvalue()


def _json(entries: list[Entry]) -> str:
    return json.dumps(entries, allow_nan=False) + "\n"
