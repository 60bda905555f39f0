"""Class names and splits of a folder of YOLO labels, from `data.yaml`, `classes.txt` or `obj.names`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import SPLIT_FOLDERS
from maskstream.data.listing import Listing
from maskstream.errors import DatasetError

YAML_SUFFIXES = frozenset({".yaml", ".yml"})
NAME_FILES = frozenset({"classes.txt", "obj.names", "classes.names"})

ClassNames = Mapping[int, str]
"""Name of each class number of the label files."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """What a `data.yaml` says.

    Attributes
    ----------
    path : the file.
    names : of the classes.
    root : folder below that of the file which its other paths start from, "." for the same.
    splits : folders of images, or text files with a path of an image a line, of each split.
    """

    path: Path
    names: ClassNames
    root: str = "."
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_data_file(path: Path) -> DataFile | None:
    """Read a `data.yaml`; None for a YAML file without class names, which is something else.

    Raises
    ------
    DatasetError : the file is no YAML, or names, their number or a split are of a wrong kind.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(getattr(error, "problem", None) or error)
        mark = getattr(error, "problem_mark", None)
        place = f"{path}: line {mark.line + 1}" if mark else str(path)
        raise DatasetError(place, expected="YAML", found=reason, remedy="repair the file") from error
    if not isinstance(content, dict) or "names" not in content:
        return None
    names = _names(path, content["names"])
    if content.get("nc", len(names)) != len(names):
        raise DatasetError(
            f"{path}: nc",
            expected=f"the number of names, {len(names)}",
            found=_shown(content["nc"]),
            remedy="correct it",
        )
    root = content.get("path") or "."
    if not isinstance(root, str):
        raise DatasetError(f"{path}: path", expected="a folder", found=_shown(root), remedy="correct it")
    return DataFile(path, names, root, _split_entries(path, content))


def class_names(listing: Listing, data_files: Sequence[DataFile]) -> ClassNames | None:
    """The names of the classes by their numbers; None when no file tells.

    Raises
    ------
    DatasetError : a file of names is broken, or two of them contradict each other.
    """
    told = {data_file.path: data_file.names for data_file in data_files}
    for name in listing.names:
        if PurePosixPath(name).name.lower() in NAME_FILES:
            told[listing.folder / name] = _read_names(listing.folder / name)
    first = next(iter(told), None)
    for path, names in told.items():
        if first and names != told[first]:
            raise DatasetError(
                path,
                expected=f"the class names of {first}",
                found=f"other ones ({', '.join(list(names.values())[:3])} ...)",
                remedy="remove the file that is wrong, or import one part of the folder at a time",
            )
    return told[first] if first else None


def splits(data_file: DataFile, listing: Listing, images: Iterable[str]) -> tuple[dict[str, list[str]], list[Finding]]:
    """The images of each split, by their names in the listing, and what does not fit.

    Nothing outside the folder is looked at: of a path on another computer as much of its end counts as is there.
    An image that two splits name is in the first.

    Raises
    ------
    DatasetError : a text file that lists images is no text.
    """
    finder = _Finder(data_file, listing, images)
    found: dict[str, list[str]] = {}
    findings = []
    taken: set[str] = set()
    for split, entries in data_file.splits.items():
        named = list(dict.fromkeys(name for entry in entries for name in finder.images(entry)))
        found[split] = [name for name in named if name not in taken]
        repeats = len(named) - len(found[split])
        if repeats or not named:
            findings.append(_odd_split(data_file.path, split, len(named), repeats))
        taken.update(named)
    return {split: named for split, named in found.items() if named}, findings


