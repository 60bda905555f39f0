"""Writing COCO's annotation JSON, entry by entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.files import whole_file
from maskstream.core.masks import Rle
from maskstream.data.formats.coco.heading import EXTRA, Heading
from maskstream.data.records import Annotation, ImageRecord, Polygons


def write_coco(
    path: Path, classes: Classes, records: Iterable[ImageRecord], heading: Heading, *, compressed: bool = True
) -> None:
    """Write the five blocks, entry by entry; annotation ids count from 1 in the order of the images.

    Parameters
    ----------
    compressed : masks as COCO's short strings; otherwise as lists of run lengths, which more tools read.

    Raises
    ------
    OutputError : the file cannot be written.
    ValueError : a point or box is not finite.
    """
    records = tuple(records)
    extras = heading.category_extras or ({},) * len(classes)
    categories = (
        {"id": heading.category_id(class_id), "name": name} | extras[class_id] for class_id, name in enumerate(classes)
    )
    annotations = ((record, annotation) for record in records for annotation in record.annotations)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(b'{"info":' + msgspec.json.encode(heading.info))
        file.write(b',\n"licenses":' + msgspec.json.encode(heading.licenses))
        _write_entries(file, "categories", categories)
        _write_entries(file, "images", (_image_entry(record, heading) for record in records))
        _write_entries(
            file,
            "annotations",
            (
                _annotation_entry(number, record.image_id, annotation, heading, compressed=compressed)
                for number, (record, annotation) in enumerate(annotations, start=1)
            ),
        )
        file.write(b"}\n")


def _write_entries(file: BinaryIO, block: str, entries: Iterable[dict[str, Any]]) -> None:
    """A list of entries, a line each."""
    file.write(f',\n"{block}":['.encode())
    for number, entry in enumerate(entries):
        file.write((b",\n" if number else b"\n") + msgspec.json.encode(entry))
    file.write(b"\n]")


def _image_entry(record: ImageRecord, heading: Heading) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": record.image_id, "file_name": record.name}
    if record.stated_size_hw is not None:
        entry["height"], entry["width"] = record.stated_size_hw
    if len(heading.licenses) == 1:
        entry["license"] = heading.licenses[0].get("id", 1)
    if record.group is not None:
        entry["group"] = record.group
    if record.class_id is not None:
        entry["category_id"] = heading.category_id(record.class_id)
    return entry | _attribute_keys(record.attributes)


def _annotation_entry(
    annotation_id: int, image_id: int, annotation: Annotation, heading: Heading, *, compressed: bool
) -> dict[str, Any]:
    x1, y1, x2, y2 = annotation.box_xyxy
    parts = () if isinstance(annotation.segmentation, dict) else annotation.segmentation
    if not all(np.isfinite(values).all() for values in (*parts, np.array(annotation.box_xyxy))):
        raise ValueError(f"annotation {annotation_id} has a point or box that is not finite")
    entry = {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": heading.category_id(annotation.class_id),
        "segmentation": _segmentation_entry(annotation.segmentation, compressed=compressed),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": annotation.area_px,
        "iscrowd": int(annotation.iscrowd),
    }
    return entry | _attribute_keys(annotation.attributes)


def _segmentation_entry(segmentation: Rle | Polygons, *, compressed: bool) -> Any:
    if not isinstance(segmentation, dict):
        return [part.ravel().tolist() for part in segmentation]
    return segmentation if compressed else {"size": segmentation["size"], "counts": masks.to_runs(segmentation)}


def _attribute_keys(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as they stand in the file: what came from COCO's file goes back to its place."""
    own = {name: value for name, value in attributes.items() if name != EXTRA}
    return dict(attributes.get(EXTRA, {})) | ({"attributes": own} if own else {})
