"""Whose answers are judged: a deployed model's, or anybody's."""

from __future__ import annotations

from typing import Literal, Protocol

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.data.records import ImageRecord
from maskstream.evaluation.objects.instance import MAX_DETECTIONS
from maskstream.evaluation.objects.judge import SCORE_FLOOR
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.load import DeployedClassifier, DeployedModel

MAX_DETECTIONS_IN_TILES = 1000
"""Of a class in an image that is looked at in windows, and so may show more objects than COCO's images do."""


class _Answers(Protocol):
    """Somebody's answers for labelled images.

    Attributes
    ----------
    name : what pages and tables call whoever answers.
    classes : names in the order of the ids that the answers use.
    calibration : already applied in the answers; None where percentages are raw.
    facts : what `metrics.json` says of whoever answers.
    """

    name: str
    classes: Classes
    calibration: Calibration | None
    facts: Metrics


class ObjectAnswers(_Answers, Protocol):
    """Objects of images, or regions.

    Attributes
    ----------
    task : whether what counts is each object, or which pixels belong to a class.
    score_threshold : score from which an object or region counts as found.
    score_floor : score down to which objects are ranked for AP.
    max_detections : of a class in an image; the best so many count in AP.
    """

    task: Literal["instance", "semantic"]
    score_threshold: float
    score_floor: float
    max_detections: int

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """Objects or regions of an image down to a score, best first. DatasetError, SourceError: unreadable."""
        ...


class ClassAnswers(_Answers, Protocol):
    """Classes of images as a whole."""

    task: Literal["classification"]

    def classification(self, record: ImageRecord) -> Classification:
        """The class of an image as a whole. DatasetError, SourceError: unreadable."""
        ...


Answers = ObjectAnswers | ClassAnswers


class SegmenterAnswers:
    """A deployed Segmenter, asked image by image."""

    def __init__(self, model: DeployedModel) -> None:
        self._model = model
        self.name, self.classes, self.calibration = model.name, model.classes, model.calibration
        self.task: Literal["instance", "semantic"] = "semantic" if model.manifest.task == "semantic" else "instance"
        self.score_threshold, self.score_floor = model.score_threshold, SCORE_FLOOR
        self.max_detections = MAX_DETECTIONS if model.manifest.tiles is None else MAX_DETECTIONS_IN_TILES
        self.facts = _facts(model)

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """What the model finds in the image's file."""
        (found,) = self._model.segment([_frame(record)], score_floor)
        return found


class ClassifierAnswers:
    """A deployed Classifier, asked image by image."""

    task: Literal["classification"] = "classification"

    def __init__(self, model: DeployedClassifier) -> None:
        self._model = model
        self.name, self.classes, self.calibration = model.name, model.classes, model.calibration
        self.facts = _facts(model)

    def classification(self, record: ImageRecord) -> Classification:
        """What the model calls the image's file."""
        (answer,) = self._model.classify([_frame(record)])
        return answer


def answers_of(model: DeployedModel | DeployedClassifier) -> Answers:
    """The answers of a deployed model of any task."""
    return ClassifierAnswers(model) if isinstance(model, DeployedClassifier) else SegmenterAnswers(model)


def _facts(model: DeployedModel | DeployedClassifier) -> Metrics:
    return {"model": model.name, "model_version": model.manifest.version, "model_sha256": model.sha256}


def _frame(record: ImageRecord) -> Frame:
    return Frame(record.read_image(), index=0, time_s=0.0, source=str(record.path))
