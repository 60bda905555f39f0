"""What can be wrong with splits: images lost, groups torn, copies on both sides, classes that one does not hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from maskstream.data.checks.kinds import finding
from maskstream.data.dataset import IMAGES, SPLITS, Dataset
from maskstream.data.duplicates.fingerprints import Fingerprints
from maskstream.data.duplicates.search import DuplicatePair
from maskstream.data.findings import Finding
from maskstream.data.splits.file import EVALUATION_SPLITS
from maskstream.data.splits.proof import prove, stale


def check_splits(dataset: Dataset) -> Iterator[Finding]:
    """What is wrong with the splits, as far as names, groups and classes show it."""
    place = dataset.folder / SPLITS
    if not dataset.splits:
        yield finding("no-splits", place, "none")
        return
    split_of = splits_by_image(dataset)
    left_out = {entry.image for entry in dataset.left_out}
    for record in dataset.images:
        if record.name not in split_of and record.name not in left_out:
            yield finding("image-in-no-split", place, "neither", image=record.name)
    for entry in dataset.left_out:
        if not entry.reason.strip():
            yield finding("left-out-without-reason", f"{place}: left_out", "none", image=entry.image)
    yield from _empty_or_lacking(dataset)
    yield from _torn_groups(dataset, split_of)


def check_duplicates(dataset: Dataset, pairs: Iterable[DuplicatePair]) -> Iterator[Finding]:
    """What copies mean for the splits; those that are left out mean nothing."""
    split_of = splits_by_image(dataset)
    left_out = {entry.image for entry in dataset.left_out}
    for pair in pairs:
        if pair.a in left_out or pair.b in left_out:
            continue
        near = "near-" if pair.kind == "near" else ""
        place = dataset.folder / IMAGES / pair.a
        split_a, split_b = split_of.get(pair.a), split_of.get(pair.b)
        found = f"{pair.b}, {pair.similarity:.1%} alike ({pair.how})"
        if split_a is None or split_b is None or split_a == split_b:
            yield finding(f"{near}duplicate-image", place, found, image=pair.a)
        else:
            code, found = f"{near}duplicate-across-splits", f"this one in {split_a}, in {split_b} {found}"
            can_fix = not {split_a, split_b}.isdisjoint(EVALUATION_SPLITS)
            yield finding(code, place, found, image=pair.a, can_fix=can_fix)


def check_proof(dataset: Dataset, prints: Fingerprints) -> Iterator[Finding]:
    """Whether the proof that `splits.json` carries, if it does, is still true."""
    if not dataset.split_proof:
        return
    for difference in stale(dataset, prove(dataset, prints=prints)):
        yield finding("outdated-proof", f"{dataset.folder / SPLITS}: proof", difference)


def splits_by_image(dataset: Dataset) -> dict[str, str]:
    """The split of each image that is in one."""
    return {name: split for split, names in dataset.splits.items() for name in names}


def _empty_or_lacking(dataset: Dataset) -> Iterator[Finding]:
    held = {split: _class_ids(dataset, split) for split in dataset.splits}
    used = set[int]().union(*held.values())
    for split, class_ids in held.items():
        place = f"{dataset.folder / SPLITS}: splits.{split}"
        if not dataset.splits[split]:
            yield finding("empty-split", place, "none")
        elif used - class_ids:
            names = ", ".join(dataset.classes[class_id] for class_id in sorted(used - class_ids))
            yield finding("class-not-in-split", place, f"none of {names}")


def _class_ids(dataset: Dataset, split: str) -> set[int]:
    records = dataset.records(split)
    of_objects = {annotation.class_id for record in records for annotation in record.annotations}
    return of_objects | {record.class_id for record in records if record.class_id is not None}


def _torn_groups(dataset: Dataset, split_of: dict[str, str]) -> Iterator[Finding]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for record in dataset.images:
        if record.group is not None and record.name in split_of:
            counts[record.group][split_of[record.name]] += 1
    for group, splits in counts.items():
        if len(splits) > 1:
            found = " and ".join(f"{count} in {split}" for split, count in splits.items())
            yield finding("group-across-splits", f"{dataset.folder / SPLITS}: group {group!r}", f"images: {found}")
