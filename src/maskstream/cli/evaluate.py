"""`maskstream evaluate`: how good a model's answers are on labelled images, or anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from maskstream.cli.new_folder import new_folder
from maskstream.cli.progress import progress_bars
from maskstream.evaluation.failures.worst import WORST
from maskstream.evaluation.predictions.open import is_predictions
from maskstream.evaluation.predictions.results import name_of
from maskstream.evaluation.resampling import RESAMPLES
from maskstream.evaluation.verdict import Metrics
from maskstream.evaluation_run import evaluate as run_evaluation
from maskstream.evaluation_target import EvaluationSettings
from maskstream.reports.evaluation_page import PAGE

RUNS = Path("runs") / "evaluate"

_HEADLINE = (
    *("AP", "AP50", "AP75", "box_AP50", "precision", "recall", "f1"),
    *("accuracy", "balanced_accuracy", "auc", "pr_auc", "sensitivity", "specificity"),
    *("mean_jaccard", "thresholded_jaccard", "mean_dice", "pooled_jaccard", "pooled_dice", "share_below_065"),
    *("mean_pixel_accuracy", "mean_boundary_f", "ece", "brier", "log_loss"),
    *("J", "F", "JF", "HOTA", "MOTA", "IDF1", "frame_class_accuracy", "track_class_accuracy", "tracking_gain"),
)
"""Figures that the terminal shows, in this order."""

_CONDITIONS = (
    *("n_pictures", "n_groups", "n_objects", "n_videos", "n_without_answer", "positive_class", "calibration"),
    *("score_threshold", "score_floor", "classes"),
)
"""What it says of how they were made."""


class Task(StrEnum):
    """What predictions from a file are judged as."""

    INSTANCE = "instance"
    SEMANTIC = "semantic"


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL_OR_PREDICTIONS",
            help="Model folder or name of a bundled model; or predictions: COCO results (.json), class probabilities "
            "(.csv), a folder of masks; or `classical`, Otsu's threshold.",
            show_default=False,
        ),
    ],
    data: Annotated[Path, typer.Option(help="Dataset folder.")],
    split: Annotated[str, typer.Option(help="Split of the dataset to judge on.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: a new one in runs/evaluate]", show_default=False)
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Score from which an object counts as found.  [default: the model's own; of predictions 0.5]",
        ),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Score down to which objects are ranked for AP.  [default: 0.05; of predictions 0]"
        ),
    ] = None,
    max_detections: Annotated[
        int | None,
        typer.Option(min=1, help="Best objects of a class in an image that count in AP.  [default: 100; tiled 1000]"),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="Class whose percentage is judged.  [default: the model's calibrated class]")
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(help="Of predictions: judge objects or pixels.  [default: objects; of masks pixels]"),
    ] = None,
    ignore_classes: Annotated[
        bool, typer.Option("--ignore-classes", help="Of predictions: count all classes as one.")
    ] = False,
    intervals: Annotated[bool, typer.Option("--intervals/--no-intervals", help="Say how far figures are in doubt.")] = (
        True
    ),
    resamples: Annotated[int, typer.Option(min=100, help="Draws behind each interval.")] = RESAMPLES,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn by chance.")] = 0,
    worst: Annotated[int, typer.Option(min=0, help="Pictures of the worst images.")] = WORST,
    why: Annotated[int, typer.Option(min=0, help="Maps of what percentages of the worst images rest on.")] = 3,
    slices: Annotated[bool, typer.Option("--slices/--no-slices", help="Judge the images of each kind apart.")] = True,
    robustness: Annotated[
        int, typer.Option(min=0, metavar="IMAGES", help="Judge so many images again, made worse in many ways.")
    ] = 0,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Draw the curves at print resolution.")
    ] = True,
    video: Annotated[
        bool | None,
        typer.Option("--video/--no-video", help="Images are frames of videos.  [default: where the dataset says so]"),
    ] = None,
) -> None:
    """Judge a model, or anybody's predictions, on a split of a dataset: metrics.json, tables, pictures, report.html."""
    settings = EvaluationSettings(
        score=score,
        floor=floor,
        max_detections=max_detections,
        positive=positive,
        task=task.value if task else None,
        ignore_classes=ignore_classes,
        resamples=resamples if intervals else 0,
        seed=seed,
        worst=worst,
        why=why,
        slices=slices,
        robustness=robustness,
        figures=figures,
        video=video,
    )
    folder = out or new_folder(RUNS, f"{_name(target)}-{split}".replace(".", "-"))
    with progress_bars("steps/s") as bars:
        metrics = run_evaluation(target, data, folder, split=split, settings=settings, bars=bars)
    console = Console()
    console.print(_table(metrics))
    for note in _notes(metrics):
        console.print(note, highlight=False, soft_wrap=True, markup=False)
    console.print(f"report: {folder / PAGE}", style="dim", highlight=False, soft_wrap=True, markup=False)


def _name(target: str) -> str:
    return name_of(Path(target)) if is_predictions(target) else Path(target).name


def _notes(metrics: Metrics) -> Iterator[str]:
    """What to mind when reading the table, in sentences."""
    if metrics["n_without_answer"]:
        share = f"{metrics['n_without_answer']} of {metrics['n_pictures']} images"
        yield f"{share} have no answer in {metrics['predictions']}: nothing counts as found in them"
    if metrics.get("interval_warning", "none") != "none":
        yield f"intervals: {metrics['interval_warning']}"
    if metrics["undefined"] != "none":
        yield f"not defined by these images: {metrics['undefined']}"


def _table(metrics: Metrics) -> Table:
    """The headline figures with their intervals, then what they were made with; the rest is in the files."""
    version = f" {metrics['model_version']}" if "model_version" in metrics else ""
    table = Table(
        title=escape(f"{metrics['model']}{version} on {metrics['dataset']}, split {metrics['split']}"),
        caption=", ".join(dict.fromkeys([str(metrics["evaluator"]), f"maskstream {metrics['maskstream']}"])),
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    for key in (key for key in _HEADLINE if key in metrics):
        low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
        interval = "" if low is None else f"{low:.4f} .. {high:.4f}"
        table.add_row(escape(key), f"{metrics[key]:.4f}", interval)
    table.add_section()
    for key in (key for key in _CONDITIONS if key in metrics):
        table.add_row(key, escape(str(metrics[key])), "")
    return table
