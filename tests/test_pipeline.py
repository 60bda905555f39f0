"""The whole walk: a source to a run folder, broken off and resumed, and the same from Python."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import maskstream as ms
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import from_rle
from maskstream.core.segmenter import FakeSegmenter
from maskstream.errors import OutputError, SourceError
from maskstream.media.lines import read_lines
from maskstream.media.sample import SampleClip
from maskstream.media.video_sink import PART_FRAMES
from maskstream.pipeline import run, segment
from maskstream.run_folder import RunFolder

CLASSES = ("benign", "malignant")
CLIP = "sample:lesions?seed=4&frames=12&size=120x160"


@pytest.fixture
def truthful() -> FakeSegmenter:
    """Answers with the clip's own truth, without its track ids."""
    clip = SampleClip(seed=4, size_hw=(120, 160), frame_count=12)
    return FakeSegmenter(lambda frame: _untracked(clip.truth(frame.index)), CLASSES)


def _untracked(truth: Detections) -> Detections:
    return truth.with_track_ids(np.zeros(len(truth), np.int64))


def _times(video: Path) -> list[float]:
    with av.open(str(video)) as film:
        return [frame.time for frame in film.decode(video=0)]


def test_a_run_folder_holds_everything(truthful: FakeSegmenter, tmp_path: Path) -> None:
    done: list[tuple[int, int | None]] = []
    run(CLIP, tmp_path / "run", truthful, on_frame=lambda *progress: done.append(progress))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "detections.jsonl",
        "overlay.mp4",
        "run.json",
        "summary.json",
        "tracks.csv",
    ]
    assert done == [(n, 12) for n in range(1, 13)]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["frames"] == 12
    assert summary["frames_damaged"] == 0
    assert set(summary["stages"]) == {"decode_s", "segment_s", "track_s", "draw_s", "write_s"}
    np.testing.assert_allclose(_times(tmp_path / "run" / "overlay.mp4"), np.arange(12) / 30, atol=1e-4)


def test_lines_say_what_was_found(truthful: FakeSegmenter, tmp_path: Path) -> None:
    run(CLIP, tmp_path / "run", truthful)
    clip = SampleClip(seed=4, size_hw=(120, 160), frame_count=12)
    lines = list(read_lines(tmp_path / "run" / "detections.jsonl"))
    assert [line["frame"] for line in lines] == list(range(12))
    for index, line in enumerate(lines):
        truth = clip.truth(index)
        assert line["time_s"] == pytest.approx(index / 30)
        assert len(line["detections"]) == len(truth)
        for found, mask, class_id in zip(line["detections"], truth.masks, truth.class_ids, strict=True):
            assert found["class"] == CLASSES[class_id]
            assert found["area_px"] == mask.area_px
            assert found["probabilities"] == {name: float(name == found["class"]) for name in CLASSES}
            assert 0 <= found["quality"] <= 1
            np.testing.assert_array_equal(from_rle(found["mask"]).bitmap, mask.bitmap)


