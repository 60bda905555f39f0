"""Training on images of 64 x 64 with models of a few hundred weights: datasets, recipes, and runs side by side."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.reports.training_tables import MEASURED
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import parse_recipe

SIZE_HW = (64, 64)
CLASSES = ("cat", "dog")
MODELS: dict[str, dict[str, Any]] = {
    "instance": {
        "architecture": "mask-rcnn",
        "backbone": "mobilenet-v2",
        "pyramid_channels": 16,
        "settings": {"anchor_sizes": [[12], [24], [48]], "proposals_before_nms": 20, "proposals": 10},
    },
    "semantic": {"architecture": "full-resolution", "channels": 4},
    "classification": {"architecture": "small-cnn", "channels": [4], "dense": 4},
}
COLOURS = ((230, 40, 40), (40, 60, 230), (40, 200, 60))


def make_dataset(
    folder: Path,
    kind: str = "objects",
    *,
    classes: Sequence[str] = CLASSES,
    splits: dict[str, int] | None = None,
    size_hw: tuple[int, int] = SIZE_HW,
    label: str | None = None,
) -> Path:
    """A dataset without a fault: a coloured square of each class in turn on patches of grey; every fifth image is bare.

    Parameters
    ----------
    kind : "objects" with masks, or "classes" of whole images.
    splits : images of each; six to learn from and three to validate on by default.
    label : attribute `label` of every image, or none.
    """
    splits = splits or {"train": 6, "val": 3}
    source = folder.parent / f"{folder.name}-source"
    source.mkdir(parents=True)
    records = [_record(source, number, kind, len(classes), size_hw, label) for number in range(sum(splits.values()))]
    names = iter([record.name for record in records])
    made = Dataset(
        folder=source,
        classes=tuple(classes),
        images=tuple(records),
        splits={split: tuple(next(names) for _ in range(count)) for split, count in splits.items()},
        left_out=(),
        splits_made_by="in their order",
        provenance=Provenance(name="squares", source="made", licence="CC0-1.0", licence_url="", importer="test"),
    )
    return made.save(folder).folder


def _record(
    source: Path, number: int, kind: str, classes: int, size_hw: tuple[int, int], label: str | None
) -> ImageRecord:
    rng = np.random.default_rng(number)
    height, width = size_hw
    patches = np.repeat(rng.integers(60, 200, (5, 7, 1), np.uint8), 3, axis=2)
    image = np.array(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC))
    class_id = number % classes
    annotations: tuple[Annotation, ...] = ()
    if kind == "classes" or number % 5 != 4:
        side = height // 3 + int(rng.integers(height // 4))
        y, x = int(rng.integers(height - side)), int(rng.integers(width - side))
        image[y : y + side, x : x + side] = COLOURS[class_id]
        mask = CroppedMask(np.ones((side, side), bool), x, y)
        annotations = (Annotation.from_mask(class_id, mask, size_hw),) if kind == "objects" else ()
    path = source / f"image {number:02}.png"
    Image.fromarray(image).save(path)
    return ImageRecord(
        number + 1,
        path.name,
        path,
        size_hw,
        annotations,
        class_id=class_id if kind == "classes" else None,
        attributes={} if label is None else {"label": label},
    )


def recipe_values(task: str = "semantic", **changes: Any) -> dict[str, Any]:
    """A recipe of two epochs of three steps; `changes` replace values, `a__b=1` within a block."""
    values: dict[str, Any] = {
        "name": f"tiny-{task}",
        "seed": 3,
        "model": dict(MODELS[task]),
        "input_size_hw": list(SIZE_HW),
        "data": {"batch_size": 2, "workers": 0},
        "stages": [{"epochs": 2, "learning_rate": 1e-3}],
        "precision": "32-true",
    }
    for key, value in changes.items():
        block, _, inner = key.partition("__")
        if inner:
            values.setdefault(block, {})[inner] = value
        else:
            values[block] = value
    return values


def make_recipe(task: str = "semantic", **changes: Any) -> Recipe:
    """The same, checked; its classes are the dataset's."""
    return parse_recipe(recipe_values(task, **changes), "test")


def write_recipe(path: Path, task: str = "semantic", **changes: Any) -> Path:
    """The same as a file."""
    path.write_text(yaml.safe_dump(recipe_values(task, **changes)), encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table, without what the machine did."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: row[name] for name in row if name not in MEASURED} for row in csv.DictReader(file)]


def assert_same_run(run: Path, expected: Path) -> None:
    """Bit for bit: weights in training and averaged, the optimiser's moments, and both tables."""
    for name in ("last.safetensors", "best.safetensors", "resume.safetensors"):
        ours, theirs = load_file(run / name), load_file(expected / name)
        assert ours.keys() == theirs.keys()
        differing = [key for key in ours if not torch.equal(ours[key], theirs[key])]
        assert not differing, f"{name}: {differing[:3]}"
    for name in ("steps.csv", "validation.csv"):
        assert rows(run / name) == rows(expected / name), name
