"""`maskstream evaluate` with a model that finds objects: what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import typer
from judged_objects import CLASSES, HALF, LESION, SIZE_HW, detections, four_images
from pycocotools.coco import COCO
from typer.testing import CliRunner

from maskstream import evaluation_run, evaluation_target
from maskstream.cli.evaluate import evaluate
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import FakeSegmenter
from maskstream.data.dataset import Dataset, Provenance
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError, SourceError
from maskstream.evaluation.objects.judge import judge
from maskstream.evaluation.split import match_classes, segment_records, truth_of


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four images whose brightness is their number, classes in another order than the model's."""
    records = []
    for number, class_id in enumerate((1, 0, 0, 1), start=1):
        path = tmp_path / "source" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.full((*SIZE_HW, 3), number, np.uint8))
        annotation = Annotation.from_mask(class_id, LESION, SIZE_HW)
        records.append(ImageRecord(10 * number, path.name, path, SIZE_HW, (annotation,)))
    made = Dataset(
        folder=tmp_path / "source",
        classes=("malignant", "benign"),
        images=tuple(records),
        splits={"test": ("1.png", "2.png", "3.png", "4.png"), "val": ()},
        left_out=(),
        splits_made_by="hand",
        provenance=Provenance(name="squares", source="", licence="CC0-1.0", licence_url="", importer="test"),
    )
    return made.save(tmp_path / "dataset")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSegmenter:
    """Answers what `four_images` says; the command finds it under any name."""
    answers = [found for _, found in four_images()]
    segmenter = FakeSegmenter(lambda frame: answers[int(frame.image[0, 0, 0]) - 1], CLASSES, name="squares")
    segmenter.calibration = None
    segmenter.manifest = SimpleNamespace(
        version="1.2", task="instance", tiles=None, training=SimpleNamespace(recipe={}, data_sha256="0" * 64)
    )
    segmenter.sha256 = "5" * 64
    monkeypatch.setattr(evaluation_target, "load_any", lambda name: segmenter)
    monkeypatch.setattr(evaluation_run, "write_model_card", lambda folder, manifest, metrics: None)
    return segmenter


def run(*arguments: object) -> tuple[int, str, BaseException | None]:
    app = typer.Typer()
    app.command()(evaluate)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output, result.exception


def test_the_command_writes_metrics_and_predictions(dataset: Dataset, model: FakeSegmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exit_code, output, _ = run("squares", "--data", dataset.folder, "--out", out)
    assert exit_code == 0
    metrics = json.loads((out / "metrics.json").read_text())
    expected = judge(four_images(), CLASSES, 0.5)
    assert {key: metrics[key] for key in expected} == expected
    assert metrics["split"] == "test"
    assert metrics["dataset_sha256"] == dataset.content_sha256()
    assert "squares 1.2 on squares, split test" in " ".join(output.split())
    assert f"{expected['mean_jaccard']:.4f}" in output


def test_predictions_carry_the_ids_of_the_datasets_annotations(
    dataset: Dataset, model: FakeSegmenter, tmp_path: Path
) -> None:
    run("squares", "--data", dataset.folder, "--out", tmp_path / "out")
    annotations = COCO(str(dataset.folder / "annotations.json"))
    predictions = annotations.loadRes(str(tmp_path / "out" / "predictions.json"))
    names = {category["id"]: category["name"] for category in annotations.dataset["categories"]}
    best = max(predictions.loadAnns(predictions.getAnnIds(imgIds=[20])), key=lambda entry: entry["score"])
    assert names[best["category_id"]] == "malignant"
    assert best["score"] == pytest.approx(0.8 * 0.7)
    assert best["area"] == HALF.area_px


def test_a_lower_score_threshold_counts_more_as_found(dataset: Dataset, model: FakeSegmenter, tmp_path: Path) -> None:
    run("squares", "--data", dataset.folder, "--out", tmp_path / "out", "--score", 0.3)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["score_threshold"], metrics["n_without_detection"]) == (0.3, 1)
    assert metrics["mean_jaccard"] == pytest.approx(2.5 / 4)


@pytest.mark.parametrize(
    "split, message", [("train", "one of test, val, all, found 'train'"), ("val", "at least one image, found none")]
)
def test_a_split_that_cannot_be_judged(
    split: str, message: str, dataset: Dataset, model: FakeSegmenter, tmp_path: Path
) -> None:
    _, _, error = run("squares", "--data", dataset.folder, "--split", split, "--out", tmp_path / "out")
    assert isinstance(error, DatasetError)
    assert message in str(error)
    assert not (tmp_path / "out").exists()


def test_an_unreadable_image_is_named(dataset: Dataset, model: FakeSegmenter, tmp_path: Path) -> None:
    (dataset.folder / "images" / "3.png").write_bytes(b"no image")
    _, _, error = run("squares", "--data", dataset.folder, "--out", tmp_path / "out")
    assert isinstance(error, SourceError)
    assert "3.png: expected an image that can be read" in str(error)
    assert not (tmp_path / "out").exists()


def test_a_class_that_the_model_does_not_know_is_refused(dataset: Dataset) -> None:
    assert match_classes(dataset, CLASSES) == (1, 0)
    with pytest.raises(DatasetError, match=r"the model knows \(mole, benign\), found malignant"):
        match_classes(dataset, ("mole", "benign"))


def test_records_become_truth_in_the_models_ids(dataset: Dataset) -> None:
    shown = truth_of(dataset.records("test")[0], (1, 0))
    assert (shown.image_id, shown.class_ids, shown.size_hw) == (10, (0,), SIZE_HW)
    assert (shown.masks[0].dense(SIZE_HW) == LESION.dense(SIZE_HW)).all()


def test_images_are_decoded_down_to_the_floor_one_at_a_time(dataset: Dataset) -> None:
    seen: list[Frame] = []

    def answer(frame: Frame) -> Detections:
        seen.append(frame)
        return detections((LESION, 0.3, 0.1), (HALF, 0.01, 0.1))

    pairs = segment_records(dataset.records("test"), FakeSegmenter(answer, CLASSES), (1, 0), score_floor=0.05)
    _, found = next(pairs)
    assert len(seen) == 1
    assert found.scores == pytest.approx([0.3])
