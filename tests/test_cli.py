"""The commands as a user types them: what they say to bad input, with which exit code, and what they leave."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from videos import textured, write_video

from maskstream.cli import main as cli
from maskstream.inference.load import BUNDLED

CLIP = "sample:lesions?seed=4&frames=3&size=96x128"

Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """Runs the command in an empty folder; gives its exit code and what it printed on stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["maskstream", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
            raise SystemExit(0)
        return int(exit_info.value.code or 0), capsys.readouterr().err

    return run


def _error_line(outcome: tuple[int, str]) -> str:
    """The one line of an error on purpose."""
    code, printed = outcome
    assert code == 2, printed
    assert "Traceback" not in printed
    lines = [line for line in printed.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, printed
    assert "expected" in lines[0]
    assert "found" in lines[0]
    return lines[0]


def _film(path: Path, frames: int = 12, size_hw: tuple[int, int] = (48, 64)) -> Path:
    return write_video(path, [textured(index, size_hw) for index in range(frames)])


def _missing(folder: Path) -> Path:
    return folder / "missing.mp4"


def _empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def _zero_bytes(folder: Path) -> Path:
    (folder / "zero.mp4").touch()
    return folder / "zero.mp4"


def _text_as_film(folder: Path) -> Path:
    (folder / "text.mp4").write_text("not a film, whatever its name says\n" * 100)
    return folder / "text.mp4"


def _sound_only(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("aac", rate=44100)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 44100
        film.mux(stream.encode(sound))
        film.mux(stream.encode())
    return path


def _cut_before_its_index(folder: Path) -> Path:
    path = _film(folder / "whole.mp4")
    cut = folder / "cut.mp4"
    cut.write_bytes(path.read_bytes()[:200])
    return cut


def _corrupt_image(folder: Path) -> Path:
    path = folder / "corrupt.jpg"
    Image.fromarray(textured(0)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_missing, "no such file"),
        (_empty_folder, "empty"),
        (_zero_bytes, "zero.mp4"),
        (_text_as_film, "text.mp4"),
        (_sound_only, "sound.mp4"),
        (_cut_before_its_index, "cut.mp4"),
        (_corrupt_image, "corrupt.jpg"),
    ],
)
def test_a_source_that_cannot_be_read(say: Say, tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    source = make(tmp_path)
    assert words in _error_line(say("segment", source, "--out", tmp_path / "run"))
    assert not (tmp_path / "run" / "detections.jsonl").exists()


@pytest.mark.parametrize("source", ["sample:cats", "sample:lesions?moles=many", "rtsp://127.0.0.1/x", "0"])
def test_a_source_that_is_not_there_yet(say: Say, source: str) -> None:
    _error_line(say("segment", source))


def test_a_corrupt_image_in_a_folder_is_counted(say: Say, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(textured(0)).save(tmp_path / "images" / "good.jpg")
    shutil.copy(_corrupt_image(tmp_path), tmp_path / "images" / "bad.jpg")
    code, printed = say("segment", tmp_path / "images", "--out", tmp_path / "run")
    assert code == 0, printed
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["frames"], summary["frames_damaged"]) == (1, 1)
    assert "bad.jpg" in summary["warnings"][0]


@pytest.mark.parametrize("size_hw", [(1, 1), (40, 20_000)])
def test_images_of_extreme_sizes(say: Say, tmp_path: Path, size_hw: tuple[int, int]) -> None:
    Image.fromarray(np.full((*size_hw, 3), 128, np.uint8)).save(tmp_path / "odd.png")
    code, printed = say("segment", tmp_path / "odd.png", "--out", tmp_path / "run")
    assert code == 0, printed
    with Image.open(tmp_path / "run" / "overlay" / "odd.jpg") as overlay:
        assert overlay.size == (size_hw[1], size_hw[0])


def test_a_folder_that_cannot_be_written(say: Say, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file" in _error_line(say("segment", CLIP, "--out", tmp_path / "file" / "run"))


def test_a_full_disk_keeps_the_finished_lines(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system of 40 kB: the run stops with one line, and every line on it is whole."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        line = _error_line(say("segment", "sample:lesions?seed=4&frames=200&size=120x160", "--out", disk / "run"))
        assert "No space left" in line
        lines = (disk / "run" / "detections.jsonl").read_bytes().split(b"\n")
        assert lines[:-1]
        assert all(json.loads(line)["frame"] == index for index, line in enumerate(lines[:-1]))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_used_folder_is_refused(say: Say, tmp_path: Path) -> None:
    assert say("segment", CLIP, "--out", tmp_path / "run")[0] == 0
    assert "--resume" in _error_line(say("segment", CLIP, "--out", tmp_path / "run"))


def test_resume_needs_a_folder(say: Say) -> None:
    assert "--out" in _error_line(say("segment", CLIP, "--resume"))


def _wrong_hash(folder: Path) -> str:
    with (folder / "trunk.onnx").open("ab") as file:
        file.write(b"\0")
    return "trunk.onnx"


def _missing_key(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["classes"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return "classes"


def _no_manifest(folder: Path) -> str:
    (folder / "manifest.json").unlink()
    return "manifest.json"


@pytest.mark.parametrize("spoil", [_wrong_hash, _missing_key, _no_manifest])
def test_a_spoilt_model_folder(say: Say, tmp_path: Path, spoil: Callable[[Path], str]) -> None:
    model = tmp_path / "model"
    shutil.copytree(BUNDLED / "lesions", model)
    assert spoil(model) in _error_line(say("segment", CLIP, "--model", model, "--out", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_an_unknown_model_names_the_known_ones(say: Say) -> None:
    assert "lesions" in _error_line(say("segment", CLIP, "--model", "moles"))


def test_runs_without_out_get_folders_of_their_own(say: Say, tmp_path: Path) -> None:
    for _ in range(2):
        assert say("segment", CLIP)[0] == 0
    assert len(list((tmp_path / "runs" / "segment").glob("*/report.html"))) == 2


def test_wrong_options_exit_with_2(say: Say) -> None:
    assert say("segment", CLIP, "--score", "2")[0] == 2
    assert say("segment", CLIP, "--every", "0")[0] == 2
    assert say("fly")[0] == 2


def test_interrupted(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskstream.cli.segment.run", stop)
    code, printed = say("segment", CLIP)
    assert code == 130
    assert "--resume goes on" in printed


def test_version(say: Say) -> None:
    assert say("--version")[0] == 0
