"""Model folders whose graphs are constants, so that tests know the answer: one object in the image's middle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskstream.core.calibration import Calibration
from maskstream.inference.classifier import ClassifierSettings
from maskstream.inference.manifest import Graph, Licence, Manifest, Training
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.inference.preprocess import Preprocessing
from maskstream.inference.regions import RegionSettings

INPUT_HW = (64, 64)
SETTINGS = MaskRcnnSettings(anchor_sizes=((32,),), anchor_ratios=(1.0,), anchor_strides=(32,), proposals=1)
CALIBRATION = Calibration("malignant", 0.8, -0.3, ((0.01, 0.002), (0.002, 0.03)), 0.4)
PROBABILITIES = (0.25, 0.75)
"""Raw class probabilities of the one object, or of the image."""

REGION_SCORE = 0.8
"""1 - P(background) of the one region, which fills the middle quarter of the input."""

DECODERS = {
    "instance": SETTINGS,
    "semantic": RegionSettings(),
    "classification": ClassifierSettings(),
}
ROLES = {
    "instance": ("trunk", "box_head", "class_head", "mask_head"),
    "semantic": ("network",),
    "classification": ("network",),
}
INPUTS = {
    "network": {"image": [1, 3, *INPUT_HW]},
    "trunk": {"image": [1, 3, *INPUT_HW]},
    "box_head": {"boxes": ["n", 4], "level_0": [1, 1, 2, 2]},
    "class_head": {"boxes": ["n", 4], "context": [1, 1, 2, 2]},
    "mask_head": {"boxes": ["n", 4], "level_0": [1, 1, 2, 2]},
}
OUTPUTS = {
    "network": ("probabilities",),
    "trunk": ("objectness", "deltas", "context", "level_0"),
    "box_head": ("logits", "deltas"),
    "class_head": ("probabilities",),
    "mask_head": ("probabilities",),
}


def write_tiny_model(folder: Path, task: str = "instance", **changes: Any) -> Manifest:
    """Write the folder; `changes` replace facts of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    roles = ROLES[task]
    for role in roles:
        onnx.save(_graph(role, task), folder / f"{role}.onnx")
    facts: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "task": task,
        "classes": ("benign", "malignant"),
        "preprocessing": Preprocessing(INPUT_HW),
        "graphs": {
            role: Graph(file=f"{role}.onnx", inputs=tuple(INPUTS[role]), outputs=OUTPUTS[role]) for role in roles
        },
        "decoder": DECODERS[task],
        "score_threshold": 0.5,
        "calibration": CALIBRATION,
        "licence": Licence(code="Apache-2.0", weights="Apache-2.0", data="CC0-1.0"),
        "intended_use": "Tests.",
        "limits": ("Answers with constants.",),
        "training": Training(data="none", data_sha256="0" * 64, images={"train": 3}, split_rule="none", recipe={}),
        "metrics": {},
        "versions": {},
        "files": {f"{role}.onnx": hashlib.sha256((folder / f"{role}.onnx").read_bytes()).hexdigest() for role in roles},
    }
    manifest = Manifest(**(facts | changes))
    manifest.write(folder)
    return manifest


def _graph(role: str, task: str) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in INPUTS[role].items()]
    if role == "network":
        nodes = [_constant("probabilities", _region() if task == "semantic" else np.array([PROBABILITIES], np.float32))]
    else:
        nodes = _trunk_nodes() if role == "trunk" else _head_nodes(role)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS[role]]
    graph = helper.make_graph(nodes, role, inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _region() -> np.ndarray:
    """Probabilities (1, 2, 64, 64): the object's in the middle, none around it."""
    probabilities = np.zeros((1, 2, *INPUT_HW), np.float32)
    probabilities[:, :, 16:48, 16:48] = REGION_SCORE * np.array(PROBABILITIES)[None, :, None, None]
    return probabilities


def _trunk_nodes() -> list[onnx.NodeProto]:
    """Four anchors of 32 pixels at the corners (0, 0), (32, 0), ...; the first wins and moves to the middle."""
    deltas = np.zeros((4, 4), np.float32)
    deltas[0, :2] = 1.0
    values = {
        "objectness": np.array([5, -5, -5, -5], np.float32),
        "deltas": deltas,
        "context": np.zeros((1, 1, 2, 2), np.float32),
        "level_0": np.zeros((1, 1, 2, 2), np.float32),
    }
    return [_constant(name, value) for name, value in values.items()]


def _head_nodes(role: str) -> list[onnx.NodeProto]:
    """The same rows for every box: zero times the boxes plus a constant."""
    rows = {
        "box_head": {"logits": np.array([-3, 3]), "deltas": np.zeros((2, 4))},
        "class_head": {"probabilities": np.array(PROBABILITIES)},
        "mask_head": {"probabilities": np.ones((28, 28))},
    }[role]
    nodes = []
    for name, row in rows.items():
        flat = row.astype(np.float32).ravel()
        nodes += [
            _constant(f"{name}_zero", np.zeros((4, flat.size), np.float32)),
            _constant(f"{name}_row", flat),
            _constant(f"{name}_shape", np.array([-1, *row.shape], np.int64)),
            helper.make_node("MatMul", ["boxes", f"{name}_zero"], [f"{name}_product"]),
            helper.make_node("Add", [f"{name}_product", f"{name}_row"], [f"{name}_flat"]),
            helper.make_node("Reshape", [f"{name}_flat", f"{name}_shape"], [name]),
        ]
    return nodes


def _constant(name: str, value: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
