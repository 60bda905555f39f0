"""`maskstream compare`: several models on the same images, with what their differences are worth."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maskstream import __version__
from maskstream.cli.new_folder import new_folder
from maskstream.cli.progress import progress_bars
from maskstream.core.files import write_json
from maskstream.core.parallel import available_cores
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.comparing.comparison import MEMORY_IMAGES, SPEED_IMAGES, Comparison, spread
from maskstream.evaluation.comparing.comparison import compare as compare_models
from maskstream.evaluation.comparing.comparison_files import comparison_json, comparison_tables
from maskstream.evaluation.comparing.contestants import contestants
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.open import is_predictions
from maskstream.evaluation.resampling import RESAMPLES
from maskstream.inference.classical import NAME
from maskstream.inference.load import model_folder
from maskstream.inference.manifest import read_manifest
from maskstream.media.sinks import write_csv
from maskstream.reports.compare_page import write_compare_page
from maskstream.reports.compare_words import main_figures
from maskstream.reports.figure_words import short_name
from maskstream.training.image_splits import split_of_recipe

RUNS = Path("runs") / "compare"


def compare(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [C ...]",
            help="Two or more: model folders, names of bundled models, predictions (COCO results .json, class "
            "probabilities .csv, a folder of masks), `classical` for Otsu's threshold.",
            show_default=False,
        ),
    ],
    data: Annotated[Path, typer.Option(help="Dataset folder.")],
    split: Annotated[str, typer.Option(help="Split of the dataset to judge on.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: a new one in runs/compare]", show_default=False)
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="The one that the others are compared with, as it was named.  [default: the first]"),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="Class whose percentage is judged.  [default: the calibrated class]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Judge so many images only, evenly spread over the split.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Draws behind each interval.")] = RESAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
    cost: Annotated[bool, typer.Option("--cost/--no-cost", help="Measure speed and memory.")] = True,
) -> None:
    """Judge models on the same images and write compare.json, compare.csv, differences.csv and report.html."""
    dataset = Dataset.load(data)
    data_sha256 = dataset.content_sha256()
    records = _records(models, dataset, data_sha256, split)
    taking_part = contestants(models, Asked.of(dataset, records, split))
    judged = records if limit is None else spread(records, limit)
    with progress_bars("steps/s") as bars:
        comparison = compare_models(
            taking_part,
            dataset,
            judged,
            baseline=baseline,
            positive=positive,
            resamples=resamples,
            seed=seed,
            with_cost=cost,
            bars=bars,
        )
    folder = out or new_folder(RUNS, f"{dataset.folder.resolve().name}-{split}")
    about: dict[str, Any] = {
        "maskstream": __version__,
        "dataset": dataset.provenance.name,
        "dataset_sha256": data_sha256,
        "split": split,
        "n_in_split": len(records),
    }
    if cost:
        about["machine"] = {
            "system": platform.platform(),
            "cores": available_cores(),
            "speed_images": min(SPEED_IMAGES, len(judged)),
            "memory_images": min(MEMORY_IMAGES, len(judged)),
        }
    for table in comparison_tables(comparison):
        write_csv(folder / f"{table.name}.csv", [dict(zip(table.columns, row)) for row in table.rows], table.columns)
    write_json(folder / "compare.json", about | comparison_json(comparison))
    page = write_compare_page(folder)
    console = Console()
    console.print(_table(comparison, f"{dataset.provenance.name}, split {split}, {len(judged)} images"))
    console.print(f"report: {page}", style="dim", highlight=False, soft_wrap=True, markup=False)


def _records(models: Sequence[str], dataset: Dataset, data_sha256: str, split: str) -> tuple[ImageRecord, ...]:
    """The images of a split, as the recipes of those who learned from this dataset divide it.

    Raises
    ------
    DatasetError : no such split, or two of them divide the dataset differently: one may have learned from the images
        that the other is judged on.
    """
    divided: dict[frozenset[ImageRecord], list[str]] = {}
    records: tuple[ImageRecord, ...] = ()
    for model in models:
        if model == NAME or is_predictions(model):
            continue
        training = read_manifest(model_folder(model)).training
        if training.data_sha256 == data_sha256:
            records = split_of_recipe(training.recipe, dataset, split)
            divided.setdefault(frozenset(records), []).append(model)
    if len(divided) > 1:
        raise DatasetError(
            f"{dataset.folder}: split {split}",
            expected="the same images for every model that learned from this dataset",
            found="; ".join(f"{len(images)} images for {', '.join(who)}" for images, who in divided.items()),
            remedy="compare models of recipes that divide it alike",
        )
    return records or dataset.records(split)


def _table(comparison: Comparison, title: str) -> Table:
    """Main figures with their intervals; all others stand in the files."""
    table = Table(title=title, caption="in brackets: 95 % bootstrap interval by group")
    figures = main_figures(comparison.figures)
    table.add_column("model")
    for key in figures:
        table.add_column(short_name(key), justify="right")
    for row in comparison.rows:
        cells = []
        for key in figures:
            value, interval = row.figures.get(key), row.intervals.get(key)
            bounds = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
            cells.append("" if value is None else f"{value:.3f}{bounds}")
        table.add_row(escape(row.contestant.name), *cells)
    return table
