"""The numbers of a dataset as files for programs.

classes.csv    a row a class, then one for all classes together
images.csv     a row an image
objects.csv    a row an annotation, crowds among them
summary.json   the totals

Lengths and boxes are in pixels (`_px`), shares and centres in 0..1; an empty cell is a value that is not known.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstream.core.files import write_json
from maskstream.data.dataset import Dataset
from maskstream.data.statistics.collect import DatasetStatistics

CLASSES, IMAGES, OBJECTS, SUMMARY = "classes.csv", "images.csv", "objects.csv", "summary.json"

ALL_CLASSES = "(all)"
"""Name of the row for all classes together."""

_IMAGE_COLUMNS = ("image", "split", "left_out_because", "group", "class", "width_px", "height_px", "objects", "crowds")
_OBJECT_COLUMNS = (
    "image", "split", "group", "class", "crowd", "mask", "x1_px", "y1_px", "x2_px", "y2_px", "area_px", "area_share",
    "equivalent_diameter_px", "aspect_width_by_height", "centre_x", "centre_y",
)  # fmt: skip


def write_tables(folder: Path, dataset: Dataset, statistics: DatasetStatistics) -> None:
    """Write the four files into a folder that is there; large tables are written row by row.

    Raises
    ------
    OSError : the folder cannot be written.
    """
    _write_csv(folder / CLASSES, _class_columns(statistics), _class_rows(statistics))
    _write_csv(folder / IMAGES, _IMAGE_COLUMNS, _image_rows(dataset, statistics))
    _write_csv(folder / OBJECTS, _OBJECT_COLUMNS, _object_rows(dataset, statistics))
    write_json(folder / SUMMARY, summary(dataset, statistics))


def summary(dataset: Dataset, statistics: DatasetStatistics) -> dict[str, Any]:
    """The totals, as JSON has them."""
    objects, images = statistics.objects, statistics.images
    small, medium, large = statistics.size_classes()
    colours = statistics.colours
    return {
        "name": dataset.provenance.name,
        "images": len(dataset.images),
        "images_without_objects": int((images.objects + images.crowds == 0).sum()),
        "images_of_unknown_size": int((~images.size_hw.all(axis=1)).sum()),
        "missing_images": len(statistics.missing),
        "unreadable_images": len(statistics.unreadable),
        "objects": int(images.objects.sum()),
        "crowds": int(images.crowds.sum()),
        "objects_without_mask": int((objects.box_alone & ~objects.crowd).sum()),
        "objects_by_size": {"small": small, "medium": medium, "large": large},
        "instances_by_class": dict(zip(statistics.classes, statistics.instances().sum(axis=1).tolist(), strict=True)),
        "images_by_class": dict(zip(statistics.classes, statistics.images_with().sum(axis=1).tolist(), strict=True)),
        "image_labels_by_class": dict(
            zip(statistics.classes, statistics.images_of().sum(axis=1).tolist(), strict=True)
        ),
        "images_by_split": dict(zip(statistics.places, statistics.images_at().tolist(), strict=True)),
        "groups": len(statistics.group_sizes),
        "groups_in_several_splits": len(statistics.torn_groups),
        "label_makers": dict(statistics.label_makers),
        "images_read_for_colour": colours.images_read if colours else 0,
    }


def _write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _class_columns(statistics: DatasetStatistics) -> list[str]:
    per_place = [f"{kind} {place}" for place in statistics.places for kind in ("images", "instances", "image_labels")]
    colours = [f"{name}_{what}" for name in ("red", "green", "blue") for what in ("mean", "spread")]
    sizes = ["median_area_px", "median_area_share"]
    return ["class", "images", "instances", "crowds", "image_labels", *sizes, "colour_px", *colours, *per_place]


def _class_rows(statistics: DatasetStatistics) -> Iterator[list[object]]:
    instances, with_objects, labelled = statistics.instances(), statistics.images_with(), statistics.images_of()
    crowds = statistics.instances(crowd=True).sum(axis=1)
    for class_id, name in enumerate(statistics.classes):
        tables = (with_objects[class_id], instances[class_id], labelled[class_id])
        totals = [int(table.sum()) for table in tables]
        row: list[object] = [name, totals[0], totals[1], int(crowds[class_id]), totals[2]]
        row += _medians(statistics, statistics.objects.class_id == class_id)
        yield [*row, *_colours(statistics, class_id), *np.column_stack(tables).ravel().tolist()]
    images = statistics.images
    tables = (
        np.bincount(images.place[images.objects > 0], minlength=len(statistics.places)),
        instances.sum(axis=0),
        labelled.sum(axis=0),
    )
    totals = [int(table.sum()) for table in tables]
    row = [ALL_CLASSES, totals[0], totals[1], int(crowds.sum()), totals[2]]
    row += _medians(statistics, np.ones(len(statistics.objects.crowd), bool))
    yield [*row, *[""] * 7, *np.column_stack(tables).ravel().tolist()]


def _medians(statistics: DatasetStatistics, chosen: NDArray[np.bool_]) -> list[object]:
    """Median area of the chosen objects in pixels and as a share of the image; crowds do not count."""
    chosen = chosen & ~statistics.objects.crowd
    columns = statistics.objects.area_px[chosen], statistics.objects.area_share[chosen]
    known = [column[np.isfinite(column)] for column in columns]
    return [_number(float(np.median(column))) if len(column) else "" for column in known]


def _colours(statistics: DatasetStatistics, class_id: int) -> Sequence[object]:
    """Number of pixels, then mean and spread of each channel."""
    if statistics.colours is None:
        return [""] * 7
    histogram = statistics.colours.of_classes[class_id]
    values = np.column_stack([histogram.mean, histogram.spread]).ravel().tolist()
    return [histogram.pixels, *map(_number, values)]


def _split_names(statistics: DatasetStatistics) -> list[str]:
    """Name of each place as a cell: empty where no split holds the image."""
    return [*statistics.places[:-2], "", ""]


def _image_rows(dataset: Dataset, statistics: DatasetStatistics) -> Iterator[list[object]]:
    images, splits = statistics.images, _split_names(statistics)
    reasons = {entry.image: entry.reason for entry in dataset.left_out}
    names = (*statistics.classes, "")  # no class is -1
    rows = zip(dataset.images, images.size_hw.tolist(), images.place.tolist(), strict=True)
    for index, (record, (height, width), place) in enumerate(rows):
        yield [
            record.name, splits[place], reasons.get(record.name, ""), record.group or "",
            names[images.class_id[index]], width or "", height or "", images.objects[index], images.crowds[index],
        ]  # fmt: skip


def _object_rows(dataset: Dataset, statistics: DatasetStatistics) -> Iterator[list[object]]:
    objects, splits = statistics.objects, _split_names(statistics)
    numbers = np.column_stack(
        [
            objects.boxes_xyxy, objects.area_px, objects.area_share, objects.equivalent_diameter_px,
            objects.aspect, objects.centres,
        ]
    )  # fmt: skip
    for row, index in enumerate(objects.image.tolist()):
        record = dataset.images[index]
        yield [
            record.name, splits[statistics.images.place[index]], record.group or "",
            statistics.classes[objects.class_id[row]], int(objects.crowd[row]), int(not objects.box_alone[row]),
            *map(_number, numbers[row].tolist()),
        ]  # fmt: skip


def _number(value: float) -> str:
    """Nine significant digits at most; empty for what is not known."""
    return f"{value:.9g}" if math.isfinite(value) else ""
