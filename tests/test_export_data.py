"""What an export takes from the dataset: the gate's images, calibration, scatter between views, figures, facts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from found_objects import found
from tiny_model import write_tiny_model

from maskstream.core import masks
from maskstream.core.calibration import sigmoid
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import FakeSegmenter
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.errors import CheckpointError, DatasetError
from maskstream.evaluation.calibration import fit_calibration
from maskstream.export import model_folder
from maskstream.export.about import About
from maskstream.export.calibrate import VIEWS, calibrate
from maskstream.export.card import model_card
from maskstream.export.model_folder import (
    Checkpoint,
    export_checkpoint,
    gate_frames,
    gather_facts,
    judge_deployed,
    load_checkpoint,
)
from maskstream.export.parity import Parity
from maskstream.inference.load import DeployedModel, load_model
from maskstream.inference.manifest import ModelFacts
from maskstream.training.checkpoint import save_weights
from maskstream.training.loop import build_model
from maskstream.training.recipe import Recipe

CLASSES = ("benign", "malignant")
SIZE_HW = (40, 60)
LESION = np.zeros(SIZE_HW, bool)
LESION[10:30, 25:45] = True
COUNT = 60

RECIPE = Recipe(
    name="spots",
    input_size_hw=(64, 64),
    classes=CLASSES,
    labels={"nevus": "benign", "melanoma": "malignant"},
    positive="malignant",
    initial_weights="/home/somebody/weights.safetensors",
)


def log_odds_of(number: int) -> float:
    """What the fake model thinks of image `number`; it leans towards the truth and errs at times."""
    return float(np.sin(number * 1.7) * 2 + (0.8 if is_malignant(number) else -0.8))


def is_malignant(number: int) -> bool:
    return number % 3 == 0


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Images with a square; the red channel tells the image's number."""
    folder = tmp_path_factory.mktemp("source")
    records = []
    for number in range(COUNT):
        image = np.full((*SIZE_HW, 3), number, np.uint8)
        image[LESION, 1:] = 200
        path = folder / f"{number:02}.png"
        cv2.imwrite(str(path), image[:, :, ::-1])
        square = Annotation.from_mask(int(is_malignant(number)), masks.crop(LESION), SIZE_HW)
        records.append(ImageRecord(number + 1, path.name, path, SIZE_HW, (square,)))
    names = tuple(record.name for record in records)
    made = Dataset(
        folder=folder,
        classes=CLASSES,
        images=tuple(records),
        splits={"train": (), "val": names, "test": names[:0]},
        left_out=(),
        splits_made_by="by hand",
        provenance=Provenance(name="squares", source="", licence="CC0-1.0", licence_url="", importer="test"),
    )
    return made.save(tmp_path_factory.mktemp("dataset") / "data")


def answer(frame: Frame) -> Detections:
    """The square, where there is one; scores are 0.9, and in views of an image the log odds follow the view alone."""
    square = frame.image[:, :, 1] > 150
    if not square.any():
        return Detections.empty(CLASSES, frame.size_hw)
    log_odds = frame.index * 0.5 if frame.source == "view" else log_odds_of(int(frame.image[0, 0, 0]))
    return found([square], [float(sigmoid(np.float64(log_odds)))], [0])


MODEL = FakeSegmenter(answer, CLASSES)


def test_the_gates_images_are_the_first_and_one_strip_of_plain_background(dataset: Dataset) -> None:
    frames = gate_frames(dataset.records("val"), MODEL)
    assert len(frames) == 50
    assert [frame.source for frame in frames[:3]] == ["00.png", "01.png", "02.png"]
    assert frames[-1].source == "00.png, the strip beside its objects"
    assert frames[-1].size_hw == (40, 25)
    assert [len(found) for found in MODEL.segment(frames)] == [1] * 49 + [0]


def test_an_image_in_which_nothing_is_found_is_preferred_as_it_is(dataset: Dataset) -> None:
    blind = FakeSegmenter(lambda frame: Detections.empty(CLASSES, frame.size_hw), CLASSES)
    frames = gate_frames(dataset.records("val"), blind)
    assert (frames[-1].source, frames[-1].size_hw) == ("00.png", SIZE_HW)


def test_without_a_plain_place_there_is_no_such_image(dataset: Dataset) -> None:
    always = FakeSegmenter(lambda frame: found([np.ones(frame.size_hw, bool)], [0.5], [0]), CLASSES)
    assert len(gate_frames(dataset.records("val"), always)) == 49
    assert gate_frames([], always) == []


def test_calibration_is_the_fit_on_the_splits_percentages_with_the_scatter_of_views(dataset: Dataset) -> None:
    numbers = np.arange(COUNT)
    raw = sigmoid(np.array([log_odds_of(number) for number in numbers]))
    expected = fit_calibration(raw, numbers % 3 == 0, "malignant", view_sd=0.0)
    fit = calibrate(MODEL, dataset, "val", "malignant")
    assert (fit.slope, fit.bias) == pytest.approx((expected.slope, expected.bias), abs=1e-5)
    assert fit.slope < 1  # the fake model is too sure of itself
    assert fit.view_sd == pytest.approx(fit.slope * np.std(0.5 * np.arange(len(VIEWS)), ddof=1), rel=1e-5)


