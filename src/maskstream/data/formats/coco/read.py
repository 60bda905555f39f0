"""Reading COCO's annotation JSON: https://cocodataset.org/#format-data.

Category ids may be any numbers in the file; class ids inside count from 0, in the order of the category ids.
What this package has no place for (licences and addresses of images, supercategories) is kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from maskstream.core.classes import Classes
from maskstream.data.checked_json import BlockType
from maskstream.data.findings import Finding, OnFinding, raise_finding
from maskstream.data.formats.coco.blocks import (
    AnnotationEntry,
    Category,
    Image,
    checked_entries,
    read_blocks,
)
from maskstream.data.formats.coco.heading import EXTRA, Heading
from maskstream.data.formats.coco.segmentation import read_segmentation
from maskstream.data.records import Annotation, ImageRecord, safe_name
from maskstream.errors import DatasetError
from maskstream.media.images import MAX_IMAGE_PIXELS

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class CocoFile:
    """Class names in the order of their ids, images with their annotations, and the heading."""

    classes: Classes
    images: tuple[ImageRecord, ...]
    heading: Heading


def read_coco(path: Path, images_folder: Path, on_finding: OnFinding = raise_finding) -> CocoFile:
    """Read and check a COCO file; image files are neither opened nor looked for.

    Shapes are taken as they are: a polygon of two points makes an empty mask, and `data/checks` is who tells.
    Boxes and areas that the file leaves out follow from the masks.

    Parameters
    ----------
    on_finding : told of each broken entry, which is then left out; by default the first one is an error.

    Raises
    ------
    DatasetError : the file is missing, is no JSON or lacks a block; by default also: a value is of a wrong
        type or not finite, a mask does not fit its image, an id is unknown or comes twice, or an image's
        name leads out of its folder.
    """
    blocks = read_blocks(path)
    reader = _Reader(path, on_finding)
    categories = sorted(
        reader.unique("categories", reader.entries("categories", blocks.categories, Category), ("id", "name")),
        key=lambda category: category.id,
    )
    class_ids = {category.id: class_id for class_id, category in enumerate(categories)}
    images = reader.unique("images", reader.images(blocks.images), ("id", "file_name"))
    by_image = reader.annotations(blocks.annotations, class_ids, {image.id: image for image in images})
    heading = Heading(
        info=blocks.info,
        licenses=tuple(blocks.licenses),
        category_ids=tuple(category.id for category in categories),
        category_extras=tuple(category.model_extra or {} for category in categories),
    )
    records = tuple(
        ImageRecord(
            image_id=image.id,
            name=image.file_name,
            path=images_folder / image.file_name,
            stated_size_hw=_size_hw(image),
            annotations=tuple(by_image.get(image.id, ())),
            group=image.group,
            attributes=_without_default_licence(_attributes(image), heading),
            class_id=reader.class_of(image, class_ids),
        )
        for image in images
    )
    return CocoFile(tuple(category.name for category in categories), records, heading)


class _Reader:
    """Reads the entries of one file; what is broken is told and left out."""

    def __init__(self, path: Path, on_finding: OnFinding) -> None:
        self.path = path
        self._on_finding = on_finding

    def entries(self, block: str, texts: list[msgspec.Raw], kind: type[BlockType]) -> Iterable[tuple[str, BlockType]]:
        for place, entry in checked_entries(self.path, block, texts, kind):
            if isinstance(entry, DatasetError):
                self._report(entry, "broken-entry")
            else:
                yield place, entry

    def unique(self, block: str, entries: Iterable[tuple[str, BlockType]], keys: tuple[str, ...]) -> list[BlockType]:
        """The entries that share none of the keys' values with one before."""
        seen: dict[str, set[object]] = {key: set() for key in keys}
        kept = []
        for _, entry in entries:
            repeats = [key for key in keys if getattr(entry, key) in seen[key]]
            if repeats:
                error = DatasetError(
                    f"{self.path}: {block}",
                    expected=f"each {repeats[0]} once",
                    found=f"{getattr(entry, repeats[0])!r} again",
                    remedy="remove or rename the copies",
                )
                self._report(error, f"repeated-{repeats[0].replace('_', '-')}")
                continue
            for key in keys:
                seen[key].add(getattr(entry, key))
            kept.append(entry)
        return kept

    def images(self, texts: list[msgspec.Raw]) -> Iterable[tuple[str, Image]]:
        for place, image in self.entries("images", texts, Image):
            try:
                safe_name(image.file_name, f"{place}.file_name")
            except DatasetError as error:
                self._report(error, "path-outside")
            else:
                yield place, image

    def annotations(
        self, texts: list[msgspec.Raw], class_ids: Mapping[int, int], images: Mapping[int, Image]
    ) -> Mapping[int, list[Annotation]]:
        by_image: defaultdict[int, list[Annotation]] = defaultdict(list)
        seen: set[int] = set()
        for place, entry in self.entries("annotations", texts, AnnotationEntry):
            try:
                code = "repeated-id"
                if entry.id in seen:
                    raise DatasetError(
                        f"{self.path}: annotations",
                        expected="each id once",
                        found=f"{entry.id} again",
                        remedy="remove or rename the copies",
                    )
                seen.add(entry.id)
                code = "unknown-class"
                class_id = _look_up(class_ids, entry.category_id, f"{place}.category_id", "categories")
                code = "unknown-image"
                image = _look_up(images, entry.image_id, f"{place}.image_id", "images")
                code = "broken-mask"
                by_image[image.id].append(_annotation(entry, class_id, _size_hw(image), place))
            except DatasetError as error:
                self._report(error, code)
        return by_image

    def class_of(self, image: Image, class_ids: Mapping[int, int]) -> int | None:
        """The class of the image as a whole."""
        if image.category_id is None or image.category_id in class_ids:
            return class_ids.get(image.category_id) if image.category_id is not None else None
        error = DatasetError(
            f"{self.path}: images: {image.file_name}: category_id",
            expected=f"an id among the {len(class_ids)} categories",
            found=str(image.category_id),
            remedy="correct the reference",
        )
        self._report(error, "unknown-class")
        return None

    def _report(self, error: DatasetError, code: str) -> None:
        self._on_finding(Finding.of(error, code, fix="leaves the entry out"))


