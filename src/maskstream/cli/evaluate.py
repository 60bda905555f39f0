"""`maskstream evaluate`: how good a model is on labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from maskstream import __version__
from maskstream.cli.progress import progress_bar
from maskstream.core.files import write_json, write_text
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.evaluation.answers import answers_of
from maskstream.evaluation.evaluate import evaluation_of
from maskstream.evaluation.judge import SCORE_FLOOR
from maskstream.evaluation.verdict import Metrics
from maskstream.inference.load import DeployedClassifier, load_any
from maskstream.inference.manifest import Manifest
from maskstream.media.sinks import write_csv
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import DataRecipe


def evaluate(
    model: Annotated[str, typer.Argument(help="Model folder, or name of a bundled model.")],
    data: Annotated[Path, typer.Option(help="Dataset folder.")],
    split: Annotated[str, typer.Option(help="Split of the dataset to judge on.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: runs/evaluate/MODEL-SPLIT]", show_default=False)
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which an object counts as found.  [default: the model's own]"),
    ] = None,
    floor: Annotated[
        float, typer.Option(min=0, max=1, help="Score down to which objects are ranked for AP.")
    ] = SCORE_FLOOR,
    positive: Annotated[
        str | None, typer.Option(help="Class whose percentage is judged.  [default: the model's calibrated class]")
    ] = None,
) -> None:
    """Judge a model on a split of a dataset and write metrics.json and predictions.json (a classifier: .csv)."""
    deployed = load_any(model)
    if isinstance(deployed, DeployedClassifier) and score is not None:
        raise typer.BadParameter("a classifier finds no objects that have a score", param_hint="--score")
    dataset = Dataset.load(data)
    data_sha256 = dataset.content_sha256()
    records = _records(deployed.manifest, dataset, data_sha256, split)
    evaluation = evaluation_of(
        answers_of(deployed), dataset, score_threshold=score, score_floor=floor, positive=positive
    )
    with progress_bar(f"judging {deployed.name}", "images/s") as on_progress:
        for done, record in enumerate(records, start=1):
            evaluation.add(record)
            on_progress(done, len(records))
    metrics = evaluation.metrics() | {
        **evaluation.answers.facts,
        "dataset": dataset.provenance.name,
        "dataset_sha256": data_sha256,
        "split": split,
        "maskstream": __version__,
    }
    folder = out or Path("runs") / "evaluate" / f"{deployed.name}-{split}"
    name, predictions = evaluation.predictions()
    write_text(folder / name, predictions)
    for table in evaluation.tables():
        write_csv(folder / f"{table.name}.csv", [dict(zip(table.columns, row)) for row in table.rows], table.columns)
    write_json(folder / "metrics.json", metrics)
    console = Console()
    console.print(_table(metrics))
    console.print(f"written to {folder}", style="dim", highlight=False, soft_wrap=True)


def _records(manifest: Manifest, dataset: Dataset, data_sha256: str, split: str) -> tuple[ImageRecord, ...]:
    """The images of a split: on the model's own dataset as its recipe divides it, where that names images."""
    data = manifest.training.recipe.get("data", {})
    names_images = isinstance(data, dict) and (data.get("test_images") or data.get("val_images"))
    if not names_images or data_sha256 != manifest.training.data_sha256:
        return dataset.records(split)
    return split_records(DataRecipe.model_validate(data), dataset).get(split) or dataset.records(split)


def _table(metrics: Metrics) -> Table:
    """Figures above, what they were made with below."""
    table = Table(
        title=f"{metrics['model']} {metrics['model_version']} on {metrics['dataset']}, split {metrics['split']}",
        caption=f"{metrics['evaluator']}, maskstream {metrics['maskstream']}",
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    conditions = {"jaccard_threshold", "decision_threshold", "score_threshold", "score_floor"}
    for key, value in metrics.items():
        if isinstance(value, float) and key not in conditions:
            table.add_row(key, f"{value:.4f}")
    table.add_section()
    for key, value in metrics.items():
        if key in conditions or isinstance(value, int) or key in ("undefined", "positive_class", "calibration"):
            table.add_row(key, f"{value}")
    return table
