"""Answers for labelled images, judged by the task they are for: figures, tables, and the answers themselves."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import msgspec

from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.files import whole_file
from maskstream.core.masks import to_rle
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.evaluation.answers import Answers, ClassAnswers, ObjectAnswers, answers_of
from maskstream.evaluation.classes.class_judge import ClassJudge
from maskstream.evaluation.objects.instance import Entry
from maskstream.evaluation.objects.judge import Judge
from maskstream.evaluation.pixels.regions import RegionJudge
from maskstream.evaluation.split import class_of, coco_results, match_classes, truth_of
from maskstream.evaluation.verdict import ImageRow, Metrics, Positions, Table, Verdict
from maskstream.inference.load import DeployedClassifier, DeployedModel


class Evaluation(ABC):
    """Takes labelled images one at a time, and knows the figures of all of them.

    Attributes
    ----------
    answers, dataset : as given.
    records : the images so far, in their order.
    """

    answers: Answers

    def __init__(self, answers: Answers, dataset: Dataset, verdict: Verdict) -> None:
        self.dataset = dataset
        self.records: list[ImageRecord] = []
        self._class_ids = match_classes(dataset, answers.classes)
        self._verdict = verdict

    def add(self, record: ImageRecord) -> Detections | Classification:
        """Ask for the answer to an image, and judge it.

        Returns
        -------
        The answer; of objects, those that count as found.

        Raises
        ------
        DatasetError, SourceError : the image cannot be read or judged.
        """
        answer = self._judge(record)
        self.records.append(record)
        return answer

    @abstractmethod
    def _judge(self, record: ImageRecord) -> Detections | Classification: ...

    def metrics(self) -> Metrics:
        """All figures, by their flat names. DatasetError: there is no image."""
        return self._verdict.metrics()

    def headline(self, images: Positions) -> dict[str, float]:
        """See `Verdict.headline`."""
        return self._verdict.headline(images)

    def groups(self) -> list[str]:
        """What must not be torn apart, for each image: its group, or the image on its own."""
        return [f"group {record.group}" if record.group else f"image {record.name}" for record in self.records]

    def tables(self) -> list[Table]:
        """`images`, a row an image, then those of the judge."""
        rows = [
            _about(record) | measured | _attributes(record)
            for record, measured in zip(self.records, self._verdict.image_rows(), strict=True)
        ]
        return [Table.of("images", rows, columns=("image", "group", "width", "height")), *self._verdict.tables()]

    @abstractmethod
    def write_predictions(self, folder: Path) -> Path:
        """Write the answers into a folder, and return their file. OutputError: it cannot be written."""


class InstanceEvaluation(Evaluation):
    """Objects: the figures of `Judge`; predictions as COCO's results, a line an object and class."""

    answers: ObjectAnswers

    def __init__(
        self,
        answers: ObjectAnswers,
        dataset: Dataset,
        *,
        score_threshold: float,
        score_floor: float,
        max_detections: int,
        positive: str | None = None,
    ) -> None:
        self._judge_of_objects = Judge(
            answers.classes,
            score_threshold,
            calibration=answers.calibration,
            positive=positive,
            max_detections=max_detections,
        )
        self._floor, self._threshold = min(score_floor, score_threshold), score_threshold
        self.answers = answers
        super().__init__(answers, dataset, self._judge_of_objects)

    def _judge(self, record: ImageRecord) -> Detections:
        found = self.answers.detections(record, self._floor)
        self._judge_of_objects.add(truth_of(record, self._class_ids), found)
        return found.select(found.scores >= self._threshold)

    def metrics(self) -> Metrics:
        """All figures."""
        return super().metrics() | {"score_floor": self._floor}

    def write_predictions(self, folder: Path) -> Path:
        """COCO's result list, with the category ids of the dataset."""
        results = coco_results(self._judge_of_objects.results, self.dataset, self.answers.classes)
        return _write_results(folder, results)


