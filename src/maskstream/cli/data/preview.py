"""`maskstream data preview`: what a model will see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich import print as show

from maskstream.cli.extras import require_extra
from maskstream.data.dataset import Dataset


def preview(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that ships, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="The dataset folder; it is not changed.")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many samples to show.")] = 16,
    seed: Annotated[int | None, typer.Option(min=0, help="Draw by this seed instead of the recipe's.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: augmentation.hair=1. Repeatable."),
    ] = None,
) -> None:
    """Draw training samples as the network gets them: augmented, with outlines, boxes and classes.

    They are the first ones of a run, as it draws them: balanced, with synthetic scenes and tiles where the recipe has
    them. Objects that are too small to be learned are left out.
    """
    require_extra("train", "torch", "lightning", "torchvision", "segmentation_models_pytorch")
    from maskstream.training.preview import write_preview
    from maskstream.training.recipe_file import load_recipe
    from maskstream.training.resolve import resolve

    changes = [*(change or ()), *([] if seed is None else [f"seed={seed}"])]
    loaded, dataset = load_recipe(recipe, changes), Dataset.load(data)
    write_preview(out, resolve(loaded, dataset), dataset, count)
    show(f"preview: {out}")
