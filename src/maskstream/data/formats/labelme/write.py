"""Datasets as folders of labelme JSON, a document beside each picture.

A document that was read from labelme is given back with the same meaning, but where current labelme would refuse it
or not find the picture:

* `shape_type` and `imageData` that old documents lack become "polygon" and null;
* `imageHeight` and `imageWidth` that contradict the picture become its own;
* `imagePath` that does not lead to the picture does so then, unless the picture is embedded;
* an embedded picture that is another than the file beside it goes; the file is what was read.

A document that did not lie where `imagePath` leads to the picture from goes beside the picture.
"""

from __future__ import annotations

import base64
import itertools
import json
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from pydantic import Field, ValidationError

from maskstream.core.classes import Classes
from maskstream.data.checked_json import Block, first_fault
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import WriteOptions, place_image
from maskstream.data.formats.labelme.document import check_shape, default_name, shape_kind
from maskstream.data.formats.labelme.labels import write_labels
from maskstream.data.formats.labelme.objects import EXTRA, kept_shapes, shapes_of
from maskstream.data.formats.labelme.provenance import CORRECTED, PREANNOTATION, PROVENANCE
from maskstream.data.records import ImageRecord, safe_name
from maskstream.errors import DatasetError

VERSION = "6.3.1"
"""The labelme whose reader the tests ask; documents that came from another keep its version."""


class _OtherShape(Block):
    at: int
    shape: dict[str, Any]


class _Extra(Block):
    """What is kept of a document, see `labelme.read`."""

    document: dict[str, Any] = Field(default_factory=dict)
    shapes: list[_OtherShape] = Field(default_factory=list)
    embedded: bool = False
    file: str | None = None


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write pictures and documents, sub-folders as they are, and `labels.txt` with the classes in their order.

    Polygons become polygons, several of one object with a `group_id` in common; pixels become masks, holes kept; an
    object known by its box alone becomes a rectangle.

    Raises
    ------
    DatasetError : two pictures would have one document, a picture is missing, or what is kept of labelme's document
        was altered and makes no sense.
    """
    taken: dict[str, str] = {}
    for record in dataset.images:
        extra = _checked_extra(record)
        name = _document_name(record, extra)
        if name in taken:
            raise DatasetError(
                record.path,
                expected="a document of its own",
                found=f"{name}, which {taken[name]} has as well",
                remedy="rename one of the two pictures: labelme knows them by their names without the suffix",
            )
        taken[name] = record.name
        place_image(record, folder / record.name, link=options.link)
        content = _content(record, extra, name, dataset.classes)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    write_labels(folder, dataset.classes)
    return list(_findings(dataset))


def new_document(image_path: str, size_hw: tuple[int, int], shapes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A document with the keys that labelme itself writes, the picture not embedded."""
    return {
        "version": VERSION,
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": size_hw[0],
        "imageWidth": size_hw[1],
    }


def _checked_extra(record: ImageRecord) -> _Extra:
    place = f"{record.name}: attributes.{EXTRA}"
    try:
        extra = _Extra.model_validate(record.attributes.get(EXTRA, {}))
    except ValidationError as error:
        raise first_fault(place, error) from error
    for other in extra.shapes:
        check_shape(other.shape, place)
    if extra.file is not None:
        safe_name(extra.file, f"{place}.file")
    return extra


def _document_name(record: ImageRecord, extra: _Extra) -> str:
    """Where the document lay, if the picture is still to be found from there; else beside the picture."""
    if extra.file is not None and (extra.embedded or _leads_to(record, extra, extra.file)):
        return extra.file
    return default_name(record.name)


def _leads_to(record: ImageRecord, extra: _Extra, document_name: str) -> bool:
    path = PureWindowsPath(str(extra.document.get("imagePath", ""))).as_posix()
    return posixpath.normpath(posixpath.join(posixpath.dirname(document_name), path)) == record.name


def _content(record: ImageRecord, extra: _Extra, name: str, classes: Classes) -> dict[str, Any]:
    """The document of a picture; keys stand in the order in which they were read."""
    size_hw = record.size_hw
    shapes = _shapes(record, extra, classes, size_hw)
    kept = extra.document
    if not kept:
        return new_document(posixpath.basename(record.name), size_hw, shapes)
    content = kept | {"shapes": shapes, "imageData": None}
    if extra.embedded:
        content["imageData"] = base64.b64encode(record.path.read_bytes()).decode()
    elif not _leads_to(record, extra, name):
        content["imagePath"] = posixpath.basename(record.name)
    for key, side in zip(("imageHeight", "imageWidth"), size_hw):
        if kept.get(key) is not None:
            content[key] = side
    return content


def _shapes(record: ImageRecord, extra: _Extra, classes: Classes, size_hw: tuple[int, int]) -> list[dict[str, Any]]:
    """The shapes of a picture in the order in which they were read, new ones at the end."""
    kept = [kept_shapes(a, f"{record.name}: annotations[{number}]") for number, a in enumerate(record.annotations)]
    old_shapes = [*(other.shape for other in extra.shapes), *(shape for one in kept for shape in one.shapes)]
    used = [shape["group_id"] for shape in old_shapes if isinstance(shape.get("group_id"), int)]
    new_groups = itertools.count(max(used, default=-1) + 1)
    entries: list[tuple[int | None, dict[str, Any]]] = [(other.at, other.shape) for other in extra.shapes]
    for annotation, one in zip(record.annotations, kept):
        entries += shapes_of(annotation, one, classes[annotation.class_id], size_hw, new_groups)
    entries.sort(key=lambda entry: (entry[0] is None, entry[0] or 0))
    return [shape | {"shape_type": shape_kind(shape)} for _, shape in entries]


_OWN_KEYS = {EXTRA, PROVENANCE, CORRECTED, PREANNOTATION}
"""Attributes that follow from the document itself."""


def _findings(dataset: Dataset) -> Iterator[Finding]:
    """What labelme's documents do not hold, a finding for each kind of loss."""
    objects = [a for record in dataset.images for a in record.annotations]
    new = [a for a in objects if EXTRA not in a.attributes]
    empty = sum(isinstance(a.segmentation, dict) and not a.area_px for a in new)
    if empty:
        yield _loss("empty-object", "objects with pixels", f"{empty} without any", "they are left out")
    boxes = sum(a.segmentation == () for a in new)
    if boxes:
        yield _loss(
            "box-as-rectangle", "outlines", f"{boxes} objects known by their boxes alone", "written as rectangles"
        )
    described = sum(bool(a.attributes.keys() - _OWN_KEYS) for a in objects)
    if described:
        yield _loss("lost-attributes", "labels alone", f"attributes of {described} objects", "they are left out")
    facts = sum(
        record.class_id is not None or record.group is not None or bool(record.attributes.keys() - _OWN_KEYS)
        for record in dataset.images
    )
    if facts:
        yield _loss("lost-attributes", "objects alone", f"class, group or attributes of {facts} images", "left out")


def _loss(code: str, expected: str, found: str, remedy: str) -> Finding:
    return Finding(
        code=code, severity=Severity.NOTE, place="labelme JSON", expected=expected, found=found, remedy=remedy
    )
