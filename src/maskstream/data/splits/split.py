"""Splits of a dataset: by shares or folds, stratified by class, without tearing groups or near-duplicates apart.

Deterministic: names, labels and seed decide, not the order of files. Stable: a dataset that was split by the same rule
keeps what it has, and only new images are placed; `keep` takes the splits of an earlier version of the dataset over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import SPLITS, Dataset
from maskstream.data.duplicates.fingerprints import Fingerprints, fingerprint
from maskstream.data.duplicates.search import DuplicatePair, Search, search
from maskstream.data.splits.file import LeftOut
from maskstream.data.splits.groups import GROUP, Together, about_splits, group_keys, labels_of
from maskstream.data.splits.proof import proof_of, search_across
from maskstream.data.splits.stratify import assign
from maskstream.errors import DatasetError

COMMAND = "maskstream data split"
NAMES = {2: ("train", "test"), 3: ("train", "val", "test")}
FOLD = "fold-"
ROUNDS = 3
"""How often splits are made again when the search across them finds a pair that the search before did not look at."""


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a dataset is to be split.

    Attributes
    ----------
    shares : of each split, by its name; they sum to 1.
    group : what must stay together, see `groups.group_keys`.
    seed : of the chance that decides.
    duplicates : keep identical images and near-duplicates together; False does not even look for them.
    """

    shares: Mapping[str, float]
    group: str = GROUP
    seed: int = 0
    duplicates: bool = True

    def as_json(self) -> dict[str, Any]:
        """The rule as `splits.json` keeps it."""
        return {
            "command": COMMAND,
            "shares": dict(self.shares),
            "group": self.group,
            "seed": self.seed,
            "duplicates": "together" if self.duplicates else "ignore",
        }

    def __str__(self) -> str:
        ratios = ",".join(f"{share:g}" for share in self.shares.values())
        text = f"{COMMAND} --ratios {ratios} --names {','.join(self.shares)}"
        if all(name.startswith(FOLD) for name in self.shares):
            text = f"{COMMAND} --folds {len(self.shares)}"
        duplicates = "" if self.duplicates else " --duplicates ignore"
        return f"{text} --group {self.group} --seed {self.seed}{duplicates}"


def shares_of(ratios: Sequence[float], names: Sequence[str] = ()) -> dict[str, float]:
    """Named shares that sum to 1, of ratios that sum to 1 or to 100.

    Raises
    ------
    DatasetError : a ratio is not positive, they sum to something else, or their names are missing, too few or repeated.
    """
    total = sum(ratios)
    written = ",".join(f"{ratio:g}" for ratio in ratios)
    if len(ratios) < 2 or not all(ratio > 0 for ratio in ratios):
        raise _bad_option("--ratios", "two or more positive numbers", written)
    if abs(total - 1) > 1e-6 and abs(total - 100) > 1e-4:
        raise _bad_option("--ratios", "numbers that sum to 1 (or to 100)", f"{written}, which sum to {total:g}")
    names = tuple(names) or NAMES.get(len(ratios), ())
    if len(names) != len(ratios) or len(set(names)) != len(names) or not all(name.strip() for name in names):
        found = ",".join(names) or "none"
        raise _bad_option("--names", f"{len(ratios)} different names, one a ratio", found)
    return {name: ratio / total for name, ratio in zip(names, ratios)}


def folds(count: int) -> dict[str, float]:
    """Equal shares named fold-1, fold-2, ...

    Raises
    ------
    DatasetError : fewer than two.
    """
    if count < 2:
        raise _bad_option("--folds", "2 or more", str(count))
    return {f"{FOLD}{number}": 1 / count for number in range(1, count + 1)}


def one_fold(dataset: Dataset, held_out: str, name: str = "val") -> Dataset:
    """The dataset with two splits: `train` of all other splits, and `name` of the one that is held out."""
    held = tuple(record.name for record in dataset.records(held_out))
    others = tuple(image for split, images in dataset.splits.items() if split != held_out for image in images)
    return replace(
        dataset, splits={"train": others, name: held}, splits_made_by=f"{dataset.splits_made_by}: {held_out}"
    )


