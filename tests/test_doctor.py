"""`maskstream doctor`: true, pasteable, and without PyTorch."""

from __future__ import annotations

import builtins
import json
import os
import platform
import stat
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import typer
from tiny_model import write_tiny_model
from typer.testing import CliRunner

import maskstream.inference.load as load
from maskstream import environment
from maskstream.cli.doctor import doctor, report
from maskstream.core.files import sha256
from maskstream.environment import describe_environment, gpus, required_packages

app = typer.Typer()
app.command()(doctor)


@pytest.fixture(autouse=True)
def bundled(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("bundled")
    write_tiny_model(folder / "tiny")
    monkeypatch.setattr(load, "BUNDLED", folder)
    return folder


def test_facts_are_those_of_this_machine(bundled: Path) -> None:
    facts = describe_environment()
    assert facts["maskstream"] == metadata.version("maskstream")
    assert facts["python"].endswith(platform.python_version())
    assert 1 <= facts["cores"]["usable"] <= (os.cpu_count() or 1)
    assert facts["runtimes"]["onnxruntime"] == onnxruntime.__version__
    assert "CPUExecutionProvider" in facts["runtimes"]["execution_providers"]
    assert facts["packages"]["numpy"] == metadata.version("numpy")
    assert facts["codecs"]["h264"] == {"decode": True, "encode": True}
    assert facts["models"]["tiny"] == {
        "version": "1",
        "manifest_sha256": sha256(bundled / "tiny" / "manifest.json"),
        "state": "4 files verified",
    }
    assert facts["problems"] == []


def test_text_and_json_say_the_same_and_end_well() -> None:
    text = CliRunner().invoke(app, [])
    assert text.exit_code == 0
    assert "problems        none" in text.stdout
    assert "4 files verified" in text.stdout
    facts = json.loads(CliRunner().invoke(app, ["--json"]).stdout)
    assert report(facts) + "\n" == text.stdout


def test_a_damaged_model_is_a_problem_and_exit_code_1(bundled: Path) -> None:
    (bundled / "tiny" / "trunk.onnx").write_bytes(b"other")
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "problems        model tiny is damaged" in result.stdout
    assert "an altered file" in result.stdout


def test_no_model_and_no_onnx_runtime_are_problems(bundled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_onnx_runtime(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError("no such module")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_onnx_runtime)
    monkeypatch.setattr(load, "BUNDLED", bundled / "nothing")
    facts = describe_environment()
    assert facts["problems"] == ["no bundled model is installed", "ONNX Runtime cannot be imported"]
    assert "cannot be imported: no such module" in report(facts)


def test_two_builds_of_onnx_runtime_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "installed_version", lambda name: "1.0")
    (problem,) = describe_environment()["problems"]
    assert "onnxruntime and onnxruntime-gpu" in problem


def test_extras_name_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["numpy>=2.0", "torch>=2.5; extra == 'train'", "maskstream[evaluate]; extra == 'train'"]
    monkeypatch.setattr(metadata, "requires", lambda name: requires)
    assert required_packages() == {"": ["numpy"], "train": ["torch"]}
    monkeypatch.setattr(environment, "installed_version", lambda name: None if name == "torch" else "1.0")
    assert "extra train     not installed (no torch)" in report(describe_environment())


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script in place of nvidia-smi")
@pytest.mark.parametrize(
    "script, expected",
    [
        (
            "echo 'NVIDIA H200, 570.1, 143771'; echo 'NVIDIA T4, 570.1, 15360'",
            [
                {"name": "NVIDIA H200", "driver": "570.1", "memory_mib": "143771"},
                {"name": "NVIDIA T4", "driver": "570.1", "memory_mib": "15360"},
            ],
        ),
        ("exit 9", []),
        ("echo 'No devices were found'", []),
    ],
)
def test_gpus_are_those_that_nvidia_smi_lists(tmp_path: Path, script: str, expected: list[dict[str, str]]) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert gpus((str(tool),)) == expected


def test_without_nvidia_smi_there_is_no_gpu_and_the_text_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpus(("no-such-tool",)) == []
    monkeypatch.setattr(environment, "gpus", list)
    assert "gpu             none found by nvidia-smi" in report(describe_environment())


@pytest.mark.parametrize("text, gib", [("max\n", None), ("8589934592\n", 8.0)])
def test_a_containers_memory_limit_is_shown(tmp_path: Path, text: str, gib: float | None) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(text)
    assert environment._container_memory_gib(limit) == gib


def test_doctor_never_imports_pytorch() -> None:
    code = "import sys; import maskstream.environment as e; e.describe_environment(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
