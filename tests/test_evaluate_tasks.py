"""`maskstream evaluate` with models of every task: which file it writes, and which images it takes."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from tiny_model import write_tiny_model
from typer.testing import CliRunner

from maskstream.cli.evaluate import evaluate
from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.errors import DatasetError, MissingDependency
from maskstream.evaluation.evaluate import Evaluation
from maskstream.evaluation_run import evaluate as evaluate_whole
from maskstream.evaluation_target import EvaluationSettings
from maskstream.inference.manifest import Training

SIZE_HW = (64, 64)
MIDDLE = CroppedMask(np.ones((32, 32), bool), 16, 16)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four images with a malignant square in the middle; all but the first are in the split `test`."""
    records = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), np.full((*SIZE_HW, 3), number, np.uint8))
        square = Annotation.from_mask(1, MIDDLE, SIZE_HW)
        records.append(ImageRecord(number + 1, path.name, path, SIZE_HW, (square,), class_id=1))
    made = Dataset(
        folder=tmp_path / "source",
        classes=("benign", "malignant"),
        images=tuple(records),
        splits={"train": ("0.png",), "val": (), "test": ("1.png", "2.png", "3.png")},
        left_out=(),
        splits_made_by="hand",
        provenance=Provenance(name="squares", source="", licence="CC0-1.0", licence_url="", importer="test"),
    )
    return made.save(tmp_path / "dataset")


def run(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.exit_code, result.output


def test_a_semantic_model_writes_its_regions_as_coco_results(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "semantic")
    exit_code, output = run(tmp_path / "model", "--data", dataset.folder, "--out", tmp_path / "out")
    assert exit_code == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["mean_dice"], metrics["n_pictures"], metrics["split"]) == (1.0, 3, "test")
    assert "mean_dice" in output
    entries = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [entry["image_id"] for entry in entries] == [2, 3, 4]


def test_a_higher_score_leaves_regions_out(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "semantic")
    run(tmp_path / "model", "--data", dataset.folder, "--out", tmp_path / "out", "--score", 0.9)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["mean_dice"], metrics["score_threshold"]) == (0.0, 0.9)
    assert json.loads((tmp_path / "out" / "predictions.json").read_text()) == []


def test_a_classifier_writes_a_table(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "classification", calibration=None)
    exit_code, _ = run(tmp_path / "model", "--data", dataset.folder, "--out", tmp_path / "out")
    assert exit_code == 0
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["1.png", "2.png", "3.png"]
    assert rows[0] == {
        "image": "1.png",
        "truth": "malignant",
        "called": "malignant",
        "benign": "0.25",
        "malignant": "0.75",
    }
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["accuracy"] == 1.0


def test_a_classifier_has_no_score_to_choose(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "classification")
    with pytest.raises(DatasetError, match="--score: expected answers that find objects, found a classifier's"):
        run(tmp_path / "model", "--data", dataset.folder, "--score", 0.5, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_that_the_recipe_keeps_for_the_end_are_the_test_split(dataset: Dataset, tmp_path: Path) -> None:
    """Of the model's own dataset; on another one the dataset's split of that name is judged."""
    pytest.importorskip("torch")
    facts = {"data": "squares", "images": {}, "split_rule": "", "recipe": {"data": {"test_images": ["2.png"]}}}
    for digest, expected in ((dataset.content_sha256(), 1), ("0" * 64, 3)):
        model = tmp_path / f"model-{expected}"
        write_tiny_model(model, "semantic", training=Training(**facts, data_sha256=digest))
        run(model, "--data", dataset.folder, "--out", tmp_path / f"out-{expected}")
        metrics = json.loads((tmp_path / f"out-{expected}" / "metrics.json").read_text())
        assert metrics["n_pictures"] == expected


@pytest.mark.parametrize(
    "split, leakage", [("train", "the model learned from 1 of the 1 judged images"), ("test", None)]
)
def test_what_the_model_learned_from_is_told(split: str, leakage: str | None, dataset: Dataset, tmp_path: Path) -> None:
    training = Training(
        data="squares", data_sha256=dataset.content_sha256(), images={"train": 1}, split_rule="", recipe={}
    )
    write_tiny_model(tmp_path / "model", training=training)
    run(tmp_path / "model", "--data", dataset.folder, "--split", split, "--out", tmp_path / "out", "--no-intervals")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["training_positive_share"] == 1.0
    assert metrics.get("leakage") == leakage
    assert ((leakage or "learned from") in (tmp_path / "out" / "report.html").read_text()) == (leakage is not None)


def test_the_classical_baseline_is_judged_by_its_name(dataset: Dataset, tmp_path: Path) -> None:
    exit_code, output = run("classical", "--data", dataset.folder, "--out", tmp_path / "out", "--robustness", 2)
    assert exit_code == 0, output
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["model"], metrics["n_pictures"]) == ("classical", 3)
    assert (tmp_path / "out" / "robustness.csv").is_file()
    assert not (tmp_path / "out" / "MODEL_CARD.md").exists()


def test_the_terminal_shows_headline_figures_with_intervals_and_says_what_to_mind(
    dataset: Dataset, tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "model")
    _, output = run(tmp_path / "model", "--data", dataset.folder, "--out", tmp_path / "out", "--resamples", 100)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if "│" in line]
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert rows[0] == ["AP", f"{metrics['AP']:.4f}", f"{metrics['AP_low']:.4f} .. {metrics['AP_high']:.4f}"]
    assert [row[0] for row in rows].index("score_threshold") > [row[0] for row in rows].index("mean_jaccard")
    assert len(rows) < 40 < len(metrics)
    assert "intervals: only 3 groups stand behind the intervals" in output
    assert "not defined by these images: " in output
    assert f"report: {tmp_path / 'out' / 'report.html'}" in output


def test_without_a_run_folder_a_new_one_is_made(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in ("mine/predictions.json", "v1.2.json"):
        (tmp_path / name).write_text("[]")
        for _ in range(2):
            run(name, "--data", dataset.folder, "--no-intervals", "--no-slices", "--no-figures", "--worst", 0)
    made = sorted(path.name for path in (tmp_path / "runs" / "evaluate").iterdir())
    assert made == ["mine-test", "mine-test-2", "v1-2-test", "v1-2-test-2"]


def test_missing_matplotlib_is_told_before_the_work(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    monkeypatch.setattr(Evaluation, "add", lambda self, record: pytest.fail("an image was judged"))
    write_tiny_model(tmp_path / "model", "semantic")
    settings = EvaluationSettings()
    with pytest.raises(MissingDependency, match=r"figures: expected the package matplotlib.* --no-figures"):
        evaluate_whole(tmp_path / "model", dataset.folder, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()
