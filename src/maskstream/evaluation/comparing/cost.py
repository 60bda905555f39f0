"""What a model's answers cost: its size on disk, the time of an answer, and the memory of a process that gives them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from maskstream.core.frame import Frame
from maskstream.core.parallel import OnProgress
from maskstream.errors import ModelFolderError
from maskstream.inference.manifest import read_manifest
from maskstream.inference.model_text import parameter_count

MB = 1e6

WARM_CALLS = 2
"""First calls of each model that are not timed: memory is taken then, and graphs are laid out."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds an image.

    Attributes
    ----------
    median_ms, low_ms, high_ms : the middle, and the quartiles around it.
    calls : how many were timed.
    """

    median_ms: float
    low_ms: float
    high_ms: float
    calls: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What is known of a model's cost; None where it was not or cannot be measured.

    Attributes
    ----------
    size_mb : of all files of its folder.
    parameters : numbers in its graphs; None where the package onnx is not installed.
    speed : of one image at a time, from pixels to answer.
    peak_memory_mb : of a fresh process that loads it and answers some images; the interpreter is in it.
    """

    size_mb: float | None = None
    parameters: int | None = None
    speed: Speed | None = None
    peak_memory_mb: float | None = None


def folder_size_mb(folder: Path) -> float:
    """Size of all files of a model folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def folder_parameters(folder: Path) -> int | None:
    """Numbers in the graphs of a model folder; None where the package onnx, which counts them, is not installed."""
    if find_spec("onnx") is None:
        return None
    files = {graph.file for graph in read_manifest(folder).graphs.values()}
    return sum(parameter_count(folder / file) for file in files)


def measure_speed(
    models: Mapping[str, Callable[[Frame], object]],
    frames: Sequence[Frame],
    on_progress: OnProgress | None = None,
) -> dict[str, Speed]:
    """Time every model on every image, one after the other: what slows the machine for a while slows them all.

    Parameters
    ----------
    models : what answers an image, by name; each with the threads that it is deployed with.
    frames : at least one; `WARM_CALLS` further calls on the first ones come before.
    """
    names = list(models)
    for name in names:
        for turn in range(WARM_CALLS):
            models[name](frames[turn % len(frames)])
    taken: dict[str, list[float]] = {name: [] for name in names}
    for done, frame in enumerate(frames):
        first = done % len(names) if names else 0  # nobody always follows the same other
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            models[name](frame)
            taken[name].append(1000 * (time.perf_counter() - start))
        if on_progress is not None:
            on_progress(done + 1, len(frames))
    return {name: _speed(times) for name, times in taken.items()}


def measure_peak_memory_mb(model: str, images: Sequence[Path]) -> float | None:
    """Peak memory of a fresh process that loads a model (its name or folder) and answers these images.

    None where the system does not tell it.

    Raises
    ------
    ModelFolderError : the process failed.
    """
    command = [sys.executable, "-m", "maskstream.evaluation.comparing.memory_probe", model, *map(str, images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelFolderError(
            model,
            expected="a process that loads the model and answers images",
            found=(done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1],
            remedy="leave memory out with --no-cost, or see why the process ends",
        )
    peak = json.loads(done.stdout.splitlines()[-1])["peak_memory_mb"]
    return None if peak is None else float(peak)


def _speed(times_ms: Sequence[float]) -> Speed:
    low, median, high = np.quantile(times_ms, [0.25, 0.5, 0.75])
    return Speed(float(median), float(low), float(high), len(times_ms))
