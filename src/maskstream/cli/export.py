"""`maskstream export`: a checkpoint to a model folder that runs without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from maskstream.cli.extras import require_extra
from maskstream.data.dataset import Dataset


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Run folder of `maskstream train`, or one of its checkpoints.")],
    data: Annotated[Path, typer.Option(help="Dataset folder of the training run.")],
    out: Annotated[Path, typer.Option(help="Model folder to make; must be new or empty.")],
    about: Annotated[
        Path | None, typer.Option(help="TOML file with version, intended_use, limits and weights_licence.")
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Average over the image and its mirror image: steadier, at twice the time.")
    ] = False,
    score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Score from which an object counts as found.  [default: of instances the best on val]"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split whose figures go into the model card.")] = "test",
) -> None:
    """Export a model to ONNX, hold it against PyTorch, calibrate it on val and judge it."""
    require_extra("train", "torch", "torchvision", "lightning", "onnx", "onnxscript")
    from maskstream.export.about import About, load_about
    from maskstream.export.model_folder import export_checkpoint
    from maskstream.export.trained import load_checkpoint

    words = load_about(about) if about else About()
    console = Console(stderr=True)
    manifest, parity = export_checkpoint(
        load_checkpoint(checkpoint),
        Dataset.load(data),
        words,
        out,
        mirror=mirror,
        score_threshold=score,
        judged_split=split,
        tell=console.print,
    )
    print(f"parity with PyTorch on {parity}")
    print(f"wrote {manifest.name} {manifest.version} to {out}")
