"""`maskstream data split`: train and test, or folds, that do not leak, with the proof."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.cli.data.count_table import count_table
from maskstream.cli.progress import progress_bars
from maskstream.data.dataset import Dataset
from maskstream.data.splits.proof import Proof
from maskstream.data.splits.split import SplitRule, folds, shares_of, split_dataset
from maskstream.errors import DatasetError

DEFAULT_RATIOS = "0.8,0.2"


class Duplicates(StrEnum):
    """What becomes of identical images and near-duplicates."""

    TOGETHER = "together"
    IGNORE = "ignore"


def split(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder; its splits.json is written.")],
    ratios: Annotated[
        str | None,
        typer.Option(metavar="A,B", help=f"Shares of train,test or train,val,test.  [default: {DEFAULT_RATIOS}]"),
    ] = None,
    names: Annotated[str | None, typer.Option(metavar="A,B", help="Names of the splits.")] = None,
    fold_count: Annotated[int | None, typer.Option("--folds", help="Equal splits fold-1, fold-2, ... instead.")] = None,
    group: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="What must stay together: group (as the dataset says), an attribute of the images such as lesion_id, "
            "folder, name:REGEX with one pair of brackets, or none.",
        ),
    ] = "group",
    seed: Annotated[int, typer.Option(help="Of the chance that decides.")] = 0,
    duplicates: Annotated[
        Duplicates, typer.Option(help="Keep identical images and near-duplicates together, or do not look for them.")
    ] = Duplicates.TOGETHER,
    keep: Annotated[
        Path | None, typer.Option(help="Earlier version of the dataset: its images stay in their splits.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Replace the splits that the dataset has.")] = False,
) -> None:
    """Split a dataset by class, without tearing groups or near-duplicates apart, and prove it."""
    rule = SplitRule(_shares(ratios, names, fold_count), group, seed, duplicates is Duplicates.TOGETHER)
    loaded, earlier = Dataset.load(dataset), Dataset.load(keep) if keep else None
    with progress_bars("images/s") as bar:
        result = split_dataset(
            loaded, rule, keep=earlier, anew=anew, on_reading=bar("reading"), on_comparing=bar("comparing")
        )
    result.save_splits()
    _show(result)


def _shares(ratios: str | None, names: str | None, fold_count: int | None) -> dict[str, float]:
    if fold_count is not None:
        if ratios or names:
            raise DatasetError(
                "--folds", expected="no --ratios and no --names", found="both", remedy="give one or the other"
            )
        return folds(fold_count)
    try:
        numbers = [float(part) for part in (ratios or DEFAULT_RATIOS).split(",")]
    except ValueError:
        raise DatasetError(
            "--ratios", expected="numbers with commas between them", found=repr(ratios), remedy="such as 0.8,0.2"
        ) from None
    return shares_of(numbers, [part.strip() for part in names.split(",")] if names else ())


def _show(dataset: Dataset) -> None:
    console = Console(soft_wrap=True)
    console.print(count_table(dataset))
    proof = Proof.model_validate(dataset.split_proof)
    console.print(f"proof: {proof}", markup=False, highlight=False)
    for name, labels in proof.lacking.items():
        console.print(f"note: {name} has no image of {', '.join(labels)}", markup=False, highlight=False)
    for reason, count in Counter(entry.reason for entry in dataset.left_out).items():
        console.print(f"left out: {count} ({reason})", markup=False, highlight=False)
    if proof.leaks:
        console.print("warning: the splits leak; see the proof in splits.json", markup=False, highlight=False)
