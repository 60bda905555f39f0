"""What `maskstream evaluate` is told: how to judge, and whose answers on which images that means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskstream.data.dataset import SPLITS, Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import Answers, answers_of
from maskstream.evaluation.failures.worst import WORST
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.open import Task, is_predictions, open_predictions
from maskstream.evaluation.resampling import RESAMPLES
from maskstream.inference.load import load_any
from maskstream.inference.manifest import Manifest
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import DataRecipe


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
        if target.manifest is None and self.robustness:
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
    manifest : of a model; None for predictions.
    """

    answers: Answers
    dataset: Dataset
    records: tuple[ImageRecord, ...]
    manifest: Manifest | None


def find_target(
    target: str | Path,
    dataset: Dataset,
    data_sha256: str,
    split: str,
    settings: EvaluationSettings,
) -> EvaluationTarget:
    """What is meant by a bundled model's name, a model folder, or predictions.

    Parameters
    ----------
    data_sha256 : the dataset's hash, by which a model knows its own.

    Raises
    ------
    DatasetError, SourceError : the split is unknown or empty, or predictions are broken or not those of these images.
    ModelFolderError : neither predictions nor a model, or a broken model.
    """
    if is_predictions(target):
        records = _not_empty(dataset, dataset.records(split), split)
        asked = Asked.of(dataset, records, split, ignore_classes=settings.ignore_classes)
        return EvaluationTarget(open_predictions(target, asked, settings.task), asked.dataset, asked.records, None)
    if settings.ignore_classes or settings.task:
        raise DatasetError(
            target,
            expected="predictions, of which classes are ignored (--ignore-classes) or a task is chosen (--task)",
            found="a model",
            remedy="leave these options out, or judge the predictions that an evaluation of the model wrote",
        )
    model = load_any(target)
    records = _not_empty(dataset, _records(model.manifest, dataset, data_sha256, split), split)
    return EvaluationTarget(answers_of(model), dataset, records, model.manifest)


def _records(manifest: Manifest, dataset: Dataset, data_sha256: str, split: str) -> tuple[ImageRecord, ...]:
    """The images of a split: on the model's own dataset as its recipe divides it, where that names images."""
    data = manifest.training.recipe.get("data", {})
    names_images = isinstance(data, dict) and (data.get("test_images") or data.get("val_images"))
    if not names_images or data_sha256 != manifest.training.data_sha256:
        return dataset.records(split)
    return split_records(DataRecipe.model_validate(data), dataset).get(split) or dataset.records(split)


def _not_empty(dataset: Dataset, records: tuple[ImageRecord, ...], split: str) -> tuple[ImageRecord, ...]:
    if not records:
        raise DatasetError(
            f"{dataset.folder / SPLITS}: {split}",
            expected="at least one image",
            found="none",
            remedy="choose a split that holds images",
        )
    return records
