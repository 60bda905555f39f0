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
from maskstream.training.models.graph_part import GraphPart

OPSET = 18
"""Oldest operator set whose RoiAlign counts half pixels and whose Resize has what the pyramid needs."""

MAX_ROWS = 4096


def write_graphs(parts: Mapping[str, GraphPart], folder: Path) -> dict[str, Graph]:
    """Write `ROLE.onnx` for each part; inputs with dynamic rows take any number of them from 1 on.

    Raises
    ------
    ExportRefused : PyTorch cannot express a part in ONNX.
    """
    return {role: _write(role, part, folder) for role, part in parts.items()}


def _write(role: str, part: GraphPart, folder: Path) -> Graph:
    graph = Graph(file=f"{role}.onnx", inputs=tuple(part.inputs), outputs=part.outputs)
    rows = {0: torch.export.Dim("n", min=1, max=MAX_ROWS)}
    shapes = (tuple(rows if name in part.dynamic_rows else None for name in part.inputs),)
    try:
        with _known_warnings():
            program = torch.export.export(_Flat(part.module), tuple(part.inputs.values()), dynamic_shapes=shapes)
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
