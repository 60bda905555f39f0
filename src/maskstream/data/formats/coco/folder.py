"""COCO's JSON with its images, as other tools lay them out.

One or several JSON files, with the images beside them, in `images/`, or anywhere below the source. Several files are
one dataset with a split each (`instances_train2017.json`, `valid/_annotations.coco.json`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from maskstream.core import masks, polygons
from maskstream.core.parallel import ordered_map
from maskstream.data.checked_json import mentions
from maskstream.data.dataset import ANNOTATIONS, IMAGES, PROVENANCE, SPLITS, Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.coco.heading import Heading
from maskstream.data.formats.coco.read import CocoFile, read_coco
from maskstream.data.formats.coco.write import write_coco
from maskstream.data.formats.format import (
    SPLIT_FOLDERS,
    Format,
    MaskEncoding,
    ReadOptions,
    WriteOptions,
    assemble,
    place_image,
)
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError

_KEYS = (b'"images"', b'"annotations"', b'"categories"')


def recognise(listing: Listing) -> str | None:
    """Whether there are JSON files with COCO's blocks."""
    names = _coco_files(listing)
    return f"COCO JSON: {', '.join(names[:3])}{' and more' if len(names) > 3 else ''}" if names else None


def read(source: Path, options: ReadOptions) -> Dataset:
    """Read one COCO file or all of a folder. An image that no file is found for is an error.

    Raises
    ------
    DatasetError : no COCO file, one that is broken (see `read_coco`), files that contradict each other, or a
        missing image.
    """
    folder = source if source.is_dir() else source.parent
    listing = list_folder(folder)
    names = _coco_files(listing) if source.is_dir() else [source.name]
    if not names:
        raise DatasetError(source, expected="a COCO JSON file", found="none", remedy="check the path and --format")
    files = {name: read_coco(folder / name, folder) for name in names}
    image_root = options.images or folder
    below = listing if image_root == folder else list_folder(image_root)
    finder = _ImageFinder(image_root, below.images())
    parts = {name: _placed(name, content, finder) for name, content in files.items()}
    classes, heading = _merged_classes(files)
    images = _merged_images(files, parts, classes)
    stated = ordered_map(_with_size, images)
    splits = _splits(parts) if len(files) > 1 or _split_name(names[0]) else {}
    return replace(
        assemble(source, "coco", classes, list(stated), splits=splits, splits_made_by="files of the source"),
        heading=heading,
    )


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write `annotations.json` and `images/`; splits are left to `--by-split`."""
    images = [_encoded(image, options.mask_encoding) for image in dataset.images]
    compressed = options.mask_encoding is not MaskEncoding.RUNS
    write_coco(folder / ANNOTATIONS, dataset.classes, images, dataset.full_heading(), compressed=compressed)
    for record in images:
        place_image(record, folder / IMAGES / record.name, link=options.link)
    if options.mask_encoding is not MaskEncoding.POLYGONS:
        return []
    holed = sum(isinstance(a.segmentation, dict) for image in dataset.images for a in image.annotations)
    return [_slit_note(holed)] if holed else []


def _encoded(image: ImageRecord, encoding: MaskEncoding) -> ImageRecord:
    if encoding is MaskEncoding.AS_IS:
        return image
    return replace(image, annotations=tuple(_reencoded(a, image.size_hw, encoding) for a in image.annotations))


def _reencoded(annotation: Annotation, size_hw: tuple[int, int], encoding: MaskEncoding) -> Annotation:
    if encoding in (MaskEncoding.RLE, MaskEncoding.RUNS) and not isinstance(annotation.segmentation, dict):
        return replace(annotation, segmentation=masks.to_rle(annotation.mask(size_hw), size_hw))
    if encoding is MaskEncoding.POLYGONS and isinstance(annotation.segmentation, dict):
        shapes = polygons.trace(annotation.mask(size_hw))
        return replace(annotation, segmentation=tuple(polygons.keyhole([s.exterior, *s.holes]) for s in shapes))
    return annotation


def _slit_note(count: int) -> Finding:
    return Finding(
        code="mask-as-polygon",
        severity=Severity.NOTE,
        place="annotations",
        expected="masks as run lengths",
        found=f"{count} of them written as polygons along their pixels",
        remedy="tools that paint every pixel an outline touches draw the slits to holes; rle keeps exact pixels",
    )


def _coco_files(listing: Listing) -> list[str]:
    return [name for name in listing.with_suffix(".json") if mentions(listing.folder / name, *_KEYS)]


class _ImageFinder:
    """Finds image files by the names that COCO files call them."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self._names = set(names)
        self._by_last: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._names:
            self._by_last[PurePosixPath(name).name].append(name)

    def find(self, file_name: str, annotation_file: str) -> str | None:
        """The path below the root of an image: beside its JSON, in `images/` there, or of that name anywhere."""
        beside = PurePosixPath(annotation_file).parent
        for candidate in (beside / file_name, beside / IMAGES / file_name, PurePosixPath(file_name)):
            if candidate.as_posix() in self._names:
                return candidate.as_posix()
        known = [name for name in self._by_last[PurePosixPath(file_name).name] if f"/{name}".endswith(f"/{file_name}")]
        if len(known) > 1:
            split = _split_name(annotation_file)
            known = [name for name in known if split and split in _folder_splits(name)]
        return known[0] if len(known) == 1 else None


