"""Classifying a source: the run folder, broken off and resumed, the command's words to bad input, and the report."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import ask, screenshot
from html_page import Page
from PIL import Image
from tiny_model import CALIBRATION, PROBABILITIES, write_tiny_model

import maskstream as ms
from maskstream.class_pipeline import Classified, run_classification
from maskstream.cli import main as cli
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.frame import Frame
from maskstream.errors import ModelFolderError, OutputError, SourceError
from maskstream.inference.load import load_classifier
from maskstream.media.lines import read_lines
from maskstream.media.sample import SampleClip
from maskstream.media.thumbnails import FIRST_LIMIT, SIDE_PX, SPREAD_LIMIT, Thumbnails, spread_stride
from maskstream.reports.class_report import CARD_BAR_LIMIT, write_class_report

TWO = ("bcc", "melanoma")
CLIP = "sample:lesions?seed=4&frames=40&size=120x160"
ROWS = ("classifications.jsonl", "classifications.csv")


class FakeClassifier:
    """Answers with a function of the frame."""

    def __init__(self, answer: Callable[[Frame], Sequence[float]], classes: Classes = TWO) -> None:
        self.name = "fake"
        self.classes = classes
        self._answer = answer

    def classify(self, frames: Sequence[Frame]) -> list[Classification]:
        return [Classification(np.array(self._answer(frame), np.float32), self.classes) for frame in frames]


def _by_light(frame: Frame) -> tuple[float, float]:
    """Melanoma is the share of white."""
    light = float(frame.image.mean()) / 255
    return 1 - light, light


LIGHT = FakeClassifier(_by_light)


def _images(folder: Path, greys: Sequence[int]) -> Path:
    folder.mkdir()
    for number, grey in enumerate(greys):
        Image.fromarray(np.full((30, 40, 3), grey, np.uint8)).save(folder / f"{number}.png")
    return folder


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "classifications.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _summary(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text(encoding="utf-8"))


def test_a_folder_of_images(tmp_path: Path) -> None:
    source = _images(tmp_path / "images", [0, 51, 255, 204])
    done: list[tuple[int, int | None]] = []
    run_classification(source, tmp_path / "run", LIGHT, on_frame=lambda *progress: done.append(progress))
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "classifications.csv", "classifications.jsonl", "run.json", "summary.json", "thumbnails",
    ]  # fmt: skip
    rows = _rows(tmp_path / "run")
    assert list(rows[0]) == [
        "frame", "time_s", "source", "class", "bcc_probability", "melanoma_probability", "calibrated",
    ]  # fmt: skip
    assert [row["class"] for row in rows] == ["bcc", "bcc", "melanoma", "melanoma"]
    assert [float(row["melanoma_probability"]) for row in rows] == pytest.approx([0, 0.2, 1, 0.8])
    assert {row["calibrated"] for row in rows} == {"no"}
    assert [Path(row["source"]).name for row in rows] == ["0.png", "1.png", "2.png", "3.png"]
    summary = _summary(tmp_path / "run")
    assert summary["called"] == {"bcc": 2, "melanoma": 2}
    assert [(entry["class"], entry["frames"]) for entry in summary["sources"]] == [
        ("bcc", 1), ("bcc", 1), ("melanoma", 1), ("melanoma", 1),
    ]  # fmt: skip
    assert (summary["frames"], summary["kind"], summary["model"]["calibrated"]) == (4, "images", False)
    assert set(summary["stages"]) == {"decode_s", "classify_s", "write_s"}
    assert len(list((tmp_path / "run" / "thumbnails").iterdir())) == 4


def test_a_video_has_the_plain_mean_of_its_frames(tmp_path: Path) -> None:
    run_classification(CLIP, tmp_path / "run", LIGHT, every=3)
    clip = SampleClip(seed=4, size_hw=(120, 160), frame_count=40)
    expected = [clip.image(index).mean() / 255 for index in range(0, 40, 3)]
    rows = _rows(tmp_path / "run")
    assert [int(row["frame"]) for row in rows] == list(range(0, 40, 3))
    assert [float(row["time_s"]) for row in rows] == pytest.approx(np.arange(0, 40, 3) / 30)
    np.testing.assert_allclose([float(row["melanoma_probability"]) for row in rows], expected, rtol=1e-6)
    (entry,) = _summary(tmp_path / "run")["sources"]
    assert entry["frames"] == 14
    assert entry["probabilities"]["melanoma"] == pytest.approx(np.mean(expected), rel=1e-6)
    assert sum(entry["probabilities"].values()) == pytest.approx(1)
    assert "plain mean" in _summary(tmp_path / "run")["averaging"]


def test_a_model_folder_is_calibrated_and_named(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "classification")
    run_classification(_images(tmp_path / "images", [9]), tmp_path / "run", tmp_path / "model")
    (row,) = _rows(tmp_path / "run")
    shown = CALIBRATION.apply(np.array([PROBABILITIES], np.float32), ("benign", "malignant"))[0, 1]
    assert np.float32(row["malignant_probability"]) == shown
    assert row["calibrated"] == "yes"
    summary, facts = _summary(tmp_path / "run"), json.loads((tmp_path / "run" / "run.json").read_text())
    assert summary["model"]["positive_class"] == "malignant"
    assert summary["model"]["sha256"] == facts["model_sha256"] == load_classifier(tmp_path / "model").sha256


def test_from_python(tmp_path: Path) -> None:
    results = list(ms.classify(_images(tmp_path / "images", [0, 255]), LIGHT))
    assert all(isinstance(result, Classified) for result in results)
    frame, answer = results[1]
    assert (Path(frame.source).name, answer.class_name, answer.probability_of("melanoma")) == ("1.png", "melanoma", 1.0)
    write_tiny_model(tmp_path / "model", "classification")
    (result,) = ms.classify(tmp_path / "images" / "0.png", tmp_path / "model")
    assert result.classification.classes == ("benign", "malignant")
    assert callable(ms.classify)


def test_a_classification_reads_well() -> None:
    answer = Classification(np.array([0.25, 0.75], np.float32), TWO)
    assert repr(answer) == "Classification(bcc 0.250, melanoma 0.750)"
    assert (answer.class_id, answer.class_name, answer.probability_of("bcc")) == (1, "melanoma", 0.25)
    with pytest.raises(KeyError, match="known: bcc, melanoma"):
        answer.probability_of("mole")
    with pytest.raises(ValueError, match=r"expected \(2,\)"):
        Classification(np.zeros(3, np.float32), TWO)


class PowerCutError(Exception):
    """Stands for whatever ends a run in the middle."""


def _breaking(at: int) -> FakeClassifier:
    def answer(frame: Frame) -> tuple[float, float]:
        if frame.index == at:
            raise PowerCutError
        return _by_light(frame)

    return FakeClassifier(answer)


@pytest.mark.parametrize("at", [0, 1, 17, 39])
def test_a_broken_run_resumes_to_an_unbroken_one(tmp_path: Path, at: int) -> None:
    run_classification(CLIP, tmp_path / "whole", LIGHT)
    with pytest.raises(PowerCutError):
        run_classification(CLIP, tmp_path / "run", _breaking(at))
    with (tmp_path / "run" / "classifications.jsonl").open("ab") as file:
        file.write(b'{"frame": 99, "torn')
    if at:
        (tmp_path / "run" / "thumbnails" / ".000000-torn.jpg").touch()
    run_classification(CLIP, tmp_path / "run", LIGHT, resume=True)
    _same_rows(tmp_path / "run", tmp_path / "whole")
    run_classification(CLIP, tmp_path / "run", LIGHT, resume=True)
    _same_rows(tmp_path / "run", tmp_path / "whole")


def _same_rows(run: Path, whole: Path) -> None:
    for name in (*ROWS, *(f"thumbnails/{path.name}" for path in (whole / "thumbnails").iterdir())):
        assert (run / name).read_bytes() == (whole / name).read_bytes()
    assert len(list((run / "thumbnails").iterdir())) == len(list((whole / "thumbnails").iterdir()))
    assert _summary(run)["sources"] == _summary(whole)["sources"]
    assert _summary(run)["frames"] == _summary(whole)["frames"]


def test_a_broken_run_of_images_resumes(tmp_path: Path) -> None:
    source = _images(tmp_path / "images", range(0, 250, 25))
    run_classification(source, tmp_path / "whole", LIGHT, every=2)
    with pytest.raises(PowerCutError):
        run_classification(source, tmp_path / "run", _breaking(6), every=2)
    run_classification(source, tmp_path / "run", LIGHT, every=2, resume=True)
    _same_rows(tmp_path / "run", tmp_path / "whole")


def test_resuming_another_run_is_refused(tmp_path: Path) -> None:
    run_classification(CLIP, tmp_path / "run", LIGHT)
    with pytest.raises(OutputError, match="every"):
        run_classification(CLIP, tmp_path / "run", LIGHT, every=2, resume=True)
    with pytest.raises(OutputError, match="--resume"):
        run_classification(CLIP, tmp_path / "run", LIGHT)
    with pytest.raises(OutputError, match="without --resume"):
        run_classification(CLIP, tmp_path / "nothing", LIGHT, resume=True)


COMMAND = [sys.executable, "-c", "from maskstream.cli.main import main; main()"]


def test_kill_9_and_resume_equal_an_unbroken_run(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "classification")
    clip = "sample:lesions?seed=5&frames=200&size=96x128"
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_classification(clip, whole, tmp_path / "model")
    arguments = ["classify", clip, "--model", str(tmp_path / "model"), "--out"]
    process = subprocess.Popen([*COMMAND, *arguments, str(broken)], stderr=subprocess.DEVNULL)
    lines, deadline = broken / "classifications.jsonl", time.monotonic() + 300
    try:
        while not lines.exists() or lines.read_bytes().count(b"\n") < 30:
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    assert 30 <= len(list(read_lines(lines))) < 200
    assert not (broken / "classifications.csv").exists()
    subprocess.run([*COMMAND, *arguments, str(broken), "--resume"], check=True, stderr=subprocess.DEVNULL)
    _same_rows(broken, whole)
    assert len(_rows(broken)) == 200
    assert (broken / "report.html").is_file()


def test_memory_does_not_hold_frames() -> None:
    import gc

    def alive() -> int:
        gc.collect()
        return sum(type(thing) is Frame for thing in gc.get_objects())

    before = most = alive()  # those of other tests
    for number, _ in enumerate(ms.classify(CLIP, LIGHT)):
        if number % 8 == 7:
            most = max(most, alive())
    assert most - before <= 8


@pytest.mark.parametrize(
    "count, stride", [(0, 1), (1, 1), (SPREAD_LIMIT, 1), (SPREAD_LIMIT + 1, 2), (10 * SPREAD_LIMIT, 16)]
)
def test_thumbnails_of_a_video_are_few_and_evenly_spread(tmp_path: Path, count: int, stride: int) -> None:
    thumbnails = Thumbnails(tmp_path, spread=True)
    for number in range(count):
        thumbnails.add(number, np.zeros((20, 30, 3), np.uint8))
    assert spread_stride(count) == stride
    kept = sorted(int(path.stem) for path in tmp_path.iterdir())
    assert kept == list(range(0, count, stride))
    assert len(kept) <= SPREAD_LIMIT


def test_thumbnails_of_images_are_the_first_ones_and_small(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path, spread=False)
    for number, size_hw in enumerate([(1, 4000), (640, 1280), (4, 5)] + [(2, 2)] * FIRST_LIMIT):
        thumbnails.add(number, np.zeros((*size_hw, 3), np.uint8))
    paths = sorted(tmp_path.iterdir())
    assert [int(path.stem) for path in paths] == list(range(FIRST_LIMIT))
    assert [cv2.imread(str(path)).shape[:2] for path in paths[:3]] == [(1, SIDE_PX), (160, SIDE_PX), (4, 5)]


Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Say:
    """Runs `maskstream classify` in an empty folder; gives its exit code and what it printed on stderr."""
    monkeypatch.chdir(tmp_path)
    write_tiny_model(tmp_path / "model", "classification")

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["maskstream", "classify", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
            raise SystemExit(0)
        return int(exit_info.value.code or 0), capsys.readouterr().err

    return run


def _error_line(outcome: tuple[int, str]) -> str:
    code, printed = outcome
    lines = [line for line in printed.splitlines() if line.startswith("error:")]
    assert (code, len(lines)) == (2, 1), printed
    assert "Traceback" not in printed
    return lines[0]


def test_the_command(say: Say, tmp_path: Path) -> None:
    code, printed = say(_images(tmp_path / "images", [1, 2]), "--model", "model")
    assert code == 0, printed
    run = tmp_path / "runs" / "classify" / "images"
    assert f"report: {Path('runs') / 'classify' / 'images' / 'report.html'}" in printed
    assert sorted(path.name for path in run.iterdir()) == [
        "classifications.csv", "classifications.jsonl", "report.html", "run.json", "summary.json", "thumbnails",
    ]  # fmt: skip


def _corrupt(folder: Path) -> Path:
    path = folder / "corrupt.jpg"
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    return path


def test_bad_sources(say: Say, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, words in [("missing.jpg", "no such file"), ("empty", "no file"), (_corrupt(tmp_path), "corrupt.jpg")]:
        assert words in _error_line(say(source, "--model", "model", "--out", "run"))
        assert not (tmp_path / "run").exists()


def test_a_damaged_image_among_others_is_told(say: Say, tmp_path: Path) -> None:
    _corrupt(_images(tmp_path / "images", [1, 2]))
    assert say("images", "--model", "model", "--out", "run")[0] == 0
    assert (_summary(tmp_path / "run")["frames"], _summary(tmp_path / "run")["frames_damaged"]) == (2, 1)
    assert "could not be decoded" in Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8")).text


def test_a_model_of_another_task(say: Say, tmp_path: Path) -> None:
    assert "maskstream segment" in _error_line(say(CLIP, "--model", "lesions", "--out", "run"))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ModelFolderError, match="maskstream classify"):
        next(ms.segment(CLIP, tmp_path / "model"))


def test_other_bad_arguments(say: Say, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").touch()
    assert "a new or empty folder" in _error_line(say(CLIP, "--model", "model", "--out", "used"))
    assert "--out" in _error_line(say(CLIP, "--model", "model", "--resume"))
    assert "neither" in _error_line(say(CLIP, "--model", "mole"))
    assert say(CLIP)[0] == 2
    assert say(CLIP, "--model", "model", "--every", "0")[0] == 2


def test_interrupted(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maskstream.cli.classify.run_classification", stop)
    code, printed = say(CLIP, "--model", "model")
    assert code == 130
    assert "--resume goes on" in printed


def _page(run: Path) -> Page:
    return Page(write_class_report(run).read_text(encoding="utf-8"))


def test_the_report_of_images(tmp_path: Path) -> None:
    run_classification(_images(tmp_path / "images", [0, 51, 255]), tmp_path / "run", LIGHT)
    page = _page(tmp_path / "run")
    assert "3 images: 2 most likely bcc, 1 most likely melanoma." in page.text
    assert "Not calibrated; no interval" in page.text
    assert "maskstream is not a medical device" in page.text
    assert len(page.all("li", "card")) == 3
    assert [image["alt"] for image in page.all("img")] == ["0.png", "1.png", "2.png"]
    assert "1.png bcc 80 % melanoma 20 %" in page.text
    assert not page.all("figure")


def test_the_report_of_one_image(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "classification")
    run_classification(_images(tmp_path / "images", [0]) / "0.png", tmp_path / "run", tmp_path / "model")
    text = _page(tmp_path / "run").text
    assert "Most likely malignant: 64 %." in text
    assert "The percentage of malignant is calibrated" in text
    assert "Not calibrated" not in text
    assert "Answers with constants." in text


def test_the_report_of_a_video(tmp_path: Path) -> None:
    run_classification(CLIP, tmp_path / "run", LIGHT)
    page = _page(tmp_path / "run")
    mean = round(100 * _summary(tmp_path / "run")["sources"][0]["probabilities"]["melanoma"])
    assert f"Most likely melanoma: {mean} % on average over 40 frames of 1.3 seconds of video." in page.text
    assert "plain mean over its frames" in page.text
    assert "no interval is claimed" in page.text
    (figure,) = page.all("figure")
    values = json.loads(figure["data-values"])
    assert len(values) == 40
    assert values[0] == [0.0, pytest.approx(100 * float(_rows(tmp_path / "run")[0]["melanoma_probability"]), abs=0.05)]
    assert json.loads(figure["data-names"]) == ["melanoma"]
    assert [image["alt"] for image in page.all("img")][:2] == ["Frame at 0:00.0", "Frame at 0:00.1"]
    assert len(page.all("img")) == 10


def test_the_page_does_not_grow_with_the_video(tmp_path: Path) -> None:
    sizes = []
    for frames in (64, 512):
        run_classification(f"sample:lesions?frames={frames}&size=64x64", tmp_path / f"{frames}", LIGHT)
        sizes.append(write_class_report(tmp_path / f"{frames}").stat().st_size)
    assert sizes[1] < 1.5 * sizes[0]


def test_the_page_shows_the_first_of_many_images_and_of_many_classes(tmp_path: Path) -> None:
    source = _images(tmp_path / "images", range(FIRST_LIMIT + 5))
    classes = tuple(f"kind {letter}" for letter in "abcdefghijkl")
    model = FakeClassifier(lambda frame: np.eye(12)[frame.index % 12] * 0.4 + 0.05, classes)
    run_classification(source, tmp_path / "run", model)
    page = _page(tmp_path / "run")
    assert len(page.all("li", "card")) == FIRST_LIMIT
    assert "5 further images stand in classifications.csv" in page.text
    assert f"The {CARD_BAR_LIMIT} most probable of 12 classes" in page.text
    assert "35 something else" in page.text
    assert "and 4 classes with less" in page.text
    assert "one of its 12 classes whatever" in page.text


def test_names_cannot_bring_markup(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\"'&"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a<b>&.png")
    run_classification(tmp_path / "a<b>&.png", tmp_path / "run", FakeClassifier(_by_light, (evil, "b")))
    page = _page(tmp_path / "run")
    assert not [image for image in page.all("img") if image.get("onerror")]
    assert page.text.count(evil) >= 3
    assert "a<b>&.png" in page.text


def test_nothing_is_fetched_and_everything_is_named(tmp_path: Path) -> None:
    run_classification(CLIP, tmp_path / "run", LIGHT)
    page = _page(tmp_path / "run")
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset"):
            assert "//" not in (attributes.get(name) or "").partition(",")[0], (tag, name)
        if tag == "img":
            assert attributes["alt"]
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")


def test_a_missing_thumbnail_is_said(tmp_path: Path) -> None:
    run_classification(_images(tmp_path / "images", [0, 51]), tmp_path / "run", LIGHT)
    (tmp_path / "run" / "thumbnails" / "000001.jpg").unlink()
    page = _page(tmp_path / "run")
    assert len(page.all("img")) == 1
    assert "No picture" in page.text


def test_a_folder_that_is_no_classification(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a finished run"):
        write_class_report(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(SourceError, match="'sources'"):
        write_class_report(tmp_path)


@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_in_a_browser(tmp_path: Path, width: int) -> None:
    run_classification(CLIP, tmp_path / "run", LIGHT)
    page = write_class_report(tmp_path / "run")
    asked = ask(
        page,
        width,
        """const scrub = document.querySelector(".scrub");
        scrub.value = 0.5; scrub.dispatchEvent(new Event("input"));
        return [document.documentElement.scrollWidth, document.querySelector(".readout").textContent,
                [...document.images].every((image) => image.naturalWidth > 0 || image.loading === "lazy")]""",
        tmp_path / "profile",
    )
    percent = round(100 * float(_rows(tmp_path / "run")[15]["melanoma_probability"]), 1)
    assert asked[0] <= width
    assert re.sub(r"\s", " ", asked[1]) == f"0:00.5: melanoma {percent:g} %"
    assert asked[2]
    screenshot(page, (width, 900), tmp_path / "page.png", tmp_path / "profile 2")
    assert cv2.imread(str(tmp_path / "page.png")).std() > 10
