"""`maskstream data stats`: a dataset in numbers and pictures, as a page and as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from maskstream.cli.new_folder import new_folder
from maskstream.cli.progress import progress_bar
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.statistics.collect import COLOUR_IMAGES, DatasetStatistics
from maskstream.reports.class_rows import ClassRow, class_rows, class_total
from maskstream.reports.dataset_report import PAGE, describe

RUNS = Path("runs") / "stats"


def stats(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder; it is not changed.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to make; must be new or empty.  [default: a new one in runs/stats]", show_default=False
        ),
    ] = None,
    colour_images: Annotated[
        int, typer.Option(min=0, help="Images to read for colours at most, chosen by chance; 0 for none.")
    ] = COLOUR_IMAGES,
    no_colour: Annotated[bool, typer.Option("--no-colour", help="The same as --colour-images 0.")] = False,
) -> None:
    """Count classes, sizes, positions and colours; write report.html, classes.csv, images.csv and objects.csv.

    Entries of the dataset's files that are broken are left out, and said.
    """
    faults: list[Finding] = []
    loaded = Dataset.load(dataset, faults.append)
    folder = out or new_folder(RUNS, dataset.resolve().name)
    with progress_bar("reading", "images/s") as on_progress:
        statistics = describe(
            loaded, folder, colour_images=0 if no_colour else colour_images, loading=faults, on_progress=on_progress
        )
    console = Console(soft_wrap=True)
    console.print(_class_table(statistics, title=loaded.provenance.name))
    for fault in faults[:10]:
        console.print(f"left out: {fault}", markup=False, highlight=False)
    if len(faults) > 10:
        console.print(f"and {len(faults) - 10} more; maskstream data check {dataset} tells all", markup=False)
    console.print(f"page: {folder / PAGE}", markup=False, highlight=False)


def _class_table(statistics: DatasetStatistics, title: str) -> Table:
    """A row a class, most frequent first: images, objects and, where there are any, crowds and labelled images."""
    rows, total = class_rows(statistics), class_total(statistics)

    def cells(row: ClassRow) -> list[str]:
        optional = [(row.crowds, total.crowds), (row.labelled, total.labelled)]
        return [row.name, *map(str, (row.images, row.objects, *(count for count, there in optional if there)))]

    optional_titles = [("crowds", total.crowds), ("labelled as a whole", total.labelled)]
    table = Table(title=title)
    table.add_column("class")
    for name in ("images", "objects", *(name for name, there in optional_titles if there)):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*cells(row), end_section=row is rows[-1])
    table.add_row(*cells(total))
    return table
