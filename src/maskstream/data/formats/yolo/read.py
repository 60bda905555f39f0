"""YOLO's text labels: a file for each image, a polygon or box a line, coordinates as shares of the image.

The class names of `data.yaml`, `classes.txt` or `obj.names` count; without such a file `--classes` names the classes
in the order of their numbers, and without that the numbers themselves are the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from maskstream.core.classes import Classes
from maskstream.core.parallel import ordered_map
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import Format, ReadOptions, assemble, splits_by_folder
from maskstream.data.formats.yolo.labels import annotation, looks_like_labels, read_labels
from maskstream.data.formats.yolo.names import YAML_SUFFIXES, ClassNames, DataFile, class_names, read_data_file, splits
from maskstream.data.formats.yolo.pairs import Pairs, names_of, pair
from maskstream.data.formats.yolo.write import write, write_boxes
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError
from maskstream.media.images import read_size_hw

LOOKED_INTO = 20
"""Label files of which the first line is read to recognise the format."""


def recognise(listing: Listing) -> str | None:
    """Whether text files with YOLO's lines belong to images, or a `data.yaml` names images and classes."""
    if len(listing.names) == 1 and Path(listing.names[0]).suffix.lower() in YAML_SUFFIXES:
        data_file = _data_file_or_none(listing.folder / listing.names[0])
        return f"YOLO's {listing.names[0]}" if data_file and data_file.splits else None
    texts = listing.with_suffix(".txt")
    if not texts:
        return None
    try:
        label_of = pair(listing.folder, listing.images(), texts).label_of
    except DatasetError:  # reading tells
        return f"YOLO labels, {len(texts)} text files" if _labels_among(listing, texts) else None
    labels = [label for label in label_of.values() if label]
    if not _labels_among(listing, labels):
        return None
    return f"YOLO labels, {len(labels)} text files for {len(label_of)} images, such as {labels[0]}"


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read a folder, or the folder of a `data.yaml`. An image without a label file is one without objects.

    Raises
    ------
    DatasetError : no label file belongs to an image, a file or line is broken, or a class has no name.
    SourceError : an image is missing or damaged.
    """
    folder = source if source.is_dir() else source.parent
    listing = list_folder(folder)
    data_files = _data_files(source, listing)
    image_root = options.images or folder
    images = (list_folder(image_root) if options.images else listing).images()
    pairs = pair(folder, images, listing.with_suffix(".txt"))
    if not any(pairs.label_of.values()):
        raise DatasetError(
            source,
            expected="text files named as images, in labels/ beside images/ or in one folder with them",
            found=f"none among {len(images)} images",
            remedy="check the path, or say where the images are with --images",
        )
    labelled = _read_all(folder, image_root, pairs, options)
    names = class_names(listing, data_files)
    findings = [*listing.findings, *_findings(source, pairs, listing)]
    if names is None:
        names, note = _names_without_file(source, labelled, options.classes)
        findings += [note] if note else []
    records = _records(labelled, names_of(images), names)
    located = {_location(folder, one): record.name for one, record in zip(labelled, records)}
    split_names, notes = _splits(data_files, listing, located)
    return assemble(source, "yolo", tuple(names.values()), records, splits=split_names, findings=[*findings, *notes])


@dataclass(frozen=True, slots=True)
class _Labelled:
    """An image and what its label file holds.

    Attributes
    ----------
    places : where each object stands in the file, for messages.
    objects : with the numbers of the file as class ids.
    """

    image: str
    path: Path
    size_hw: tuple[int, int]
    places: tuple[str, ...]
    objects: tuple[Annotation, ...]


def _read_all(folder: Path, image_root: Path, pairs: Pairs, options: ReadOptions) -> list[_Labelled]:
    def labelled(item: tuple[str, str | None]) -> _Labelled:
        image, text = item
        size_hw = read_size_hw(image_root / image)
        labels = read_labels(folder / text) if text else []
        objects = tuple(annotation(label, label.class_number, size_hw) for label in labels)
        return _Labelled(image, image_root / image, size_hw, tuple(label.place for label in labels), objects)

    found = []
    for done, one in enumerate(ordered_map(labelled, pairs.label_of.items()), start=1):
        found.append(one)
        if options.on_progress:
            options.on_progress(done, len(pairs.label_of))
    return found


def _records(labelled: Sequence[_Labelled], called: Mapping[str, str], names: ClassNames) -> list[ImageRecord]:
    class_ids = {number: class_id for class_id, number in enumerate(names)}
    records = []
    for image_id, one in enumerate(labelled, start=1):
        for place, unnamed in zip(one.places, one.objects):
            if unnamed.class_id not in class_ids:
                raise DatasetError(
                    place,
                    expected=f"a class among {min(names)} to {max(names)}, the {len(names)} that have names",
                    found=str(unnamed.class_id),
                    remedy="correct the class, or complete the names",
                )
        objects = tuple(replace(unnamed, class_id=class_ids[unnamed.class_id]) for unnamed in one.objects)
        records.append(ImageRecord(image_id, called[one.image], one.path, one.size_hw, objects))
    return records


def _names_without_file(
    source: Path, labelled: Sequence[_Labelled], classes: Classes
) -> tuple[ClassNames, Finding | None]:
    """The names that the user gives; else the numbers in the labels, which the user may choose among."""
    if classes and not all(name.isdecimal() for name in classes):
        return dict(enumerate(classes)), None
    numbers = {unnamed.class_id for one in labelled for unnamed in one.objects} | {int(name) for name in classes}
    if not numbers:
        raise DatasetError(
            source,
            expected="class names",
            found="neither a file of names nor a label",
            remedy="give them with --classes",
        )
    note = Finding(
        code="class-names-unknown",
        severity=Severity.NOTE,
        place=str(source),
        expected="names in data.yaml, classes.txt or obj.names",
        found=f"none; the {len(numbers)} classes are called by their numbers, {min(numbers)} to {max(numbers)}",
        remedy="name them in the order of their numbers from 0 with --classes",
    )
    return {number: str(number) for number in sorted(numbers)}, note


def _data_files(source: Path, listing: Listing) -> list[DataFile]:
    """The `data.yaml` that is the source itself, or all of the folder."""
    if source.is_dir():
        paths = [listing.folder / name for name in listing.names if Path(name).suffix.lower() in YAML_SUFFIXES]
    else:
        paths = [source]
    found = [data_file for data_file in map(read_data_file, paths) if data_file]
    if not source.is_dir() and not found:
        raise DatasetError(source, expected="YOLO's data.yaml with names", found="none", remedy="check the path")
    return found


def _data_file_or_none(path: Path) -> DataFile | None:
    try:
        return read_data_file(path)
    except DatasetError:
        return None


def _splits(
    data_files: Sequence[DataFile], listing: Listing, located: Mapping[str, str]
) -> tuple[dict[str, list[str]], list[Finding]]:
    """Splits as the one `data.yaml` that has any says, else as the folders are named."""
    telling = [data_file for data_file in data_files if data_file.splits]
    if len(telling) != 1:
        return splits_by_folder(located.values()), []
    found, findings = splits(telling[0], listing, located)
    return {split: [located[image] for image in images] for split, images in found.items()}, findings


def _location(folder: Path, one: _Labelled) -> str:
    """Where an image is below the folder of the labels; its name where the images lie elsewhere."""
    return one.path.relative_to(folder).as_posix() if one.path.is_relative_to(folder) else one.image


def _labels_among(listing: Listing, texts: Sequence[str]) -> bool:
    return any(looks_like_labels(listing.folder / text) for text in texts[:LOOKED_INTO])


def _findings(source: Path, pairs: Pairs, listing: Listing) -> list[Finding]:
    """Label files without image, and images without label file."""
    found = [
        Finding(
            code="label-without-image",
            severity=Severity.WARNING,
            place=str(listing.folder / text),
            expected=f"an image named {PurePosixPath(text).stem}",
            found="none",
            remedy="put the image back, or remove the label file",
        )
        for text in pairs.unpaired
        if looks_like_labels(listing.folder / text)
    ]
    without = [image for image, label in pairs.label_of.items() if label is None]
    if without:
        found.append(
            Finding(
                code="image-without-label-file",
                severity=Severity.NOTE,
                place=str(source),
                expected="a label file for each image, empty where there is no object",
                found=f"none for {len(without)} of {len(pairs.label_of)} images, such as {without[0]}",
                remedy="they count as images without objects, as YOLO takes them; label them if that is wrong",
            )
        )
    return found


FORMAT = Format(
    name="yolo",
    about="YOLO segmentation labels: polygons in text files; reads boxes as well",
    recognise=recognise,
    read=read,
    write=write,
)
FORMAT_BOXES = Format(
    name="yolo_boxes", about="YOLO detection labels: boxes in text files", read=read, write=write_boxes
)
