"""From a name or folder to a Segmenter with a known answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_model import CALIBRATION, PROBABILITIES, REGION_SCORE, write_tiny_model

import maskstream.inference.load as load
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.errors import ModelFolderError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(path)
    return path


def frame(size_hw: tuple[int, int] = (128, 128)) -> Frame:
    return Frame(np.zeros((*size_hw, 3), np.uint8), 0, 0.0, "black")


def test_a_folder_becomes_a_segmenter_that_knows_its_manifest(folder: Path) -> None:
    model = load.load_model(folder, threads=1)
    assert isinstance(model, Segmenter)
    assert (model.name, model.classes, model.score_threshold) == ("tiny", ("benign", "malignant"), 0.5)
    assert model.calibration == model.manifest.calibration == CALIBRATION


def test_its_detection_is_in_source_pixels_and_calibrated(folder: Path) -> None:
    """The anchor -16..16 moves by its own size to 16..48 of 64 network pixels: 32..96 of 128."""
    (found,) = load.load_model(folder, threads=1).segment([frame()])
    np.testing.assert_allclose(found.boxes_xyxy, [[32, 32, 96, 96]], atol=1e-4)
    assert (found.masks[0].x0, found.masks[0].y0, found.masks[0].area_px) == (32, 32, 64 * 64)
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-6)), abs=1e-6)
    odds = np.exp(0.8 * np.log(PROBABILITIES[1] / PROBABILITIES[0]) - 0.3)
    np.testing.assert_allclose(found.probabilities, [[1 / (1 + odds), odds / (1 + odds)]], atol=1e-6)


@pytest.fixture(scope="module")
def semantic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "semantic"
    write_tiny_model(path, "semantic")
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "classifier"
    write_tiny_model(path, "classification")
    return path


def calibrated() -> np.ndarray:
    odds = np.exp(0.8 * np.log(PROBABILITIES[1] / PROBABILITIES[0]) - 0.3)
    return np.array([1, odds]) / (1 + odds)


def test_a_semantic_models_region_is_in_source_pixels(semantic: Path) -> None:
    """The middle quarter: at twice the size, pixels just outside it have a quarter of its probability."""
    model = load.load_model(semantic, threads=1)
    (found,) = model.segment([frame()])
    assert isinstance(model, Segmenter)
    np.testing.assert_array_equal(found.boxes_xyxy, [[32, 32, 96, 96]])
    assert found.scores[0] == pytest.approx(REGION_SCORE, abs=0.02)
    np.testing.assert_allclose(found.probabilities, [calibrated()], atol=1e-6)
    assert len(model.segment([frame()], 0.9)[0]) == 0


def test_a_classifier_answers_with_calibrated_probabilities(classifier: Path) -> None:
    model = load.load_classifier(classifier, threads=1)
    assert (model.name, model.classes, model.calibration) == ("tiny", ("benign", "malignant"), CALIBRATION)
    (answer,) = model.classify([frame()])
    np.testing.assert_allclose(answer.probabilities, calibrated(), atol=1e-6)
    assert model.classify([]) == []
    assert load.load_any(classifier, threads=1).sha256 == model.sha256


def test_each_kind_of_model_is_refused_where_the_other_is_wanted(
    folder: Path, semantic: Path, classifier: Path
) -> None:
    with pytest.raises(ModelFolderError, match=r"segments, found one that classifies; .*: maskstream classify") as one:
        load.load_model(classifier)
    with pytest.raises(ModelFolderError, match=r"classifies, found one that segments; .*: maskstream segment") as two:
        load.load_classifier(semantic)
    with pytest.raises(ModelFolderError, match="found one that segments"):
        load.load_classifier(folder)
    assert "\n" not in str(one.value) + str(two.value)


def test_no_frames_give_no_detections(folder: Path) -> None:
    assert load.load_model(folder, threads=1).segment([]) == []


def test_a_bundled_name_is_found_and_an_unknown_one_lists_the_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "BUNDLED", folder.parent)
    assert load.bundled_models() == ("tiny",)
    assert load.load_model("tiny", threads=1).name == "tiny"
    with pytest.raises(ModelFolderError, match=r"lessions: expected .*bundled model \(tiny\), found neither"):
        load.load_model("lessions")


def test_without_any_bundled_model_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "BUNDLED", tmp_path)
    with pytest.raises(ModelFolderError, match="none installed"):
        load.load_model("lesions")


def test_a_folder_with_an_altered_graph_is_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    with (tmp_path / "trunk.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelFolderError, match="altered file"):
        load.load_model(tmp_path)


def test_loading_never_imports_pytorch(folder: Path) -> None:
    code = (
        "import sys; from maskstream.inference.load import load_model; "
        f"load_model({str(folder)!r}, threads=1); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
