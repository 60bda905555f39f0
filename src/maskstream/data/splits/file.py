"""`splits.json`: which images each split holds, and which it leaves out and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from maskstream.data.checked_json import Block, read_json
from maskstream.data.findings import Finding, OnFinding
from maskstream.errors import DatasetError

EVALUATION_SPLITS = ("test", "val")
"""Splits that figures come from, the one to keep whole first: what is twice there and elsewhere, leaves elsewhere."""


class LeftOut(Block):
    """An image that is in the dataset but in none of its splits; `split` is where it would have been."""

    image: str
    split: str
    reason: str


class SplitsFile(Block):
    """The file's content."""

    splits: dict[str, list[str]]
    left_out: list[LeftOut] = Field(default_factory=list)
    made_by: str
    rule: dict[str, Any] = Field(default_factory=dict)
    proof: dict[str, Any] = Field(default_factory=dict)


class SplitFault(NamedTuple):
    """A name that does not belong where it stands: the split (None: left out), its position there, and why.

    `image` is the name where it is that of an image.
    """

    split: str | None
    position: int
    image: str | None
    code: str
    error: DatasetError


def split_faults(
    path: Path, splits: Mapping[str, Sequence[str]], left_out: Sequence[LeftOut], known: Collection[str]
) -> Iterator[SplitFault]:
    """Names of no image, and images that come twice: in one split, in two, or in one and left out."""
    lists: list[tuple[str | None, Sequence[str]]] = [*splits.items(), (None, [entry.image for entry in left_out])]
    key_of: dict[str, str] = {}
    for split, names in lists:
        key = "left_out" if split is None else f"splits.{split}"
        for position, name in enumerate(names):
            if name not in known:
                expected, found, remedy = f"names of the {len(known)} images", repr(name), "correct the name"
                code = "unknown-split-name"
            elif name in key_of:
                expected, found, remedy = "each image once", f"{name!r} also in {key_of[name]}", "keep it in one place"
                code = "repeated-split-name" if key_of[name] == key else "image-in-two-splits"
            else:
                key_of[name] = key
                continue
            error = DatasetError(f"{path}: {key}", expected=expected, found=found, remedy=remedy)
            yield SplitFault(split, position, name if name in known else None, code, error)


def read_leniently(path: Path, known: Collection[str], on_finding: OnFinding) -> SplitsFile:
    """The file with every fault told and left out; a file that is broken as a whole is told and gives no split.

    An image in two splits stays in the one that figures come from, else in the first.
    """
    try:
        content = read_json(path, SplitsFile)
    except DatasetError as error:
        on_finding(Finding.of(error, "broken-file"))
        return SplitsFile(splits={}, made_by="")
    ranked = [*(name for name in EVALUATION_SPLITS if name in content.splits)]
    ranked += [name for name in content.splits if name not in EVALUATION_SPLITS]
    ordered = {name: content.splits[name] for name in ranked}
    wrong: set[tuple[str | None, int]] = set()
    for fault in split_faults(path, ordered, content.left_out, known):
        on_finding(Finding.of(fault.error, fault.code, image=fault.image, fix="takes the name out there"))
        wrong.add((fault.split, fault.position))
    splits = {
        split: [name for position, name in enumerate(names) if (split, position) not in wrong]
        for split, names in content.splits.items()
    }
    left_out = [entry for position, entry in enumerate(content.left_out) if (None, position) not in wrong]
    return content.model_copy(update={"splits": splits, "left_out": left_out})
