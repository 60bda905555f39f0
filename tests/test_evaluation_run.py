"""One evaluation, whole: which files it writes, what is in them, and that predictions are judged as their model was."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tiny_model import write_tiny_model

import maskstream
from maskstream import EvaluationSettings
from maskstream.core.masks import CroppedMask
from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.errors import DatasetError, OutputError

SIZE_HW = (64, 64)
QUICK = EvaluationSettings(resamples=0, slices=False, worst=0, why=0, figures=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Eight images in four groups, each with a square somewhere about the middle, every second one malignant."""
    folder = tmp_path_factory.mktemp("squares")
    records = []
    for number in range(8):
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), np.full((*SIZE_HW, 3), 20 * number, np.uint8))
        square = CroppedMask(np.ones((32, 32 - number), bool), 16 + number, 16)
        annotation = Annotation.from_mask(number % 2, square, SIZE_HW)
        group = f"patient {number // 2}"
        records.append(
            ImageRecord(number + 1, path.name, path, SIZE_HW, (annotation,), group=group, class_id=number % 2)
        )
    made = Dataset(
        folder=folder / "source",
        classes=("benign", "malignant"),
        images=tuple(records),
        splits={"test": tuple(record.name for record in records)},
        left_out=(),
        splits_made_by="hand",
        provenance=Provenance(name="squares", source="", licence="CC0-1.0", licence_url="", importer="test"),
    )
    return made.save(folder / "dataset")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of each task, in a folder of its name."""
    folder = tmp_path_factory.mktemp("models")
    for task in ("instance", "semantic", "classification"):
        write_tiny_model(folder / task, task, name=task)
    return folder


@pytest.mark.parametrize("task", ["instance", "semantic", "classification"])
def test_everything_is_written(task: str, dataset: Dataset, models: Path, tmp_path: Path) -> None:
    seen: dict[str, int] = {}

    def bars(verb: str) -> OnProgress:
        return lambda done, total: seen.update({verb: done})

    settings = EvaluationSettings(resamples=100, worst=2, why=1)
    metrics = maskstream.evaluate(models / task, dataset.folder, tmp_path / "out", settings=settings, bars=bars)
    predictions = "predictions.csv" if task == "classification" else "predictions.json"
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {
        "metrics.json",
        "images.csv",
        "slices.csv",
        "worst.csv",
        "report.html",
        "MODEL_CARD.md",
        predictions,
    }
    assert names >= {"worst", "figures"}
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == metrics
    assert (metrics["task"], metrics["n_pictures"], metrics["n_groups"]) == (task, 8, 4)
    assert (metrics["n_without_answer"], metrics["n_resamples"], metrics["interval_groups"]) == (0, 100, 4)
    main = "accuracy" if task == "classification" else "mean_jaccard"
    assert metrics[f"{main}_low"] <= metrics[main] <= metrics[f"{main}_high"]
    with (tmp_path / "out" / "images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == [f"patient {number // 2}" for number in range(8)]
    assert seen[f"judging {task}"] == 8
    assert seen["drawing images anew"] == 100


@pytest.mark.parametrize("task", ["instance", "semantic", "classification"])
def test_predictions_give_the_figures_of_their_model(task: str, dataset: Dataset, models: Path, tmp_path: Path) -> None:
    """All but what only the model knows: its boxes, its calibration and its name."""
    direct = maskstream.evaluate(models / task, dataset.folder, tmp_path / "direct", settings=QUICK)
    predictions = tmp_path / "direct" / ("predictions.csv" if task == "classification" else "predictions.json")
    as_semantic = EvaluationSettings(task="semantic", resamples=0, slices=False, worst=0, figures=False)
    settings = as_semantic if task == "semantic" else QUICK
    again = maskstream.evaluate(predictions, dataset.folder, tmp_path / "again", settings=settings)
    only_the_models = {"model", "model_version", "model_sha256", "calibration", "score_floor", "undefined"}
    shared = {
        key: value
        for key, value in direct.items()
        if key not in only_the_models and not key.startswith("box_") and not key.endswith("_uncalibrated")
    }
    assert {key: again[key] for key in shared} == shared
    assert len(shared) > 20
    assert (again["model"], again["n_without_answer"]) == ("direct", 0)
    assert not (tmp_path / "again" / "MODEL_CARD.md").exists()
    written = [(tmp_path / run / predictions.name).read_bytes() for run in ("direct", "again")]
    assert written[0] == written[1]


def test_masks_give_the_figures_of_the_regions_that_they_show(dataset: Dataset, models: Path, tmp_path: Path) -> None:
    """The true masks as pictures are right everywhere; numbers of classes begin at 1."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for record in dataset.images:
        (annotation,) = record.annotations
        pixels = annotation.mask(SIZE_HW).dense(SIZE_HW).astype(np.uint8) * (annotation.class_id + 1)
        Image.fromarray(pixels).save(folder / f"{Path(record.name).stem}_segmentation.png")
    metrics = maskstream.evaluate(folder, dataset.folder, tmp_path / "out", settings=QUICK)
    assert (metrics["task"], metrics["mask_kind"], metrics["model"]) == ("semantic", "index", "mine")
    assert (metrics["mean_jaccard/benign"], metrics["mean_jaccard/malignant"]) == (1, 1)
    as_objects = EvaluationSettings(task="instance", resamples=0, slices=False, worst=0, figures=False)
    metrics = maskstream.evaluate(folder, dataset.folder, tmp_path / "objects", settings=as_objects)
    assert (metrics["task"], metrics["AP"], metrics["f1"]) == ("instance", 1, 1)


