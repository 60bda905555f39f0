"""The VGG Image Annotator's files: JSON of versions 1 and 2 and CSV read, projects of version 2 written.

Polygons, circles and ellipses become outlines, rectangles boxes. Points and lines have no area: they stay in the
attributes of their image under `EXTRA`, as do attributes and shapes that this package has no place for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from maskstream.core.classes import Classes
from maskstream.core.parallel import ordered_map
from maskstream.core.polygons import Ring
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.formats.coco.heading import Heading
from maskstream.data.formats.format import Format, ReadOptions, assemble, splits_by_folder
from maskstream.data.formats.image_finder import ImageFinder
from maskstream.data.formats.via.classes import NO_CLASS, class_attribute, class_name, stated_classes
from maskstream.data.formats.via.document import Document, FileEntry, looks_like_via, read_document
from maskstream.data.formats.via.findings import LISTED, no_area, no_class, no_image, not_labelled, twice
from maskstream.data.formats.via.shapes import BoxXyxy, geometry, shape_of
from maskstream.data.formats.via.write import EXTRA, write
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError
from maskstream.media.images import read_size_hw


@dataclass(frozen=True, slots=True)
class _Object:
    """A region with an area."""

    place: str
    index: int
    outline: Ring | BoxXyxy


@dataclass(frozen=True, slots=True)
class _Image:
    """An entry with its image and the regions that are objects."""

    document: Document
    place: str
    entry: FileEntry
    name: str
    path: Path
    objects: tuple[_Object, ...]


def recognise(listing: Listing) -> str | None:
    """Whether there are files of VIA's."""
    names = _via_files(listing)
    return f"VIA, {', '.join(names[:LISTED])}{' and more' if len(names) > LISTED else ''}" if names else None


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read one file or all of a folder. An image that the file does not name was not labelled, and is left out.

    Regions without class are of the one that `--classes` names, where it names one, else `NO_CLASS`.

    Raises
    ------
    DatasetError : no file of VIA's, one that is broken or names an image outside its folder, no image is there, or
        it is not clear which attribute is the class.
    SourceError : an image is damaged.
    """
    folder = source if source.is_dir() else source.parent
    names = _via_files(list_folder(folder)) if source.is_dir() else [source.name]
    documents = [read_document(folder / name) for name in names]
    images, findings = _found(folder, documents, options)
    if not images:
        raise DatasetError(
            source,
            expected="a file of VIA's, with its images",
            found=f"{len(documents)} files, and none of their images",
            remedy="put the images beside the file, or say where they are with --images",
        )
    attributes = [one.entry.regions[part.index].region_attributes for one in images for part in one.objects]
    attribute = class_attribute(attributes, options.label_column, source)
    default = options.classes[0] if len(options.classes) == 1 and attribute is None else NO_CLASS
    settings = [document.settings for document in documents if document.settings]
    classes = _classes(images, attribute, default, stated_classes(settings, attribute))
    records = list(_records(images, attribute, default, classes, options))
    called = [record.name for record in records]
    dataset = assemble(
        source,
        "via",
        classes,
        records,
        splits=splits_by_folder(called),
        findings=[*findings, *_notes(images, attribute, default)],
    )
    kept: dict[str, Any] = {"settings": settings[0]} if settings else {}
    kept |= {"class_attribute": attribute} if attribute is not None else {}
    info = {"description": source.name, "version": "1.0", EXTRA: kept}
    return replace(dataset, heading=Heading(info=info)) if kept else dataset


def _via_files(listing: Listing) -> list[str]:
    names = listing.with_suffix(".json") + listing.with_suffix(".csv")
    return [name for name in names if looks_like_via(listing.folder / name)]


def _found(folder: Path, documents: Sequence[Document], options: ReadOptions) -> tuple[list[_Image], list[Finding]]:
    """The entries whose images are there, and what is told of the others."""
    images: dict[Path, _Image] = {}
    findings: list[Finding] = []
    finders: dict[Path, ImageFinder] = {}
    for document in documents:
        beside = document.path.parent
        finder = finders.get(beside) or ImageFinder(beside, options.images)
        if beside not in finders:
            findings += finder.findings
        finders[beside] = finder
        prefix = PurePosixPath() if options.images else PurePosixPath(beside.relative_to(folder).as_posix())
        for place, entry in document.entries:
            name, is_there = finder.name_of(entry.filename, f"{place}.filename")
            path = finder.root / name
            if not is_there:
                findings.append(no_image(place, name))
                continue
            if path in images:
                raise twice(place, name, images[path].place)
            objects = tuple(_objects(place, entry))
            images[path] = _Image(document, place, entry, (prefix / name).as_posix(), path, objects)
    for finder in finders.values():
        unnamed = [name for name in finder.names if finder.root / name not in images]
        findings += [not_labelled(finder.root, unnamed)] if unnamed else []
    return list(images.values()), findings


def _objects(place: str, entry: FileEntry) -> Iterator[_Object]:
    for index, region in enumerate(entry.regions):
        at = f"{place}.regions[{index}]"
        outline = geometry(region.shape_attributes, f"{at}.shape_attributes")
        if outline is not None:
            yield _Object(f"{at}.region_attributes", index, outline)


def _named(one: _Image, part: _Object, attribute: str | None) -> str | None:
    return class_name(one.entry.regions[part.index].region_attributes, attribute, part.place)


def _classes(images: Sequence[_Image], attribute: str | None, default: str, stated: Sequence[str]) -> Classes:
    """The classes that the file offers, then the others in the order in which they appear."""
    names = [_named(one, part, attribute) or default for one in images for part in one.objects]
    return tuple(dict.fromkeys([*stated, *names])) or (default,)


def _records(
    images: Sequence[_Image], attribute: str | None, default: str, classes: Classes, options: ReadOptions
) -> Iterator[ImageRecord]:
    class_ids = {name: class_id for class_id, name in enumerate(classes)}
    sizes_hw = ordered_map(read_size_hw, (one.path for one in images))
    for number, (one, size_hw) in enumerate(zip(images, sizes_hw), start=1):
        annotations = []
        for part in one.objects:
            name = _named(one, part, attribute)
            annotation = _annotation(part.outline, class_ids[name or default], size_hw)
            extra = _region_extra(one, part, annotation, size_hw, attribute, name)
            annotations.append(replace(annotation, attributes={EXTRA: extra} if extra else {}))
        extra = _image_extra(one)
        attributes = {EXTRA: extra} if extra else {}
        yield ImageRecord(number, one.name, one.path, size_hw, tuple(annotations), attributes=attributes)
        if options.on_progress:
            options.on_progress(number, len(images))


def _annotation(outline: Ring | BoxXyxy, class_id: int, size_hw: tuple[int, int]) -> Annotation:
    if isinstance(outline, np.ndarray):
        return Annotation.from_polygons(class_id, (outline,), size_hw)
    x1, y1, x2, y2 = outline
    return Annotation(class_id, (), outline, (x2 - x1) * (y2 - y1))


def _region_extra(
    one: _Image,
    part: _Object,
    annotation: Annotation,
    size_hw: tuple[int, int],
    attribute: str | None,
    name: str | None,
) -> dict[str, Any]:
    """What of a region does not follow from the object itself."""
    region = one.entry.regions[part.index]
    shape = region.shape_attributes
    others = {key: value for key, value in region.region_attributes.items() if key != attribute or value != name}
    extra: dict[str, Any] = {} if shape_of(annotation, None, size_hw) == shape else {"shape": shape}
    extra |= {"attributes": others} if others else {}
    return extra | ({"region": region.model_extra} if region.model_extra else {})


def _image_extra(one: _Image) -> dict[str, Any]:
    """What an entry says beyond its objects."""
    entry = one.entry
    objects = {part.index for part in one.objects}
    shapes = [{"at": index} | region.model_dump() for index, region in enumerate(entry.regions) if index not in objects]
    extra: dict[str, Any] = {"shapes": shapes} if shapes else {}
    extra |= {"file_attributes": entry.file_attributes} if entry.file_attributes else {}
    others = {key: value for key, value in (entry.model_extra or {}).items() if value}
    return extra | ({"file": others} if others else {})


def _notes(images: Sequence[_Image], attribute: str | None, default: str) -> list[Finding]:
    """Shapes without an area, and regions without a class where others have one, of each file."""
    kinds: defaultdict[Path, Counter[str]] = defaultdict(Counter)
    classless: Counter[Path] = Counter()
    for one in images:
        objects = {part.index for part in one.objects}
        regions = [region for index, region in enumerate(one.entry.regions) if index not in objects]
        kinds[one.document.path].update(str(region.shape_attributes["name"])[:40] for region in regions)
        if attribute is not None:
            classless[one.document.path] += sum(_named(one, part, attribute) is None for part in one.objects)
    return [
        *(no_area(path, counts) for path, counts in kinds.items() if counts),
        *(no_class(path, count, str(attribute), default) for path, count in classless.items() if count),
    ]


FORMAT = Format(
    name="via",
    about="VGG Image Annotator: JSON of versions 1 and 2, CSV; writes a project of version 2",
    recognise=recognise,
    read=read,
    write=write,
)
