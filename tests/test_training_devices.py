"""Several processes that share each batch give the numbers of one; on CPUs, through Fabric and through torchrun."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import make_dataset, make_recipe, rows, write_recipe

from maskstream.data.dataset import Dataset
from maskstream.errors import RecipeError
from maskstream.training.devices import Devices, make_fabric
from maskstream.training.loop import train
from maskstream.training.resolve import resolve

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

LIMIT_S = 500
COMMAND = ("-m", "maskstream")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *COMMAND)
NOTHING: dict[str, str] = {}
RECIPE = {
    "optimiser": {"ema_decay": 0.8},
    "augmentation": {"rotation_degrees": 45},
    "data": {"batch_size": 2, "accumulate": 2, "workers": 0},
    "stages": [
        {"name": "heads", "trains": "heads", "steps": 2, "learning_rate": 1e-2},
        {"name": "all", "steps": 3, "learning_rate": 1e-2},
    ],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, a recipe, and the run of one process."""
    folder = tmp_path_factory.mktemp("devices")
    dataset = Dataset.load(make_dataset(folder / "data", "classes"))
    write_recipe(folder / "recipe.yaml", "classification", **RECIPE)  # a network without batch norm
    recipe = resolve(make_recipe("classification", **RECIPE), dataset)
    train(recipe, dataset, folder / "one", devices=Devices("cpu"))
    return folder


def start(
    folder: Path,
    out: str,
    *arguments: str,
    program: tuple[str, ...] = COMMAND,
    environment: Mapping[str, str] = NOTHING,
) -> subprocess.Popen[str]:
    """The command in a session of its own, so that nothing of it outlives the test."""
    asked = ["train", "recipe.yaml", "--data", "data", "--device", "cpu", "--out", out, *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PL_")}
    return subprocess.Popen(
        [sys.executable, *program, *asked],
        cwd=folder,
        env=inherited | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, error = process.communicate(timeout=LIMIT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, error


def assert_equal_numbers(run: Path, expected: Path) -> None:
    for table in ("steps.csv", "validation.csv"):
        ours, theirs = rows(run / table), rows(expected / table)
        assert len(ours) == len(theirs)
        for row, other in zip(ours, theirs, strict=True):
            assert row["step"] == other["step"]
            for name in row:
                if name.startswith("loss"):
                    assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-3, abs=1e-4), (table, name)
    ours, theirs = load_file(run / "last.safetensors"), load_file(expected / "last.safetensors")
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4)


def test_two_processes_give_the_numbers_of_one_and_stop_when_asked(folder: Path) -> None:
    """Interrupted after the first step, both processes save and leave; resumed, they end where one process does."""
    process = start(folder, "two", "--devices", "2")
    steps = folder / "two" / "steps.csv"
    while process.poll() is None and not (steps.is_file() and rows(steps)):
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    code, out, error = end(process)
    assert code == 130, error
    assert out.count("stopped; everything is saved in two") == 1
    code, out, error = end(start(folder, "two", "--devices", "2", "--resume"))
    assert code == 0, error
    assert out.count("best checkpoint: ") == 1
    assert_equal_numbers(folder / "two", folder / "one")


def test_mask_rcnn_trains_on_two_processes(tmp_path: Path) -> None:
    """Its numbers differ from those of one process, which draws other proposals."""
    make_dataset(tmp_path / "data")
    write_recipe(
        tmp_path / "recipe.yaml", "instance", data={"batch_size": 2}, stages=[{"steps": 2, "learning_rate": 1e-3}]
    )
    code, out, error = end(start(tmp_path, "two", "--devices", "2"))
    assert code == 0, error
    assert out.count("best checkpoint: ") == 1
    steps = rows(tmp_path / "two" / "steps.csv")
    assert len(steps) == 2
    assert all(math.isfinite(float(step[name])) for step in steps for name in step if name.startswith("loss"))
    weights = load_file(tmp_path / "two" / "last.safetensors")
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())


def test_torchrun_s_processes_are_taken(folder: Path) -> None:
    code, out, error = end(start(folder, "torchrun", program=TORCHRUN))
    assert code == 0, error
    assert out.count("best checkpoint: ") == 1
    assert_equal_numbers(folder / "torchrun", folder / "one")


SECOND_CANNOT_READ = """
import os
if os.environ.get("LOCAL_RANK") == "1":
    from maskstream.data.records import ImageRecord
    from maskstream.errors import SourceError
    def read_image(self):
        raise SourceError("image", expected="one", found="none", remedy="look again")
    ImageRecord.read_image = read_image
"""


def test_what_the_second_process_meets_ends_both_and_is_told_once(folder: Path) -> None:
    (folder / "sitecustomize.py").write_text(SECOND_CANNOT_READ)
    code, _, error = end(start(folder, "broken", "--devices", "2", environment={"PYTHONPATH": str(folder)}))
    assert error == "error: image: expected one, found none; look again\n"
    assert code == 2


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (Devices("cpu", 3), "data.batch_size: expected a multiple of the 3 processes .* data.batch_size=3"),
        (Devices("cpu", 0), "--devices: expected at least 1"),
        (Devices("tpu"), "--device: expected one of auto, cpu, cuda, mps"),
        pytest.param(
            Devices("cuda"),
            "--device cuda: expected an NVIDIA GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        pytest.param(
            Devices("mps"),
            "--device mps: expected an Apple GPU",
            marks=pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_devices_that_are_not_there_are_told(devices: Devices, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_fabric(make_recipe(), devices)
