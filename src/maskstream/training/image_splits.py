"""Which images a recipe learns from, chooses by, and keeps for the end. Without PyTorch, as evaluation asks too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.errors import RecipeError
from maskstream.training.recipe import DataRecipe


def split_records(data: DataRecipe, dataset: Dataset) -> dict[str, tuple[ImageRecord, ...]]:
    """The images to learn from (`train`), to choose by (`val`), and to keep for the end (`test`, where there are any).

    Images that the recipe names go where it says; the others follow the dataset's splits.

    Raises
    ------
    RecipeError : a named image is not in the dataset, or in two places.
    DatasetError : the dataset lacks a split.
    """
    return {split: records[: data.limit] for split, records in _whole_splits(data, dataset).items()}


def _whole_splits(data: DataRecipe, dataset: Dataset) -> dict[str, tuple[ImageRecord, ...]]:
    named = {"test": set(data.test_images), "val": set(data.val_images)}
    if not any(named.values()):
        splits = {"train": dataset.records(data.train), "val": dataset.records(data.val)}
        return splits | ({"test": dataset.records("test")} if "test" in dataset.splits else {})
    _refuse_unknown(named, dataset)
    both = named["test"] & named["val"]
    if both:
        raise RecipeError(
            "data.test_images, data.val_images",
            expected="no image in both",
            found=", ".join(sorted(both)),
            remedy="name each image once",
        )
    known = {record.name: record for record in _with_splits(data, dataset)}
    val = named["val"] or {name for name in dataset.splits.get(data.val, ()) if name not in named["test"]}
    train = tuple(record for name, record in known.items() if name not in named["test"] | val)
    by_name = {record.name: record for record in dataset.images}
    return {
        "train": train,
        "val": tuple(by_name[name] for name in sorted(val)),
        "test": tuple(by_name[name] for name in data.test_images),
    }


def _with_splits(data: DataRecipe, dataset: Dataset) -> tuple[ImageRecord, ...]:
    """The images of the splits that are learned from and validated on; all where there are no splits."""
    if not dataset.splits:
        out = {entry.image for entry in dataset.left_out}
        return tuple(record for record in dataset.images if record.name not in out)
    return (*dataset.records(data.train), *dataset.records(data.val))


def _refuse_unknown(named: dict[str, set[str]], dataset: Dataset) -> None:
    names = {record.name for record in dataset.images}
    for split, wanted in named.items():
        if unknown := sorted(wanted - names):
            raise RecipeError(
                f"data.{split}_images",
                expected=f"images of {dataset.folder}",
                found=", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""),
                remedy="name images as annotations.json does, or leave this out and use the dataset's splits",
            )


def split_of_recipe(recipe: Mapping[str, Any], dataset: Dataset, split: str) -> tuple[ImageRecord, ...]:
    """The images of a split as a model's recipe divides the dataset, where it names images; else as the dataset does.

    Parameters
    ----------
    recipe : as a manifest holds it.

    Raises
    ------
    DatasetError : no such split.
    """
    data = recipe.get("data")
    if not isinstance(data, dict) or not (data.get("test_images") or data.get("val_images")):
        return dataset.records(split)
    return split_records(DataRecipe.model_validate(data), dataset).get(split) or dataset.records(split)