class _Finder:
    """Images by the paths of a `data.yaml`."""

    def __init__(self, data_file: DataFile, listing: Listing, images: Iterable[str]) -> None:
        self._listing = listing
        self._images = dict.fromkeys(images)
        self._texts = set(listing.with_suffix(".txt"))
        self._below: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._images:
            for folder in PurePosixPath(name).parents:
                self._below[folder.as_posix()].append(name)
        here = data_file.path.parent.relative_to(listing.folder)
        self._bases = [*dict.fromkeys(PurePosixPath(here, *_steps(root)) for root in (data_file.root, "."))]

    def images(self, entry: str) -> list[str]:
        """The images of a folder, or of a text file that lists them."""
        for path in self._places(entry, anywhere=_is_absolute(entry)):
            if path in self._below:
                return self._below[path]
            if path in self._texts:
                return [name for line in self._lines(path) for name in self._image(line)]
        return []

    def _image(self, line: str) -> list[str]:
        return [path for path in self._places(line, anywhere=True) if path in self._images][:1]

    def _lines(self, text: str) -> list[str]:
        lines = (line.strip() for line in _text(self._listing.folder / text).splitlines())
        return [line for line in lines if line]

    def _places(self, path: str, *, anywhere: bool) -> Iterable[str]:
        """Where a path may lead in the listing; `anywhere` takes less and less of it from its front."""
        steps = _steps(path)
        for start in range(max(len(steps), 1) if anywhere else 1):
            for base in self._bases:
                yield PurePosixPath(base, *steps[start:]).as_posix()


def _is_absolute(path: str) -> bool:
    return path.startswith(("/", "\\")) or path[1:2] == ":"


def _steps(path: str) -> list[str]:
    return [part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in {"/", ".", ".."}]


def _names(path: Path, names: object) -> ClassNames:
    numbered = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(numbered, dict) or not numbered:
        raise DatasetError(f"{path}: names", expected="a list of class names", found=_shown(names), remedy="correct it")
    for number, name in numbered.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise DatasetError(
                f"{path}: names", expected="class numbers", found=_shown(number), remedy="number the names from 0"
            )
        if isinstance(name, bool) or not isinstance(name, str | int | float) or not str(name).strip():
            raise DatasetError(
                f"{path}: names.{number}", expected="a class name", found=_shown(name), remedy="put it in quotes"
            )
    return _without_repeats(path, {number: str(numbered[number]).strip() for number in sorted(numbered)})


def _without_repeats(path: Path, names: ClassNames) -> ClassNames:
    seen: dict[str, int] = {}
    for number, name in names.items():
        if name in seen:
            raise DatasetError(
                path,
                expected="each class name once",
                found=f"{name!r} for {seen[name]} and {number}",
                remedy="rename one",
            )
        seen[name] = number
    return names


def _read_names(path: Path) -> ClassNames:
    """The names of a text file with one a line."""
    names = [line.strip() for line in _text(path).rstrip().splitlines()]
    if not all(names):
        raise DatasetError(
            f"{path}: line {names.index('') + 1}",
            expected="a class name",
            found="an empty line",
            remedy="name the class, because the next ones count from here",
        )
    return _without_repeats(path, dict(enumerate(names)))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(path, expected="text in UTF-8", found=str(error)[:80], remedy="restore the file") from error


def _split_entries(path: Path, content: Mapping[Any, Any]) -> dict[str, tuple[str, ...]]:
    """The splits of a file: the usual three, and others whose images lie in a folder of their name."""
    found: dict[str, tuple[str, ...]] = {}
    for key, value in content.items():
        split = SPLIT_FOLDERS.get(key) if isinstance(key, str) else None
        if split is None and value == f"images/{key}":
            split = str(key)
        if split is None or value is None or value == "":
            continue
        entries = value if isinstance(value, list) else [value]
        if not all(isinstance(entry, str) for entry in entries):
            raise DatasetError(
                f"{path}: {key}", expected="folders or text files", found=_shown(value), remedy="correct it"
            )
        found[split] = found.get(split, ()) + tuple(entries)
    return found


def _odd_split(path: Path, split: str, count: int, repeats: int) -> Finding:
    return Finding(
        code="split-repeats-images" if repeats else "split-without-images",
        severity=Severity.WARNING,
        place=f"{path}: {split}",
        expected="images that no other split has" if repeats else "images in the folder",
        found=f"{repeats} of {count} that one has" if repeats else "none",
        remedy="make splits with: maskstream data split" if repeats else "put the images there, or remove the line",
    )


def _shown(value: object) -> str:
    """A value for a message, unless it is a collection, which aliases can make endless."""
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
