"""A table with one class in each row: `image_id,label` and perhaps a group, a split and more.

Columns are known by the names below, in any order and case, or named by `--label-column` and `--group-column`.
Images are called by path, file name or its stem, and lie in `images/` beside the table, anywhere below its folder,
or in `--images`. Class ids follow the natural order of the names. Columns without a meaning here are kept and
written again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskstream.data.csv_files import Table, columns_of, read_table
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.formats.format import Format, ReadOptions, WriteOptions
from maskstream.data.formats.image_classes import chosen_classes
from maskstream.data.formats.label_table import (
    Layout,
    find_table,
    has_image_column,
    tables_of,
    to_dataset,
    write_labels,
)
from maskstream.data.listing import Listing
from maskstream.errors import DatasetError
from maskstream.media.sources import natural_key

NAME = "label_csv"
LABEL_COLUMNS = ("label", "class", "class_name", "dx", "diagnosis", "category", "target")
BOX_COLUMNS = frozenset(
    {"bounds", "bbox", "box", "geometry", "x", "xmin", "x_min", "x0", "x1", "left", "width", "segmentation", "mask"}
)
"""Columns that tell of objects in the image: then the class is not that of the image."""


def recognise(listing: Listing) -> str | None:
    """Whether one CSV file has a column for images and one for labels, and none for boxes."""
    names = tables_of(listing, _is_table)
    return f"a table with a label for each image: {names[0]}" if len(names) == 1 else None


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read the table, or the one of a folder. No image is opened; missing ones are told in a finding.

    Raises
    ------
    DatasetError : no table or several, a broken one (see `csv_files`), a row without image or label, two rows
        for one image, a name that leads out of the folder, or a class of the options that no row has.
    """
    path = find_table(source, has_image_column if options.label_column else _is_table, "table with a label an image")
    table = read_table(path)
    label = table.require(*([options.label_column] if options.label_column else LABEL_COLUMNS))
    layout = Layout.of(table, options, [label])
    rows = [layout.row(row, _label(table, row.line, label, row.cells)) for row in table.rows()]
    names = sorted({row.class_name for row in rows}, key=lambda name: natural_key(Path(name)))
    return to_dataset(source, NAME, table, rows, chosen_classes(tuple(names), options.classes, path), options)


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write `labels.csv` (`image_id,label`, and group and split where there are any) and `images/`.

    Raises
    ------
    DatasetError : no image has a class, or an image is missing that was there on import.
    """
    return write_labels(
        dataset,
        folder,
        options,
        importer=NAME,
        file_name="labels.csv",
        image_column="image_id",
        class_columns=["label"],
        class_cells=lambda class_name: [class_name],
    )


def _is_table(path: Path) -> bool:
    columns = {column.casefold() for column in columns_of(path)}
    return has_image_column(path) and not columns.isdisjoint(LABEL_COLUMNS) and columns.isdisjoint(BOX_COLUMNS)


def _label(table: Table, line: int, column: int, cells: Sequence[str]) -> str:
    label = cells[column].strip()
    if not label:
        raise DatasetError(
            table.place(line, table.columns[column]), expected="a class", found="nothing", remedy="correct the row"
        )
    return label


FORMAT = Format(
    name=NAME,
    about="a CSV file with a class for each image (image_id,label)",
    recognise=recognise,
    read=read,
    write=write,
)
