"""The canonical dataset: images, labels, splits and provenance in one folder.

annotations.json   COCO's JSON; any COCO tool reads it
images/            the image files, as they came
splits.json        which images each split holds, and which it leaves out and why
dataset.json       provenance: source, licence, importer, hashes
"""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field

from maskstream.core.classes import Classes
from maskstream.core.files import sha256, whole_folder, write_json
from maskstream.data.checked_json import Block, read_json
from maskstream.data.formats import coco
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError

__all__ = ["Annotation", "Dataset", "ImageRecord", "LeftOut", "Provenance"]

ANNOTATIONS, IMAGES, SPLITS, PROVENANCE = "annotations.json", "images", "splits.json", "dataset.json"


class LeftOut(Block):
    """An image that is in the dataset but in none of its splits; `split` is where it would have been."""

    image: str
    split: str
    reason: str


class Provenance(Block):
    """Where a dataset comes from and on which terms."""

    name: str
    source: str
    licence: str
    licence_url: str
    importer: str
    maskstream: str = version("maskstream")
    created: str = ""
    sha256: dict[str, str] = Field(default_factory=dict)


class _SplitsFile(Block):
    splits: dict[str, list[str]]
    left_out: list[LeftOut] = Field(default_factory=list)
    made_by: str


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images with labels, splits and provenance.

    Attributes
    ----------
    folder : where the dataset lies, or the source it is made from until it is saved.
    classes : names, in the order of their 0-based ids.
    images : every image, whether a split holds it or not.
    splits : names of the images of each split; no image is in two.
    left_out : images that no split holds, with their reasons.
    splits_made_by : the rule behind the splits.
    provenance : source, licence, importer and hashes.
    """

    folder: Path
    classes: Classes
    images: tuple[ImageRecord, ...]
    splits: Mapping[str, tuple[str, ...]]
    left_out: tuple[LeftOut, ...]
    splits_made_by: str
    provenance: Provenance

    def __post_init__(self) -> None:
        _check_splits(self)

    @classmethod
    def load(cls, folder: Path | str) -> Dataset:
        """Read and check a dataset folder; no image is decoded.

        Raises
        ------
        DatasetError : a file is missing, broken, or contradicts another.
        """
        folder = Path(folder)
        classes, images = coco.read(folder / ANNOTATIONS, folder / IMAGES)
        _check_files(images)
        split_file = read_json(folder / SPLITS, _SplitsFile)
        return cls(
            folder=folder,
            classes=classes,
            images=images,
            splits={name: tuple(members) for name, members in split_file.splits.items()},
            left_out=tuple(split_file.left_out),
            splits_made_by=split_file.made_by,
            provenance=read_json(folder / PROVENANCE, Provenance),
        )

    def save(self, folder: Path | str) -> Dataset:
        """Copy the images byte for byte and write the files; the folder appears whole or not at all.

        Raises
        ------
        OutputError : the folder exists and is not empty, or cannot be written.
        DatasetError : an image file is missing.
        """
        folder = Path(folder)
        _check_files(self.images)
        with whole_folder(folder) as temporary:
            for record in self.images:
                copy = temporary / IMAGES / record.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(record.path, copy)
            self._write_files(temporary)
        return Dataset.load(folder)

    def records(self, split: str) -> tuple[ImageRecord, ...]:
        """The images of a split, in its order.

        Raises
        ------
        DatasetError : there is no such split.
        """
        if split not in self.splits:
            raise DatasetError(
                f"{self.folder / SPLITS}: splits",
                expected=f"one of {', '.join(self.splits)}",
                found=repr(split),
                remedy="name one of these splits",
            )
        by_name = {record.name: record for record in self.images}
        return tuple(by_name[name] for name in self.splits[split])

    def content_sha256(self) -> str:
        """Hash of labels, splits and image bytes: equal datasets have equal hashes, wherever they lie."""
        paths = {ANNOTATIONS: self.folder / ANNOTATIONS, SPLITS: self.folder / SPLITS}
        paths |= {f"{IMAGES}/{record.name}": record.path for record in self.images}
        digest = hashlib.sha256()
        for name in sorted(paths):
            digest.update(f"{name}\0{sha256(paths[name])}\n".encode())
        return digest.hexdigest()

    def _write_files(self, folder: Path) -> None:
        info: dict[str, Any] = {"description": self.provenance.name, "url": self.provenance.source, "version": "1.0"}
        licence = {"name": self.provenance.licence, "url": self.provenance.licence_url}
        coco.write(folder / ANNOTATIONS, self.classes, self.images, info=info, licence=licence)
        split_file = _SplitsFile(
            splits={name: list(members) for name, members in self.splits.items()},
            left_out=list(self.left_out),
            made_by=self.splits_made_by,
        )
        write_json(folder / SPLITS, split_file.model_dump())
        stamp = {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "sha256": {name: sha256(folder / name) for name in (ANNOTATIONS, SPLITS)},
        }
        write_json(folder / PROVENANCE, self.provenance.model_copy(update=stamp).model_dump())


def _check_files(images: tuple[ImageRecord, ...]) -> None:
    missing = [record.path for record in images if not _is_file(record.path)]
    if missing:
        raise DatasetError(
            missing[0],
            expected="an image file",
            found=f"none ({len(missing)} of {len(images)} images are missing)",
            remedy="restore the files or import the dataset again",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system allows
        return False


def _check_splits(dataset: Dataset) -> None:
    known = {record.name for record in dataset.images}
    members = {f"splits.{split}": names for split, names in dataset.splits.items()}
    members["left_out"] = tuple(entry.image for entry in dataset.left_out)
    key_of: dict[str, str] = {}
    for key, names in members.items():
        place = f"{dataset.folder / SPLITS}: {key}"
        for name in names:
            if name not in known:
                raise DatasetError(
                    place, expected=f"names of the {len(known)} images", found=repr(name), remedy="correct the name"
                )
            if name in key_of:
                found = f"{name!r} also in {key_of[name]}"
                raise DatasetError(place, expected="each image once", found=found, remedy="keep it in one place")
            key_of[name] = key
