"""The answers of the classical baseline: objects by Otsu's threshold, classes by their shares alone."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np

from maskstream.core.calibration import Calibration
from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.evaluation.objects.instance import MAX_DETECTIONS
from maskstream.evaluation.objects.judge import SCORE_FLOOR
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.classical import NAME, ClassicalSegmenter

LEARNT_FROM = "train"
"""Split whose shares of the classes are its class probabilities."""


class _ShareAnswers:
    """What both baselines know: the shares of the classes. As they are the same for every image, the AUC is 0.5."""

    def __init__(self, dataset: Dataset) -> None:
        self.name = NAME
        self.classes = dataset.classes
        self.calibration: Calibration | None = None
        self.shares, origin = class_shares(dataset)
        self.facts: Metrics = {"model": NAME, "class_probabilities": origin}


class ClassicalAnswers(_ShareAnswers):
    """Objects of images: `ClassicalSegmenter`, with the shares of the classes as probabilities."""

    task: Literal["instance", "semantic"] = "instance"
    score_floor = SCORE_FLOOR
    max_detections = MAX_DETECTIONS

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.segmenter = ClassicalSegmenter(self.classes, self.shares)
        self.score_threshold = self.segmenter.score_threshold

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """The dark object in the middle of the image's file."""
        (found,) = self.segmenter.segment([Frame(record.read_image(), 0, 0.0, str(record.path))], score_floor)
        return found


class ClassShareAnswers(_ShareAnswers):
    """Classes of images as a whole: the shares of the classes, whatever the image shows."""

    task: Literal["classification"] = "classification"

    def classification(self, record: ImageRecord) -> Classification:
        """The same for every image, which is not even read."""
        return Classification(np.array(self.shares, np.float32), self.classes)


def classical_answers(dataset: Dataset) -> ClassicalAnswers | ClassShareAnswers:
    """The baseline for a dataset: objects where objects are labelled, else classes of whole images."""
    if any(record.annotations for record in dataset.images):
        return ClassicalAnswers(dataset)
    return ClassShareAnswers(dataset)


def class_shares(dataset: Dataset) -> tuple[tuple[float, ...], str]:
    """Share of each class among what is labelled in the training split, and what `metrics.json` says of it.

    Objects count where there are any, else images; all classes equally where the training split has neither.
    """
    records = dataset.records(LEARNT_FROM) if LEARNT_FROM in dataset.splits else ()
    objects = Counter(a.class_id for record in records for a in record.annotations if not a.iscrowd)
    counts = objects or Counter(record.class_id for record in records if record.class_id is not None)
    total = sum(counts.values())
    if not total:
        equal = 1 / len(dataset.classes)
        return (equal,) * len(dataset.classes), f"equal: the split {LEARNT_FROM} has no label to count"
    shares = tuple(counts[class_id] / total for class_id in range(len(dataset.classes)))
    return shares, f"shares of the classes in the split {LEARNT_FROM}"
