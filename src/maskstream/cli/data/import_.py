"""`maskstream data import`: labels of any known format into a dataset folder."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from maskstream.data.dataset import Dataset
from maskstream.data.formats.isic import import_isic


class Format(StrEnum):
    """Layouts that can be imported."""

    ISIC2017 = "isic2017"


IMPORTERS = {Format.ISIC2017: import_isic}


def import_dataset(
    source: Annotated[Path, typer.Argument(help="Folder to import from; it is not changed.")],
    out: Annotated[Path, typer.Option(help="Dataset folder to make; must be new or empty.")],
    layout: Annotated[Format, typer.Option("--format", help="Layout of the source.")],
) -> None:
    """Import labelled images into a dataset folder: COCO JSON, images, splits and provenance."""
    dataset = IMPORTERS[layout](source, out)
    Console().print(_count_table(dataset))


def _count_table(dataset: Dataset) -> Table:
    table = Table(title=f"{dataset.provenance.name} in {dataset.folder}")
    for column in ("split", "images", *dataset.classes):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in dataset.splits:
        records = dataset.records(split)
        counts = Counter(annotation.class_id for record in records for annotation in record.annotations)
        table.add_row(split, str(len(records)), *(str(counts[i]) for i in range(len(dataset.classes))))
    table.add_row("left out", str(len(dataset.left_out)))
    return table