def _placed(annotation_file: str, content: CocoFile, finder: _ImageFinder) -> list[ImageRecord]:
    """The images of one file with the paths where they lie."""
    placed, missing = [], []
    for record in content.images:
        found = finder.find(record.name, annotation_file)
        if found is None:
            missing.append(record.name)
        else:
            placed.append(replace(record, path=finder.root / found))
    if missing:
        raise DatasetError(
            finder.root / missing[0],
            expected=f"the image that {annotation_file} names",
            found=f"none, or several of that name ({len(missing)} of {len(content.images)} images)",
            remedy="put the images beside the file, or say where they are with --images",
        )
    return placed


def _merged_classes(files: Mapping[str, CocoFile]) -> tuple[tuple[str, ...], Heading]:
    """Classes of all files by name; the ids stay those of the files where these agree."""
    first = next(iter(files.values()))
    if all(f.classes == first.classes and f.heading.category_ids == first.heading.category_ids for f in files.values()):
        return first.classes, first.heading
    names = tuple(dict.fromkeys(name for content in files.values() for name in content.classes))
    return names, Heading(info=first.heading.info, licenses=first.heading.licenses)


def _merged_images(
    files: Mapping[str, CocoFile], parts: Mapping[str, list[ImageRecord]], classes: tuple[str, ...]
) -> list[ImageRecord]:
    """The images of all files; ids count anew, and names tell their folder, where files use the same ones."""
    image_ids = [record.image_id for part in parts.values() for record in part]
    names = [record.name for part in parts.values() for record in part]
    renumber, rename = len(set(image_ids)) < len(image_ids), len(set(names)) < len(names)
    merged: list[ImageRecord] = []
    for file_name, part in parts.items():
        new_ids = [classes.index(name) for name in files[file_name].classes]
        for position, record in enumerate(part):
            record = _with_class_ids(record, new_ids)
            if renumber:
                record = replace(record, image_id=len(merged) + 1)
            if rename:
                record = replace(record, name=f"{_split_of(file_name)}/{record.name}")
            part[position] = record
            merged.append(record)
    return merged


def _with_class_ids(record: ImageRecord, new_ids: Sequence[int]) -> ImageRecord:
    if list(new_ids) == sorted(range(len(new_ids))):
        return record
    annotations = tuple(replace(a, class_id=new_ids[a.class_id]) for a in record.annotations)
    class_id = None if record.class_id is None else new_ids[record.class_id]
    return replace(record, annotations=annotations, class_id=class_id)


def _with_size(record: ImageRecord) -> ImageRecord:
    """The image with the size of its file where the labels state none."""
    return record if record.stated_size_hw else replace(record, stated_size_hw=record.size_hw)


def _splits(parts: Mapping[str, Sequence[ImageRecord]]) -> dict[str, list[str]]:
    """A split for each file; an image that stands in several is in the first."""
    splits: defaultdict[str, list[str]] = defaultdict(list)
    for file_name, part in parts.items():
        splits[_split_of(file_name)].extend(record.name for record in part)
    return dict(splits)


def _split_name(annotation_file: str) -> str | None:
    """`train` of `annotations/instances_train2017.json` and of `train/_annotations.coco.json`."""
    words = re.split(r"[^a-z]+", annotation_file.lower())
    found = [SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS]
    return found[-1] if found else None


def _split_of(annotation_file: str) -> str:
    return _split_name(annotation_file) or PurePosixPath(annotation_file).stem


def _folder_splits(name: str) -> set[str]:
    parts = (re.sub(r"\d+$", "", part.lower()) for part in PurePosixPath(name).parts[:-1])
    return {SPLIT_FOLDERS[part] for part in parts if part in SPLIT_FOLDERS}


def recognise_own(listing: Listing) -> str | None:
    """Whether the folder is a dataset of maskstream's own."""
    own = {ANNOTATIONS, SPLITS, PROVENANCE}
    return "a dataset folder of maskstream" if own <= set(listing.names) else None


def read_own(source: Path, options: ReadOptions) -> Dataset:
    """Read a dataset folder of maskstream's own: to copy it, or a part of its classes."""
    return Dataset.load(source)


FORMAT = Format(
    name="coco",
    about="COCO JSON (instances_*.json) with its images",
    recognise=recognise,
    read=read,
    write=write,
)
OWN = Format(name="maskstream", about="a dataset folder of maskstream's own", recognise=recognise_own, read=read_own)