def _size_hw(image: Image) -> tuple[int, int] | None:
    return (image.height, image.width) if image.height and image.width else None


def _attributes(entry: Image | AnnotationEntry) -> dict[str, Any]:
    return entry.attributes | ({EXTRA: entry.model_extra} if entry.model_extra else {})


def _without_default_licence(attributes: dict[str, Any], heading: Heading) -> dict[str, Any]:
    """A dataset's only licence goes without saying."""
    extra = attributes.get(EXTRA, {})
    if len(heading.licenses) != 1 or extra.get("license") != heading.licenses[0].get("id", 1):
        return attributes
    kept = {name: value for name, value in extra.items() if name != "license"}
    others = {name: value for name, value in attributes.items() if name != EXTRA}
    return others | ({EXTRA: kept} if kept else {})


def _annotation(entry: AnnotationEntry, class_id: int, size_hw: tuple[int, int] | None, place: str) -> Annotation:
    if size_hw and math.prod(size_hw) > MAX_IMAGE_PIXELS and None in (entry.bbox, entry.area):
        raise DatasetError(
            place,
            expected="bbox and area, as the image is stated larger than any that can be read",
            found=f"one of them missing, and {size_hw[0]} x {size_hw[1]} pixels (height x width)",
            remedy="correct the image's size",
        )
    segmentation = read_segmentation(entry.segmentation, size_hw, f"{place}.segmentation")
    annotation = Annotation(
        class_id=class_id,
        segmentation=segmentation,
        box_xyxy=(0.0, 0.0, 0.0, 0.0),
        area_px=0.0,
        iscrowd=entry.iscrowd == 1,
        attributes=_attributes(entry),
    )
    return annotation.with_extent(entry.bbox, entry.area, size_hw)


def _look_up(known: Mapping[int, Value], wanted: int, place: str, block: str) -> Value:
    if wanted not in known:
        raise DatasetError(
            place, expected=f"an id among the {len(known)} {block}", found=str(wanted), remedy="correct the reference"
        )
    return known[wanted]
