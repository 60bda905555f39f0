"""What a training run writes about itself, unbroken, killed at any moment and resumed."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from maskstream.errors import OutputError
from maskstream.media.images import read_image
from maskstream.reports.training_tables import MEASURED, STEPS, VALIDATION, cut_after, read_rows, whole_lines
from maskstream.training import memory, run_log
from maskstream.training.run_log import LOG, RunLog

EPOCH = 5
PICTURE = np.full((300, 960, 3), (200, 30, 40), np.uint8)


def go(run, *, steps=20, first_step=0, until=None, every=4):
    """Log a run in which everything follows from the step, as in training; `until`: killed after that step."""
    run.mkdir(exist_ok=True)
    with RunLog(run, "tiny", steps, first_step, batch_size=8, every=every) as log:
        for step in range(first_step + 1, (until or steps) + 1):
            box = 1 / (3 * step)
            stage = "heads" if step <= 10 else "all"
            log.step(step, step / EPOCH, stage, {"box": box, "mask": 2 * box}, 3 * box, 0.1 / step, 0.5, 0.125)
            if step % EPOCH == 0:
                log.samples(step / EPOCH, [("a/b", PICTURE)])
                log.validation(step, step / EPOCH, stage, {"AP": box, "n_pictures": 3, "evaluator": "by hand"})
    return run


def learned(run):
    """The rows without what the machine made of them."""
    rows = list(read_rows(run / STEPS))
    return [{name: row[name] for name in row if name not in MEASURED} for row in rows]


def scalars(run, tag):
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    return [(event.step, event.value) for event in board.Scalars(tag)]


def sample_folders(run):
    return sorted(path.name for path in (run / "samples").iterdir())


def test_rows_and_lines_by_hand(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run_log, "peak_memory_mb", lambda: 123.4)
    with RunLog(tmp_path, "tiny", 3, 0, batch_size=8, every=2) as log:
        log.step(1, 0.5, "heads", {"box": 1.0, "mask": 3.0}, 4.0, 0.25, 0.5, 0.125)
        log.step(2, 1.0, "heads", {"box": 0.5, "mask": 1.0}, 1.5, 0.125, 0.25, 0.0625)
        log.validation(2, 1.0, "heads", {"AP": 0.25, "n_objects": 7, "evaluator": "by hand"})
        log.step(3, 1.5, "all", {"box": 0.25, "mask": 0.25}, 0.5, 1e-5, 0.125, 0.0)
    assert (tmp_path / STEPS).read_text().splitlines() == [
        "step,epoch,stage,loss,loss_box,loss_mask,learning_rate,step_s,data_s,images_per_s,memory_mb",
        "1,0.5,heads,4.0,1.0,3.0,0.25,0.5,0.125,16.0,123",
        "2,1.0,heads,1.5,0.5,1.0,0.125,0.25,0.0625,32.0,123",
        "3,1.5,all,0.5,0.25,0.25,1e-05,0.125,0.0,64.0,123",
    ]
    assert (tmp_path / VALIDATION).read_text().splitlines() == ["step,epoch,stage,AP,n_objects", "2,1.0,heads,0.25,7"]
    lines = [
        "eta 0:00:00  iter 2/3  epoch 1.00  stage heads  loss 2.75  box 0.75  mask 2  time 0.3750 s  data 0.0938 s  "
        "21.3 images/s  lr 0.125  memory 123 MB",
        "validation  iter 2/3  epoch 1.00  stage heads  AP 0.25  n_objects 7  evaluator by hand",
        "eta 0:00:00  iter 3/3  epoch 1.50  stage all  loss 0.5  box 0.25  mask 0.25  time 0.1250 s  data 0.0000 s  "
        "64.0 images/s  lr 1e-05  memory 123 MB",
    ]
    assert capsys.readouterr().out.splitlines() == lines
    stamped = (tmp_path / LOG).read_text().splitlines()
    assert [line.split("  ", 1)[1] for line in stamped] == lines
    assert scalars(tmp_path, "train/loss") == [(2, 2.75), (3, 0.5)]
    assert scalars(tmp_path, "train/memory_mb") == [(2, pytest.approx(123.4)), (3, pytest.approx(123.4))]
    assert scalars(tmp_path, "val/AP") == [(2, 0.25)]


def test_a_run_of_no_steps(tmp_path, capsys):
    with RunLog(tmp_path, "tiny", 0, 0, batch_size=8):
        pass
    assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return go(tmp_path_factory.mktemp("runs") / "unbroken")


@settings(max_examples=8)
@given(st.data())
def test_resumed_anywhere_the_tables_are_those_of_an_unbroken_run(unbroken, tmp_path_factory, data):
    killed_after = data.draw(st.integers(1, 19), "killed after")
    saved_at = data.draw(st.integers(0, killed_after), "saved at")
    run = go(tmp_path_factory.mktemp("run"), until=killed_after)
    go(run, first_step=saved_at)
    assert learned(run) == learned(unbroken)
    assert (run / VALIDATION).read_text() == (unbroken / VALIDATION).read_text()
    assert sample_folders(run) == sample_folders(unbroken) == [f"epoch-{number:03}" for number in range(1, 5)]


@pytest.mark.parametrize("saved_at", [8, 10, 11])
def test_means_on_the_board_do_not_tell_where_a_run_was_cut(unbroken, tmp_path, saved_at):
    run = go(tmp_path / "run", until=17)
    go(run, first_step=saved_at)
    for tag in ("train/loss", "train/loss_mask", "train/learning_rate", "val/AP"):
        assert scalars(run, tag) == scalars(unbroken, tag)


def test_resumed_before_any_validation_no_sample_is_left(tmp_path):
    run = go(tmp_path / "run", until=7)
    assert sample_folders(run) == ["epoch-001"]
    with RunLog(run, "tiny", 20, 4, batch_size=8):
        pass
    assert sample_folders(run) == []
    assert len(learned(run)) == 4


def test_a_line_that_a_kill_has_cut_short_is_dropped(tmp_path):
    run = go(tmp_path / "run", until=6)
    whole = (run / STEPS).read_text()
    (run / STEPS).write_text(whole + "7,1.4,heads,0.0")
    assert len(list(read_rows(run / STEPS))) == 6
    with RunLog(run, "tiny", 20, 7, batch_size=8):
        pass
    assert (run / STEPS).read_text() == whole


@pytest.mark.parametrize(
    "text, kept",
    [
        ("", ""),
        ("step,lo", ""),
        ("step,loss\n", "step,loss\n"),
        ("step,loss\n1,5\n2,4\n3,3\n", "step,loss\n1,5\n2,4\n"),
        ("step,loss\n2,4\n1", "step,loss\n2,4\n"),
    ],
)
def test_cutting_a_table(tmp_path, text, kept):
    path = tmp_path / "t.csv"
    path.write_text(text)
    cut_after(path, 2)
    assert path.read_text() == kept


def test_a_table_that_is_not_there_has_no_lines(tmp_path):
    cut_after(tmp_path / "t.csv", 2)
    assert list(whole_lines(tmp_path / "t.csv")) == []
    assert not (tmp_path / "t.csv").exists()


def test_figures_that_only_later_validations_have_get_a_column(tmp_path):
    with RunLog(tmp_path, "tiny", 9, 0, batch_size=8) as log:
        log.validation(1, 1, "all", {"AP": 0.0, "AP/oil, tank": 0.5})
        log.validation(2, 2, "all", {"AP": 0.1, "auc": 0.75, "AP/oil, tank": float("nan")})
    with (tmp_path / VALIDATION).open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["auc"], second["auc"], first["AP/oil, tank"], second["AP/oil, tank"]) == ("", "0.75", "0.5", "nan")


def test_samples_are_small_and_named_by_epoch(tmp_path):
    with RunLog(tmp_path, "tiny", 9, 0, batch_size=8) as log:
        log.samples(3, [("folder/a.PNG", PICTURE), ("v1.2", PICTURE[:20, :30])])
        log.samples(3.25, [])
        log.samples(3.5, [("a", PICTURE)])
    assert sample_folders(tmp_path) == ["epoch-003", "epoch-003.50"]
    images = {path.name: read_image(path) for path in (tmp_path / "samples" / "epoch-003").iterdir()}
    assert {name: image.shape for name, image in images.items()} == {
        "folder-a.jpg": (150, 480, 3),
        "v1.2.jpg": (20, 30, 3),
    }
    assert np.abs(images["folder-a.jpg"][75, 240].astype(int) - (200, 30, 40)).max() <= 4


def test_in_a_terminal_each_line_stands_once_above_the_bar(tmp_path, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(run_log, "Console", partial(Console, file=screen, force_terminal=True, width=200))
    with RunLog(tmp_path, "tiny", 40, 0, batch_size=8) as log:
        for step in range(1, 41):
            log.step(step, step / 40, "all", {"box": 1.0}, 1.0, 0.1, 0.5, 0.1)
        log.note("[bold] is no markup")
        with log.counting("validating", 3) as count:
            count()
    shown = screen.getvalue()
    assert [shown.count(f"iter {step}/40") for step in (20, 40)] == [1, 1]
    assert shown.count("[bold] is no markup") == 1
    assert "40/40" in shown
    assert "ETA" in shown


def test_a_full_disk_is_told(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a disk that is always full")
    (tmp_path / STEPS).symlink_to("/dev/full")
    log = RunLog(tmp_path, "tiny", 40, 0, batch_size=8)
    told = r"steps\.csv: expected a place that can be written, found No space left.*--resume"
    with pytest.raises(OutputError, match=told), log:
        log.step(1, 0.1, "all", {}, 1.0, 0.1, 0.5, 0.1)


def test_memory_counts_processes_that_load_images():
    before = memory.peak_memory_mb()
    take = "x = bytearray(150_000_000); print(len(x), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", take], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    child.stdout.readline()
    during = memory.peak_memory_mb()
    child.stdin.close()
    child.wait()
    child.stdout.close()
    assert during - before > 140
