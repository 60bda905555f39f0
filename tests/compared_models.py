"""A dataset whose images show a dark square in the middle, and tiny models of all tasks that answer with constants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import small_datasets
from tiny_model import write_tiny_model

from maskstream.data.dataset import Dataset

SIZE_HW = (64, 64)


def squares(folder: Path, count: int = 24, *, with_objects: bool = True, classes=("benign", "malignant")) -> Dataset:
    """Images by number, every third one malignant, two of a group; the squares' sides run from 20 to 40 pixels."""
    records = []
    for number in range(1, count + 1):
        side = 20 + 2 * (number % 11)
        corner = 32 - side // 2
        pixels = np.full((*SIZE_HW, 3), (220, 180, 170), np.uint8)
        pixels[corner : corner + side, corner : corner + side] = (90, 60, 50)
        class_id = int(number % 3 == 0)
        record = small_datasets.record(
            folder / "source",
            number,
            [small_datasets.rectangle(class_id, corner, corner, side, side, SIZE_HW)] if with_objects else [],
            SIZE_HW,
            pixels,
            group=f"film {number // 2}",
        )
        records.append(record if with_objects else replace(record, class_id=class_id))
    names = tuple(record.name for record in records)
    splits = {"train": names[:6], "val": names[6:], "test": ()}
    return small_datasets.dataset(folder / "source", records, classes, splits).save(folder / "dataset")


def models(folder: Path, *tasks: str) -> list[str]:
    """A model folder a task, named after it."""
    for task in tasks:
        write_tiny_model(folder / task, task, name=task)
    return [str(folder / task) for task in tasks]
