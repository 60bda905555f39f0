"""A recipe's model as text: layers, shapes, parameters, size.

Shapes are seen by hooks while the parts that are deployed run once, which works for every task and for models whose
layers give lists, as detection models do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskstream.errors import RecipeError
from maskstream.training.checkpoint import BEST, LAST, load_weights, recipe_of
from maskstream.training.recipe import Recipe, Stage
from maskstream.training.recipe_file import load_recipe
from maskstream.training.tasks import make_task

MB = 1e6
CHECKPOINT_SUFFIX = ".safetensors"
RECIPE = "recipe.yaml"

Calls = dict[str, list[tuple[int, ...]]]
"""Shapes of the tensors that each layer has given, over all its calls."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of the table; its parameters are those of everything below it.

    Attributes
    ----------
    path : dotted name; empty for the model as a whole.
    shapes : of the tensors that it gives, without their first axis; empty where it was not called as a whole.
    """

    path: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    trainable: int

    @property
    def depth(self) -> int:
        """0 for the model as a whole."""
        return self.path.count(".") + 1 if self.path else 0


def find_recipe(name_or_path: str) -> tuple[Recipe, Path | None]:
    """The recipe of a checkpoint, of a run folder, or by its name or file; and the checkpoint where there is one.

    Raises
    ------
    RecipeError, CheckpointError : there is none of these, or it is broken.
    """
    path = Path(name_or_path)
    saved = [path] if path.suffix == CHECKPOINT_SUFFIX else [path / BEST, path / LAST]
    checkpoint = next((file for file in saved if file.is_file()), None)
    if checkpoint:
        return recipe_of(load_weights(checkpoint)[1], checkpoint), checkpoint
    return load_recipe(path / RECIPE if path.is_dir() else name_or_path), None


def model_text(
    recipe: Recipe,
    *,
    depth: int = 3,
    stage: str | None = None,
    classes: int | None = None,
    checkpoint: Path | None = None,
) -> str:
    """Describe the model of a recipe.

    Parameters
    ----------
    depth : levels of layers that get a line; those below count with the layer that they are part of.
    stage : whose trainable parameters are told; by default the last one's.
    classes : how many, for a recipe that leaves them to the dataset.
    checkpoint : file whose size is told.

    Raises
    ------
    RecipeError : the classes are not known, there is no such stage, or the model cannot be built.
    """
    recipe = _with_classes(recipe, classes)
    chosen = _stage(recipe, stage)
    task = make_task(recipe)
    model = task.build_model()
    frozen = {id(p) for p in task.pretrained_part(model).parameters()} if chosen.trains == "heads" else set[int]()
    parts = task.graphs(model).values()
    with torch.no_grad():
        calls = _watched(model, lambda: [part.module(*part.inputs.values()) for part in parts])
    rows = [layer for layer in layers(model, calls, frozen) if layer.depth <= depth]
    height, width = recipe.input_size_hw
    return "\n".join(
        [
            f"{recipe.name}: {recipe.model.architecture} for {recipe.task}, classes {', '.join(recipe.classes)}, "
            f"input {height} x {width}",
            "",
            *_table(rows),
            "",
            *_sums(model, rows[0], chosen, checkpoint),
        ]
    )


def layers(model: nn.Module, calls: Mapping[str, Sequence[tuple[int, ...]]], frozen: set[int]) -> Iterator[Layer]:
    """The model and every layer of it, outer ones before those inside; `frozen` holds ids of parameters."""
    for path, module in model.named_modules():
        counts = [(parameter.numel(), id(parameter) not in frozen) for parameter in module.parameters()]
        yield Layer(
            path,
            type(module).__name__,
            tuple(calls.get(path, ())),
            sum(count for count, _ in counts),
            sum(count for count, is_trained in counts if is_trained),
        )


def _watched(model: nn.Module, run: Any) -> Calls:
    """Shapes by path of everything that a model's layers give while `run` goes."""
    calls: Calls = {}
    hooks = []
    for path, module in model.named_modules():
        seen = calls.setdefault(path, [])
        hooks.append(
            module.register_forward_hook(
                lambda _module, _inputs, output, seen=seen: seen.extend(tuple(t.shape[1:]) for t in _tensors(output))
            )
        )
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _tensors(output: Any) -> Iterator[Tensor]:
    """The tensors of a layer's answer, which may be nested in lists and dictionaries."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, Iterable) and not isinstance(output, str):
        for value in output:
            yield from _tensors(value)


def _with_classes(recipe: Recipe, count: int | None) -> Recipe:
    """A recipe with classes, and without weights of them, which only a dataset can balance."""
    if recipe.classes and count not in (None, len(recipe.classes)):
        raise RecipeError(
            "--classes",
            expected=f"the {len(recipe.classes)} classes of the recipe ({', '.join(recipe.classes)})",
            found=str(count),
            remedy="leave --classes out",
        )
    if not recipe.classes and count is None:
        raise RecipeError(
            f"{recipe.name}: classes",
            expected="how many classes the model tells apart",
            found="a recipe that leaves it to the dataset",
            remedy="say --classes N",
        )
    names = recipe.classes or tuple(f"class-{number}" for number in range(1, (count or 0) + 1))
    loss = recipe.loss.model_copy(update={"class_weights": None})
    return recipe.model_copy(update={"classes": names, "loss": loss})


def _stage(recipe: Recipe, name: str | None) -> Stage:
    found = [stage for stage in recipe.stages if name in (None, stage.name)]
    if not found:
        names = ", ".join(stage.name for stage in recipe.stages)
        raise RecipeError(f"--stage {name}", expected=f"one of {names}", found="another name", remedy="name a stage")
    return found[-1]


def _table(rows: Sequence[Layer]) -> list[str]:
    """Lines with aligned columns; sizes behind the batch or the boxes."""
    cells = [("layer", "type", "output", "parameters", "trainable")]
    for row in rows:
        name = row.path.rpartition(".")[2] or "model"
        cells.append((2 * row.depth * " " + name, row.kind, _shape_text(row.shapes), *_counts(row)))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [
        "  ".join(
            text.rjust(width) if column > 2 else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    return [lines[0], "-" * len(lines[1]), *lines[1:]]


def _counts(row: Layer) -> tuple[str, str]:
    return (f"{row.parameters:,}", f"{row.trainable:,}") if row.parameters else ("-", "-")


def _shape_text(shapes: Sequence[tuple[int, ...]]) -> str:
    """`256 x 56 x 56`, and how many further tensors there are; `-` where the layer was not called as a whole."""
    if not shapes:
        return "-"
    first = " x ".join(str(side) for side in shapes[0]) or "1"
    return first + (f" (and {len(shapes) - 1} more)" if len(shapes) > 1 else "")


def _sums(model: nn.Module, whole: Layer, stage: Stage, checkpoint: Path | None) -> list[str]:
    state = model.state_dict().values()
    single = 4 * sum(tensor.numel() for tensor in state)
    saved = checkpoint.stat().st_size if checkpoint else sum(tensor.nbytes for tensor in state)
    return [
        f"parameters: {whole.parameters:,}",
        f"trainable in stage {stage.name}: {whole.trainable:,}",
        f"size in float32: {single / MB:.2f} MB",
        f"size as saved: {saved / MB:.2f} MB" + (f" ({checkpoint})" if checkpoint else ""),
    ]
