"""Initial weights: from a run, from a whole model or from a backbone, in this project's or torchvision's layout.

    a checkpoint or run folder      fills every layer
    a whole model                   fills every layer; heads that the file has nothing of stay as they are
    a backbone or classifier        fills the pretrained part of the model; the rest stays as it is

Layers that count classes stay as they are where the counts differ. What stays as it is, is told; whatever else does not
fit is an error. Nothing but tensors is read: safetensors, or `.pth` with `weights_only`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn
from torchvision.models import get_weight

from maskstream.errors import CheckpointError
from maskstream.media.download import is_offline
from maskstream.training.checkpoint import BEST, LAST, load_into, load_weights, under

TORCHVISION_PREFIX = "torchvision:"
WRAPPERS = ("model", "state_dict")
"""Keys under which training scripts keep the weights in a `.pth` file, beside other things."""
PREFIXES = ("", "features.", "backbone.body.", "encoder.")
"""What the names of a pretrained part may stand behind in a file: nothing, or the name of that part in torchvision's
mobile networks, in its detectors and in the models of segmentation_models_pytorch."""
CLASSIFIERS = ("fc.", "classifier.", "head.", "heads.")
"""How torchvision calls what a classifier has on top of its features."""
OPTIONAL_HEADS = ("class_head.", "roi_heads.mask_head.", "roi_heads.mask_predictor.")
"""What a detector's file may lack: torchvision knows no class head with context, and its Faster R-CNN no masks."""
ANCHORS = "rpn."
"""Layers whose outputs count anchors, not classes."""
COUNTER = "num_batches_tracked"
"""A buffer of batch norm that its frozen form does not have; nothing here depends on it."""

