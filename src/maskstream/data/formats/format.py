"""What every format of labels offers: a way to recognise it, to read it and to write it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from maskstream.core.classes import Classes
from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import NO_SPLITS, Dataset, Provenance
from maskstream.data.findings import Finding
from maskstream.data.listing import Listing
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError

SPLIT_FOLDERS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
} | {f"fold-{number}": f"fold-{number}" for number in range(1, 101)}  # fmt: skip
"""Names of folders that stand for a split, and the split's name here."""

GROUP_COLUMN = "group_column"
"""Key, among the arguments in a dataset's provenance, of the column that its groups come from."""


class BoxShape(StrEnum):
    """How a box becomes a mask; `benchmarks/box_masks.py` measures the three."""

    RECTANGLE = "rectangle"
    ELLIPSE = "ellipse"
    GRABCUT = "grabcut"


class MaskEncoding(StrEnum):
    """How COCO's file says masks: as the dataset does, all as run lengths (compressed or not), or all as polygons."""

    AS_IS = "as-is"
    RLE = "rle"
    RUNS = "runs"
    POLYGONS = "polygons"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a user may say about labels to import; each format takes what concerns it.

    Attributes
    ----------
    classes : names of the classes in the order of their ids, for formats that hold only numbers or colours;
        `maskstream.data.importing` drops what is of another class.
    images : folder of the images where they do not lie beside the labels.
    masks : where the mask of an image lies, such as "{stem}_mask.png" or "masks/{stem}.png".
    mask_kind : of mask folders: "binary", "index", "class-colour" or "instance-colour"; None to recognise it.
    split_parts : each connected part of a mask that knows classes only becomes an object of its own.
    colours : class name of each RGB colour, for masks with one colour a class.
    label_column, group_column : columns of a CSV file.
    box_shape : how boxes become masks where there are only boxes.
    on_progress : told how many images are done.
    """

    classes: Classes = ()
    images: Path | None = None
    masks: str | None = None
    mask_kind: str | None = None
    split_parts: bool = False
    colours: Mapping[tuple[int, int, int], str] = field(default_factory=dict)
    label_column: str | None = None
    group_column: str | None = None
    box_shape: BoxShape = BoxShape.RECTANGLE
    on_progress: OnProgress | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What a user may say about labels to export.

    Attributes
    ----------
    link : images become symbolic links to the dataset's own instead of copies.
    mask_kind : for mask folders: "binary", "index", "class-colour" or "instance-colour".
    mask_encoding : for COCO.
    """

    link: bool = False
    mask_kind: str = "index"
    mask_encoding: MaskEncoding = MaskEncoding.AS_IS


Recognise = Callable[[Listing], str | None]
"""Why a folder is of the format, in words ("3 labelme files, such as a.json"); None when it is not."""

Read = Callable[[Path, ReadOptions], Dataset]
"""A source as a dataset in memory, its images still where they lie; raises DatasetError."""

Write = Callable[[Dataset, Path, WriteOptions], Sequence[Finding]]
"""Writes into an empty folder; the findings (notes and warnings) say what the format could not hold."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format of labels.

    Attributes
    ----------
    name : as `--format` takes it.
    about : one line for a reader.
    recognise, read, write : None where the format cannot.
    """

    name: str
    about: str
    recognise: Recognise | None = None
    read: Read | None = None
    write: Write | None = None


def assemble(
    source: Path,
    importer: str,
    classes: Classes,
    images: Sequence[ImageRecord],
    *,
    splits: Mapping[str, Sequence[str]] | None = None,
    splits_made_by: str = "folders of the source",
    findings: Iterable[Finding] = (),
    arguments: Mapping[str, Any] | None = None,
) -> Dataset:
    """A dataset fresh from its source; licence unknown, and without splits when none are given.

    Raises
    ------
    DatasetError : there is no image, or two images would have one name.
    """
    if not images:
        raise DatasetError(source, expected="labelled images", found="none", remedy="check the path and --format")
    seen: dict[str, Path] = {}
    for record in images:
        if record.name in seen:
            raise DatasetError(
                record.path,
                expected="a name of its own",
                found=f"{record.name}, as {seen[record.name]} has",
                remedy="rename one",
            )
        seen[record.name] = record.path
    return Dataset(
        folder=source,
        classes=classes,
        images=tuple(images),
        splits={split: tuple(names) for split, names in (splits or {}).items()},
        left_out=(),
        splits_made_by=splits_made_by if splits else NO_SPLITS,
        provenance=Provenance(
            name=source.name,
            source=source.name,
            licence="unknown",
            licence_url="",
            importer=importer,
            arguments=dict(arguments or {}),
            findings=tuple(findings),
        ),
    )


def splits_by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Splits as the folders of the names say (`train/a.jpg`, `images/val/b.jpg`); none when one has no such folder."""
    splits: dict[str, list[str]] = {}
    for name in names:
        folders = (part.lower() for part in PurePosixPath(name).parts[:-1])
        found = [SPLIT_FOLDERS[part] for part in folders if part in SPLIT_FOLDERS]
        if not found:
            return {}
        splits.setdefault(found[0], []).append(name)
    return splits


def place_image(record: ImageRecord, destination: Path, *, link: bool) -> None:
    """Copy an image byte for byte, or link to it.

    Raises
    ------
    DatasetError : the image is not there.
    """
    if not record.path.is_file():
        raise DatasetError(record.path, expected="an image file", found="none", remedy="put the image there")
    destination.parent.mkdir(parents=True, exist_ok=True)
    if link:
        destination.symlink_to(record.path.resolve())
    else:
        shutil.copyfile(record.path, destination)
