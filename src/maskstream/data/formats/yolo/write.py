"""Writing YOLO's text labels: `images/`, `labels/` and `data.yaml`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from maskstream.core.files import write_text
from maskstream.core.polygons import clip
from maskstream.data.dataset import IMAGES, Dataset
from maskstream.data.findings import Finding, Loss, Severity, told_losses
from maskstream.data.formats.format import WriteOptions, place_image
from maskstream.data.formats.outlines import one_ring
from maskstream.data.formats.yolo.labels import BOX_ONLY, box_line, polygon_line
from maskstream.data.formats.yolo.pairs import LABELS
from maskstream.data.records import Annotation, ImageRecord, safe_name

DATA_FILE = "data.yaml"
UNSPLIT = "unsplit"
"""Folder of the images that are in no split of a dataset with splits; `data.yaml` does not name it."""

LineOf = Callable[[Annotation, tuple[int, int], Counter[str]], str | None]
"""The line of an object, None where there is none to write; counts what is lost."""


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write polygons. Holes and parts are joined by slits; what lies outside an image is cut off.

    A box without outline becomes a rectangle: YOLO takes the lines of a file as either all boxes or all polygons.

    Raises
    ------
    DatasetError : an image is missing, or the name of an image or split leads out of its folder.
    """
    return _write(dataset, folder, options, _polygon_line)


def write_boxes(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write the boxes alone, cut to their images; see `write`."""
    return _write(dataset, folder, options, _box_line)


def _write(dataset: Dataset, folder: Path, options: WriteOptions, line_of: LineOf) -> list[Finding]:
    lost: Counter[str] = Counter()
    places = _places(dataset)
    for record in dataset.images:
        place = places[record.name]
        lines = [line_of(annotation, record.size_hw, lost) for annotation in record.annotations]
        write_text(folder / LABELS / place.with_suffix(".txt"), "".join(f"{line}\n" for line in lines if line))
        place_image(record, folder / IMAGES / place, link=options.link)
        lost["image-renamed"] += place.name != PurePosixPath(record.name).name
        lost["image-unsplit"] += place.parts[0] == UNSPLIT
        _count_losses(record, lost)
    splits = {split: f"{IMAGES}/{split}" for split in dataset.splits}
    lost["no-splits"] += 0 if splits else len(dataset.images)
    content = splits | {"names": dict(enumerate(dataset.classes))}
    write_text(folder / DATA_FILE, yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
    return told_losses(_LOSSES, lost, LABELS)


def _polygon_line(annotation: Annotation, size_hw: tuple[int, int], lost: Counter[str]) -> str | None:
    if annotation.segmentation:
        ring = one_ring(annotation, size_hw, inside=True)
        lost["cut-to-image"] += len(ring) > 2 and _reaches_out(annotation, size_hw)
    else:
        x1, y1, x2, y2 = annotation.box_xyxy
        corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]] if x1 < x2 and y1 < y2 else []
        ring = clip(np.array(corners).reshape(-1, 2), size_hw)
        lost["box-as-polygon"] += len(ring) > 2
    if len(ring) < 3:
        lost["object-without-area"] += 1
        return None
    return polygon_line(annotation.class_id, ring, size_hw)


def _box_line(annotation: Annotation, size_hw: tuple[int, int], lost: Counter[str]) -> str | None:
    height, width = size_hw
    x1, y1, x2, y2 = np.clip(annotation.box_xyxy, 0, [width, height, width, height]).tolist()
    if x2 <= x1 or y2 <= y1:
        lost["object-without-area"] += 1
        return None
    lost["mask-as-box"] += bool(annotation.segmentation)
    lost["cut-to-image"] += (x1, y1, x2, y2) != annotation.box_xyxy
    return box_line(annotation.class_id, (x1, y1, x2, y2), size_hw)


def _reaches_out(annotation: Annotation, size_hw: tuple[int, int]) -> bool:
    parts = () if isinstance(annotation.segmentation, dict) else annotation.segmentation
    return any(((part < 0) | (part > size_hw[::-1])).any() for part in parts)


def _places(dataset: Dataset) -> dict[str, PurePosixPath]:
    """Where each image goes below `images/`, by its name; no two share a label file.

    Images of a split go into its folder. Folders named `images` are left out: readers take the last one in a path
    for the one that has its counterpart in `labels`.
    """
    split_of = {name: safe_name(split, "splits") for split, members in dataset.splits.items() for name in members}
    places: dict[str, PurePosixPath] = {}
    taken: set[PurePosixPath] = set()
    for record in dataset.images:
        name = safe_name(record.name, "images")
        parts = [part for part in PurePosixPath(name).parts[:-1] if part != IMAGES]
        split = split_of.get(name, UNSPLIT)
        if dataset.splits and parts[:1] != [split]:
            parts.insert(0, split)
        places[name] = _free(PurePosixPath(*parts, PurePosixPath(name).name), taken)
        taken.add(places[name].with_suffix(""))
    return places


def _free(place: PurePosixPath, taken: Collection[PurePosixPath]) -> PurePosixPath:
    """The place, or one of another name where an image with the same stem is there already."""
    number = 1
    stem = place.stem
    while place.with_suffix("") in taken:
        number += 1
        place = place.with_name(f"{stem}_{number}{place.suffix}")
    return place


def _count_losses(record: ImageRecord, lost: Counter[str]) -> None:
    lost["image-facts-lost"] += bool(record.attributes or record.group or record.class_id is not None)
    for annotation in record.annotations:
        lost["crowd-as-object"] += annotation.iscrowd
        lost["attributes-lost"] += any(
            annotation.attributes.get(key) != BOX_ONLY.get(key) for key in annotation.attributes
        )


_LOSSES: dict[str, Loss] = {
    "object-without-area": (
        Severity.WARNING,
        "an outline or box with an area",
        "{} objects without, left out",
        "see what `maskstream data check` says of them",
    ),
    "crowd-as-object": (
        Severity.WARNING,
        "single objects",
        "{} regions that cover a group, each written as one object",
        "take them out first if the tool must not learn them",
    ),
    "mask-as-box": (
        Severity.NOTE,
        "boxes",
        "{} masks, of which the boxes are written",
        "use the format yolo to keep their outlines",
    ),
    "box-as-polygon": (
        Severity.NOTE,
        "outlines",
        "{} objects of which only the box is known, written as rectangles",
        "use the format yolo_boxes for boxes",
    ),
    "cut-to-image": (
        Severity.NOTE,
        "objects inside their images",
        "{} that reach out, cut off at the border",
        "nothing is to be done",
    ),
    "attributes-lost": (
        Severity.NOTE,
        "class and outline alone",
        "{} objects with attributes, which are not written",
        "use the format coco to keep them",
    ),
    "image-facts-lost": (
        Severity.NOTE,
        "objects alone",
        "{} images with a class, group or attributes of their own, which are not written",
        "use the format coco to keep them",
    ),
    "image-renamed": (
        Severity.NOTE,
        "a stem of its own for each image",
        "{} images that share one, renamed",
        "nothing is to be done",
    ),
    "image-unsplit": (
        Severity.NOTE,
        "each image in a split",
        f"{{}} in none; they are in {IMAGES}/{UNSPLIT}, which {DATA_FILE} does not name",
        "make splits with: maskstream data split",
    ),
    "no-splits": (
        Severity.NOTE,
        f"train and val for {DATA_FILE}",
        "no split of {} images",
        "make splits with: maskstream data split",
    ),
}
"""What may be lost, by the code of its finding."""
