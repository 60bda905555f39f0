"""`maskstream data import`: labels of any known format into a dataset folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.cli.data.count_table import count_table
from maskstream.cli.progress import progress_bars
from maskstream.data.formats.format import BoxShape, ReadOptions
from maskstream.data.formats.known_formats import FORMATS
from maskstream.data.importing import AUTO, import_dataset
from maskstream.errors import DatasetError

_READABLE = "\n\n".join(f"[bold]{name}[/bold]  {entry.about}" for name, entry in FORMATS.items() if entry.read)


def import_(
    source: Annotated[
        str, typer.Argument(help="Folder, annotation file, zip, https address or kaggle:owner/name; never changed.")
    ],
    out: Annotated[Path, typer.Option(help="Dataset folder to make; must be new or empty.")],
    format_name: Annotated[
        str, typer.Option("--format", metavar="NAME", help="auto: recognised, and said. Else the name of a format.")
    ] = AUTO,
    classes: Annotated[
        str, typer.Option(metavar="A,B", help="Keep only these classes; names them where the format has only numbers.")
    ] = "",
    images: Annotated[Path | None, typer.Option(help="Folder of the images, where they lie elsewhere.")] = None,
    masks: Annotated[
        str | None, typer.Option(metavar="PATTERN", help='Where masks lie, such as "masks/{stem}_mask.png".')
    ] = None,
    mask_kind: Annotated[
        str | None, typer.Option(help="binary, index, class-colour or instance-colour.  [default: recognised]")
    ] = None,
    split_parts: Annotated[
        bool, typer.Option("--split-parts", help="Each connected part of a mask becomes an object of its own.")
    ] = False,
    colour: Annotated[
        list[str] | None, typer.Option(metavar="R,G,B=NAME", help="Class of a mask colour; may be repeated.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of a CSV file, or attribute of VIA, that holds the class.")
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Column that holds what must not be torn across splits, such as a patient.")
    ] = None,
    box_shape: Annotated[
        BoxShape, typer.Option(help="How boxes become masks where labels are only boxes.")
    ] = BoxShape.RECTANGLE,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Download from this machine and private networks too.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the dataset.  [default: the source's]")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the data, where the format does not know it.")] = None,
) -> None:
    """Import labelled images into a dataset folder: COCO JSON, images, splits and provenance."""
    with progress_bars("images/s") as bar:
        options = ReadOptions(
            classes=tuple(part.strip() for part in classes.split(",") if part.strip()),
            images=images,
            masks=masks,
            mask_kind=mask_kind,
            split_parts=split_parts,
            colours=dict(map(_colour, colour or [])),
            label_column=label_column,
            group_column=group_column,
            box_shape=box_shape,
            on_progress=bar("reading"),
        )
        imported = import_dataset(
            source,
            out,
            format_name,
            options,
            name=name,
            licence=licence,
            allow_private=allow_private,
            on_fetch=bar("fetching"),
            on_copy=bar("copying"),
        )
    console = Console(soft_wrap=True)
    if imported.recognised:
        console.print(f"recognised {imported.format}: {imported.recognised}", markup=False, highlight=False)
    console.print(count_table(imported.dataset))
    findings = imported.dataset.provenance.findings
    for finding in findings[:10]:
        console.print(f"{finding.severity}: {finding}", markup=False, highlight=False)
    if len(findings) > 10:
        console.print(f"and {len(findings) - 10} more; all are in {out / 'dataset.json'}", markup=False)


import_.__doc__ = f"{import_.__doc__}\n\nFormats:\n\n{_READABLE}"


def _colour(text: str) -> tuple[tuple[int, int, int], str]:
    match = re.fullmatch(r"(\d{1,3}),(\d{1,3}),(\d{1,3})=(.+)", text)
    if match is None or max(map(int, match.groups()[:3])) > 255:
        raise DatasetError(
            "--colour",
            expected="R,G,B=NAME with numbers up to 255",
            found=repr(text),
            remedy="such as 255,0,0=tumour",
        )
    red, green, blue, name = match.groups()
    return (int(red), int(green), int(blue)), name
