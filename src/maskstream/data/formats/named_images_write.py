"""Images with their classes in their names: the rule for file names, and both ways of writing them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import WriteOptions, place_image
from maskstream.data.formats.image_classes import labelled_images
from maskstream.data.records import ImageRecord, safe_name
from maskstream.errors import DatasetError

_STEM = re.compile(r"(?P<label>.*[^\W\d_].*?)[ _-]+\(?\d+\)?", re.DOTALL)


def class_of_name(name: str) -> str | None:
    """The class that a file name tells: what stands before the last `_`, `-` or space and a number.

    "benign_998.jpg" is benign, "acne vulgaris (3).png" acne vulgaris. A class holds a letter: of a date or a bare
    number it is None.
    """
    match = _STEM.fullmatch(PurePosixPath(name).stem)
    return match["label"] if match else None


def write_class_folders(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write `CLASS/NAME`, below a folder of the split where the dataset has splits.

    Images of one name from several folders are told apart by the names of these.

    Raises
    ------
    DatasetError : no image has a class, a class or split cannot name a folder, or an image is missing.
    """
    findings: list[Finding] = []
    by_class = _by_split_and_class(dataset, findings)
    for (split, class_name), records in by_class.items():
        place = _split_folder(dataset, folder, split) / _one_folder(class_name, dataset.folder)
        for record, name in zip(records, _distinct_names(records)):
            place_image(record, place / name, link=options.link)
    findings.extend(_absent_classes(dataset, by_class))
    return findings


def write_file_names(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write `CLASS_NUMBER.jpg`, numbers counting from 1, below a folder of the split where the dataset has splits.

    Raises
    ------
    DatasetError : no image has a class, a name would tell another class, or an image is missing.
    """
    findings: list[Finding] = []
    numbers: Counter[str] = Counter()
    renamed = 0
    for (split, class_name), records in _by_split_and_class(dataset, findings).items():
        _one_folder(class_name, dataset.folder)
        for record in records:
            numbers[class_name] += 1
            name = f"{class_name}_{numbers[class_name]}{PurePosixPath(record.name).suffix}"
            if class_of_name(name) != class_name:
                raise _unusable(class_name, dataset.folder, "a class that can begin a file name")
            place_image(record, _split_folder(dataset, folder, split) / name, link=options.link)
            renamed += name != PurePosixPath(record.name).name
    if renamed:
        findings.append(_finding("images-renamed", Severity.NOTE, "images with their names",
                                 f"{renamed} with new ones, made of class and number",
                                 "export to class_folders to keep the names"))  # fmt: skip
    return findings


def _by_split_and_class(dataset: Dataset, findings: list[Finding]) -> dict[tuple[str | None, str], list[ImageRecord]]:
    """The images that have a class and, where there are splits, one of these."""
    split_of = {name: split for split, names in dataset.splits.items() for name in names}
    grouped: defaultdict[tuple[str | None, str], list[ImageRecord]] = defaultdict(list)
    outside = []
    for record, class_name in labelled_images(dataset, findings.append):
        if split_of and record.name not in split_of:
            outside.append(record.name)
        else:
            grouped[split_of.get(record.name), class_name].append(record)
    if outside:
        findings.append(_finding("images-outside-splits", Severity.WARNING, "each image in a split",
                                 f"{len(outside)} in none, such as {outside[0]}, which are left out",
                                 "see left_out in splits.json for the reasons"))  # fmt: skip
    return dict(grouped)


def _absent_classes(dataset: Dataset, written: Collection[tuple[str | None, str]]) -> Iterator[Finding]:
    for split in {split: None for split, _ in written}:
        absent = [name for name in dataset.classes if (split, name) not in written]
        if absent:
            yield _finding("class-without-images", Severity.WARNING, "images of every class",
                           f"none of {', '.join(absent)} in {split or 'the dataset'}",
                           "give class ids to tools by name: those that number the folders number these otherwise",
                           )  # fmt: skip


def _split_folder(dataset: Dataset, folder: Path, split: str | None) -> Path:
    return folder if split is None else folder / _one_folder(split, dataset.folder)


def _one_folder(name: str, place: object) -> str:
    """The name itself, once it is known to name a folder right here."""
    if "/" in name or name == ".":
        raise _unusable(name, place, "a class or split that can name a folder")
    return safe_name(name, str(place))


def _distinct_names(records: Sequence[ImageRecord]) -> list[str]:
    """The file name of each; with the folders it comes from where several have it, whatever its case."""
    last = [PurePosixPath(record.name).name for record in records]
    times = Counter(name.casefold() for name in last)
    return [
        name if times[name.casefold()] == 1 else record.name.replace("/", "__") for name, record in zip(last, records)
    ]


def _unusable(name: str, place: object, expected: str) -> DatasetError:
    return DatasetError(place, expected=expected, found=repr(name), remedy="export to label_csv")


def _finding(code: str, severity: Severity, expected: str, found: str, remedy: str) -> Finding:
    return Finding(code=code, severity=severity, place="images", expected=expected, found=found, remedy=remedy)
