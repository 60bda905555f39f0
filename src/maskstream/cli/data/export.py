"""`maskstream data export`: a dataset into any known format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.data.dataset import Dataset
from maskstream.data.exporting import export_dataset
from maskstream.data.formats.format import MaskEncoding, WriteOptions
from maskstream.data.formats.known_formats import FORMATS
from maskstream.errors import DatasetError

_WRITABLE = "\n\n".join(f"[bold]{name}[/bold]  {entry.about}" for name, entry in FORMATS.items() if entry.write)


def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    format_name: Annotated[str, typer.Option("--format", metavar="NAME", help="Name of a format.")],
    out: Annotated[Path, typer.Option(help="Folder to make; must be new or empty.")],
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    by_split: Annotated[bool, typer.Option("--by-split", help="A folder of each split: train/, test/, ...")] = False,
    link: Annotated[bool, typer.Option("--link", help="Link to the dataset's images instead of copying them.")] = False,
    mask_kind: Annotated[
        str, typer.Option(help="Of mask folders: binary, index, class-colour or instance-colour.")
    ] = "index",
    mask_encoding: Annotated[
        MaskEncoding, typer.Option(help="Of COCO: masks as the dataset has them, or all as runs or polygons.")
    ] = MaskEncoding.AS_IS,
) -> None:
    """Write a dataset in another format; says what that format cannot hold."""
    loaded = Dataset.load(dataset)
    options = WriteOptions(link=link, mask_kind=mask_kind, mask_encoding=mask_encoding)
    if split is not None:
        loaded = loaded.with_images(loaded.records(split))
    if by_split and not loaded.splits:
        raise DatasetError(
            dataset, expected="splits", found="none", remedy=f"make them with: maskstream data split {dataset}"
        )
    splits = tuple(loaded.splits) if by_split else ()
    findings = export_dataset(loaded, out, format_name, options, splits=splits)
    console = Console(soft_wrap=True)
    console.print(f"{len(loaded.images)} images as {format_name} in {out}", markup=False, highlight=False)
    for finding in findings:
        console.print(f"{finding.severity}: {finding}", markup=False, highlight=False)


export.__doc__ = f"{export.__doc__}\n\nFormats:\n\n{_WRITABLE}"
