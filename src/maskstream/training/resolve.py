"""A recipe made complete by the dataset that it is run on, once both fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.errors import DatasetError, RecipeError
from maskstream.evaluation.split import match_classes
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import Recipe
from maskstream.training.tasks.semantic import BACKGROUND


def resolve(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with its classes, and with balanced class weights as numbers, whose mean over what is seen is 1.

    A recipe that names no class learns those of which the dataset shows anything.

    Raises
    ------
    DatasetError : the dataset has a class that the recipe does not know, a split without images, or nothing that the
        task learns from.
    RecipeError : the recipe has a class of which the training images show nothing.
    """
    names_classes = bool(recipe.classes)
    recipe = recipe.model_copy(update={"classes": recipe.classes or dataset.shown_classes()})
    match_classes(dataset, recipe.classes)
    splits = split_records(recipe.data, dataset)
    for split in ("train", "val"):
        if not splits[split]:
            raise DatasetError(
                f"{dataset.folder}: {split}",
                expected="images to learn from and to validate on",
                found="none",
                remedy="make splits with: maskstream data split",
            )
    shown = _shown(recipe, dataset, splits["train"])
    _refuse_nothing(recipe, shown, dataset)
    if names_classes:
        _refuse_unseen(recipe, shown, dataset)
    if recipe.loss.class_weights != "balanced":
        return recipe
    seen = {name: count for name, count in shown.items() if count}
    weights = {name: sum(seen.values()) / (len(seen) * count) for name, count in seen.items()}
    return recipe.model_copy(update={"loss": recipe.loss.model_copy(update={"class_weights": weights})})


def _shown(recipe: Recipe, dataset: Dataset, records: Sequence[ImageRecord]) -> dict[str, float]:
    """How much of each class the images show: images, objects, or pixels (the background's too), as the task counts."""
    names = dataset.classes
    if recipe.task == "classification":
        counts = Counter(names[record.class_id] for record in records if record.class_id is not None)
        return {name: float(counts[name]) for name in recipe.classes}
    objects = [annotation for record in records for annotation in record.annotations if annotation.segmentation]
    if recipe.task == "instance":
        counts = Counter(names[annotation.class_id] for annotation in objects)
        return {name: float(counts[name]) for name in recipe.classes}
    areas = dict.fromkeys(recipe.classes, 0.0)
    for annotation in objects:
        areas[names[annotation.class_id]] += annotation.area_px
    pixels = sum(record.size_hw[0] * record.size_hw[1] for record in records)
    return {BACKGROUND: max(pixels - sum(areas.values()), 0.0)} | areas


def _refuse_nothing(recipe: Recipe, shown: dict[str, float], dataset: Dataset) -> None:
    """See that there is something to learn from, and for a classifier something to tell apart."""
    what = {
        "classification": ("images with a class of their own", "import labels of whole images"),
        "instance": ("objects with masks", "import masks, or turn boxes into masks with --box-shape"),
        "semantic": ("objects with masks", "import masks, or turn boxes into masks with --box-shape"),
    }
    if not any(shown.get(name) for name in recipe.classes):
        expected, remedy = what[recipe.task]
        raise DatasetError(f"{dataset.folder}: train", expected=expected, found="none", remedy=remedy)
    if recipe.task == "classification" and len(recipe.classes) < 2:
        raise DatasetError(
            f"{dataset.folder}: classes",
            expected="two or more, to tell apart",
            found=", ".join(recipe.classes),
            remedy="add images of another class",
        )


def _refuse_unseen(recipe: Recipe, shown: dict[str, float], dataset: Dataset) -> None:
    """See that the training images show every class that the recipe names."""
    unseen = [name for name in recipe.classes if not shown[name]]
    if unseen:
        raise RecipeError(
            "classes",
            expected=f"classes that the training images of {dataset.folder} show",
            found=f"nothing of {', '.join(unseen)}",
            remedy="leave them out, or add images of them",
        )
