"""What answers cost: size, parameters, time in turns, and the memory of a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from compared_models import models, squares

from maskstream.core.frame import Frame
from maskstream.errors import ModelFolderError
from maskstream.evaluation.comparing.cost import (
    WARM_CALLS,
    folder_parameters,
    folder_size_mb,
    measure_peak_memory_mb,
    measure_speed,
)
from maskstream.evaluation.comparing.memory_probe import peak_memory_mb

FRAMES = [Frame(np.zeros((8, 8, 3), np.uint8), index, 0.0, "none") for index in range(6)]


def test_models_take_turns_and_the_first_calls_do_not_count() -> None:
    called: list[str] = []

    def model(name: str, first_s: float, s: float):
        def answer(frame: Frame) -> None:
            time.sleep(first_s if called.count(name) < WARM_CALLS else s)
            called.append(name)

        return answer

    speeds = measure_speed({"slow": model("slow", 0.2, 0.03), "fast": model("fast", 0.2, 0.0)}, FRAMES)
    timed = called[2 * WARM_CALLS :]
    assert [sorted(timed[2 * turn : 2 * turn + 2]) for turn in range(6)] == [["fast", "slow"]] * 6
    assert timed[0] != timed[2]  # each goes first in every other turn
    assert speeds["slow"].calls == speeds["fast"].calls == 6
    assert 30 <= speeds["slow"].low_ms <= speeds["slow"].median_ms <= speeds["slow"].high_ms
    assert speeds["fast"].median_ms < 25


def test_size_and_parameters_of_a_folder(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (folder,) = models(tmp_path, "semantic")
    assert folder_size_mb(Path(folder)) == pytest.approx(sum(p.stat().st_size for p in Path(folder).iterdir()) / 1e6)
    assert folder_parameters(Path(folder)) == 0  # its answer is a constant node, not a weight


def test_memory_is_that_of_a_fresh_process(tmp_path: Path) -> None:
    image = squares(tmp_path, 1).images[0].path
    before = measure_peak_memory_mb("classical", [image])
    held = np.ones(50_000_000)  # 400 MB of this process, which the other one must not inherit
    after = measure_peak_memory_mb("classical", [image])
    own = peak_memory_mb()
    assert own is not None
    assert own > held.nbytes / 1e6
    assert before is not None
    assert after is not None
    assert 20 < before < 400
    assert after == pytest.approx(before, rel=0.25)


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"neither"):
        measure_peak_memory_mb(str(tmp_path / "nowhere"), [])
