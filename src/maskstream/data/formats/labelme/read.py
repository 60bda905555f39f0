"""Folders of labelme JSON, a document a picture; read and written without loss. https://github.com/wkentaro/labelme

A picture without a document was not looked at yet, which is not the same as one without objects: it is left out.
Shapes without an area (lines, points) and those of `NO_CLASSES` are no objects; they stay in the attributes of their
image. So does all else that a document says, see `objects`; `write` says what is not given back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from maskstream.core.parallel import ordered_map
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import Format, ReadOptions, assemble, splits_by_folder
from maskstream.data.formats.labelme.document import (
    NO_CLASSES,
    SUFFIX,
    Document,
    default_name,
    is_labelme,
    may_be_labelme,
    read_document,
)
from maskstream.data.formats.labelme.images import Picture, PictureFinder
from maskstream.data.formats.labelme.labels import LABELS, listed_labels
from maskstream.data.formats.labelme.objects import EXTRA, Objects, annotation, sort_out
from maskstream.data.formats.labelme.provenance import CORRECTED, PREANNOTATION, PROVENANCE, History, history
from maskstream.data.formats.labelme.shapes import WITHOUT_AREA
from maskstream.data.formats.labelme.write import write
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError

TRIED = 50
"""JSON files that recognising a folder looks into."""


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A document with its picture."""

    document: Document
    picture: Picture
    objects: Objects
    history: History | None


