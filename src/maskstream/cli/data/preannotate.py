"""`maskstream data preannotate`: a model's first guess at the labels, for a person to correct."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.cli.progress import progress_bar
from maskstream.cli.resumable import EXIT_INTERRUPTED
from maskstream.data.preannotate import Preannotated
from maskstream.data.preannotate import preannotate as preannotate_folder
from maskstream.inference.load import load_model

SHOWN = 10


def preannotate(
    folder: Annotated[Path, typer.Argument(help="Folder of images; a labelme JSON appears beside each.")],
    model: Annotated[str, typer.Option(help="Name of a bundled model, or a model folder.")] = "lesions",
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least probability that there is an object.  [default: the model's own]"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that a model wrote and nobody changed; never others.")
    ] = False,
) -> None:
    """Write what a model finds as labelme JSON: outlines, class, score and where they come from.

    Files that are there stay, so the command goes on where it was stopped, and never touches a person's work.
    """
    segmenter = load_model(model)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with progress_bar("labelling", "images/s", console) as on_progress:
        try:
            done = preannotate_folder(
                folder,
                segmenter,
                version=segmenter.manifest.version,
                sha256=segmenter.sha256,
                score=score,
                overwrite=overwrite,
                on_progress=on_progress,
            )
        except KeyboardInterrupt:
            console.print("stopped; what is finished is kept, and the same command goes on")
            raise typer.Exit(EXIT_INTERRUPTED) from None
    _tell(done, console)
    console.print(f"correct them with: maskstream annotate {folder}", markup=False)


def _tell(done: Preannotated, console: Console) -> None:
    console.print(f"{done.written} files written with {done.objects} objects; {done.done} were there already")
    if done.kept:
        console.print(f"{done.kept} kept, which a person or another program wrote or changed")
    for finding in done.findings[:SHOWN]:
        console.print(f"{finding.severity}: {finding}", markup=False)
    if len(done.findings) > SHOWN:
        console.print(f"and {len(done.findings) - SHOWN} more that could not be read")
