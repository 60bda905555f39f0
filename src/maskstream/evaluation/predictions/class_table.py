"""A CSV table of class probabilities as Classifications.

`image` (or another of the names that importers know), and a column for each class with its probability, as
`predictions.csv` has them and as the ISIC challenges do. With two classes one column is enough: the other has the rest.
`truth`, `called`, `group` and `split` may stand beside these and count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.files import sha256
from maskstream.data.csv_files import Row, Table, read_table
from maskstream.data.dataset import Dataset
from maskstream.data.formats.label_table import GROUP_COLUMNS, IMAGE_COLUMNS, SPLIT_COLUMN
from maskstream.data.formats.mask_folder.names import key, last_part
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.predictions.asked import Asked, counted, listed
from maskstream.evaluation.predictions.results import name_of
from maskstream.evaluation.verdict import Metrics

BESIDE = frozenset({"truth", "called", SPLIT_COLUMN, *GROUP_COLUMNS, ""})
"""Columns that are no classes."""

SUM_TOLERANCE = 0.01
"""How far the probabilities of an image may be from 1 together, as rounding makes them; they are scaled then."""

EXACT = 1e-5
"""How far they may be without being scaled: as single precision makes them."""


class TableAnswers:
    """The classes of the images of a table.

    Parameters
    ----------
    path : the CSV file.
    asked : the images; the table has each of them, and no other.

    Raises
    ------
    DatasetError : the table is missing or broken; it lacks an image or class, or has an image twice, or one that is
        unknown or not asked about; a probability is no number in 0..1, or those of an image do not sum to 1.
    """

    task: Literal["classification"] = "classification"
    calibration: Calibration | None = None

    def __init__(self, path: Path, asked: Asked) -> None:
        self.name = name_of(path)
        table = read_table(path)
        columns = _class_columns(table, asked.dataset)
        self.classes: Classes = tuple(columns)
        if len(columns) == 1:
            self.classes = asked.dataset.classes
        self._answers = _answers(table, asked, columns, self.classes)
        missing = asked.unanswered(self._answers)
        if missing:
            raise DatasetError(
                path,
                expected=f"a row for each of the {len(asked.records)} images of split {asked.split}",
                found=f"none for {len(missing)} of them: {listed(missing)}",
                remedy="add them: no answer is no class",
            )
        self.facts: Metrics = {
            "model": self.name,
            "predictions": path.name,
            "predictions_sha256": sha256(path),
            "n_predictions": len(self._answers),
            "n_without_answer": 0,
        }

    def classification(self, record: ImageRecord) -> Classification:
        """The row of an image."""
        return Classification(self._answers[record.name], self.classes)


def _class_columns(table: Table, dataset: Dataset) -> dict[str, int]:
    """Name and column of each class, under the dataset's name of it."""
    table.require(*IMAGE_COLUMNS)
    classes = dataset.classes
    others = BESIDE | {name.casefold() for name in IMAGE_COLUMNS}
    known = {name.casefold(): name for name in classes}
    columns = {
        known.get(name.casefold(), name): index
        for index, name in enumerate(table.columns)
        if name.casefold() not in others
    }
    is_one_of_two = len(classes) == 2 and len(columns) == 1 and columns.keys() <= set(classes)
    if not is_one_of_two and not set(dataset.shown_classes()) <= columns.keys():
        raise DatasetError(
            table.place(1),
            expected=f"a column for each of the classes {', '.join(classes)}"
            + (", or for one of them" if len(classes) == 2 else ""),
            found=", ".join(columns) or "none",
            remedy="name the columns as the dataset names its classes",
        )
    return columns


def _answers(table: Table, asked: Asked, columns: dict[str, int], classes: Classes) -> dict[str, NDArray[np.float32]]:
    """Probabilities (c,) of each image by its name."""
    image = table.require(*IMAGE_COLUMNS)
    answers: dict[str, NDArray[np.float32]] = {}
    strange: list[str] = []
    lines: dict[str, int] = {}
    for row in table.rows():
        called = row.cells[image].strip()
        found = asked.find((called, key(called), last_part(called)), table.place(row.line))
        if found is None:
            strange.append(called)
            continue
        name = found[1]
        if name in lines:
            raise DatasetError(
                table.place(row.line),
                expected="each image once",
                found=f"{called} again, as in line {lines[name]}",
                remedy="remove one of the rows",
            )
        lines[name] = row.line
        answers[name] = _probabilities(table, row, columns, classes)
    if strange:
        raise DatasetError(
            table.path,
            expected="images of the dataset",
            found=counted(strange),
            remedy="name images as annotations.json does, or take these out",
        )
    asked.refuse_others(table.path, answers)
    return answers


def _probabilities(table: Table, row: Row, columns: dict[str, int], classes: Classes) -> NDArray[np.float32]:
    values = {name: _probability(table, row, name, column) for name, column in columns.items()}
    if len(columns) == 1 and len(classes) == 2:
        ((name, value),) = values.items()
        return np.array([value if other == name else 1 - value for other in classes], np.float32)
    total = sum(values.values())
    if abs(total - 1) > SUM_TOLERANCE:
        raise DatasetError(
            table.place(row.line),
            expected=f"probabilities of {_shown(columns)} that sum to 1",
            found=f"a sum of {total:.4g}",
            remedy="give probabilities, or remove columns that are no classes",
        )
    scale = 1.0 if abs(total - 1) <= EXACT else total
    return np.array([value / scale for value in values.values()], np.float32)


def _probability(table: Table, row: Row, name: str, column: int) -> float:
    text = row.cells[column].strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise DatasetError(
            table.place(row.line, name), expected="a probability in 0..1", found=repr(text), remedy="correct the cell"
        )
    return value


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
