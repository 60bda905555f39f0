"""How many images and objects each split of a dataset has, as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord

MOST_CLASSES = 8
"""With more, columns for each class would not fit a terminal; the page of `maskstream data stats` has them all."""


def count_table(dataset: Dataset) -> Table:
    """A row a split: its images, then objects (or images, where images have classes) of each class."""
    table = Table(title=f"{dataset.provenance.name} in {dataset.folder}")
    shown = dataset.classes[:MOST_CLASSES]
    others = len(dataset.classes) - len(shown)
    columns = ("split", "images", *shown, *([f"{others} other classes"] if others else []))
    for column in columns:
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in dataset.splits:
        _add_row(table, split, dataset.records(split), len(shown), others)
    in_none = len(dataset.images) - sum(map(len, dataset.splits.values())) - len(dataset.left_out)
    if dataset.left_out:
        table.add_row("left out", str(len(dataset.left_out)))
    if dataset.splits and in_none:
        table.add_row("in no split", str(in_none))
    _add_row(table, "all", dataset.images, len(shown), others)
    return table


def _add_row(table: Table, title: str, records: Sequence[ImageRecord], shown: int, others: int) -> None:
    counts = Counter(annotation.class_id for record in records for annotation in record.annotations)
    counts.update(record.class_id for record in records if record.class_id is not None)
    rest = [str(sum(counts.values()) - sum(counts[i] for i in range(shown)))] if others else []
    table.add_row(title, str(len(records)), *(str(counts[i]) for i in range(shown)), *rest)
