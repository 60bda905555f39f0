"""Maps of a run's tracks: made of each track's best frame, told by files alone, and shown in the report."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from fake_answers import CLASSES, BrightAnswers, RedAnswers, bright_objects
from small_datasets import dataset, record, rectangle
from typer.testing import CliRunner

from maskstream.cli.segment import segment
from maskstream.core.segmenter import FakeSegmenter
from maskstream.errors import SourceError
from maskstream.evaluation.evaluate import Evaluation, evaluation_of
from maskstream.evaluation.failures.worst import worst
from maskstream.media.sources import open_source
from maskstream.pipeline import run
from maskstream.reports.run_report import write_run_report
from maskstream.reports.why_tracks import explain_tracks, read_reasons
from maskstream.reports.why_worst import COLUMNS, write_why

SIZE_HW = (60, 80)


def _pictures(folder: Path) -> Path:
    """Two pictures of a bright square that is red on its left half, and one that shows nothing."""
    folder.mkdir()
    for number in range(3):
        image = np.zeros((*SIZE_HW, 3), np.uint8)
        if number < 2:
            image[15:45, 20:50] = (140, 0, 140)
            image[15:45, 20:35] = (250, 0, 20)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return folder


@pytest.fixture
def segmenter() -> FakeSegmenter:
    return FakeSegmenter(lambda frame: bright_objects(frame.image), CLASSES)


def test_each_track_is_explained_in_its_best_frame(tmp_path: Path, segmenter: FakeSegmenter) -> None:
    source = _pictures(tmp_path / "in")
    run(source, tmp_path / "run", segmenter)
    told: list[tuple[int, int | None]] = []
    with open_source(source) as frames:
        reasons = explain_tracks(tmp_path / "run", segmenter, frames, lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert {reason.track_id: reason for reason in reasons} == read_reasons(tmp_path / "run")
    first = reasons[0]
    assert (first.class_name, first.picture) == ("malignant", f"why/track-{first.track_id}.jpg")
    assert first.probability == pytest.approx(195 / (195 + 80), abs=0.01)
    # a patch over the red half takes red away
    assert first.lowest is not None
    assert first.lowest < first.probability - 0.01
    assert cv2.imread(str(tmp_path / "run" / first.picture)) is not None
    page = write_run_report(tmp_path / "run").read_text(encoding="utf-8")
    assert page.count("What malignant rests on") == 2
    assert first.reading in page


def test_the_command_maps_on_request(tmp_path: Path, segmenter: FakeSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskstream.cli.segment.load_model", lambda name: segmenter)
    app = typer.Typer()
    app.command()(segment)
    for name, options in (("with", ["--why"]), ("without", [])):
        source = tmp_path / "in" if name == "without" else _pictures(tmp_path / "in")
        result = CliRunner().invoke(app, [str(source), "--out", str(tmp_path / name), *options])
        assert result.exit_code == 0
        assert (tmp_path / name / "why" / "why.json").is_file() == (name == "with")
        assert ("What malignant rests on" in (tmp_path / name / "report.html").read_text()) == (name == "with")


def test_a_run_without_maps_says_nothing_of_them(tmp_path: Path, segmenter: FakeSegmenter) -> None:
    run(_pictures(tmp_path / "in"), tmp_path / "run", segmenter)
    assert read_reasons(tmp_path / "run") == {}
    assert 'class="why"' not in write_run_report(tmp_path / "run").read_text(encoding="utf-8")


def test_a_run_that_found_nothing_has_an_empty_list(tmp_path: Path, segmenter: FakeSegmenter) -> None:
    source = _pictures(tmp_path / "in")
    for name in ("0.png", "1.png"):
        (source / name).unlink()
    run(source, tmp_path / "run", segmenter)
    with open_source(source) as frames:
        assert explain_tracks(tmp_path / "run", segmenter, frames) == []
    assert json.loads((tmp_path / "run" / "why" / "why.json").read_text()) == {"tracks": []}


def test_a_broken_list_is_an_error_and_a_lost_picture_is_left_out(tmp_path: Path, segmenter: FakeSegmenter) -> None:
    source = _pictures(tmp_path / "in")
    run(source, tmp_path / "run", segmenter)
    with open_source(source) as frames:
        first, second = explain_tracks(tmp_path / "run", segmenter, frames)
    (tmp_path / "run" / first.picture).unlink()
    page = write_run_report(tmp_path / "run").read_text(encoding="utf-8")
    assert page.count('class="why"') == 1
    assert f"Object #{second.track_id} beside a map" in page
    (tmp_path / "run" / "why" / "why.json").write_text('{"tracks": [{"track_id": 1}]}')
    with pytest.raises(SourceError, match=r"why\.json: expected a file of a finished run folder"):
        write_run_report(tmp_path / "run")


def _evaluation(folder: Path, answers: BrightAnswers | RedAnswers) -> Evaluation:
    images = []
    for number in (1, 2):
        pixels = np.zeros((*SIZE_HW, 3), np.uint8)
        if number == 1:
            pixels[15:45, 20:35], pixels[15:45, 35:50] = (250, 0, 20), (140, 0, 140)
        labelled = rectangle(1, 20, 15, 60, 30, size_hw=SIZE_HW)
        images.append(record(folder, number, [labelled], size_hw=SIZE_HW, pixels=pixels, class_id=1))
    evaluation = evaluation_of(answers, dataset(folder, images))
    for each in images:
        evaluation.add(each)
    return evaluation


def test_the_worst_images_are_explained_where_something_was_found(tmp_path: Path) -> None:
    evaluation = _evaluation(tmp_path, BrightAnswers("semantic"))
    failures = worst(evaluation, evaluation.metrics(), evaluation.tables()[0])
    table = write_why(failures, evaluation.answers, tmp_path / "out", positive="malignant")
    assert (table.name, table.columns) == ("why", COLUMNS)
    nothing, found = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (nothing["image"], nothing["picture"], nothing["probability"]) == ("2.png", None, None)
    assert str(nothing["reading"]).startswith("Nothing was found")
    assert (found["rank"], found["picture"], found["class"]) == (2, "why/002-1.jpg", "malignant")
    assert float(found["lowest"]) < float(found["probability"])  # type: ignore[arg-type]
    assert (tmp_path / "out" / "why" / "002-1.jpg").is_file()


def test_a_classifiers_worst_images_are_explained_as_a_whole(tmp_path: Path) -> None:
    evaluation = _evaluation(tmp_path, RedAnswers())
    failures = worst(evaluation, evaluation.metrics(), evaluation.tables()[0], 1)
    table = write_why(failures, evaluation.answers, tmp_path / "out")
    (row,) = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert row["class"] in CLASSES
    assert (tmp_path / "out" / str(row["picture"])).is_file()
