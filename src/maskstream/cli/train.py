"""`maskstream train`: a recipe and a dataset to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import print as show

from maskstream.cli.extras import require_extra
from maskstream.data.dataset import Dataset


def train(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file.")],
    data: Annotated[Path, typer.Option(help="The dataset folder.")],
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    initial_weights: Annotated[
        str | None, typer.Option(help="Start from this safetensors file instead of what the recipe names.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Train for this many epochs instead of the recipe's.")] = None,
) -> None:
    """Train a model; the best and the last checkpoint lie in the run folder."""
    require_extra("train", "torch", "lightning", "torchvision")
    from maskstream.training.loop import train as run_training
    from maskstream.training.recipe import load_recipe

    changes = {"initial_weights": initial_weights, "epochs": epochs}
    resolved = load_recipe(recipe).model_copy(
        update={key: value for key, value in changes.items() if value is not None}
    )
    best = run_training(resolved, Dataset.load(data), out, resume=resume)
    show(f"best checkpoint: {best}")
