"""Writing a project of the VGG Image Annotator, version 2: `via_project.json` and `images/`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from maskstream.core.classes import Classes
from maskstream.core.files import write_json
from maskstream.data.checked_json import Block, BlockType, first_fault
from maskstream.data.dataset import IMAGES, Dataset
from maskstream.data.findings import Finding, Loss, Severity, told_losses
from maskstream.data.formats.format import WriteOptions, place_image
from maskstream.data.formats.via.classes import PREFERRED, class_name
from maskstream.data.formats.via.document import IDS, METADATA, Region
from maskstream.data.formats.via.shapes import shape_of
from maskstream.data.records import Annotation, ImageRecord, safe_name

EXTRA = "via"
"""Key, among the attributes of image or annotation and in the heading, of what VIA's file says beyond them."""

PROJECT = "via_project.json"
ATTRIBUTES, SETTINGS = "_via_attributes", "_via_settings"
WITH_OPTIONS = ("dropdown", "radio", "checkbox")

NEW_SETTINGS: dict[str, Any] = {
    "ui": {
        "annotation_editor_height": 25,
        "annotation_editor_fontsize": 0.8,
        "leftsidebar_width": 18,
        "image_grid": {
            "img_height": 80,
            "rshape_fill": "none",
            "rshape_fill_opacity": 0.3,
            "rshape_stroke": "yellow",
            "rshape_stroke_width": 2,
            "show_region_shape": True,
            "show_image_policy": "all",
        },
        "image": {
            "region_label": "__via_region_id__",
            "region_color": "__via_default_region_color__",
            "region_label_font": "10px Sans",
            "on_image_annotation_editor_placement": "NEAR_REGION",
        },
    },
    "core": {"buffer_size": 18, "filepath": {}, "default_filepath": f"{IMAGES}/"},
    "project": {"name": "maskstream"},
}
"""What VIA 2 saves of its own look in a new project; it reads no project without."""


class _KeptOfFile(Block):
    settings: dict[str, Any] = Field(default_factory=dict)
    class_attribute: str = PREFERRED[0]


class _Shape(Region):
    at: int


class _KeptOfImage(Block):
    shapes: list[_Shape] = Field(default_factory=list)
    file_attributes: dict[str, Any] = Field(default_factory=dict)
    file: dict[str, Any] = Field(default_factory=dict)


class _KeptOfRegion(Block):
    shape: dict[str, Any] | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    region: dict[str, Any] = Field(default_factory=dict)


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write a project. Objects have one polygon each, holes and parts joined by slits; boxes are rectangles.

    Raises
    ------
    DatasetError : an image is missing or its name leads out, or what is kept of VIA was altered and makes no sense.
    """
    lost: Counter[str] = Counter()
    kept = _kept(_KeptOfFile, dataset.heading.info, "info")
    metadata: dict[str, Any] = {}
    for record in dataset.images:
        name = safe_name(record.name, "images")
        place_image(record, folder / IMAGES / name, link=options.link)
        size = (folder / IMAGES / name).stat().st_size
        of_image = _kept(_KeptOfImage, record.attributes, f"{name}: attributes")
        metadata[f"{name}{size}"] = of_image.file | {
            "filename": name,
            "size": size,
            "regions": _regions(record, of_image, dataset.classes, kept.class_attribute, lost),
            "file_attributes": of_image.file_attributes,
        }
        lost["image-facts-lost"] += bool(
            set(record.attributes) - {EXTRA} or record.group or record.class_id is not None
        )
    lost["splits-lost"] += len(dataset.splits)
    write_json(folder / PROJECT, _project(kept, dataset.classes) | {METADATA: metadata, IDS: list(metadata)})
    return told_losses(_LOSSES, lost, PROJECT)


def _project(kept: _KeptOfFile, classes: Classes) -> dict[str, Any]:
    """The blocks of a project beside its images."""
    project = {SETTINGS: NEW_SETTINGS, "_via_data_format_version": "2.0.10"} | kept.settings
    attributes = kept.settings.get(ATTRIBUTES)
    attributes = attributes if isinstance(attributes, dict) else {}
    regions, files = attributes.get("region"), attributes.get("file")
    regions = dict(regions) if isinstance(regions, dict) else {}
    before = regions.get(kept.class_attribute)
    before = before if isinstance(before, dict) and before.get("type") in WITH_OPTIONS else {"type": WITH_OPTIONS[0]}
    options = before.get("options")
    options = options if isinstance(options, dict) else {}
    regions[kept.class_attribute] = (
        {"description": "", "default_options": {}}
        | before
        | {"options": {name: options.get(name, "") for name in classes}}
    )
    return project | {ATTRIBUTES: attributes | {"region": regions, "file": files if isinstance(files, dict) else {}}}


def _regions(
    record: ImageRecord, kept: _KeptOfImage, classes: Classes, class_attribute: str, lost: Counter[str]
) -> list[dict[str, Any]]:
    """The regions of an image, those that are no objects at their old places."""
    regions = []
    for annotation in record.annotations:
        region = _region(annotation, classes[annotation.class_id], class_attribute, record)
        if region:
            regions.append(region)
        lost["object-without-points"] += region is None
        lost["crowd-as-object"] += annotation.iscrowd
        lost["attributes-lost"] += bool(set(annotation.attributes) - {EXTRA})
    for shape in sorted(kept.shapes, key=lambda shape: shape.at):
        regions.insert(shape.at, shape.model_dump(exclude={"at"}))
    return regions


def _region(annotation: Annotation, name: str, class_attribute: str, record: ImageRecord) -> dict[str, Any] | None:
    place = f"{record.name}: attributes"
    kept = _kept(_KeptOfRegion, annotation.attributes, place)
    shape = shape_of(annotation, kept.shape, record.size_hw)
    if shape is None:
        return None
    says_so = class_name(kept.attributes, class_attribute, place) == name
    attributes = kept.attributes if says_so else kept.attributes | {class_attribute: name}
    return kept.region | {"shape_attributes": shape, "region_attributes": attributes}


def _kept(block: type[BlockType], attributes: dict[str, Any], place: str) -> BlockType:
    try:
        return block.model_validate(attributes.get(EXTRA, {}))
    except ValidationError as error:
        raise first_fault(f"{place}.{EXTRA}", error) from error


_LOSSES: dict[str, Loss] = {
    "object-without-points": (
        Severity.WARNING,
        "an outline, pixels or a box",
        "{} objects without, left out",
        "see what `maskstream data check` says of them",
    ),
    "crowd-as-object": (
        Severity.WARNING,
        "single objects",
        "{} regions that cover a group, each written as one object",
        "use the format coco to keep that apart",
    ),
    "attributes-lost": (
        Severity.NOTE,
        "class, outline and what VIA said",
        "{} objects with other attributes, which are not written",
        "use the format coco to keep them",
    ),
    "image-facts-lost": (
        Severity.NOTE,
        "objects and what VIA said",
        "{} images with a class, group or other attributes, which are not written",
        "use the format coco to keep them",
    ),
    "splits-lost": (
        Severity.NOTE,
        "no splits, for which VIA has no place",
        "{}, which are not written",
        "export a project of each split",
    ),
}
"""What may be lost, by the code of its finding."""