def recognise(listing: Listing) -> str | None:
    """Whether there are JSON files with shapes and the path of a picture."""
    for name in listing.with_suffix(SUFFIX)[:TRIED]:
        if is_labelme(listing.folder / name):
            return f"labelme JSON, such as {name}"
    return None


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read one labelme document, or all below a folder.

    Classes are those of `labels.txt`, if there is one, those of the model that annotated beforehand, and the labels
    of all objects, in this order. An embedded picture without a file lies in a temporary folder that exists as long
    as its record does. Where a model annotated beforehand, the attributes of objects tell who made them.

    Raises
    ------
    DatasetError : a document is broken or has no right to its picture: `imagePath` leads out of the source, or
        another document is about the same one.
    SourceError : a picture is damaged.
    """
    folder = source if source.is_dir() else source.parent
    listing = list_folder(folder)
    images = list_folder(options.images) if options.images else None
    names = listing.with_suffix(SUFFIX) if source.is_dir() else (source.name,)
    labelled: list[_Labelled] = []
    findings = list(listing.findings)
    looked_at = ordered_map(partial(_look_at, folder, PictureFinder(listing, images)), names)
    for done, found in enumerate(looked_at, start=1):
        if isinstance(found, Finding):
            findings.append(found)
        else:
            labelled.append(found)
        if options.on_progress:
            options.on_progress(done, len(names))
    _check_one_each(labelled)
    listed = tuple(label for label in listed_labels(folder) if label not in NO_CLASSES)
    classes = _classes(listed, labelled)
    class_ids = {label: class_id for class_id, label in enumerate(classes)}
    records = [_record(entry, class_ids, number) for number, entry in enumerate(labelled, start=1)]
    findings += [finding for entry in labelled for finding in (*entry.picture.findings, *_size_findings(entry))]
    findings += [*_other_shapes(labelled), *_unlisted_labels(folder, listed, labelled)]
    findings += _unlabelled(images or listing, records)
    splits = splits_by_folder(record.name for record in records)
    return assemble(source, "labelme", classes, records, splits=splits, findings=findings)


def _look_at(folder: Path, finder: PictureFinder, name: str) -> _Labelled | Finding:
    """A document and its picture; the finding that it is none, or has none."""
    path = folder / name
    if not may_be_labelme(path):
        return Finding(
            code="other-json",
            severity=Severity.NOTE,
            place=str(path),
            expected="labelme's JSON",
            found="that of another program",
            remedy="it is left out",
        )
    document = read_document(path, name)
    picture = finder.find(document)
    if isinstance(picture, Finding):
        return picture
    objects = sort_out(document)
    if document.content.get("imageData"):  # long, and known by the picture
        document = replace(document, content=document.content | {"imageData": None})
    return _Labelled(document, picture, objects, history(document, objects.groups))


def _record(entry: _Labelled, class_ids: Mapping[str, int], image_id: int) -> ImageRecord:
    document, picture, past = entry.document, entry.picture, entry.history
    annotations = [annotation(document, group, class_ids, picture.size_hw) for group in entry.objects.groups]
    attributes: dict[str, Any] = {EXTRA: _extra(entry)}
    if past is not None:
        annotations = [_with_origin(a, past, position) for position, a in enumerate(annotations)]
        if past.stamp is not None:
            stamp = past.stamp
            counts = {"objects": stamp.objects, "deleted": past.deleted, "score_threshold": stamp.score_threshold}
            attributes[PREANNOTATION] = {"model": stamp.model, "version": stamp.version} | counts
    return ImageRecord(image_id, picture.name, picture.path, picture.size_hw, tuple(annotations), attributes=attributes)


def _with_origin(annotation: Annotation, past: History, position: int) -> Annotation:
    changes = {CORRECTED: list(past.changes[position])} if past.changes[position] else {}
    return replace(annotation, attributes=annotation.attributes | {PROVENANCE: past.origins[position].value} | changes)


def _extra(entry: _Labelled) -> dict[str, Any]:
    """What the document says beyond its objects; `write` gives it back."""
    document = entry.document
    extra: dict[str, Any] = {"document": document.content | {"shapes": None}}
    if entry.objects.others:
        extra["shapes"] = [{"at": index, "shape": document.shapes[index]} for index, _ in entry.objects.others]
    if entry.picture.embedded:
        extra["embedded"] = True
    if document.name != default_name(entry.picture.name):
        extra["file"] = document.name
    return extra


def _check_one_each(labelled: Iterable[_Labelled]) -> None:
    document_of: dict[str, Document] = {}
    for entry in labelled:
        name, document = entry.picture.name, entry.document
        if name in document_of:
            raise DatasetError(
                document.path,
                expected="a picture of its own",
                found=f"{name}, which {document_of[name].path} is about as well",
                remedy="keep one of the two",
            )
        document_of[name] = document


def _classes(listed: Sequence[str], labelled: Sequence[_Labelled]) -> tuple[str, ...]:
    used = {label for entry in labelled for label, _ in _labels(entry)}
    of_models = [name for e in labelled if e.history and e.history.stamp for name in e.history.stamp.classes]
    return tuple(dict.fromkeys([*listed, *of_models, *sorted(used)]))


def _labels(entry: _Labelled) -> Iterator[tuple[str, str]]:
    """The label of each object and its place."""
    for group in entry.objects.groups:
        yield entry.document.shapes[group[0]]["label"], entry.document.place(group[0])


def _size_findings(entry: _Labelled) -> Iterator[Finding]:
    content, size_hw = entry.document.content, entry.picture.size_hw
    stated = tuple(content.get(key) or actual for key, actual in zip(("imageHeight", "imageWidth"), size_hw))
    if stated != size_hw:
        yield Finding(
            code="size-mismatch",
            severity=Severity.WARNING,
            place=f"{entry.document.path}: imageHeight",
            expected=f"{size_hw[0]} x {size_hw[1]} pixels (height x width), as {entry.picture.name} has",
            found=f"{stated[0]} x {stated[1]}",
            remedy="see that the labels fit; current labelme refuses such a file",
            image=entry.picture.name,
        )


def _other_shapes(labelled: Iterable[_Labelled]) -> Iterator[Finding]:
    """One finding for each kind of shape that makes no objects."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for entry in labelled:
        for index, reason in entry.objects.others:
            places[reason].append(entry.document.place(index))
    for reason, found in places.items():
        known = reason in NO_CLASSES or reason in WITHOUT_AREA
        yield Finding(
            code="shape-without-object",
            severity=Severity.NOTE if known else Severity.WARNING,
            place=found[0],
            expected="shapes of a class, with an area",
            found=f"{reason!r} ({len(found)} such shapes in all)",
            remedy="kept in the attributes of the image, and written again in labelme's format; no object",
        )


def _unlisted_labels(folder: Path, listed: Sequence[str], labelled: Iterable[_Labelled]) -> Iterator[Finding]:
    """One finding for each class that `labels.txt` lacks."""
    unlisted: dict[str, str] = {}
    if listed:
        for entry in labelled:
            for label, place in _labels(entry):
                if label not in listed:
                    unlisted.setdefault(label, place)
    for label, place in unlisted.items():
        yield Finding(
            code="unlisted-label",
            severity=Severity.WARNING,
            place=place,
            expected=f"one of the {len(listed)} labels of {folder / LABELS}",
            found=repr(label),
            remedy="correct the label, or list it",
        )


def _unlabelled(listing: Listing, records: Iterable[ImageRecord]) -> Iterator[Finding]:
    """One finding for all pictures without a document."""
    labelled = {record.name for record in records}
    names = [name for name in listing.images() if name not in labelled]
    if names:
        yield Finding(
            code="unlabelled-images",
            severity=Severity.NOTE,
            place=str(listing.folder),
            expected="a labelme JSON for each picture",
            found=f"none for {len(names)} pictures, such as {names[0]}",
            remedy="they are left out; save one without shapes in labelme where there is nothing to see",
        )


FORMAT = Format(
    name="labelme",
    about="labelme JSON, one beside each picture",
    recognise=recognise,
    read=read,
    write=write,
)
