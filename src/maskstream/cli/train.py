"""`maskstream train`: a recipe and a dataset to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import print as show
from rich.table import Table

from maskstream.cli.extras import require_extra
from maskstream.cli.progress import progress_bars
from maskstream.cli.resumable import EXIT_INTERRUPTED
from maskstream.data.dataset import Dataset
from maskstream.errors import OutputError

if TYPE_CHECKING:
    from maskstream.training.recipe import Recipe

EXIT_BAD_INPUT = 2


def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe that ships, or a YAML file.")],
    data: Annotated[Path | None, typer.Option(help="The dataset folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder to write.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change the recipe: stages.0.epochs=5. Repeatable."),
    ] = None,
    initial_weights: Annotated[
        str | None, typer.Option(help="Start from these weights instead of what the recipe names.")
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="Run this stage alone, from where the one before it has ended in --out.")
    ] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Train once a fold of the dataset, and sum up.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes that share each batch.")] = 1,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Shrink input, images and steps: does everything fit together?")
    ] = False,
    print_recipe: Annotated[bool, typer.Option("--print", help="Show the resolved recipe and leave.")] = False,
) -> None:
    """Train a model; checkpoints, tables, curves and a page lie in the run folder."""
    require_extra("train", "torch", "lightning", "torchvision", "segmentation_models_pytorch")
    from maskstream.training import smoke as smoke_run
    from maskstream.training.recipe_file import dump_recipe, load_recipe

    changes = [*(change or ()), *(() if initial_weights is None else [f"initial_weights={initial_weights}"])]
    loaded = load_recipe(recipe, changes)
    loaded = smoke_run.smoke(loaded) if smoke else loaded
    if print_recipe and data is None:
        print(dump_recipe(loaded), end="")
        return
    if data is None or (out is None and not print_recipe):
        raise OutputError(
            "--data, --out",
            expected="a dataset to learn from and a run folder to write",
            found="none",
            remedy="name both, or --print the recipe",
        )
    from maskstream.training import folds, preflight
    from maskstream.training.devices import Devices, require_devices
    from maskstream.training.loop import train as run_training
    from maskstream.training.resolve import resolve
    from maskstream.training.run_state import require_new
    from maskstream.training.stopping import Stopped
    from maskstream.training.together import OtherFailed

    dataset = Dataset.load(data)
    if print_recipe or out is None:
        print(dump_recipe(resolve(loaded, dataset)), end="")
        return
    where = Devices(device, devices)
    is_first = preflight.is_first_process()
    if is_first and not resume:
        # what is told at once goes before what reads every image
        require_devices(where)
        if not cross_validate:
            resolve(loaded, dataset)
            if stage is None:
                require_new(out)
        with progress_bars("images/s") as bar:
            preflight.require_sound(data, bar)

    def run(recipe: Recipe, dataset: Dataset, folder: Path, resume: bool) -> Path:
        return run_training(resolve(recipe, dataset), dataset, folder, resume=resume, stage=stage, devices=where)

    try:
        if cross_validate:
            result = folds.cross_validate(loaded, dataset, out, run)
            if is_first:
                show(_table(result))
        else:
            best = run(loaded, dataset, out, resume)
            if is_first:
                print(f"best checkpoint: {best}")
    except Stopped as stopped:
        if is_first:
            print(stopped)
        raise typer.Exit(EXIT_INTERRUPTED if is_first else 0) from None
    except OtherFailed:
        raise typer.Exit(EXIT_BAD_INPUT if is_first else 0) from None


def _table(result: dict[str, Any]) -> Table:
    """Mean and interval of each figure over the folds."""
    table = Table(
        "figure", "mean", "95 % interval", *result["folds"], title=f"{result['recipe']}, {len(result['folds'])} folds"
    )
    for name, figure in result["metrics"].items():
        low, high = figure["interval_95"]
        values = (f"{value:.3f}" for value in figure["folds"])
        table.add_row(name, f"{figure['mean']:.3f}", f"{low:.3f} to {high:.3f}", *values)
    return table
