"""The proof that splits do not leak: recomputed from images and labels, never taken from what a file says."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from pydantic import Field

from maskstream.core.parallel import OnProgress
from maskstream.data.checked_json import Block
from maskstream.data.dataset import Dataset
from maskstream.data.duplicates.fingerprints import Fingerprints, fingerprint
from maskstream.data.duplicates.search import METHOD, NEAR, SAME_GREY_LEVELS, Search, search
from maskstream.data.splits.groups import GROUP, group_keys, labels_of

NO_CLASS = "(no class)"
"""Under this name a proof counts the images without any class."""
MOST_LISTED = 20


class SplitCounts(Block):
    """How much a split holds; `classes` counts images that show the class."""

    images: int
    groups: int
    classes: dict[str, int]


class DuplicateProof(Block):
    """What a search across the splits found.

    Attributes
    ----------
    identical_pairs, near_pairs : how many there are across splits; 0 proves that none leak.
    pairs : the first 20 of them.
    closest : the most alike images in two splits that are no duplicates, if any came near.
    threshold, thumbnail_grey_levels : what counts as near, see `data.duplicates`.
    compared, not_there : numbers of images.
    unreadable : names of images that could not be compared.
    """

    identical_pairs: int
    near_pairs: int
    pairs: list[dict[str, Any]] = Field(default_factory=list)
    closest: dict[str, Any] | None
    method: str = METHOD
    threshold: float = NEAR
    thumbnail_grey_levels: float = SAME_GREY_LEVELS
    compared: int
    not_there: int
    unreadable: list[str]


class Proof(Block):
    """What shows that no group and no near-duplicate is in two splits.

    Attributes
    ----------
    splits : counts of each.
    lacking : the classes that a split lacks and another has.
    group_key : what made a group, as `--group` takes it.
    groups, groups_torn : groups with more than one image in the splits, and how many of them are in two splits.
    torn : the first 20 of these.
    duplicates : None where they were not looked for.
    left_out : images in no split, by reason.
    """

    splits: dict[str, SplitCounts]
    lacking: dict[str, list[str]]
    group_key: str
    groups: int
    groups_torn: int
    torn: list[str]
    duplicates: DuplicateProof | None
    left_out: dict[str, int]
    maskstream: str = version("maskstream")

    @property
    def leaks(self) -> int:
        """Torn groups and duplicates across splits."""
        found = self.duplicates
        return self.groups_torn + (found.identical_pairs + found.near_pairs if found else 0)

    def __str__(self) -> str:
        together = f"{self.groups} groups (by {self.group_key}), {self.groups_torn} torn"
        found = self.duplicates
        if found is None:
            return f"{together}; duplicates across splits were not looked for"
        text = (
            f"{together}; {found.compared} images compared, across splits {found.identical_pairs} identical and "
            f"{found.near_pairs} near-duplicate pairs"
        )
        if found.not_there or found.unreadable:
            text += f"; {found.not_there} not there and {len(found.unreadable)} unreadable, so not compared"
        return text


def prove(
    dataset: Dataset,
    *,
    prints: Fingerprints | None = None,
    on_reading: OnProgress | None = None,
    on_comparing: OnProgress | None = None,
) -> Proof:
    """Compare and count what the splits hold; duplicates are looked for unless the splits' rule ignores them.

    Parameters
    ----------
    prints : fingerprints of all images in splits, where they were taken before.
    """
    if dataset.split_rule.get("duplicates") == "ignore":
        return proof_of(dataset, None)
    placed = {name for names in dataset.splits.values() for name in names}
    prints = prints or fingerprint([record for record in dataset.images if record.name in placed], on_reading)
    return proof_of(dataset, (prints, search_across(dataset, prints, on_comparing)))


def proof_of(dataset: Dataset, searched: tuple[Fingerprints, Search] | None) -> Proof:
    """Count what the splits hold, with what `search_across` found among these fingerprints."""
    key = str(dataset.split_rule.get("group", GROUP))
    keys = group_keys(dataset, key)
    split_of = {name: split for split, names in dataset.splits.items() for name in names}
    held: defaultdict[str, list[str]] = defaultdict(list)
    for name, split in split_of.items():
        if name in keys:
            held[keys[name]].append(split)
    torn = sorted(group for group, splits in held.items() if len(set(splits)) > 1)
    counts = {split: _counts(dataset, split, keys) for split in dataset.splits}
    shown = sorted({label for count in counts.values() for label in count.classes} - {NO_CLASS})
    lacking = {split: [label for label in shown if label not in count.classes] for split, count in counts.items()}
    return Proof(
        splits=counts,
        lacking={split: labels for split, labels in lacking.items() if labels},
        group_key=key,
        groups=sum(len(splits) > 1 for splits in held.values()),
        groups_torn=len(torn),
        torn=torn[:MOST_LISTED],
        duplicates=_duplicates(*searched, split_of) if searched else None,
        left_out=dict(sorted(Counter(entry.reason for entry in dataset.left_out).items())),
    )


def search_across(dataset: Dataset, prints: Fingerprints, on_progress: OnProgress | None = None) -> Search:
    """Look for duplicates in two splits each."""
    split_of = {name: split for split, names in dataset.splits.items() for name in names}
    return search(prints, on_progress, apart=split_of)


def stale(dataset: Dataset, proof: Proof) -> list[str]:
    """Where the proof that a dataset carries differs from one made now, a line each; empty when it still stands."""
    now, stated = proof.model_dump(), dataset.split_proof
    return [
        f"{key}: states {stated.get(key)!r}, found {now[key]!r}"
        for key in now
        if key != "maskstream" and stated.get(key) != now[key]
    ]


def _counts(dataset: Dataset, split: str, keys: dict[str, str]) -> SplitCounts:
    records = dataset.records(split)
    classes = Counter(label or NO_CLASS for record in records for label in labels_of(dataset, record))
    ordered = {label: classes[label] for label in (*dataset.classes, NO_CLASS) if classes[label]}
    groups = {keys.get(record.name, f"\0{record.name}") for record in records}
    return SplitCounts(images=len(records), groups=len(groups), classes=ordered)


def _duplicates(prints: Fingerprints, found: Search, split_of: dict[str, str]) -> DuplicateProof:
    near = found.closest
    closest = {"a": near.a, "b": near.b, "similarity": round(near.similarity, 3)} if near else None
    return DuplicateProof(
        identical_pairs=sum(pair.kind == "identical" for pair in found.pairs),
        near_pairs=sum(pair.kind == "near" for pair in found.pairs),
        pairs=[{**asdict(pair), "similarity": round(pair.similarity, 3)} for pair in found.pairs[:MOST_LISTED]],
        closest=closest,
        compared=sum(name in split_of for name in prints.names),
        not_there=sum(name in split_of for name in prints.absent),
        unreadable=[finding.image for finding in prints.unreadable if finding.image in split_of],
    )