def test_a_split_without_both_kinds_cannot_be_calibrated_on(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="0 positive of 0"):
        calibrate(FakeSegmenter(MODEL._answer, CLASSES, score_threshold=0.95), dataset, "val", "malignant")


def test_a_deployed_model_is_judged_with_the_names_of_dataset_and_split(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    metrics = judge_deployed(load_model(tmp_path / "model", threads=1), dataset, "val")
    assert (metrics["dataset"], metrics["split"], metrics["n_pictures"]) == ("squares", "val", COUNT)
    # its constant box is 15..45 by 15..45 of 60x40: 20 x 15 of the square's 400 pixels, in 30 x 25 found ones
    assert metrics["mean_jaccard"] == pytest.approx(300 / (400 + 750 - 300), abs=1e-6)


def test_an_export_is_tuned_on_val_judged_and_whole(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the graphs of the tiny model in place of an export: its score is 0.9975, its raw percentage 75 %."""

    def write_tiny(parts: object, facts: ModelFacts, *rest: Any) -> tuple[DeployedModel, Parity]:
        write_tiny_model(rest[2], **{name: value for name, value in facts if name not in ("decoder", "preprocessing")})
        return load_model(rest[2], threads=1), Parity(50, 1, 98, 0.0, 0.0, 0.0, 1.0)

    monkeypatch.setattr(model_folder, "write_checked", write_tiny)
    manifest, parity = export_checkpoint(
        checkpoint(dataset), dataset, About(), tmp_path / "model", judged_split="val", tell=(told := []).append
    )
    assert parity.objects == 98
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert load_model(tmp_path / "model", threads=1).manifest == manifest
    assert manifest.score_threshold == 0.95  # every candidate gives the same Jaccard
    assert manifest.calibration is not None
    # twenty of sixty images are malignant: that share is what a constant can be calibrated to
    calibrated = manifest.calibration.apply(np.array([[0.25, 0.75]], np.float32), CLASSES)
    assert calibrated[0, 1] == pytest.approx(1 / 3, abs=2e-3)
    assert manifest.metrics["ece"] == pytest.approx(0, abs=2e-3)
    assert manifest.metrics["split"] == "val"
    assert (tmp_path / "model" / "MODEL_CARD.md").read_text() == model_card(manifest)
    assert told[-1] == "judging on val"


def test_an_export_that_fails_late_leaves_nothing(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_tiny(parts: object, facts: ModelFacts, *rest: Any) -> tuple[DeployedModel, Parity]:
        write_tiny_model(rest[2])
        return load_model(rest[2], threads=1), Parity(50, 1, 98, 0.0, 0.0, 0.0, 1.0)

    monkeypatch.setattr(model_folder, "write_checked", write_tiny)
    with pytest.raises(DatasetError, match="splits"):
        export_checkpoint(checkpoint(dataset), dataset, About(), tmp_path / "model", judged_split="tset")
    assert not list(tmp_path.iterdir())


def checkpoint(dataset: Dataset) -> Checkpoint:
    return Checkpoint(build_model(RECIPE), RECIPE, dataset.content_sha256())


def test_facts_name_data_licences_and_no_place_of_this_machine(dataset: Dataset) -> None:
    about = About(version="3", intended_use="Tests.", limits=("Squares only.",), weights_licence="CC-BY-4.0")
    facts = gather_facts(checkpoint(dataset), dataset, about)
    assert (facts.name, facts.version, facts.classes) == ("spots", "3", CLASSES)
    assert facts.preprocessing.input_size_hw == (64, 64)
    assert facts.decoder == RECIPE.settings
    assert facts.calibration is None
    assert dict(facts.licence) == {"code": "Apache-2.0", "weights": "CC-BY-4.0", "data": "CC0-1.0"}
    assert facts.training.images == {"train": 0, "val": COUNT, "test": 0}
    assert facts.training.data_sha256 == dataset.content_sha256()
    assert facts.training.recipe["initial_weights"] == "weights.safetensors"
    assert "somebody" not in facts.model_dump_json()


def test_another_dataset_than_that_of_training_is_refused(dataset: Dataset) -> None:
    other = dataclasses.replace(checkpoint(dataset), data_sha256="f" * 64)
    with pytest.raises(DatasetError, match=r"trained on .SHA-256 ffffffffffff"):
        gather_facts(other, dataset, About())


def test_a_checkpoint_comes_back_from_its_run_folder(dataset: Dataset, tmp_path: Path) -> None:
    model = build_model(RECIPE)
    facts = {"recipe": RECIPE.model_dump(mode="json"), "data_sha256": "0" * 64}
    save_weights(tmp_path / "best.safetensors", model.state_dict(), facts)
    loaded = load_checkpoint(tmp_path)
    assert (loaded.recipe, loaded.data_sha256) == (RECIPE, "0" * 64)
    assert all((a == b).all() for a, b in zip(loaded.model.state_dict().values(), model.state_dict().values()))
    save_weights(tmp_path / "old.safetensors", model.state_dict(), {"recipe": facts["recipe"]})
    with pytest.raises(CheckpointError, match="expected data_sha256"):
        load_checkpoint(tmp_path / "old.safetensors")
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        load_checkpoint(tmp_path / "missing.safetensors")
