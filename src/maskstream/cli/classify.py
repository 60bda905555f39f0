"""`maskstream classify`: a source to the classes of its images, averaged over a video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.class_pipeline import run_classification
from maskstream.cli.progress import progress_bar
from maskstream.cli.resumable import interruptible, run_folder
from maskstream.reports.class_report import write_class_report

RUNS = Path("runs") / "classify"


def classify(
    source: Annotated[str, typer.Argument(help="Image, folder, glob, video, or sample:lesions.")],
    model: Annotated[str, typer.Option(help="Folder of a model that classifies.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: a new one in runs/classify]", show_default=False)
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Classify each n-th frame only.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Name the class of each image, or of a video by its frames' mean; write a table, summary.json and report.html."""
    folder = run_folder(out, RUNS, source, resume=resume)
    console = Console(stderr=True)
    with interruptible(folder, console), progress_bar("classifying", "fps", console) as on_frame:
        run_classification(source, folder, model, every=every, resume=resume, on_frame=on_frame)
    report = write_class_report(folder)
    console.print(f"report: {report}", highlight=False, soft_wrap=True, markup=False)
