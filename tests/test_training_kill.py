"""The real command, killed or interrupted at a moment of our choice, goes on to the numbers of an unbroken run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from training_runs import assert_same_run, make_dataset, rows, write_recipe
from warm_command import Command, WarmCommand

SLOWLY = """
import time
import maskstream.training.loop as loop
from maskstream.training.validation import Validator
loop.SAVE_EVERY_S = 0.0
whole = Validator.judge
def slow_judge(self, *arguments):
    time.sleep(1)
    return whole(self, *arguments)
Validator.judge = slow_judge
step = loop.Trainer._step
def slowly(self, *arguments):
    time.sleep(0.2)
    return step(self, *arguments)
loop.Trainer._step = slowly
"""
"""The state is saved after every step, and steps and validations last long enough to be hit."""


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    with WarmCommand(tmp_path_factory.mktemp("commands")) as command:
        yield command


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Two stages, an average, augmentation, and a process that loads."""
    folder = tmp_path_factory.mktemp("kill")
    recipe = write_recipe(
        folder / "recipe.yaml",
        data={"batch_size": 1, "accumulate": 2, "workers": 1},
        augmentation={"rotation_degrees": 45, "horizontal_flip": 0.5},
        optimiser={"ema_decay": 0.8},
        stages=[
            {"name": "one", "epochs": 2, "learning_rate": 1e-3},
            {"name": "two", "steps": 4, "learning_rate": 1e-3},
        ],
    )
    return ["train", recipe, "--data", make_dataset(folder / "data"), "--device", "cpu"]


@pytest.fixture(scope="module")
def unbroken(arguments: list[object], warm: WarmCommand, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("unbroken") / "run"
    assert warm.run(*arguments, "--out", run).code == 0
    return run


def steps_done(run: Path) -> int:
    return len(rows(run / "steps.csv")) if (run / "steps.csv").is_file() else 0


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "during an epoch": lambda run: steps_done(run) == 2,
    "during a validation": lambda run: steps_done(run) == 3,
    "right after a checkpoint": lambda run: (run / "last.safetensors").is_file(),
    "at the end of a stage": lambda run: (run / "stages" / "one-best.safetensors").is_file(),
}


def begin(command: Command, moment: str, run: Path) -> Command:
    command.until(lambda: MOMENTS[moment](run))
    return command


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_run_goes_on(
    moment: str, arguments: list[object], unbroken: Path, warm: WarmCommand, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = begin(warm.start(*arguments, "--out", run, patch=SLOWLY), moment, run)
    command.signal(signal.SIGKILL)
    assert command.wait().code == -signal.SIGKILL
    done = warm.run(*arguments, "--out", run, "--resume")
    assert done.code == 0, done.stderr
    assert_same_run(run, unbroken)


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "during an epoch"), (signal.SIGTERM, "during a validation")]
)
def test_an_interrupted_run_saves_and_says_how_to_go_on(
    number: signal.Signals, moment: str, arguments: list[object], unbroken: Path, warm: WarmCommand, tmp_path: Path
) -> None:
    """The signal goes to every process, as Ctrl-C in a terminal does: the loading one must let the step finish."""
    run = tmp_path / "run"
    command = begin(warm.start(*arguments, "--out", run, patch=SLOWLY), moment, run)
    command.signal(number)
    done = command.wait()
    assert done.code == 130
    assert not done.stderr
    assert done.stdout.splitlines()[-1] == (
        f"stopped; everything is saved in {run}, and the same command with --resume goes on"
    )
    assert steps_done(run) in (2, 3)
    assert warm.run(*arguments, "--out", run, "--resume").code == 0
    assert_same_run(run, unbroken)


def test_a_second_interrupt_is_obeyed_at_once(arguments: list[object], warm: WarmCommand, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = begin(warm.start(*arguments, "--out", run, patch=SLOWLY), "during a validation", run)
    command.signal(signal.SIGINT)
    command.signal(signal.SIGINT)
    done = command.wait()
    assert done.code == 130
    assert "Traceback" not in done.stderr