def test_tracks_are_counted(truthful: FakeSegmenter, tmp_path: Path) -> None:
    run(CLIP, tmp_path / "run", truthful)
    with (tmp_path / "run" / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    truth = SampleClip(seed=4, size_hw=(120, 160), frame_count=12).truth(0)
    assert len(rows) == len(truth)
    assert {row["frames_seen"] for row in rows} == {"12"}
    assert all(row["malignant_percent_low"] == "" for row in rows), "an uncalibrated model has no interval to show"


def test_every_nth_frame(truthful: FakeSegmenter, tmp_path: Path) -> None:
    run(CLIP, tmp_path / "run", truthful, every=5)
    assert [line["frame"] for line in read_lines(tmp_path / "run" / "detections.jsonl")] == [0, 5, 10]
    np.testing.assert_allclose(_times(tmp_path / "run" / "overlay.mp4"), np.array([0, 5, 10]) / 30, atol=1e-4)


def test_the_score_of_the_call_cuts(truthful: FakeSegmenter, tmp_path: Path) -> None:
    run(CLIP, tmp_path / "run", truthful, score=1.1)
    assert all(line["detections"] == [] for line in read_lines(tmp_path / "run" / "detections.jsonl"))
    assert (tmp_path / "run" / "tracks.csv").read_text().count("\n") == 1


def test_images_are_scenes_of_their_own(truthful: FakeSegmenter, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((120, 160, 3), 90, np.uint8)).save(folder / name)
    run(folder, tmp_path / "run", truthful)
    lines = list(read_lines(tmp_path / "run" / "detections.jsonl"))
    assert [Path(line["source"]).name for line in lines] == ["a.png", "b.png"]
    ids = [{found["track_id"] for found in line["detections"]} for line in lines]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert sorted(path.name for path in (tmp_path / "run" / "overlay").iterdir()) == ["a.jpg", "b.jpg"]


class PowerCutError(Exception):
    """Stands for whatever ends a run in the middle."""


def _breaking(segmenter: FakeSegmenter, at: int) -> FakeSegmenter:
    def answer(frame: Frame) -> Detections:
        if frame.index == at:
            raise PowerCutError
        return segmenter.segment([frame])[0]

    return FakeSegmenter(answer, segmenter.classes)


@pytest.mark.parametrize("at", [0, 1, 7, 11])
def test_a_broken_run_resumes_to_an_unbroken_one(truthful: FakeSegmenter, tmp_path: Path, at: int) -> None:
    run(CLIP, tmp_path / "whole", truthful)
    with pytest.raises(PowerCutError):
        run(CLIP, tmp_path / "broken", _breaking(truthful, at))
    assert len(list(read_lines(tmp_path / "broken" / "detections.jsonl"))) == at
    run(CLIP, tmp_path / "broken", truthful, resume=True)
    for name in ("detections.jsonl", "tracks.csv"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert _times(tmp_path / "broken" / "overlay.mp4") == _times(tmp_path / "whole" / "overlay.mp4")


def test_resuming_a_finished_run_changes_nothing(truthful: FakeSegmenter, tmp_path: Path) -> None:
    run(CLIP, tmp_path / "run", truthful)
    before = {
        path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.suffix in {".jsonl", ".csv"}
    }
    run(CLIP, tmp_path / "run", truthful, resume=True)
    assert {name: (tmp_path / "run" / name).read_bytes() for name in before} == before
    assert len(_times(tmp_path / "run" / "overlay.mp4")) == 12


def test_a_folder_in_use_is_refused_and_kept(truthful: FakeSegmenter, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="a new or empty folder"):
        run(CLIP, tmp_path / "run", truthful)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(("change", "named"), [({"score": 0.7}, "score"), ({"every": 2}, "every")])
def test_resuming_another_run_is_refused(
    truthful: FakeSegmenter, tmp_path: Path, change: dict[str, float], named: str
) -> None:
    run(CLIP, tmp_path / "run", truthful)
    with pytest.raises(OutputError, match=named):
        run(CLIP, tmp_path / "run", truthful, resume=True, **change)  # type: ignore[arg-type]


def test_resuming_nothing_is_refused(truthful: FakeSegmenter, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="without --resume"):
        run(CLIP, tmp_path / "nothing", truthful, resume=True)


def test_a_source_that_fails_in_the_middle_keeps_what_is_finished(
    truthful: FakeSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = SampleClip.image

    def torn(clip: SampleClip, index: int) -> np.ndarray:
        if index == 5:
            raise SourceError(clip.name, expected="a frame", found="none", remedy="try again")
        return image(clip, index)

    monkeypatch.setattr(SampleClip, "image", torn)
    with pytest.raises(SourceError, match="try again"):
        run(CLIP, tmp_path / "run", truthful)
    assert len(list(read_lines(tmp_path / "run" / "detections.jsonl"))) == 5
    assert len(_times(tmp_path / "run" / "overlay.mp4")) == 5


def test_memory_does_not_hold_frames(truthful: FakeSegmenter) -> None:
    """However long the clip, the frames alive at any time are those in the queue and in hand."""
    import gc

    def alive() -> int:
        gc.collect()
        return sum(type(thing) is Frame for thing in gc.get_objects())

    before = most = alive()  # those of other tests
    for number, _ in enumerate(segment(CLIP, truthful)):
        if number % 4 == 3:
            most = max(most, alive())
    assert most - before <= 8


def test_segment_yields_pairs_that_show_themselves(truthful: FakeSegmenter) -> None:
    results = list(ms.segment(CLIP, truthful))
    frame, detections = results[3]
    assert frame.index == 3
    assert (detections.track_ids > 0).all()
    assert results[3]._repr_png_().startswith(b"\x89PNG")
    assert {tuple(result.detections.track_ids) for result in results} == {tuple(detections.track_ids)}


def test_segment_without_tracking(truthful: FakeSegmenter) -> None:
    assert all((result.detections.track_ids == 0).all() for result in ms.segment(CLIP, truthful, track=False))


def test_segment_and_run_agree(truthful: FakeSegmenter, tmp_path: Path) -> None:
    run(CLIP, tmp_path / "run", truthful)
    for result, line in zip(segment(CLIP, truthful), read_lines(tmp_path / "run" / "detections.jsonl"), strict=True):
        assert [found["track_id"] for found in line["detections"]] == result.detections.track_ids.tolist()


COMMAND = [sys.executable, "-c", "from maskstream.cli.main import main; main()"]


@pytest.fixture
def killed(tmp_path: Path) -> Callable[[list[str], int], None]:
    """Starts `maskstream` with arguments, and kills it with SIGKILL when its run has so many lines."""

    def kill_at(arguments: list[str], lines: int) -> None:
        process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.DEVNULL)
        written = tmp_path / "broken" / "detections.jsonl"
        deadline = time.monotonic() + 120
        while not written.exists() or written.read_bytes().count(b"\n") < lines:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    return kill_at


def test_kill_9_and_resume_equal_an_unbroken_run(killed: Callable[[list[str], int], None], tmp_path: Path) -> None:
    """The real command with the bundled model, killed after its first whole part of video, then resumed."""
    clip = f"sample:lesions?seed=5&frames={PART_FRAMES + 40}&size=96x128"
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*COMMAND, "segment", clip, "--out", str(whole)], check=True, stderr=subprocess.DEVNULL)
    killed(["segment", clip, "--out", str(broken)], PART_FRAMES + 5)
    assert not (broken / "overlay.mp4").exists()
    finished = list(read_lines(broken / "detections.jsonl"))
    assert PART_FRAMES < len(finished) < PART_FRAMES + 40
    command = [*COMMAND, "segment", clip, "--out", str(broken), "--resume"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    for name in ("detections.jsonl", "tracks.csv"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    assert _times(broken / "overlay.mp4") == _times(whole / "overlay.mp4")
    assert len(_times(broken / "overlay.mp4")) == PART_FRAMES + 40
    assert (broken / "report.html").is_file()
    assert not (broken / "overlay.parts").exists()


def test_a_run_folder_is_a_context_manager_that_closes_on_error(truthful: FakeSegmenter, tmp_path: Path) -> None:
    from maskstream.run_folder import RunFacts

    with ms.open_source(CLIP) as source:
        facts = RunFacts.gather(source, truthful, None, 1)
        with pytest.raises(PowerCutError), RunFolder(tmp_path / "run", facts, source, resume=False) as folder:
            frame = next(iter(source))
            folder.draw(frame, frame.image)
            raise PowerCutError
    assert len(_times(tmp_path / "run" / "overlay.mp4")) == 1
