"""What an export takes from the dataset: the gate's images, calibration, scatter between views, figures, facts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
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
from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import FakeSegmenter
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.errors import CheckpointError, DatasetError
from maskstream.evaluation.answers import answers_of
from maskstream.evaluation.classes.calibration import fit_calibration
from maskstream.evaluation.evaluate import evaluation_of, judge_deployed
from maskstream.export import model_folder
from maskstream.export.about import About
from maskstream.export.calibrate import calibrate
from maskstream.export.gate_images import gate_looks, image_without_objects
from maskstream.export.model_folder import export_checkpoint
from maskstream.export.object_parity import ObjectParity
from maskstream.export.parity import GATE_FRAMES
from maskstream.export.trained import Checkpoint, gather_facts, load_checkpoint
from maskstream.export.views import VIEWS
from maskstream.inference.classifier import ClassifierSettings
from maskstream.inference.load import load_any, load_classifier, load_model
from maskstream.inference.manifest import ModelFacts
from maskstream.inference.regions import RegionSettings
from maskstream.inference.windows import TileSettings
from maskstream.reports.model_card import model_card
from maskstream.training.checkpoint import save_weights
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import Recipe
from maskstream.training.tasks import make_task

CLASSES = ("benign", "malignant")
SIZE_HW = (40, 60)
LESION = np.zeros(SIZE_HW, bool)
LESION[10:30, 25:45] = True
COUNT = 60

RECIPE = Recipe.model_validate(
    {
        "name": "spots",
        "input_size_hw": (64, 64),
        "classes": CLASSES,
        "labels": {"nevus": "benign", "melanoma": "malignant"},
        "positive": "malignant",
        "initial_weights": "/home/somebody/weights.safetensors",
        "model": {
            "architecture": "mask-rcnn",
            "backbone": "mobilenet-v2",
            "pyramid_channels": 16,
            "class_head": "context",
        },
        "stages": [{"epochs": 1, "learning_rate": 1e-3}],
    }
)
REGIONS = Recipe.model_validate(
    RECIPE.model_dump(exclude={"model", "labels"})
    | {"model": {"architecture": "full-resolution", "channels": 4}, "initial_weights": None}
)
CLASSIFIER = Recipe.model_validate(
    RECIPE.model_dump(exclude={"model", "labels"})
    | {"model": {"architecture": "small-cnn", "channels": [4], "dense": 4}, "initial_weights": None}
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
        class_id = int(is_malignant(number))
        records.append(ImageRecord(number + 1, path.name, path, SIZE_HW, (square,), class_id=class_id))
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


class FakeClassifier:
    """Thinks of images what the fake Segmenter thinks of the squares in them."""

    name = "fake"
    classes = CLASSES

    def classify(self, frames: Sequence[Frame]) -> list[Classification]:
        return [Classification(found.probabilities[0], CLASSES) for found in map(answer, frames)]


def nothing_found(frame: Frame) -> bool:
    return not len(answer(frame))


def test_the_gates_images_are_the_first_and_a_strip_of_plain_background(dataset: Dataset) -> None:
    frames = gate_looks(dataset.records("val"))
    assert [frame.source for frame in frames] == [f"{number:02}.png" for number in range(GATE_FRAMES)]
    np.testing.assert_array_equal(frames[7].image, dataset.records("val")[7].read_image())
    empty = image_without_objects(dataset.records("val"), nothing_found)
    assert (empty.source, empty.size_hw) == ("00.png, the strip beside its objects", (40, 25))


def test_an_image_in_which_nothing_is_found_is_preferred_as_it_is(dataset: Dataset) -> None:
    empty = image_without_objects(dataset.records("val"), lambda frame: True)
    assert (empty.source, empty.size_hw) == ("00.png", SIZE_HW)


def test_a_plain_colour_is_the_last_resort(dataset: Dataset) -> None:
    records = dataset.records("val")
    empty = image_without_objects(records, lambda frame: np.ptp(frame.image) == 0 and frame.image.max() == 128)
    assert (empty.source, empty.size_hw) == ("plain background of colour (128, 128, 128)", SIZE_HW)
    assert image_without_objects(records, lambda frame: False) is None
    assert image_without_objects([], lambda frame: True) is None


@pytest.mark.parametrize("count", [1, 13])
def test_a_small_dataset_is_looked_at_in_other_ways_until_there_are_enough(dataset: Dataset, count: int) -> None:
    frames = gate_looks(dataset.records("val")[:count])
    assert len(frames) == GATE_FRAMES
    assert frames[count].source == "00.png, view 1"
    assert len({frame.image.tobytes() for frame in frames}) > 0.7 * GATE_FRAMES
    assert {frame.size_hw for frame in frames} == {SIZE_HW}
    assert gate_looks([]) == []


def test_a_model_that_looks_in_windows_is_tried_on_windows(dataset: Dataset) -> None:
    tiles = TileSettings(size_hw=(20, 30), overlap=0.0)
    frames = gate_looks(dataset.records("val")[:3], tiles=tiles)
    assert {frame.size_hw for frame in frames} == {(20, 30)}
    image = dataset.records("val")[0].read_image()
    np.testing.assert_array_equal(frames[0].image, image[:20, :30])
    np.testing.assert_array_equal(frames[3].image, image[:20, 30:])
    np.testing.assert_array_equal(frames[9].image, image[20:, 30:])
    assert [frame.source for frame in frames[11:14]] == ["02.png", "00.png, view 1", "01.png, view 1"]


@pytest.mark.parametrize("kind", ["segmenter", "classifier"])
def test_calibration_is_the_fit_on_the_splits_percentages_with_the_scatter_of_views(
    dataset: Dataset, kind: str
) -> None:
    numbers = np.arange(COUNT)
    raw = sigmoid(np.array([log_odds_of(number) for number in numbers]))
    expected = fit_calibration(raw, numbers % 3 == 0, "malignant", view_sd=0.0)
    model = FakeClassifier() if kind == "classifier" else MODEL
    fit = calibrate(model, dataset.records("val"), (0, 1), "malignant")
    assert (fit.slope, fit.bias) == pytest.approx((expected.slope, expected.bias), abs=1e-5)
    assert fit.slope < 1  # the fake model is too sure of itself
    assert fit.view_sd == pytest.approx(fit.slope * np.std(0.5 * np.arange(len(VIEWS)), ddof=1), rel=1e-5)


def test_a_split_without_both_kinds_cannot_be_calibrated_on(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="0 positive of 0"):
        blind = FakeSegmenter(MODEL._answer, CLASSES, score_threshold=0.95)
        calibrate(blind, dataset.records("val"), (0, 1), "malignant")


def test_a_deployed_model_is_judged_with_the_name_of_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    metrics = judge_deployed(load_model(tmp_path / "model", threads=1), dataset, dataset.records("val"))
    assert (metrics["dataset"], metrics["n_pictures"]) == ("squares", COUNT)
    # its constant box is 15..45 by 15..45 of 60x40: 20 x 15 of the square's 400 pixels, in 30 x 25 found ones
    assert metrics["mean_jaccard"] == pytest.approx(300 / (400 + 750 - 300), abs=1e-6)


def test_a_semantic_model_is_judged_by_its_pixels_and_tells_its_regions(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "semantic")
    evaluation = evaluation_of(answers_of(load_any(tmp_path / "model", threads=1)), dataset)
    for record in dataset.records("val"):
        evaluation.add(record)
    metrics = evaluation.metrics()
    assert metrics["n_pictures"] == COUNT
    assert metrics["mean_jaccard"] == pytest.approx(300 / (400 + 750 - 300), abs=1e-6)
    written = evaluation.write_predictions(tmp_path)
    entries = json.loads(written.read_text())
    assert written.name == "predictions.json"
    assert [entry["image_id"] for entry in entries] == list(range(1, COUNT + 1))
    assert masks.from_rle(entries[0]["segmentation"]).area_px == 750
    assert entries[0]["score"] == pytest.approx(0.8, abs=0.01)
    assert len({entry["category_id"] for entry in entries}) == 1


def test_a_classifier_is_judged_and_tells_every_probability(dataset: Dataset, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model", "classification", calibration=None)
    evaluation = evaluation_of(answers_of(load_any(tmp_path / "model", threads=1)), dataset)
    for record in dataset.records("val")[:3]:
        evaluation.add(record)
    assert evaluation.metrics()["accuracy"] == pytest.approx(1 / 3)
    written = evaluation.write_predictions(tmp_path)
    assert written.name == "predictions.csv"
    assert written.read_text() == (
        "image,truth,called,benign,malignant\n"
        "00.png,malignant,malignant,0.25,0.75\n"
        "01.png,benign,malignant,0.25,0.75\n"
        "02.png,benign,malignant,0.25,0.75\n"
    )
    nameless = dataclasses.replace(dataset.records("val")[0], class_id=None)
    with pytest.raises(DatasetError, match="expected an image with a class as a whole, found none"):
        evaluation.add(nameless)


def tiny_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the tiny model in place of an export: its score is 0.9975, its raw percentage 75 %."""

    def write(parts: object, facts: ModelFacts, frames: Sequence[Frame], folder: Path, *rest: Any) -> ObjectParity:
        kept = {name: value for name, value in facts if name not in ("task", "decoder", "preprocessing")}
        write_tiny_model(folder, facts.task, **kept)
        return ObjectParity(len(frames), 1, 98, 0.0, 0.0, 0.0, 1.0)

    monkeypatch.setattr(model_folder, "write_checked", write)