class RegionEvaluation(Evaluation):
    """Regions: the figures of `RegionJudge`; predictions as COCO's results, each region with its own class."""

    answers: ObjectAnswers

    def __init__(self, answers: ObjectAnswers, dataset: Dataset, *, score_threshold: float) -> None:
        self._judge_of_regions = RegionJudge(answers.classes, score_threshold)
        self._threshold = score_threshold
        self._results: list[Entry] = []
        self.answers = answers
        super().__init__(answers, dataset, self._judge_of_regions)

    def _judge(self, record: ImageRecord) -> Detections:
        found = self.answers.detections(record, self._threshold)
        self._judge_of_regions.add(truth_of(record, self._class_ids), found)
        self._results += [
            {
                "image_id": record.image_id,
                "category_id": region.class_id,
                "segmentation": to_rle(region.mask, found.size_hw),
                "score": region.score,
            }
            for region in found
        ]
        return found

    def write_predictions(self, folder: Path) -> Path:
        """COCO's result list, with the category ids of the dataset."""
        return _write_results(folder, coco_results(self._results, self.dataset, self.answers.classes))


class ClassEvaluation(Evaluation):
    """Images as a whole: the figures of `ClassJudge`; predictions as a table, a row an image."""

    answers: ClassAnswers

    def __init__(self, answers: ClassAnswers, dataset: Dataset, *, positive: str | None = None) -> None:
        self._judge_of_classes = ClassJudge(answers.classes, calibration=answers.calibration, positive=positive)
        self._rows: list[tuple[str, str, Classification]] = []
        self.answers = answers
        super().__init__(answers, dataset, self._judge_of_classes)

    def _judge(self, record: ImageRecord) -> Classification:
        class_id = class_of(record, self._class_ids)
        answer = self.answers.classification(record)
        self._judge_of_classes.add(record.name, class_id, answer)
        self._rows.append((record.name, self.answers.classes[class_id], answer))
        return answer

    def write_predictions(self, folder: Path) -> Path:
        """CSV: image, true class, called class, and the probability of every class, as exact as it is known."""
        path = folder / "predictions.csv"
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["image", "truth", "called", *self.answers.classes])
            for name, truth, answer in self._rows:
                table.writerow([name, truth, answer.class_name, *map(str, answer.probabilities)])
        return path


def evaluation_of(
    answers: Answers,
    dataset: Dataset,
    *,
    score_threshold: float | None = None,
    score_floor: float | None = None,
    max_detections: int | None = None,
    positive: str | None = None,
) -> Evaluation:
    """The evaluation of the answers' task.

    Parameters
    ----------
    score_threshold : score from which an object or region counts as found; None: the answers' own.
    score_floor : score down to which objects are ranked for AP; None: the answers' own.
    max_detections : of a class in an image; the best so many count in AP. None: the answers' own.
    positive : class whose percentage is judged; None: see `evaluation.objects.judge` and
    `evaluation.classes.class_judge`.

    Raises
    ------
    DatasetError : the dataset has a class that the answers do not know, or `positive` is none of theirs.
    """
    if answers.task == "classification":
        return ClassEvaluation(answers, dataset, positive=positive)
    threshold = answers.score_threshold if score_threshold is None else score_threshold
    if answers.task == "semantic":
        return RegionEvaluation(answers, dataset, score_threshold=threshold)
    return InstanceEvaluation(
        answers,
        dataset,
        score_threshold=threshold,
        score_floor=answers.score_floor if score_floor is None else score_floor,
        max_detections=answers.max_detections if max_detections is None else max_detections,
        positive=positive,
    )


def judge_deployed(
    model: DeployedModel | DeployedClassifier,
    dataset: Dataset,
    records: Iterable[ImageRecord],
    *,
    positive: str | None = None,
) -> Metrics:
    """The figures of `maskstream evaluate` on images of a dataset, with its name."""
    evaluation = evaluation_of(answers_of(model), dataset, positive=positive)
    for record in records:
        evaluation.add(record)
    return evaluation.metrics() | {"dataset": dataset.provenance.name}


def _about(record: ImageRecord) -> ImageRow:
    height, width = record.size_hw
    return {"image": record.name, "group": record.group, "width": width, "height": height}


def _attributes(record: ImageRecord) -> ImageRow:
    """What else the dataset knows of the image, a column each; what is no plain value is left out."""
    return {
        f"attribute/{key}": value for key, value in record.attributes.items() if isinstance(value, str | int | float)
    }


def _write_results(folder: Path, entries: Iterable[Entry]) -> Path:
    """A JSON list, an entry a line; entry by entry, as there may be a million."""
    path = folder / "predictions.json"
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(b"[")
        for number, entry in enumerate(entries):
            file.write((b",\n" if number else b"\n") + msgspec.json.encode(entry))
        file.write(b"\n]\n")
    return path
