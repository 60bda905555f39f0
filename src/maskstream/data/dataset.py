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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field

from maskstream.core.classes import Classes
from maskstream.core.files import sha256, whole_folder, write_json
from maskstream.core.parallel import OnProgress
from maskstream.data.checked_json import Block, read_json
from maskstream.data.findings import Finding, OnFinding, raise_finding
from maskstream.data.formats.coco.heading import Heading
from maskstream.data.formats.coco.read import read_coco
from maskstream.data.formats.coco.write import write_coco
from maskstream.data.records import Annotation, ImageRecord
from maskstream.data.splits.file import LeftOut, SplitsFile, read_leniently, split_faults
from maskstream.errors import DatasetError

__all__ = ["Annotation", "Dataset", "ImageRecord", "LeftOut", "Provenance"]

ANNOTATIONS, IMAGES, SPLITS, PROVENANCE = "annotations.json", "images", "splits.json", "dataset.json"


class Provenance(Block):
    """Where a dataset comes from, on which terms, and what was done to it.

    Attributes
    ----------
    importer : name of the format it came from.
    arguments : what the importer was told.
    findings : what the importer met and could not carry over, such as a mask without an image.
    edits : what was done since, a line each.
    """

    name: str
    source: str
    licence: str
    licence_url: str
    importer: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    edits: tuple[str, ...] = ()
    maskstream: str = version("maskstream")
    created: str = ""
    sha256: dict[str, str] = Field(default_factory=dict)