def test_an_export_is_tuned_on_val_judged_and_whole(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_in_place(monkeypatch)
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


def test_a_classifier_is_calibrated_and_regions_are_not(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_in_place(monkeypatch)
    manifest, _ = export_checkpoint(
        checkpoint(dataset, CLASSIFIER), dataset, About(), tmp_path / "classes", judged_split="val", mirror=True
    )
    assert manifest.calibration is not None
    assert manifest.metrics["n_pictures"] == COUNT
    (answer,) = load_classifier(tmp_path / "classes", threads=1).classify(gate_looks(dataset.records("val"), 1))
    assert answer.probabilities[1] == pytest.approx(1 / 3, abs=2e-3)
    manifest, _ = export_checkpoint(
        checkpoint(dataset, REGIONS), dataset, About(), tmp_path / "regions", judged_split="val", score_threshold=0.6
    )
    assert manifest.calibration is None
    assert manifest.score_threshold == 0.6
    assert "judged with these ONNX graphs by maskstream" in (tmp_path / "regions" / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize(
    "split, message", [("tset", "splits: expected one of"), ("test", "name another split .*: val")]
)
def test_a_split_without_images_is_told_before_the_work(
    dataset: Dataset, tmp_path: Path, split: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        export_checkpoint(checkpoint(dataset), dataset, About(), tmp_path / "model", judged_split=split)
    assert not list(tmp_path.iterdir())


def test_a_small_classifier_and_a_small_region_model_go_all_the_way(dataset: Dataset, tmp_path: Path) -> None:
    """Untrained, from a checkpoint on disk to figures; nothing is put in anything's place."""
    for recipe in (CLASSIFIER, REGIONS):
        run, folder = tmp_path / f"{recipe.task}-run", tmp_path / recipe.task
        facts = {"recipe": recipe.model_dump(mode="json"), "data_sha256": dataset.content_sha256()}
        save_weights(run / "best.safetensors", make_task(recipe).build_model().state_dict(), facts)
        manifest, parity = export_checkpoint(load_checkpoint(run), dataset, About(), folder, judged_split="val")
        assert parity.frames == GATE_FRAMES
        assert parity.probability < 1e-4
        assert load_any(folder, threads=1).manifest == manifest
        assert manifest.task == recipe.task
        assert manifest.metrics["n_pictures"] == COUNT


def checkpoint(dataset: Dataset, recipe: Recipe = RECIPE) -> Checkpoint:
    task = make_task(recipe)
    return Checkpoint(task.build_model(), task, dataset.content_sha256())


def test_facts_name_data_licences_and_no_place_of_this_machine(dataset: Dataset) -> None:
    about = About(version="3", intended_use="Tests.", limits=("Squares only.",), weights_licence="CC-BY-4.0")
    facts = gather_facts(checkpoint(dataset), dataset, split_records(RECIPE.data, dataset), about)
    assert (facts.name, facts.version, facts.classes) == ("spots", "3", CLASSES)
    assert facts.preprocessing.input_size_hw == (64, 64)
    assert facts.decoder == RECIPE.model.settings
    assert facts.tiles is None
    assert facts.calibration is None
    assert dict(facts.licence) == {"code": "Apache-2.0", "weights": "CC-BY-4.0", "data": "CC0-1.0"}
    assert facts.training.images == {"train": 0, "val": COUNT, "test": 0}
    assert facts.training.data_sha256 == dataset.content_sha256()
    assert facts.training.recipe["initial_weights"] == "weights.safetensors"
    assert "somebody" not in facts.model_dump_json()


def test_another_dataset_than_that_of_training_is_refused(dataset: Dataset) -> None:
    other = dataclasses.replace(checkpoint(dataset), data_sha256="f" * 64)
    with pytest.raises(DatasetError, match=r"trained on .SHA-256 ffffffffffff"):
        gather_facts(other, dataset, {}, About())


def test_facts_follow_the_recipe_in_task_tiles_mirror_and_named_images(dataset: Dataset) -> None:
    def facts_of(recipe: Recipe, *, mirror: bool = False) -> ModelFacts:
        splits = split_records(recipe.data, dataset)
        return gather_facts(checkpoint(dataset, recipe), dataset, splits, About(), mirror=mirror)

    assert facts_of(CLASSIFIER).decoder == ClassifierSettings()
    assert facts_of(CLASSIFIER, mirror=True).decoder == ClassifierSettings(mirror=True)
    assert facts_of(RECIPE, mirror=True).decoder == RECIPE.model.settings.model_copy(update={"mirror": True})
    data = {"tiles": {"size_hw": (20, 30), "overlap": 0.3}, "test_images": ("07.png", "03.png")}
    facts = facts_of(REGIONS.model_copy(update={"data": RECIPE.data.model_validate(data)}))
    assert facts.decoder == RegionSettings()
    assert (facts.tiles.size_hw, facts.tiles.overlap) == ((20, 30), 0.3)
    assert facts.training.images == {"train": 0, "val": COUNT - 2, "test": 2}
    assert facts.training.split_rule == "test_images by name in the recipe; the others by hand"


def test_a_checkpoint_comes_back_from_its_run_folder(dataset: Dataset, tmp_path: Path) -> None:
    model = make_task(CLASSIFIER).build_model()
    facts = {"recipe": CLASSIFIER.model_dump(mode="json"), "data_sha256": "0" * 64}
    save_weights(tmp_path / "best.safetensors", model.state_dict(), facts)
    loaded = load_checkpoint(tmp_path)
    assert (loaded.recipe, loaded.data_sha256) == (CLASSIFIER, "0" * 64)
    assert all((a == b).all() for a, b in zip(loaded.model.state_dict().values(), model.state_dict().values()))
    save_weights(tmp_path / "old.safetensors", model.state_dict(), {"recipe": facts["recipe"]})
    with pytest.raises(CheckpointError, match="expected data_sha256"):
        load_checkpoint(tmp_path / "old.safetensors")
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        load_checkpoint(tmp_path / "missing.safetensors")
