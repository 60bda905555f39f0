"""What can be wrong with the folder: files that nothing names, names that clash, edits since it was written."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

from maskstream.core.files import sha256
from maskstream.data.checks.kinds import finding
from maskstream.data.dataset import ANNOTATIONS, IMAGES, SPLITS, Dataset
from maskstream.data.findings import Finding
from maskstream.data.listing import list_folder
from maskstream.media.images import IMAGE_SUFFIXES


def check_files(dataset: Dataset) -> Iterator[Finding]:
    """What is wrong with the folder as a whole; no image is opened."""
    yield from _strays(dataset)
    yield from _to_fetch(dataset)
    names = [record.name for record in dataset.images]
    place = dataset.folder / ANNOTATIONS
    for group in _alike(names, folded):
        yield finding("name-clash", place, " and ".join(map(repr, group)), image=group[0])
    for group in _alike(names, lambda name: str(PurePosixPath(name).with_suffix(""))):
        yield finding("shared-stem", place, " and ".join(map(repr, group)), image=group[0])
    for name in (ANNOTATIONS, SPLITS):
        path, stated = dataset.folder / name, dataset.provenance.sha256.get(name)
        if stated is not None and path.is_file() and sha256(path) != stated:
            yield finding("edited-file", path, "another: it was edited since")


def folded(name: str) -> str:
    """A name as file systems see it that know neither case nor two encodings of one accent."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _strays(dataset: Dataset) -> Iterator[Finding]:
    folder = dataset.folder / IMAGES
    if not folder.is_dir():
        return
    listing = list_folder(folder)
    yield from listing.findings
    named = {record.name for record in dataset.images}
    missing = {folded(record.name): record.name for record in dataset.images if not record.has_file}
    for name in listing.names:
        if name in named:
            continue
        found = "a file that no entry names"
        if folded(name) in missing:
            found += f", while {missing[folded(name)]!r} is missing: the names differ in case or in accents"
        is_image = Path(name).suffix.lower() in IMAGE_SUFFIXES
        yield finding("stray-image" if is_image else "stray-file", folder / name, found)


def _to_fetch(dataset: Dataset) -> Iterator[Finding]:
    count = sum(record.stated_size_hw is None and not record.has_file for record in dataset.images)
    if count:
        yield finding("images-to-fetch", dataset.folder / IMAGES, f"{count} of {len(dataset.images)} not there yet")


def _alike(names: Iterable[str], key: Callable[[str], str]) -> Iterator[list[str]]:
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[key(name)].append(name)
    return (group for group in groups.values() if len(group) > 1)
