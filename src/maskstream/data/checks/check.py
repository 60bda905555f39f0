"""What is wrong with a dataset: each finding with its place, its severity and its remedy."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskstream.core.parallel import OnProgress, ordered_map
from maskstream.data.checks.files import check_files
from maskstream.data.checks.images import check_image
from maskstream.data.checks.kinds import finding
from maskstream.data.checks.labels import check_labels
from maskstream.data.checks.repeats import repeats
from maskstream.data.checks.shapes import SizeHw, faults
from maskstream.data.checks.splits import check_duplicates, check_proof, check_splits
from maskstream.data.dataset import ANNOTATIONS, SPLITS, Dataset
from maskstream.data.duplicates.fingerprints import Fingerprints, fingerprint
from maskstream.data.duplicates.search import DuplicatePair, search
from maskstream.data.findings import Finding, OnFinding
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError, SourceError
from maskstream.media.images import MAX_IMAGE_PIXELS


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A dataset that was checked, and what `fixes.fix` needs to know of what was found.

    Attributes
    ----------
    dataset : without the entries that are broken.
    prints : of the images that can be read.
    pairs : images that are alike.
    fixable : how often each kind of finding with a fix was met: (code, fix) and count.
    broken_files : files beside `annotations.json` of which nothing could be read.
    """

    dataset: Dataset
    prints: Fingerprints
    pairs: tuple[DuplicatePair, ...]
    fixable: Counter[tuple[str, str]]
    broken_files: tuple[Finding, ...]


def check_folder(
    folder: Path,
    on_finding: OnFinding,
    *,
    on_examine: OnProgress | None = None,
    on_read: OnProgress | None = None,
    on_compare: OnProgress | None = None,
) -> Checked | None:
    """Check a dataset folder; findings are told as they come and not kept, so memory does not grow with them.

    Parameters
    ----------
    on_examine, on_read, on_compare : told how many images had labels and headers examined, were read, and were
        compared with the others.

    Returns
    -------
    What was checked; None where `annotations.json` is broken as a whole, which is then the one finding.

    Raises
    ------
    DatasetError : the folder holds no `annotations.json`.
    """
    if not (folder / ANNOTATIONS).is_file():
        raise DatasetError(
            folder,
            expected=f"a dataset folder, with {ANNOTATIONS}",
            found="none there" if folder.is_dir() else "no folder",
            remedy="check the path, or make a dataset with: maskstream data import",
        )
    fixable: Counter[tuple[str, str]] = Counter()
    broken_files: list[Finding] = []

    def tell(found: Finding) -> None:
        if found.code == "broken-file":
            broken_files.append(found)
        if found.fix is not None:
            fixable[found.code, found.fix] += 1
        on_finding(found)

    try:
        dataset = Dataset.load(folder, tell)
    except DatasetError as error:
        on_finding(Finding.of(error, "broken-file"))
        return None
    has_splits = not any(found.place.startswith(str(folder / SPLITS)) for found in broken_files)
    prints, pairs = check(
        dataset, tell, on_examine=on_examine, on_read=on_read, on_compare=on_compare, has_splits=has_splits
    )
    return Checked(dataset, prints, pairs, fixable, tuple(broken_files))


def check(
    dataset: Dataset,
    on_finding: OnFinding,
    *,
    on_examine: OnProgress | None = None,
    on_read: OnProgress | None = None,
    on_compare: OnProgress | None = None,
    has_splits: bool = True,
) -> tuple[Fingerprints, tuple[DuplicatePair, ...]]:
    """Check a dataset theme by theme, reading every image once; gives fingerprints, and images that are alike.

    Where `has_splits` is False it is not told that splits are missing.
    """
    themes = [check_files(dataset), check_labels(dataset)]
    if has_splits:
        themes.append(check_splits(dataset))
    for found in itertools.chain(*themes):
        on_finding(found)
    for done, findings in enumerate(ordered_map(partial(_examine, dataset), dataset.images), start=1):
        for found in findings:
            on_finding(found)
        if on_examine:
            on_examine(done, len(dataset.images))
    prints = fingerprint(dataset.images, on_read)
    pairs = search(prints, on_compare).pairs
    # the import is over: what it met cannot be mended here
    told_again = (found.model_copy(update={"fix": None}) for found in dataset.provenance.findings)
    about_copies = check_duplicates(dataset, pairs), check_proof(dataset, prints)
    for found in itertools.chain(prints.unreadable, *about_copies, told_again):
        on_finding(found)
    return prints, pairs


def usable_size_hw(record: ImageRecord) -> SizeHw | None:
    """Height and width in pixels, as stated or from the header; None for neither, and where no mask of it would fit."""
    try:
        height, width = record.size_hw
    except SourceError:
        return None
    return (height, width) if height * width <= MAX_IMAGE_PIXELS else None


def _examine(dataset: Dataset, record: ImageRecord) -> list[Finding]:
    """What is wrong with the file of an image and with its objects."""
    return [*check_image(record), *_object_findings(dataset, record)]


def _object_findings(dataset: Dataset, record: ImageRecord) -> Iterator[Finding]:
    size_hw = usable_size_hw(record)
    for number, annotation in enumerate(record.annotations, start=1):
        for fault in faults(annotation, size_hw):
            yield finding(fault.code, _object_place(dataset, record, number), fault.found, image=record.name)
    if size_hw is not None:
        for _, later, fault in repeats(record.annotations, size_hw):
            yield finding(fault.code, _object_place(dataset, record, later + 1), fault.found, image=record.name)


def _object_place(dataset: Dataset, record: ImageRecord, number: int) -> str:
    name = dataset.classes[record.annotations[number - 1].class_id]
    return f"{dataset.folder / ANNOTATIONS}: {record.name}: object {number} of {len(record.annotations)} ({name})"
