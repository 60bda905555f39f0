"""A table with a column for each class, 1 where the image is of it and 0 elsewhere, as the ISIC challenges have it.

A column is a class when its first cell is 0 or 1 (0.0, 1.0, false and true also), unless its name has another meaning.
Class ids follow the columns. Images are called and found as in `label_csv`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maskstream.data.csv_files import Row, Table, read_table
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.formats.format import Format, ReadOptions, WriteOptions
from maskstream.data.formats.image_classes import chosen_classes
from maskstream.data.formats.label_table import (
    GROUP_COLUMNS,
    IMAGE_COLUMNS,
    SPLIT_COLUMN,
    Layout,
    find_table,
    tables_of,
    to_dataset,
    write_labels,
)
from maskstream.data.listing import Listing
from maskstream.errors import DatasetError

NAME = "onehot_csv"
BIT = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
NO_CLASSES = frozenset({*IMAGE_COLUMNS, *GROUP_COLUMNS, SPLIT_COLUMN, "score_weight", "validation_weight", ""})
"""Columns that may hold 0 or 1 and are no classes; the weights stand in the truth of ISIC's test splits."""


def recognise(listing: Listing) -> str | None:
    """Whether one CSV file has a column for images and several for classes, with one 1 in the first row."""
    names = tables_of(listing, _is_table)
    if len(names) != 1:
        return None
    table = read_table(listing.folder / names[0])
    classes = [table.columns[column] for column in _class_columns(table, ReadOptions())]
    return f"a table with a column for each of {len(classes)} classes ({', '.join(classes[:4])}, ...): {names[0]}"


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read the table, or the one of a folder. No image is opened; missing ones are told in a finding.

    Raises
    ------
    DatasetError : no table or several, a broken one (see `csv_files`), a row with no class or two, a cell that is
        neither 0 nor 1, two rows for one image, a name that leads out of the folder, or a class of the
        options that has no column.
    """
    table = read_table(find_table(source, _is_table, "table with a column a class"))
    columns = _class_columns(table, options)
    if not columns:
        raise DatasetError(
            table.path, expected="columns of 0 and 1, one a class", found="none", remedy="try --format label_csv"
        )
    layout = Layout.of(table, options, columns)
    names = {column: table.columns[column] for column in columns}
    rows = (layout.row(row, _class_name(table, row, names)) for row in table.rows())
    classes = chosen_classes(tuple(names.values()), options.classes, table.path)
    return to_dataset(source, NAME, table, rows, classes, options)


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write `labels.csv` (`image`, a column a class, and group and split where there are any) and `images/`.

    Raises
    ------
    DatasetError : no image has a class, a class is called as another column is, or an image is missing that was
        there on import.
    """
    taken = [name for name in dataset.classes if name.strip().casefold() in NO_CLASSES]
    if taken:
        raise DatasetError(
            dataset.folder,
            expected="classes that can name a column",
            found=repr(taken[0]),
            remedy="export to label_csv",
        )
    return write_labels(
        dataset,
        folder,
        options,
        importer=NAME,
        file_name="labels.csv",
        image_column="image",
        class_columns=dataset.classes,
        class_cells=lambda class_name: [int(name == class_name) for name in dataset.classes],
    )


def _is_table(path: Path) -> bool:
    try:
        table = read_table(path)
        columns = _class_columns(table, ReadOptions())
        first = next(table.rows(), None)
    except DatasetError:
        return False
    if first is None or len(columns) < 2 or table.index(*IMAGE_COLUMNS) is None:
        return False
    return sum(BIT[first.cells[column].strip().lower()] for column in columns) == 1


def _class_columns(table: Table, options: ReadOptions) -> list[int]:
    first = next(table.rows(), None)
    if first is None:
        return []
    others = NO_CLASSES | {(options.group_column or "").casefold()}
    return [
        index
        for index, (name, cell) in enumerate(zip(table.columns, first.cells))
        if name.casefold() not in others and cell.strip().lower() in BIT
    ]


def _class_name(table: Table, row: Row, names: Mapping[int, str]) -> str:
    """The class whose cell is 1."""
    found = []
    for column, name in names.items():
        bit = BIT.get(row.cells[column].strip().lower())
        if bit is None:
            raise DatasetError(
                table.place(row.line, name), expected="0 or 1", found=repr(row.cells[column]), remedy="correct the cell"
            )
        if bit:
            found.append(name)
    if len(found) != 1:
        raise DatasetError(
            table.place(row.line),
            expected="a 1 in the column of one class",
            found=f"it in {' and '.join(found)}" if found else "none",
            remedy="correct the row; an image of no class needs a column for such, as ISIC's UNK",
        )
    return found[0]


FORMAT = Format(
    name=NAME,
    about="a CSV file with a column for each class, 0 or 1 (ISIC 2018 and 2019)",
    recognise=recognise,
    read=read,
    write=write,
)
