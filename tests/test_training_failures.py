"""What goes wrong, through the real command: one line that helps, exit code 2, and nothing lost or left in the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import assert_same_run, make_dataset, rows, write_recipe
from warm_command import WarmCommand

from maskstream.cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

AT_STEP_4 = """
import os, resource, signal, torch
import maskstream.training.loop as loop
loop.SAVE_EVERY_S = 0.0
step = loop.Trainer._step
def failing(self, *arguments):
    if self.state.progressed.step == 3:
        fail()
    return step(self, *arguments)
loop.Trainer._step = failing
"""
FULL_DISK = f"""{AT_STEP_4}
def fail():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
"""
NO_MEMORY = f"""{AT_STEP_4}
def fail():
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 2**28, resource.RLIM_INFINITY))
    torch.empty(2**30)
"""
NO_GPU_MEMORY = f"""{AT_STEP_4}
def fail():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
"""
KILLED_LOADER = """
import os, signal
import torch
import maskstream.training.batches as batches
get = batches.DrawnSamples.__getitem__
def killed(self, draw):
    if torch.utils.data.get_worker_info():
        os.kill(os.getpid(), signal.SIGKILL)
    return get(self, draw)
batches.DrawnSamples.__getitem__ = killed
"""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    with WarmCommand(tmp_path_factory.mktemp("commands")) as command:
        yield command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, warm: WarmCommand) -> Path:
    """Recipes, datasets sound and unsound, and a run that has ended."""
    folder = tmp_path_factory.mktemp("failures")
    for task in ("semantic", "classification"):
        write_recipe(folder / f"{task}.yaml", task)
    make_dataset(folder / "objects")
    make_dataset(folder / "classes", "classes")
    make_dataset(folder / "one-class", "classes", classes=("cat",))
    make_dataset(folder / "no-image", splits={"train": 0, "val": 3})
    make_dataset(folder / "no-train", splits={"val": 3, "test": 3})
    broken = make_dataset(folder / "broken")
    for image in sorted((broken / "images").iterdir())[:2]:
        image.write_bytes(image.read_bytes()[:200])
    done = warm.run(
        "train", folder / "semantic.yaml", "--data", folder / "objects", "--out", folder / "ended", "--device", "cpu"
    )
    assert done.code == 0, done.stderr
    return folder


def arguments(folder: Path, out: Path, *more: object, recipe: str = "semantic", data: str = "objects") -> list[object]:
    asked = ["train", folder / f"{recipe}.yaml", "--data", folder / data, "--out", out, "--device", "cpu"]
    return [*asked, *more]


SHORT = "steps: 1, learning_rate: 1"
BAD = {
    "a key with a typo": (("--set", "sead=1"), {}, "sead: expected a known key, .* did you mean 'seed'"),
    "a nested key with a typo": (("--set", "data.batchsize=1"), {}, "did you mean 'batch_size'"),
    "a stage's key with a typo": (("--set", "stages.0.learning_rat=1"), {}, "did you mean 'learning_rate'"),
    "a model's key with a typo": (("--set", "model.chanels=4"), {}, "did you mean 'channels'"),
    "a change without a value": (("--set", "seed"), {}, "expected key.of.part=value, found no ="),
    "a change of nothing": (("--set", "stages.7.epochs=1"), {}, "expected key.of.part=value"),
    "a value out of range": (("--set", "data.batch_size=0"), {}, "data.batch_size: .* greater than 0"),
    "a class that the data lacks": (("--set", "classes=[cat, dog, cow]"), {}, "cow"),
    "a class that the recipe lacks": (("--set", "classes=[cat]"), {}, "dog"),
    "a loss that there is not": (("--set", "loss.weights={dise: 1}"), {}, "did you mean 'dice'"),
    "a metric that there is not": (("--set", "validation.best=[mean_dise]"), {}, "did you mean 'mean_dice'"),
    "a stage that there is not": (("--stage", "tail"), {}, "--stage tail: expected one of all"),
    "a stage that none precedes": (
        ("--stage", "b", "--set", f"stages=[{{name: a, {SHORT}}}, {{name: b, {SHORT}}}]"),
        {},
        "expected stage a at its end",
    ),
    "nothing to resume": (("--resume",), {}, "expected a run to go on with"),
    "weights that are not there": (("--initial-weights", "none.safetensors"), {}, "none.safetensors: expected"),
    "a device of no known kind": (("--device", "tpu"), {}, "expected one of auto, cpu, cuda, mps"),
    "devices that cannot share a batch": (("--devices", "3"), {}, "data.batch_size: expected a multiple of the 3"),
    "a dataset that its check refuses": ((), {"data": "broken"}, r"and 1 more errors?\); see all with: "),
    "no image to learn from": ((), {"data": "no-image"}, "train"),
    "no split to learn from": ((), {"data": "no-train"}, "train"),
    "no dataset": ((), {"data": "nowhere"}, "nowhere"),
    "no recipe": ((), {"recipe": "nowhere"}, "nowhere.yaml: expected a recipe"),
    "one class to tell apart": ((), {"recipe": "classification", "data": "one-class"}, "two or more, to tell apart"),
    "objects for a classifier": ((), {"recipe": "classification"}, "images with a class of their own, found none"),
    "classes for a segmenter": ((), {"data": "classes"}, "objects with masks, found none"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_in_a_line_and_leaves_nothing(
    what: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    more, where, message = BAD[what]
    monkeypatch.setattr(sys, "argv", ["maskstream", *map(str, arguments(folder, tmp_path / "run", *more, **where))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(folder: Path, warm: WarmCommand, tmp_path: Path) -> None:
    done = warm.run(*arguments(folder, tmp_path / "run", "--device", "cuda"))
    assert "--device cuda: expected an NVIDIA GPU that PyTorch can use, found none" in done.error
    assert not list(tmp_path.iterdir())


def test_weights_of_another_shape_are_named_layer_by_layer(folder: Path, warm: WarmCommand, tmp_path: Path) -> None:
    weights = ("--initial-weights", folder / "ended", "--set", "model.channels=5")
    error = warm.run(*arguments(folder, tmp_path / "run", *weights)).error
    assert re.search(r"weight has shape \(4, .* instead of \(5, ", error), error
    assert not list(tmp_path.iterdir())


def test_a_run_that_stands_there_is_left_alone(folder: Path, warm: WarmCommand) -> None:
    def state() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (folder / "ended").iterdir()}

    before = state()
    ended = folder / "ended"
    assert "pass --resume or another --out" in warm.run(*arguments(folder, ended)).error
    error = warm.run(*arguments(folder, ended, "--resume", "--set", "seed=4")).error
    assert "expected the recipe that the run began with, found another one (seed)" in error
    error = warm.run(*arguments(folder, ended, "--resume", data="no-image")).error
    assert "no-image" in error
    assert state() == before


def test_a_metric_that_these_images_do_not_define_is_told_with_all_saved(
    folder: Path, warm: WarmCommand, tmp_path: Path
) -> None:
    """One validation image: there is no area under a curve of one class."""
    data = make_dataset(tmp_path / "data", "classes", splits={"train": 6, "val": 1})
    asked = ["--set", "validation.best=[auc]"]
    error = warm.run(*arguments(folder, tmp_path / "run", *asked, recipe="classification", data=str(data))).error
    assert "validation.best: expected metrics that the validation images define (" in error
    assert (tmp_path / "run" / "last.safetensors").is_file()
    assert len(rows(tmp_path / "run" / "validation.csv")) == 1


# what runs out


def test_a_full_disk_destroys_nothing(folder: Path, warm: WarmCommand, tmp_path: Path) -> None:
    """No file may grow beyond 2000 bytes after the third step."""
    run = tmp_path / "run"
    error = warm.run(*arguments(folder, run), patch=FULL_DISK).error
    assert "free space, and the same command with --resume goes on; what was saved last is kept" in error
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    load_file(run / "last.safetensors")
    assert warm.run(*arguments(folder, run, "--resume")).code == 0
    assert_same_run(run, folder / "ended")


def test_a_small_disk_that_fills_up_destroys_nothing(folder: Path, warm: WarmCommand, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        error = warm.run(*arguments(folder, disk / "run")).error
        assert "No space left on device; free space, and the same command with --resume goes on" in error
        load_file(disk / "run" / "resume.safetensors")
        subprocess.run(["mount", "-o", "remount,size=40m", disk], check=True)
        done = warm.run(*arguments(folder, disk / "run", "--resume"))
        assert done.code == 0, done.stderr
        assert_same_run(disk / "run", folder / "ended")
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("patch", [NO_MEMORY, NO_GPU_MEMORY], ids=["memory", "memory of a GPU"])
def test_out_of_memory_says_which_knob_to_turn(patch: str, folder: Path, warm: WarmCommand, tmp_path: Path) -> None:
    """And what it says works."""
    error = warm.run(*arguments(folder, tmp_path / "run"), patch=patch).error
    assert "expected room for 2 images of 64 x 64 and 0 loading processes" in error
    smaller = ("--resume", "--set", "data.batch_size=1", "--set", "data.accumulate=2")
    assert " ".join(smaller) in error
    assert warm.run(*arguments(folder, tmp_path / "run", *smaller)).code == 0
    assert len(rows(tmp_path / "run" / "steps.csv")) == 6


def test_a_loading_process_that_the_system_kills_is_told_as_memory(
    folder: Path, warm: WarmCommand, tmp_path: Path
) -> None:
    error = warm.run(*arguments(folder, tmp_path / "run", "--set", "data.workers=1"), patch=KILLED_LOADER).error
    assert "1 loading processes, found DataLoader worker" in error
    assert "data.workers" in error


def test_an_image_that_disappears_is_named(folder: Path, warm: WarmCommand, tmp_path: Path) -> None:
    """After the check, while a loading process wants it."""
    data = make_dataset(tmp_path / "data")
    name = json.loads((data / "splits.json").read_text())["splits"]["train"][2]
    image = str(data / "images" / name)
    gone = f"import os, maskstream.training.loop as loop; loop.rehearse = lambda *_: os.unlink({image!r})"
    error = warm.run(*arguments(folder, tmp_path / "run", "--set", "data.workers=1", data=str(data)), patch=gone).error
    assert name in error