def split_dataset(
    dataset: Dataset,
    rule: SplitRule,
    *,
    keep: Dataset | None = None,
    anew: bool = False,
    on_reading: OnProgress | None = None,
    on_comparing: OnProgress | None = None,
) -> Dataset:
    """The dataset with splits, and the proof that they do not leak.

    What is left out stays left out; with `anew` that holds for reasons other than what another split holds.

    Parameters
    ----------
    keep : an earlier version of the dataset, whose images stay in their splits; matched by name.
    anew : replace splits that were made by another rule, or make them from scratch.

    Raises
    ------
    DatasetError : there are splits by another rule, those of `keep` have other names, no image has
        the group key, or there are fewer groups than splits.
    """
    kept, left_out = _what_stays(dataset, rule, keep, anew)
    out = {entry.image for entry in left_out}
    records = [record for record in dataset.images if record.name not in out]
    labels = {record.name: labels_of(dataset, record) for record in records}
    keys = group_keys(dataset, rule.group)
    prints: Fingerprints | None = None
    pairs: tuple[DuplicatePair, ...] = ()
    if rule.duplicates:
        prints = fingerprint(records, on_reading)
        # a group's own images stay together anyway
        apart = {name: f"group {keys[name]}" if name in keys else f"image {name}" for name in labels}
        pairs = search(prints, on_comparing, apart=apart).pairs
    for _ in range(ROUNDS):
        together = Together(labels, keys, pairs, kept, list(rule.shares))
        result = _placed(dataset, rule, together, left_out, labels, kept)
        across = search_across(result, prints) if prints else Search((), None)
        if not across.pairs:
            break
        pairs += across.pairs
    proof = proof_of(result, (prints, across) if prints else None)
    return replace(result, split_proof=proof.model_dump())


def _placed(
    dataset: Dataset,
    rule: SplitRule,
    together: Together,
    left_out: Sequence[LeftOut],
    labels: Mapping[str, Sequence[str]],
    kept: Mapping[str, str],
) -> Dataset:
    count = len(set(together.groups.values()))
    if count < len(rule.shares):
        raise DatasetError(
            dataset.folder,
            expected=f"at least {len(rule.shares)} groups for {len(rule.shares)} splits",
            found=f"{count}, which must not be torn apart",
            remedy="make fewer splits, or name another --group",
        )
    place = assign(together.groups, labels, rule.shares, rule.seed, kept)
    splits = {
        split: tuple(record.name for record in dataset.images if place.get(record.name) == split)
        for split in rule.shares
    }
    return replace(
        dataset,
        splits=splits,
        left_out=(*left_out, *together.left_out),
        splits_made_by=str(rule),
        split_rule=rule.as_json(),
        split_proof={},
    )


def _what_stays(
    dataset: Dataset, rule: SplitRule, keep: Dataset | None, anew: bool
) -> tuple[dict[str, str], tuple[LeftOut, ...]]:
    """The images whose split is settled, and those that stay left out."""
    same_rule = dict(dataset.split_rule) == rule.as_json()
    if dataset.splits and not anew and not same_rule:
        raise DatasetError(
            dataset.folder / SPLITS,
            expected="no splits, or splits by the same rule",
            found=f"splits made by: {dataset.splits_made_by}",
            remedy="--anew replaces them",
        )
    left_out = {entry.image: entry for entry in dataset.left_out if not anew or not about_splits(entry)}
    kept = {} if anew else _split_of(dataset)
    if keep is not None:
        if set(keep.splits) != set(rule.shares):
            raise DatasetError(
                keep.folder / SPLITS,
                expected=f"the splits {', '.join(rule.shares)}",
                found=", ".join(keep.splits) or "none",
                remedy="name the same splits, or do not keep these",
            )
        names = {record.name for record in dataset.images}
        left_out |= {entry.image: entry for entry in keep.left_out if entry.image in names}
        kept = {name: split for name, split in _split_of(keep).items() if name in names} | kept
    return {name: split for name, split in kept.items() if name not in left_out}, tuple(left_out.values())


def _split_of(dataset: Dataset) -> dict[str, str]:
    return {name: split for split, names in dataset.splits.items() for name in names}


def _bad_option(option: str, expected: str, found: str) -> DatasetError:
    return DatasetError(option, expected=expected, found=found, remedy="correct the option")