OLDER_NAMES = (
    (r"^(rpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2"),
    (r"^(backbone\.fpn\.\w+_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2"),
    *((rf"^(roi_heads\.mask_head)\.mask_fcn{layer}\.", rf"\g<1>.{layer - 1}.0.") for layer in range(1, 5)),
    (r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2"),
)
"""Patterns of names in files that torchvision still publishes, and what they are called today."""

OnNote = Callable[[str], None]


def load_initial(model: nn.Module, pretrained_part: nn.Module, initial_weights: str, on_note: OnNote) -> None:
    """Start a model from weights; see the module's docstring.

    Parameters
    ----------
    pretrained_part : the module inside `model` that the weights of a backbone, encoder or classifier fill.
    initial_weights : a file, a run folder, or `torchvision:NAME`, which torchvision downloads.
    on_note : told, in a sentence each, what was filled and what was left as initialised.

    Raises
    ------
    CheckpointError : the weights are missing, cut short or more than tensors; or they do not fit, with the layers'
        names and shapes. The model is as it was.
    """
    weights, is_own = _read(initial_weights)
    of_part = max((under(prefix, weights) for prefix in PREFIXES), key=lambda named: _common(pretrained_part, named))
    if is_own or _common(model, weights) > _common(pretrained_part, of_part):
        _fill_whole(model, weights, initial_weights, () if is_own else OPTIONAL_HEADS, on_note)
    elif _common(pretrained_part, of_part):
        _fill_part(pretrained_part, of_part, initial_weights, on_note)
    else:
        raise CheckpointError(
            initial_weights,
            expected=f"layers such as {', '.join([*pretrained_part.state_dict()][:2])}, or those of the whole model",
            found=", ".join([*weights][:2]) or "nothing",
            remedy="name weights of this backbone or of the whole model",
        )


def _common(module: nn.Module, weights: Mapping[str, Tensor]) -> int:
    """How many of a module's names weights have."""
    return len(module.state_dict().keys() & weights.keys())


def _fill_whole(
    model: nn.Module, weights: Mapping[str, Tensor], place: str, optional_heads: tuple[str, ...], on_note: OnNote
) -> None:
    own = model.state_dict()
    absent = tuple(head for head in optional_heads if not under(head, weights))
    other = {name for name, tensor in own.items() if name in weights and _other_count(name, tensor, weights[name])}
    left = other | {name for name in own if name.startswith(absent)}
    kept = {name: tensor for name, tensor in own.items() if name in left}
    _fill(model, kept | {name: tensor for name, tensor in weights.items() if name not in left}, place)
    for layer in dict.fromkeys(name.rpartition(".")[0] for name in own if name in other):
        there, here = (len(tensors[f"{layer}.weight"]) for tensors in (weights, own))
        on_note(f"{layer} has {there} outputs in {place} and {here} here: left as initialised")
    for head in absent:
        if under(head, own):
            on_note(f"{head.removesuffix('.')} is not in {place}: left as initialised")
    on_note(f"{place} fills {'every other layer' if left else 'the whole model'}")


def _other_count(name: str, own: Tensor, given: Tensor) -> bool:
    """Whether a layer differs in the number of its outputs alone, as the last layer of another class count does.

    In a layer that another one follows, the next one's inputs would differ as well, and be refused.
    """
    if name.startswith(ANCHORS) or not own.ndim or own.ndim != given.ndim:
        return False
    return len(own) != len(given) and own.shape[1:] == given.shape[1:]


def _fill_part(part: nn.Module, weights: Mapping[str, Tensor], place: str, on_note: OnNote) -> None:
    own = part.state_dict()
    _fill(part, {name: t for name, t in weights.items() if name in own or not name.startswith(CLASSIFIERS)}, place)
    on_note(f"{place} fills the pretrained part ({len(own)} tensors); the rest is left as initialised")


def _fill(module: nn.Module, weights: Mapping[str, Tensor], place: str) -> None:
    """Fill a module with weights that must fit it, but for the counters of batch norm."""
    own = module.state_dict()
    counters = {name: tensor for name, tensor in own.items() if name.endswith(COUNTER)}
    given = {name: tensor for name, tensor in weights.items() if name in own or not name.endswith(COUNTER)}
    load_into(module, counters | given, place)


def _read(place: str) -> tuple[dict[str, Tensor], bool]:
    """Tensors by their present names, and whether they are a checkpoint of this project."""
    if place.startswith(TORCHVISION_PREFIX):
        return _renamed(_from_torchvision(place.removeprefix(TORCHVISION_PREFIX))), False
    path = Path(place)
    if path.is_dir():
        path = path / (BEST if (path / BEST).is_file() else LAST)
    if path.suffix in (".pth", ".pt"):
        return _renamed(_read_pth(path)), False
    weights, facts = load_weights(path)
    return _renamed(weights), "recipe" in facts


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, EOFError, RuntimeError, OSError, ValueError, KeyError) as error:
        # PyTorch's own advice for pickled objects is to load them all the same
        unsafe = isinstance(error, UnpicklingError)
        raise CheckpointError(
            path,
            expected="a .pth file of tensors alone",
            found="other Python objects, which could run code, or damage" if unsafe else str(error).splitlines()[0],
            remedy="check the path, or save the model's state_dict() by itself",
        ) from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(
            path,
            expected=f"tensors by name, or these under {' or '.join(map(repr, WRAPPERS))}",
            found=", ".join(map(repr, [*content][:3])) if isinstance(content, Mapping) else type(content).__name__,
            remedy="save the model's state_dict() by itself",
        )
    return dict(content)


def _from_torchvision(name: str) -> dict[str, Tensor]:
    if is_offline():
        raise CheckpointError(
            name,
            expected="weights on this machine",
            found="MASKSTREAM_OFFLINE=1, which forbids their download",
            remedy="name a file as initial_weights, or unset MASKSTREAM_OFFLINE",
        )
    try:
        return dict(get_weight(name).get_state_dict(progress=True, check_hash=True))
    except (ValueError, OSError, RuntimeError) as error:
        raise CheckpointError(
            name, expected="torchvision weights", found=str(error), remedy="check the name and the connection"
        ) from error


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of today's torchvision, which renames those of its older files when it loads them itself."""
    renamed = dict(weights)
    for pattern, now in OLDER_NAMES:
        renamed = {re.sub(pattern, now, name): tensor for name, tensor in renamed.items()}
    return renamed
