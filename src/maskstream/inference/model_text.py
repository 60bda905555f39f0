"""A deployed model as text: what its manifest says, and the size of its graphs; no PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from maskstream.inference.manifest import Graph, Manifest, read_manifest

MB = 1e6


def deployed_text(folder: Path) -> str:
    """Describe a model folder, whose files are compared with their hashes.

    Raises
    ------
    ModelFolderError : it is none, or an altered one.
    """
    manifest = read_manifest(folder)
    blocks = manifest.model_dump(mode="json")
    lines = [
        f"{manifest.name} {manifest.version}: a deployed model for {manifest.task}",
        f"classes: {', '.join(manifest.classes)}",
        f"score threshold: {manifest.score_threshold:g}",
    ]
    for name in ("preprocessing", "tiles", "decoder", "calibration"):
        if isinstance(block := blocks.get(name), Mapping):
            lines += ["", name, *(f"  {key}: {_value_text(value)}" for key, value in block.items())]
    if manifest.calibration is None:
        lines += ["", "calibration: none, its percentages are raw"]
    return "\n".join([*lines, "", *_graph_lines(manifest, folder)])


def _value_text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_value_text(entry) for entry in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _graph_lines(manifest: Manifest, folder: Path) -> list[str]:
    """A line a graph and their sums."""
    counted = find_spec("onnx") is not None
    graphs = [(role, graph, folder / graph.file) for role, graph in manifest.graphs.items()]
    parameters = {role: parameter_count(path) for role, _, path in graphs} if counted else {}
    size_mb = {role: path.stat().st_size / MB for role, _, path in graphs}
    cells = [("graph", "parameters", "MB", "inputs and outputs")]
    cells += [
        (role, f"{parameters[role]:,}" if counted else "-", f"{size_mb[role]:.2f}", _signature(graph))
        for role, graph, _ in graphs
    ]
    total = f"{sum(parameters.values()):,}" if counted else "-"
    cells.append(("all", total, f"{sum(size_mb.values()):.2f}", ""))
    name, count, size, _ = (max(len(line[column]) for line in cells) for column in range(4))
    lines = [f"{a.ljust(name)}  {b.rjust(count)}  {c.rjust(size)}  {d}".rstrip() for a, b, c, d in cells]
    return lines if counted else [*lines, "parameters are not counted: pip install onnx"]


def _signature(graph: Graph) -> str:
    return f"{', '.join(graph.inputs)} -> {', '.join(graph.outputs)}"


def parameter_count(graph: Path) -> int:
    """Numbers in the initialisers of an ONNX file: its weights, and constants that its nodes share."""
    import onnx

    model = onnx.load(str(graph), load_external_data=False)
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
