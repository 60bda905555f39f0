"""`maskstream evaluate`: how good a model is on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from maskstream import __version__
from maskstream.core.files import write_json, write_text
from maskstream.data.dataset import Dataset
from maskstream.evaluation.judge import SCORE_FLOOR, Judge, Metrics
from maskstream.evaluation.split import coco_results, match_classes, segment_records
from maskstream.inference.load import load_model


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
    """Judge a model on a split of a dataset and write metrics.json and predictions.json."""
    segmenter = load_model(model)
    dataset = Dataset.load(data)
    records = dataset.records(split)
    class_ids = match_classes(dataset, segmenter.classes)
    threshold = segmenter.score_threshold if score is None else score
    verdict = Judge(segmenter.classes, threshold, calibration=segmenter.calibration, positive=positive)
    with _progress() as progress:
        pairs = segment_records(records, segmenter, class_ids, min(floor, threshold))
        for truth, found in progress.track(pairs, total=len(records), description=f"judging {segmenter.name}"):
            verdict.add(truth, found)
    metrics = verdict.metrics() | {
        "score_floor": min(floor, threshold),
        "model": segmenter.name,
        "model_version": segmenter.manifest.version,
        "model_sha256": segmenter.sha256,
        "dataset": dataset.provenance.name,
        "dataset_sha256": dataset.content_sha256(),
        "split": split,
        "maskstream": __version__,
    }
    folder = out or Path("runs") / "evaluate" / f"{segmenter.name}-{split}"
    predictions = coco_results(verdict.results, dataset, segmenter.classes)
    write_text(folder / "predictions.json", json.dumps(predictions, allow_nan=False) + "\n")
    write_json(folder / "metrics.json", metrics)
    console = Console()
    console.print(_table(metrics))
    console.print(f"written to {folder}", style="dim", highlight=False, soft_wrap=True)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("elapsed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


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
