"""Weights and resume state on disk: safetensors with a JSON header, no pickle.

A run folder holds `best.safetensors` and `last.safetensors` (averaged weights, ready for export) and
`resume.safetensors` (weights in training, their average, the optimiser's moments, and the counters as metadata):
one file, so that a kill never leaves half of a state.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models import get_weight

from maskstream.core.files import whole_file
from maskstream.errors import CheckpointError
from maskstream.media.download import is_offline
from maskstream.training.models import MaskRcnn
from maskstream.training.recipe import Recipe

TORCHVISION_PREFIX = "torchvision:"


def save_weights(path: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write tensors, and facts about them as JSON in the file's metadata; whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with whole_file(path) as temporary:
        save_file(plain, temporary, metadata={"facts": json.dumps(facts)})


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


def load_into(module: nn.Module, weights: dict[str, Tensor], place: object) -> None:
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


def load_initial(model: MaskRcnn, initial_weights: str) -> None:
    """Start a model from a checkpoint of this architecture, or its backbone from ImageNet weights.

    Parameters
    ----------
    initial_weights : a checkpoint of `maskstream train`; a safetensors file in torchvision's `mobilenet_v2` layout;
        or `torchvision:NAME`, which torchvision downloads.

    Raises
    ------
    CheckpointError : it is missing or broken, or its tensors do not fit.
    """
    facts: dict[str, Any]
    if initial_weights.startswith(TORCHVISION_PREFIX):
        weights, facts = _from_torchvision(initial_weights.removeprefix(TORCHVISION_PREFIX)), {}
    else:
        weights, facts = load_weights(Path(initial_weights))
    if "recipe" in facts:
        load_into(model, weights, initial_weights)
        return
    own = model.backbone.state_dict()
    taken = {name.removeprefix("features."): value for name, value in weights.items() if name.startswith("features.")}
    load_into(model.backbone, {name: value for name, value in taken.items() if name in own}, initial_weights)


def _from_torchvision(name: str) -> dict[str, Tensor]:
    if is_offline():
        raise CheckpointError(
            name,
            expected="weights on this machine",
            found="MASKSTREAM_OFFLINE=1, which forbids their download",
            remedy="name a safetensors file as initial_weights, or unset MASKSTREAM_OFFLINE",
        )
    try:
        return dict(get_weight(name).get_state_dict(progress=True, check_hash=True))
    except (ValueError, OSError, RuntimeError) as error:
        raise CheckpointError(
            name, expected="torchvision weights", found=str(error), remedy="check the name and the connection"
        ) from error


def resume_tensors(model: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Everything a run needs to go on, as named tensors."""
    moments = {
        f"optimiser.{index}.{name}": value
        for index, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }
    return (
        {f"model.{name}": value for name, value in model.state_dict().items()}
        | {f"average.{name}": value for name, value in average.items()}
        | moments
    )


def restore(
    tensors: dict[str, Tensor],
    model: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    place: Path,
) -> None:
    """Undo `resume_tensors`."""
    load_into(model, _under("model.", tensors), place)
    for name, value in _under("average.", tensors).items():
        average[name].copy_(value)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _under("optimiser.", tensors).items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def recipe_of(facts: dict[str, Any], place: Path) -> Recipe:
    """The recipe that stands in a checkpoint's metadata."""
    if "recipe" not in facts:
        raise CheckpointError(
            place, expected="a recipe in the metadata", found="none", remedy="use a checkpoint of `maskstream train`"
        )
    return Recipe.model_validate(facts["recipe"])
