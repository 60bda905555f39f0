"""Weights and resume state on disk: safetensors with a JSON header, no pickle.

A run folder holds `best.safetensors` and `last.safetensors` (averaged weights, ready for export) and
`resume.safetensors` (weights in training, their average, the optimiser's moments, and the counters as metadata):
one file, so that a kill never leaves half of a state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from maskstream.core.files import whole_file
from maskstream.errors import CheckpointError, OutputError
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import parse_recipe

BEST, LAST, RESUME = "best.safetensors", "last.safetensors", "resume.safetensors"


def save_weights(path: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors, and facts about them as JSON in the file's metadata; whole or not at all.

    Raises
    ------
    OutputError : the disk is full or the folder cannot be written; what stood at `path` is still there.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with whole_file(path) as temporary:
        try:
            save_file(plain, temporary, metadata={"facts": json.dumps(facts)})
        except SafetensorError as error:  # what its own code says of a full disk
            raise OutputError(
                path,
                expected="a place with room for a checkpoint",
                found=str(error),
                remedy="free space and go on with --resume; the last checkpoint is kept",
            ) from error


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_weights` wrote.

    Raises
    ------
    CheckpointError : the file is missing, cut short or no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
        return load_file(path), facts
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            path, expected="a whole safetensors file", found=str(error), remedy="check the path or train again"
        ) from error


def load_into(module: nn.Module, weights: Mapping[str, Tensor], place: object) -> None:
    """Fill a module with weights that must fit it exactly.

    Raises
    ------
    CheckpointError : naming the first tensors that are missing, left over or of another shape.
    """
    own = module.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{name} is left over" for name in weights if name not in own]
    wrong += [
        f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if wrong:
        raise CheckpointError(
            place,
            expected=f"{len(own)} tensors of this model",
            found="; ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""),
            remedy="use weights of the same architecture and classes",
        )
    module.load_state_dict(weights)


def resume_tensors(
    model: nn.Module, average: Mapping[str, Tensor], optimiser: torch.optim.Optimizer | None
) -> dict[str, Tensor]:
    """Everything a run needs to go on, as named tensors."""
    moments = optimiser.state_dict()["state"] if optimiser else {}
    return (
        {f"model.{name}": value for name, value in model.state_dict().items()}
        | {f"average.{name}": value for name, value in average.items()}
        | {f"optimiser.{index}.{name}": value for index, state in moments.items() for name, value in state.items()}
    )


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the moments among `resume_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in under("optimiser.", tensors).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def recipe_of(facts: Mapping[str, Any], place: Path) -> Recipe:
    """The recipe that stands in a checkpoint's metadata.

    Raises
    ------
    CheckpointError : there is none.
    RecipeError : it is none of this version's.
    """
    if "recipe" not in facts:
        raise CheckpointError(
            place, expected="a recipe in the metadata", found="none", remedy="use a checkpoint of `maskstream train`"
        )
    return parse_recipe(facts["recipe"], place)