NO_SPLITS = "nothing yet; `maskstream data split` makes splits"
ALL = "all"
"""Name under which every image is had, whatever the splits."""


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
    split_rule : how `maskstream data split` was called, so that it can do the same again; empty for other splits.
    split_proof : what shows that no group and no near-duplicate is in two splits.
    heading : what the COCO file says beyond images and annotations.
    """

    folder: Path
    classes: Classes
    images: tuple[ImageRecord, ...]
    splits: Mapping[str, tuple[str, ...]]
    left_out: tuple[LeftOut, ...]
    splits_made_by: str
    provenance: Provenance
    split_rule: Mapping[str, Any] = field(default_factory=dict)
    split_proof: Mapping[str, Any] = field(default_factory=dict)
    heading: Heading = field(default_factory=Heading)

    def __post_init__(self) -> None:
        names = {record.name for record in self.images}
        for fault in split_faults(self.folder / SPLITS, self.splits, self.left_out, names):
            raise fault.error

    @classmethod
    def load(cls, folder: Path | str, on_finding: OnFinding | None = None) -> Dataset:
        """Read and check a dataset folder; no image is decoded.

        Parameters
        ----------
        on_finding : told of each broken entry of `annotations.json` and `splits.json`, which is then left out;
            missing images are let pass, and of a broken `splits.json` or `dataset.json` nothing is taken. By
            default the first of any of these is an error.

        Raises
        ------
        DatasetError : a file is missing, broken, or contradicts another.
        """
        folder = Path(folder)
        content = read_coco(folder / ANNOTATIONS, folder / IMAGES, on_finding or raise_finding)
        if on_finding is None:
            _check_files(content.images)
            split_file, provenance = read_json(folder / SPLITS, SplitsFile), read_json(folder / PROVENANCE, Provenance)
        else:
            split_file = read_leniently(folder / SPLITS, {record.name for record in content.images}, on_finding)
            provenance = _provenance_or_unknown(folder, on_finding)
        return cls(
            folder=folder,
            classes=content.classes,
            images=content.images,
            splits={name: tuple(members) for name, members in split_file.splits.items()},
            left_out=tuple(split_file.left_out),
            splits_made_by=split_file.made_by,
            provenance=provenance,
            split_rule=split_file.rule,
            split_proof=split_file.proof,
            heading=content.heading,
        )

    def save(self, folder: Path | str, on_progress: OnProgress | None = None) -> Dataset:
        """Copy the images byte for byte and write the files; the folder appears whole or not at all.

        An image that states no size and is not there yet is left for later.

        Raises
        ------
        OutputError : the folder exists and is not empty, or cannot be written.
        DatasetError : an image file is missing.
        """
        folder = Path(folder)
        _check_files(self.images)
        with whole_folder(folder) as temporary:
            (temporary / IMAGES).mkdir()
            for done, record in enumerate(self.images, start=1):
                if record.has_file:
                    copy = temporary / IMAGES / record.name
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(record.path, copy)
                if on_progress:
                    on_progress(done, len(self.images))
            self._write_files(temporary)
        return Dataset.load(folder)

    def save_splits(self) -> None:
        """Write splits and provenance of a dataset that lies in its folder; images and labels stay as they are."""
        self._write_splits(self.folder)
        self._write_provenance(self.folder)

    def records(self, split: str) -> tuple[ImageRecord, ...]:
        """The images of a split, in its order; every image for "all", when no split has that name.

        Raises
        ------
        DatasetError : there is no such split.
        """
        if split == ALL and ALL not in self.splits:
            return self.images
        if split not in self.splits:
            raise DatasetError(
                f"{self.folder / SPLITS}: splits",
                expected=f"one of {', '.join((*self.splits, ALL))}",
                found=repr(split),
                remedy="name one of these splits, or make it with: maskstream data split",
            )
        by_name = {record.name: record for record in self.images}
        return tuple(by_name[name] for name in self.splits[split])

    def shown_classes(self) -> Classes:
        """The classes of which there is an object or an image, in the order of their ids."""
        ids = {record.class_id for record in self.images}
        ids.update(annotation.class_id for record in self.images for annotation in record.annotations)
        return tuple(name for class_id, name in enumerate(self.classes) if class_id in ids)

    def with_images(self, images: Sequence[ImageRecord]) -> Dataset:
        """The dataset with these images; splits keep those of their members that are still there."""
        names = {record.name for record in images}
        return replace(
            self,
            images=tuple(images),
            splits={split: tuple(n for n in members if n in names) for split, members in self.splits.items()},
            left_out=tuple(entry for entry in self.left_out if entry.image in names),
        )

    def content_sha256(self) -> str:
        """Hash of labels, splits and image bytes: equal datasets have equal hashes, wherever they lie."""
        paths = {ANNOTATIONS: self.folder / ANNOTATIONS, SPLITS: self.folder / SPLITS}
        paths |= {f"{IMAGES}/{record.name}": record.path for record in self.images}
        digest = hashlib.sha256()
        for name in sorted(paths):
            digest.update(f"{name}\0{sha256(paths[name])}\n".encode())
        return digest.hexdigest()

    def full_heading(self) -> Heading:
        """The heading as it is written: name, source and licence from the provenance where the source had none."""
        provenance = self.provenance
        info = {"description": provenance.name, "url": provenance.source, "version": "1.0"}
        licence = {"id": 1, "name": provenance.licence, "url": provenance.licence_url}
        return replace(self.heading, info=self.heading.info or info, licenses=self.heading.licenses or (licence,))

    def _write_files(self, folder: Path) -> None:
        write_coco(folder / ANNOTATIONS, self.classes, self.images, self.full_heading())
        self._write_splits(folder)
        self._write_provenance(folder)

    def _write_splits(self, folder: Path) -> None:
        split_file = SplitsFile(
            splits={name: list(members) for name, members in self.splits.items()},
            left_out=list(self.left_out),
            made_by=self.splits_made_by,
            rule=dict(self.split_rule),
            proof=dict(self.split_proof),
        )
        write_json(folder / SPLITS, split_file.model_dump())

    def _write_provenance(self, folder: Path) -> None:
        stamp = {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "sha256": {name: sha256(folder / name) for name in (ANNOTATIONS, SPLITS)},
        }
        write_json(folder / PROVENANCE, self.provenance.model_copy(update=stamp).model_dump(mode="json"))


def _provenance_or_unknown(folder: Path, on_finding: OnFinding) -> Provenance:
    try:
        return read_json(folder / PROVENANCE, Provenance)
    except DatasetError as error:
        on_finding(Finding.of(error, "broken-file"))
        return Provenance(name=folder.name, source="unknown", licence="unknown", licence_url="", importer="unknown")


def _check_files(images: tuple[ImageRecord, ...]) -> None:
    missing = [record.path for record in images if record.stated_size_hw and not record.has_file]
    if missing:
        raise DatasetError(
            missing[0],
            expected="an image file",
            found=f"none ({len(missing)} of {len(images)} images are missing)",
            remedy="restore the files or import the dataset again",
        )
