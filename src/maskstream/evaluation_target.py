"""Whose answers are judged, and on which images: what `maskstream evaluate` is told, resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskstream.data.dataset import SPLITS, Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import Answers, answers_of
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.open import Task, is_predictions, open_predictions
from maskstream.inference.load import load_any
from maskstream.inference.manifest import Manifest
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import DataRecipe


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
    *,
    task: Task | None = None,
    ignore_classes: bool = False,
) -> EvaluationTarget:
    """What is meant by a bundled model's name, a model folder, or predictions.

    Parameters
    ----------
    data_sha256 : the dataset's hash, by which a model knows its own.
    task : of predictions: see `open_predictions`.
    ignore_classes : of predictions: see `Asked.of`.

    Raises
    ------
    DatasetError, SourceError : the split is unknown or empty, or predictions are broken or not those of these images.
    ModelFolderError : neither predictions nor a model, or a broken model.
    """
    if is_predictions(target):
        records = _not_empty(dataset, dataset.records(split), split)
        asked = Asked.of(dataset, records, split, ignore_classes=ignore_classes)
        return EvaluationTarget(open_predictions(target, asked, task), asked.dataset, asked.records, None)
    if ignore_classes or task:
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
