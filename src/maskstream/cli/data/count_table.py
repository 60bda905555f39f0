"""How many images and objects a dataset has, by class and split, as a table for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord

MOST_CLASSES = 12
"""The most frequent ones are shown; the page of `maskstream data stats` has them all."""


def count_table(dataset: Dataset) -> Table:
    """A column a split; a row for the images, then one a class: its objects (or images, where these have classes)."""
    columns = {split: dataset.records(split) for split in dataset.splits}
    left_out = {entry.image for entry in dataset.left_out}
    placed = {name for members in dataset.splits.values() for name in members} | left_out
    if left_out:
        columns["left out"] = tuple(record for record in dataset.images if record.name in left_out)
    if dataset.splits and len(placed) < len(dataset.images):
        columns["in no split"] = tuple(record for record in dataset.images if record.name not in placed)
    columns["all"] = dataset.images
    table = Table(title=f"{dataset.provenance.name} in {dataset.folder}")
    table.add_column("")
    for title in columns:
        table.add_column(title, justify="right")
    table.add_row("images", *(str(len(records)) for records in columns.values()), end_section=True)
    counts = [_count(records) for records in columns.values()]
    by_frequency = sorted(range(len(dataset.classes)), key=lambda class_id: (-counts[-1][class_id], class_id))
    shown = sorted(by_frequency[:MOST_CLASSES])
    for class_id in shown:
        table.add_row(dataset.classes[class_id], *(str(count[class_id]) for count in counts))
    if others := len(dataset.classes) - len(shown):
        rest = (count.total() - sum(count[class_id] for class_id in shown) for count in counts)
        table.add_row(f"{others} other classes", *map(str, rest))
    return table


def _count(records: Sequence[ImageRecord]) -> Counter[int]:
    counts = Counter(annotation.class_id for record in records for annotation in record.annotations)
    counts.update(record.class_id for record in records if record.class_id is not None)
    return counts
