"""Whose answers are judged: a deployed model's, or anybody's."""

from __future__ import annotations

from typing import Protocol

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.data.records import ImageRecord
from maskstream.evaluation.instance import MAX_DETECTIONS
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.load import DeployedClassifier, DeployedModel
from maskstream.inference.manifest import Task

MAX_DETECTIONS_IN_TILES = 1000
"""Of a class in an image that is looked at in windows, and so may show more objects than COCO's images do."""


class Answers(Protocol):
    """Somebody's answers for labelled images.

    Attributes
    ----------
    name : what pages and tables call whoever answers.
    task : what the answers are: "instance" and "semantic" Detections, "classification" a Classification.
    classes : names in the order of the ids that the answers use.
    calibration : already applied in the answers; None where percentages are raw.
    score_threshold : score from which an object or region counts as found.
    max_detections : of a class in an image; the best so many count in AP.
    facts : what `metrics.json` says of whoever answers.
    """

    name: str
    task: Task
    classes: Classes
    calibration: Calibration | None
    score_threshold: float
    max_detections: int
    facts: Metrics

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """Objects or regions of an image down to a score, best first. DatasetError, SourceError: unreadable."""
        ...

    def classification(self, record: ImageRecord) -> Classification:
        """The class of an image as a whole. DatasetError, SourceError: unreadable."""
        ...


class ModelAnswers:
    """A deployed model, asked image by image."""

    def __init__(self, model: DeployedModel | DeployedClassifier) -> None:
        manifest = model.manifest
        self.model = model
        self.name = model.name
        self.task: Task = manifest.task
        self.classes = model.classes
        self.calibration = model.calibration
        self.score_threshold = manifest.score_threshold
        self.max_detections = MAX_DETECTIONS if manifest.tiles is None else MAX_DETECTIONS_IN_TILES
        self.facts: Metrics = {
            "model": model.name,
            "model_version": manifest.version,
            "model_sha256": model.sha256,
        }

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """What the model finds in the image's file."""
        assert isinstance(self.model, DeployedModel)
        (found,) = self.model.segment([_frame(record)], score_floor)
        return found

    def classification(self, record: ImageRecord) -> Classification:
        """What the model calls the image's file."""
        assert isinstance(self.model, DeployedClassifier)
        (answer,) = self.model.classify([_frame(record)])
        return answer


def _frame(record: ImageRecord) -> Frame:
    return Frame(record.read_image(), index=0, time_s=0.0, source=str(record.path))
