"""PyTorch modules by role to ONNX files by role."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from maskstream.errors import ExportRefused
from maskstream.inference.manifest import Graph

OPSET = 18
"""Oldest operator set whose RoiAlign counts half pixels and whose Resize has what the pyramid needs."""

MAX_BOXES = 4096


def write_graphs(parts: Mapping[str, nn.Module], input_size_hw: tuple[int, int], folder: Path) -> dict[str, Graph]:
    """Write `ROLE.onnx` for each part; the heads take any number of boxes from 1 on.

    Parameters
    ----------
    parts : `trunk`, `box_head`, `class_head` and `mask_head`, in evaluation mode; see `mask_rcnn.py`.

    Raises
    ------
    ExportRefused : PyTorch cannot express a part in ONNX.
    """
    height, width = input_size_hw
    image = torch.zeros(1, 3, height, width)
    boxes = torch.tensor([[0, 0, width / 2, height / 2], [0, 0, width, height], [1, 2, 9, 12]])
    with torch.inference_mode():
        _, _, context, *levels = parts["trunk"](image)
    maps = {f"level_{index}": level for index, level in enumerate(levels)}
    pooled = {"boxes": boxes, **maps}
    calls: dict[str, tuple[dict[str, Tensor], tuple[str, ...]]] = {
        "trunk": ({"image": image}, ("objectness", "deltas", "context", *maps)),
        "box_head": (pooled, ("logits", "box_deltas")),
        "class_head": ({"boxes": boxes, "context": context}, ("class_probabilities",)),
        "mask_head": (pooled, ("mask_probabilities",)),
    }
    return {role: _write(role, parts[role], *call, folder) for role, call in calls.items()}


def _write(role: str, part: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...], folder: Path) -> Graph:
    graph = Graph(file=f"{role}.onnx", inputs=tuple(inputs), outputs=outputs)
    rows = {0: torch.export.Dim("n", min=1, max=MAX_BOXES)}
    shapes = (tuple(rows if name == "boxes" else None for name in inputs),)
    graph = Graph(file=f"{role}.onnx", inputs=tuple(inputs), outputs=outputs)
    try:
        with _known_warnings():
            program = torch.export.export(_Flat(part), tuple(inputs.values()), dynamic_shapes=shapes)
            exported = torch.onnx.export(
                program, opset_version=OPSET, input_names=graph.inputs, output_names=graph.outputs, verbose=False
            )
    except Exception as error:  # the exporter's own errors share no base below Exception
        raise ExportRefused(
            f"role {role}",
            expected="a part that PyTorch can write as ONNX",
            found=str(error).splitlines()[0][:200] if str(error) else type(error).__name__,
            remedy="change the part, or try another PyTorch version",
        ) from error
    if exported is None:
        raise TypeError("torch.onnx.export gave no program")
    onnx.save(_without_traces(exported.model_proto), folder / graph.file)
    return graph


class _Flat(nn.Module):
    """A part whose arguments are one flat tuple, so that all parts describe their shapes alike."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.part(*arrays))


@contextlib.contextmanager
def _known_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # PyTorch's own use of what it has deprecated; nothing that a caller could change
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the stack traces, and so the paths of this machine, that PyTorch writes into every node."""
    for holder in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del holder.metadata_props[:]
        holder.doc_string = ""
    for function in model.functions:
        for holder in (function, *function.node):
            del holder.metadata_props[:]
            holder.doc_string = ""
    return model
