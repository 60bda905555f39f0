"""`maskstream models`: what a model is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskstream.cli.extras import require_extra
from maskstream.inference.load import bundled_models, model_folder
from maskstream.inference.manifest import MANIFEST
from maskstream.inference.model_text import deployed_text

app = typer.Typer(no_args_is_help=True)


@app.callback()
def models() -> None:
    """Models: show what one is made of."""


@app.command()
def show(
    model: Annotated[
        str,
        typer.Argument(
            help="A bundled model's name or a model folder; a recipe's name or file, a run folder or a checkpoint."
        ),
    ],
    recipe: Annotated[
        bool, typer.Option("--recipe", help="The recipe of this name, where a bundled model has the name as well.")
    ] = False,
    depth: Annotated[int, typer.Option(min=0, help="Levels of layers that get a line of their own.")] = 3,
    stage: Annotated[
        str | None, typer.Option(help="Stage whose trainable parameters are told; the last one unless named.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="How many, for a recipe that leaves them to the dataset.")
    ] = None,
) -> None:
    """Print a model as text.

    Of a recipe, a run or a checkpoint: layers, what each gives (behind the axis of images or boxes), parameters in all
    and trainable, size in MB. Of a deployed model: classes, preprocessing, settings, calibration, graphs.
    """
    is_bundled = model in bundled_models() and not recipe
    if is_bundled or (Path(model) / MANIFEST).is_file():
        print(deployed_text(model_folder(model)))
        return
    require_extra("train", "torch", "lightning", "torchvision", "segmentation_models_pytorch")
    from maskstream.training.model_text import find_recipe, model_text

    found, checkpoint = find_recipe(model)
    print(model_text(found, depth=depth, stage=stage, classes=classes, checkpoint=checkpoint))
