"""`maskstream segment`: a source to a run folder and its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.cli.progress import progress_bar
from maskstream.cli.resumable import interruptible, run_folder
from maskstream.inference.load import load_model
from maskstream.media.sources import open_source
from maskstream.pipeline import run
from maskstream.reports.run_report import write_run_report
from maskstream.reports.why_tracks import explain_tracks

RUNS = Path("runs") / "segment"


def segment(
    source: Annotated[str, typer.Argument(help="Image, folder, glob, video, or sample:lesions.")],
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: a new one in runs/segment]", show_default=False)
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a bundled model, or a model folder.")] = "lesions",
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least probability that there is an object.  [default: the model's own]"),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Segment each n-th frame only.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    why: Annotated[
        bool,
        typer.Option("--why", help="Map what the first tracks' percentages rest on; 50 to 120 runs of the model each."),
    ] = False,
) -> None:
    """Segment, track and measure; write overlay, detections.jsonl, tracks.csv, summary.json and report.html."""
    folder = run_folder(out, RUNS, source, resume=resume)
    console = Console(stderr=True)
    segmenter = load_model(model)
    with interruptible(folder, console):
        with progress_bar("segmenting", "fps", console) as on_frame:
            run(source, folder, segmenter, score=score, every=every, resume=resume, on_frame=on_frame)
        if why:
            with progress_bar("mapping", "tracks/s", console) as on_track, open_source(source) as frames:
                explain_tracks(folder, segmenter, frames, on_track)
    report = write_run_report(folder)
    console.print(f"report: {report}", highlight=False, soft_wrap=True, markup=False)
