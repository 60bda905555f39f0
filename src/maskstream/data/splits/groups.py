"""What must stay together across splits: images of one group, and images that are duplicates of one another."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from maskstream.core.union_find import UnionFind
from maskstream.data.dataset import Dataset
from maskstream.data.duplicates.search import DuplicatePair
from maskstream.data.formats.format import GROUP_COLUMN
from maskstream.data.records import ImageRecord
from maskstream.data.splits.file import EVALUATION_SPLITS, LeftOut
from maskstream.errors import DatasetError

GROUP, FOLDER, NONE, NAME = "group", "folder", "none", "name:"

_RELATIONS = {"identical": "duplicate of", "near": "near-duplicate of", "group": "of one group with"}
_ABOUT_SPLITS = tuple(_RELATIONS.values())


def group_keys(dataset: Dataset, key: str) -> dict[str, str]:
    """The group of each image that has one, by its name.

    Parameters
    ----------
    key : "group", or the name of the column that groups were imported from: what the dataset says; "folder": the
        folder of the image; "name:REGEX": what the brackets of a regular expression catch in the image's name;
        "none": no groups; anything else: the attribute of that name.

    Raises
    ------
    DatasetError : the expression is broken, or no image has such an attribute or name.
    """
    if key == NONE:
        return {}
    if key == GROUP or key == dataset.provenance.arguments.get(GROUP_COLUMN):
        return {record.name: record.group for record in dataset.images if record.group is not None}
    if key == FOLDER:
        return {record.name: PurePosixPath(record.name).parent.as_posix() for record in dataset.images}
    if key.startswith(NAME):
        return _keys_by_name(dataset, key.removeprefix(NAME))
    found = {record.name: _attribute(record.attributes, key) for record in dataset.images}
    keys = {name: str(value) for name, value in found.items() if value not in (None, "")}
    if not keys:
        known = sorted({name for record in dataset.images for name in _attribute_names(record.attributes)})
        raise DatasetError(
            "--group",
            expected=f"group, folder, none, name:REGEX or an attribute ({', '.join(known) or 'the images have none'})",
            found=repr(key),
            remedy="name one of these",
        )
    return keys


def _attribute(attributes: Mapping[str, Any], key: str) -> Any:
    """The attribute itself, or the one that a format's block holds."""
    if key in attributes:
        return attributes[key]
    blocks = (value for value in attributes.values() if isinstance(value, Mapping))
    return next((block[key] for block in blocks if key in block), None)


def _attribute_names(attributes: Mapping[str, Any]) -> Iterable[str]:
    for name, value in attributes.items():
        yield from value if isinstance(value, Mapping) else (name,)


def _keys_by_name(dataset: Dataset, expression: str) -> dict[str, str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise DatasetError(
            "--group", expected="a regular expression after name:", found=str(error), remedy="correct it"
        ) from error
    if pattern.groups != 1:
        raise DatasetError(
            "--group",
            expected="one pair of brackets after name:",
            found=f"{pattern.groups} in {expression!r}",
            remedy=r"such as name:(patient\d+)",
        )
    matches = {record.name: pattern.search(record.name) for record in dataset.images}
    keys = {name: match[1] for name, match in matches.items() if match and match[1] is not None}
    if not keys:
        raise DatasetError(
            "--group",
            expected="an expression that fits the images' names",
            found=f"none that fits {expression!r}, as {dataset.images[0].name}",
            remedy="correct it",
        )
    return keys


def about_splits(entry: LeftOut) -> bool:
    """Whether an image is left out only for what other splits hold, and not for good."""
    return entry.reason.startswith(_ABOUT_SPLITS)


class Together:
    """Sets of images that no split may tear apart, grown image by image.

    Where a new link would join images that are settled in two splits, one image is left out instead: of two settled
    ones that which no figures come from (the test split stays whole), else the new one.

    Attributes
    ----------
    groups : the set of each image, named by one of its images.
    left_out : the images that would have joined two splits.
    """

    groups: dict[str, str]
    left_out: list[LeftOut]

    def __init__(
        self,
        names: Iterable[str],
        keys: Mapping[str, str],
        pairs: Iterable[DuplicatePair],
        kept: Mapping[str, str],
        splits: Sequence[str],
    ) -> None:
        rank = _ranks(splits)
        order = sorted(names, key=lambda name: (rank[kept[name]] if name in kept else len(rank), name))
        self._number = {name: number for number, name in enumerate(order)}
        self._sets = UnionFind(len(order))
        self._split_of_set: dict[int, str] = {}
        self._first_of_key: dict[str, str] = {}
        partners: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for pair in pairs:
            partners[pair.a].append((pair.b, pair.kind))
            partners[pair.b].append((pair.a, pair.kind))
        out: dict[str, LeftOut] = {}
        for position, name in enumerate(order):
            links = [(other, kind) for other, kind in partners[name] if self._number.get(other, position) < position]
            if name in keys and keys[name] in self._first_of_key:
                links.append((self._first_of_key[keys[name]], "group"))
            links = [(other, kind) for other, kind in links if other not in out]
            met = self._splits_met(links)
            if len({*met, kept.get(name, next(iter(met), ""))}) > 1:
                out[name] = _left_out(name, kept.get(name), met, rank)
                continue
            self._add(name, links, kept.get(name))
            if name in keys:
                self._first_of_key.setdefault(keys[name], name)
        self.left_out = sorted(out.values(), key=lambda entry: entry.image)
        self.groups = self._name_sets(name for name in order if name not in out)

    def _splits_met(self, links: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The splits that the linked sets are settled in, and by what kind of link."""
        met: dict[str, str] = {}
        for other, kind in links:
            split = self._split_of_set.get(self._sets.find(self._number[other]))
            if split is not None:
                met.setdefault(split, kind)
        return met

    def _add(self, name: str, links: Iterable[tuple[str, str]], split: str | None) -> None:
        number = self._number[name]
        settled = split or next(iter(self._splits_met(links)), None)
        for other, _ in links:
            self._sets.join(number, self._number[other])
        if settled is not None:
            self._split_of_set[self._sets.find(number)] = settled

    def _name_sets(self, names: Iterable[str]) -> dict[str, str]:
        members: defaultdict[int, list[str]] = defaultdict(list)
        for name in names:
            members[self._sets.find(self._number[name])].append(name)
        return {name: min(found) for found in members.values() for name in found}


def _ranks(splits: Sequence[str]) -> dict[str, int]:
    """Which split keeps an image that is in two: those that figures come from, then the last named."""
    order = [name for name in EVALUATION_SPLITS if name in splits]
    order += [name for name in reversed(splits) if name not in EVALUATION_SPLITS]
    return {name: rank for rank, name in enumerate(order)}


def _left_out(name: str, own: str | None, met: Mapping[str, str], rank: Mapping[str, int]) -> LeftOut:
    others = [split for split in sorted(met, key=lambda split: rank[split]) if split != own]
    reason = " and ".join(f"{_RELATIONS[met[split]]} a {split} image" for split in others)
    return LeftOut(image=name, split=own or others[-1], reason=reason)


def labels_of(dataset: Dataset, record: ImageRecord) -> tuple[str, ...]:
    """Names of the classes in an image, each once, by their ids; an image without any has the empty name alone."""
    ids = {annotation.class_id for annotation in record.annotations}
    if record.class_id is not None:
        ids.add(record.class_id)
    return tuple(dataset.classes[class_id] for class_id in sorted(ids)) or ("",)
