"""What `maskstream evaluate` is told: how to judge, and whose answers on which images that means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskstream.data.dataset import SPLITS, Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import Answers, answers_of
from maskstream.evaluation.classical_answers import classical_answers
from maskstream.evaluation.failures.worst import WORST
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.open import Task, is_predictions, open_predictions
from maskstream.evaluation.resampling import RESAMPLES
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.classical import NAME
from maskstream.inference.load import load_any
from maskstream.inference.manifest import Manifest
from maskstream.training.image_splits import split_of_recipe


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How answers are judged, and what is found out beyond their figures.

    Attributes
    ----------
    score : score from which an object or region counts as found; None: the answers' own.
    floor : score down to which objects are ranked for AP; None: the answers' own.
    max_detections : of a class in an image; the best so many count in AP. None: the answers' own.
    positive : class whose percentage is judged; None: the calibrated one, else the second of two.
    task : of predictions from a file: whether objects are judged, or pixels; None: as the file's kind suggests.
    ignore_classes : of predictions from a file: all classes of the dataset count as one.
    resamples : draws behind each interval; 0: no intervals.
    seed : of all that is drawn by chance.
    worst : so many of the images with the worst figures get a picture.
    why : of so many of them it is mapped what their percentage rests on. Of models only; predictions have none.
    slices : judge the images of each kind apart.
    robustness : so many images are judged again, worse and worse in eight ways; 0: none. Of models only.
    figures : draw the curves at print resolution.
    video : whether the images are frames of videos; None: where the dataset says so.
    """

    score: float | None = None
    floor: float | None = None
    max_detections: int | None = None
    positive: str | None = None
    task: Task | None = None
    ignore_classes: bool = False
    resamples: int = RESAMPLES
    seed: int = 0
    worst: int = WORST
    why: int = 3
    slices: bool = True
    robustness: int = 0
    figures: bool = True
    video: bool | None = None

    def check(self, target: EvaluationTarget) -> None:
        """See that the settings can be had of whoever answers. DatasetError: one cannot."""
        if target.answers.task == "classification" and self.score is not None:
            raise DatasetError(
                "--score",
                expected="answers that find objects",
                found="a classifier's, which have no score",
                remedy="leave it out: an image is called the class with the highest probability",
            )
        if self.robustness and not target.looks:
            raise DatasetError(
                "--robustness",
                expected="a model, which can be asked about worse images",
                found="predictions",
                remedy="leave it out",
            )


@dataclass(frozen=True, slots=True, eq=False)
class EvaluationTarget:
    """Whose answers are judged, and on what.

    Attributes
    ----------
    answers : of a model, or from a file.
    dataset : with the classes that count.
    records : the images, at least one.
    manifest : of a deployed model; None where there is none.
    looks : whether whoever answers looks at the images, and can be asked about worse ones; predictions do not.
    own : the dataset is the very one that the model was made with.
    """

    answers: Answers
    dataset: Dataset
    records: tuple[ImageRecord, ...]
    manifest: Manifest | None
    looks: bool = True
    own: bool = False

    def training_facts(self, positive: str | None) -> Metrics:
        """What the judged images have to do with those that the model learned from, where that is known.

        - `training_positive_share`: share of these that show the positive class; of a dataset of the same name.
        - `leakage`: a sentence, where judged images are among them.
        """
        manifest, dataset = self.manifest, self.dataset
        if manifest is None or "train" not in dataset.splits or dataset.provenance.name != manifest.training.data:
            return {}
        learned = split_of_recipe(manifest.training.recipe, dataset, "train")
        facts: Metrics = {}
        if learned and positive is not None:
            shown = [positive in _classes_of(record, dataset) for record in learned]
            facts["training_positive_share"] = sum(shown) / len(shown)
        seen = {record.name for record in learned} & {record.name for record in self.records}
        if self.own and seen:
            facts["leakage"] = f"the model learned from {len(seen)} of the {len(self.records)} judged images"
        return facts


def find_target(
    target: str | Path,
    dataset: Dataset,
    data_sha256: str,
    split: str,
    settings: EvaluationSettings,
) -> EvaluationTarget:
    """What is meant by a bundled model's name, a model folder, `classical`, or predictions.

    Parameters
    ----------
    data_sha256 : the dataset's hash, by which a model knows its own.

    Raises
    ------
    DatasetError, SourceError : the split is unknown or empty, or predictions are broken or not those of these images.
    ModelFolderError : neither predictions nor a model, or a broken model.
    """
    if str(target) == NAME:
        records = _not_empty(dataset, dataset.records(split), split)
        return EvaluationTarget(classical_answers(dataset), dataset, records, None)
    if is_predictions(target):
        records = _not_empty(dataset, dataset.records(split), split)
        asked = Asked.of(dataset, records, split, ignore_classes=settings.ignore_classes)
        answers = open_predictions(target, asked, settings.task)
        return EvaluationTarget(answers, asked.dataset, asked.records, None, looks=False)
    if settings.ignore_classes or settings.task:
        raise DatasetError(
            target,
            expected="predictions, of which classes are ignored (--ignore-classes) or a task is chosen (--task)",
            found="a model",
            remedy="leave these options out, or judge the predictions that an evaluation of the model wrote",
        )
    model = load_any(target)
    training = model.manifest.training
    own = data_sha256 == training.data_sha256
    records = split_of_recipe(training.recipe, dataset, split) if own else dataset.records(split)
    return EvaluationTarget(answers_of(model), dataset, _not_empty(dataset, records, split), model.manifest, own=own)


def _classes_of(record: ImageRecord, dataset: Dataset) -> set[str]:
    """The classes that an image shows, as a whole or by its objects."""
    whole = set() if record.class_id is None else {record.class_id}
    return {dataset.classes[class_id] for class_id in whole | {a.class_id for a in record.annotations}}


def _not_empty(dataset: Dataset, records: tuple[ImageRecord, ...], split: str) -> tuple[ImageRecord, ...]:
    if not records:
        raise DatasetError(
            f"{dataset.folder / SPLITS}: {split}",
            expected="at least one image",
            found="none",
            remedy="choose a split that holds images",
        )
    return records