def test_masks_in_a_folder_for_each_class(dataset: Dataset, tmp_path: Path) -> None:
    for record in dataset.images:
        (annotation,) = record.annotations
        pixels = annotation.mask(SIZE_HW).dense(SIZE_HW).astype(np.uint8) * 255
        path = tmp_path / "mine" / dataset.classes[annotation.class_id] / record.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    metrics = maskstream.evaluate(tmp_path / "mine", dataset.folder, tmp_path / "out", settings=QUICK)
    assert (metrics["mask_kind"], metrics["mean_jaccard/benign"], metrics["mean_pixel_accuracy"]) == ("binary", 1, 1)


@pytest.mark.parametrize("header", ["image_id,malignant", "image,Benign,Malignant"])
def test_tables_of_others(header: str, dataset: Dataset, tmp_path: Path) -> None:
    """One column for one of two classes is enough; names of images may lack their suffix."""
    rows = [(number, 0.9 if number % 2 else 0.2) for number in range(8)]
    both = header.count(",") == 2
    lines = [f"{number},{f'{1 - p:.2f},' if both else ''}{p}" for number, p in rows]
    (tmp_path / "mine.csv").write_text("\n".join([header, *lines]))
    metrics = maskstream.evaluate(tmp_path / "mine.csv", dataset.folder, tmp_path / "out", settings=QUICK)
    assert (metrics["accuracy"], metrics["auc"], metrics["positive_class"]) == (1, 1, "malignant")
    assert metrics["brier"] == pytest.approx((0.1**2 + 0.2**2) / 2)


def test_worse_images_are_judged_on_request(dataset: Dataset, models: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(resamples=0, slices=False, worst=0, why=0, figures=False, robustness=2)
    maskstream.evaluate(models / "semantic", dataset.folder, tmp_path / "out", settings=settings)
    with (tmp_path / "out" / "robustness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["n_images"] for row in rows} == {"2"}
    assert len({row["corruption"] for row in rows}) > 5


def test_one_group_has_no_interval(dataset: Dataset, models: Path, tmp_path: Path) -> None:
    alone = replace(dataset, images=tuple(replace(record, group="one") for record in dataset.images))
    alone.save(tmp_path / "alone")
    settings = EvaluationSettings(resamples=100, slices=False, worst=0, why=0, figures=False)
    metrics = maskstream.evaluate(models / "semantic", tmp_path / "alone", tmp_path / "out", settings=settings)
    assert "mean_jaccard_low" not in metrics
    assert "nothing is known of how far the figures are in doubt" in metrics["interval_warning"]


def test_a_run_folder_appears_whole_or_not_at_all(dataset: Dataset, models: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "one"
    with pytest.raises(DatasetError, match="one of test, all, found 'val'"):
        maskstream.evaluate(models / "semantic", dataset.folder, out, split="val", settings=QUICK)
    assert list(out.parent.iterdir()) == []
    maskstream.evaluate(models / "semantic", dataset.folder, out, settings=QUICK)
    before = (out / "metrics.json").read_bytes()
    with pytest.raises(OutputError, match="expected a new or empty folder, found one in use"):
        maskstream.evaluate(models / "instance", dataset.folder, out, settings=QUICK)
    assert (out / "metrics.json").read_bytes() == before


def test_more_detections_may_count(dataset: Dataset, models: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(max_detections=7, resamples=0, slices=False, worst=0, why=0, figures=False)
    metrics = maskstream.evaluate(models / "instance", dataset.folder, tmp_path / "out", settings=settings)
    assert metrics["max_detections"] == 7
    assert "AR_7" in metrics


def test_frames_of_videos_are_judged_as_videos_too(models: Path, tmp_path: Path) -> None:
    """Two videos of four frames, with the object where the model sees it."""
    square = CroppedMask(np.ones((32, 32), bool), 16, 16)
    records = []
    for number in range(8):
        name = f"clip-{'ab'[number // 4]}/{number % 4:05d}.png"
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((*SIZE_HW, 3), 10 * number, np.uint8))
        annotation = Annotation.from_mask(1, square, SIZE_HW)
        records.append(ImageRecord(number + 1, name, path, SIZE_HW, (annotation,), group=name.partition("/")[0]))
    videos = Dataset(
        folder=tmp_path / "source",
        classes=("benign", "malignant"),
        images=tuple(records),
        splits={"test": tuple(record.name for record in records[::-1])},
        left_out=(),
        splits_made_by="hand",
        provenance=Provenance(name="clips", source="", licence="CC0-1.0", licence_url="", importer="test"),
    ).save(tmp_path / "videos")
    settings = EvaluationSettings(video=True, resamples=100, slices=False, worst=0, why=0, figures=False)
    metrics = maskstream.evaluate(models / "instance", videos.folder, tmp_path / "out", settings=settings)
    assert (metrics["task"], metrics["n_videos"], metrics["n_pictures"]) == ("video", 2, 8)
    assert metrics["track_class_accuracy"] == 1
    assert metrics["J_low"] <= metrics["J"] <= metrics["J_high"]
    assert (metrics["interval_groups"], metrics["video_interval_groups"]) == (2, 2)
    assert {"videos.csv", "video_objects.csv"} <= {path.name for path in (tmp_path / "out").iterdir()}
    predictions = tmp_path / "out" / "predictions.json"
    again = maskstream.evaluate(predictions, videos.folder, tmp_path / "again", settings=settings)
    assert again["JF"] == metrics["JF"]
    settings = EvaluationSettings(video=False, resamples=0, slices=False, worst=0, why=0, figures=False)
    metrics = maskstream.evaluate(models / "instance", videos.folder, tmp_path / "images", settings=settings)
    assert metrics["task"] == "instance"
    assert "J" not in metrics
