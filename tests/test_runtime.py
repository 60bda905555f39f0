"""ONNX Runtime behind roles: order of arguments, threads, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from maskstream.core.parallel import available_cores
from maskstream.errors import ModelFolderError
from maskstream.inference.runtime import OnnxRuntime


@pytest.fixture
def difference(tmp_path: Path) -> Path:
    """A graph of a - b and a + b for n rows."""
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("b", "a")]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("less", "more")]
    nodes = [helper.make_node("Sub", ["a", "b"], ["less"]), helper.make_node("Add", ["a", "b"], ["more"])]
    graph = helper.make_graph(nodes, "difference", sides, results)
    path = tmp_path / "difference.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


@pytest.mark.parametrize("n", [0, 1, 7])
def test_arrays_go_in_and_come_out_in_the_graphs_order(difference: Path, n: int) -> None:
    b, a = np.full((n, 2), 1, np.float32), np.full((n, 2), 4, np.float32)
    less, more = OnnxRuntime({"head": difference}, threads=1).run("head", b, a)
    np.testing.assert_array_equal(less, np.full((n, 2), 3, np.float32))
    np.testing.assert_array_equal(more, np.full((n, 2), 5, np.float32))


def test_threads_are_those_asked_for_or_the_cores_at_hand(difference: Path) -> None:
    assert OnnxRuntime({"head": difference}, threads=3).threads == 3
    assert OnnxRuntime({"head": difference}).threads == available_cores()


def test_too_few_arrays_and_an_unknown_role_are_errors(difference: Path) -> None:
    runtime = OnnxRuntime({"head": difference}, threads=1)
    with pytest.raises(ValueError, match="shorter"):
        runtime.run("head", np.zeros((1, 2), np.float32))
    with pytest.raises(KeyError, match="tail"):
        runtime.run("tail")


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x07"])
def test_a_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trunk.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"trunk\.onnx: expected an ONNX graph") as caught:
        OnnxRuntime({"trunk": path})
    assert "\n" not in str(caught.value)


def test_a_provider_that_is_not_installed_is_named(difference: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"CPUExecutionProvider.*found NoSuchProvider"):
        OnnxRuntime({"head": difference}, providers=("NoSuchProvider",))


@pytest.mark.parametrize("text, cores", [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None)])
def test_a_containers_limit_cuts_the_cores(tmp_path: Path, text: str, cores: int | None) -> None:
    limit = tmp_path / "cpu.max"
    limit.write_text(text)
    unlimited = available_cores(tmp_path / "missing")
    assert unlimited >= 1
    assert available_cores(limit) == (cores or unlimited)
