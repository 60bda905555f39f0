"""The manifest: what it keeps, and each way in which a model folder can be wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from maskstream.core.calibration import Calibration
from maskstream.errors import ModelFolderError
from maskstream.inference.classifier import ClassifierSettings
from maskstream.inference.load import BUNDLED
from maskstream.inference.manifest import Graph, Licence, Manifest, Training, read_manifest
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.inference.preprocess import Preprocessing
from maskstream.inference.regions import RegionSettings

ROLES = ("trunk", "box_head", "class_head", "mask_head")
NETWORK = {"network": Graph(file="network.onnx", inputs=("image",), outputs=("probabilities",))}
CALIBRATION = Calibration("malignant", 0.8, -0.3, ((0.01, 0.002), (0.002, 0.03)), 0.4)


def example(**changes: Any) -> Manifest:
    facts: dict[str, Any] = {
        "name": "spots",
        "version": "1",
        "classes": ("benign", "malignant"),
        "preprocessing": Preprocessing((96, 128)),
        "graphs": {role: Graph(file=f"{role}.onnx", inputs=("image",), outputs=("out",)) for role in ROLES},
        "decoder": MaskRcnnSettings(),
        "score_threshold": 0.5,
        "calibration": CALIBRATION,
        "licence": Licence(code="Apache-2.0", weights="Apache-2.0", data="CC0-1.0"),
        "intended_use": "research",
        "limits": ("only round spots",),
        "training": Training(
            data="spots", data_sha256="0" * 64, images={"train": 3}, split_rule="by group", recipe={"epochs": 3}
        ),
        "metrics": {"AP50": 0.6, "evaluator": "by hand"},
        "versions": {"maskstream": "0.1.0"},
        "files": {f"{role}.onnx": hashlib.sha256(role.encode()).hexdigest() for role in ROLES},
    }
    return Manifest(**(facts | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for role in ROLES:
        (tmp_path / f"{role}.onnx").write_bytes(role.encode())
    example().write(tmp_path)
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_is_written_reads_back_equal(folder: Path) -> None:
    assert read_manifest(folder) == example()


def test_a_model_may_have_no_calibration(folder: Path) -> None:
    edit(folder, lambda m: m.update(calibration=None))
    assert read_manifest(folder).calibration is None


def test_floats_come_back_bit_for_bit(tmp_path: Path) -> None:
    slope = 0.1 + 0.2
    manifest = example(calibration=Calibration("benign", slope, 1e-17, ((1e300, 0.0), (0.0, 5e-324)), 1 / 3))
    for role in ROLES:
        (tmp_path / f"{role}.onnx").write_bytes(role.encode())
    manifest.write(tmp_path)
    assert read_manifest(tmp_path).calibration == manifest.calibration


@pytest.fixture(params=["semantic", "classification"])
def network_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Of a task with one network, its decoder not set as it is by default."""
    decoder = RegionSettings(min_area_px=7) if request.param == "semantic" else ClassifierSettings(mirror=True)
    return write_network(tmp_path, request.param, decoder)


def write_network(folder: Path, task: str, decoder: RegionSettings | ClassifierSettings) -> Path:
    (folder / "network.onnx").write_bytes(b"network")
    digest = hashlib.sha256(b"network").hexdigest()
    example(task=task, decoder=decoder, graphs=NETWORK, files={"network.onnx": digest}).write(folder)
    return folder


def test_a_task_with_one_network_reads_back_equal(network_folder: Path) -> None:
    manifest = read_manifest(network_folder)
    expected = {"semantic": RegionSettings(min_area_px=7), "classification": ClassifierSettings(mirror=True)}
    assert manifest.decoder == expected[manifest.task]
    manifest.write(network_folder)
    assert read_manifest(network_folder) == manifest


def test_a_class_head_is_optional(folder: Path) -> None:
    edit(folder, lambda m: m["graphs"].pop("class_head"))
    assert tuple(read_manifest(folder).graphs) == ("trunk", "box_head", "mask_head")


def test_what_a_manifest_leaves_out_is_as_it_was_when_there_was_one_task(folder: Path) -> None:
    edit(folder, lambda m: m.pop("task"))
    edit(folder, lambda m: m["decoder"].pop("mirror"))
    assert read_manifest(folder) == example()


def test_the_bundled_model_reads_and_writes_back_as_it_is(tmp_path: Path) -> None:
    manifest = read_manifest(BUNDLED / "lesions")
    assert manifest.task == "instance"
    known = json.loads((BUNDLED / "lesions" / "manifest.json").read_text())
    manifest.write(tmp_path)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert {key: written[key] for key in known} == known


@pytest.mark.parametrize(
    "change, place, expected, found",
    [
        (lambda m: m.update(task="detection"), "manifest.json, task", "'instance', 'semantic' or", "'detection'"),
        (lambda m: m["decoder"].update(nms_iou=0.5), "decoder.nms_iou", "known keys only", "this one"),
        (lambda m: m["decoder"].update(mirror="yes"), "decoder.mirror", "valid boolean", "'yes'"),
        (lambda m: m.update(decoder=3), "manifest.json, decoder", "an object", "3"),
        (lambda m: m["graphs"].pop("network"), "manifest.json", "with the roles network", "no network"),
        (lambda m: m["graphs"].update(trunk=m["graphs"]["network"]), "manifest.json", "no roles but network", "trunk"),
        (lambda m: m.update(task="instance"), "manifest.json", "", ""),
    ],
)
def test_a_manifest_that_does_not_fit_its_task_is_named_in_one_line(
    network_folder: Path, change: Callable[[dict[str, Any]], object], place: str, expected: str, found: str
) -> None:
    edit(network_folder, change)
    with pytest.raises(ModelFolderError) as caught:
        read_manifest(network_folder)
    assert place in caught.value.place
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert "\n" not in str(caught.value)


def test_settings_of_another_task_are_refused() -> None:
    with pytest.raises(ValidationError, match="RegionSettings for the task 'semantic'; MaskRcnnSettings"):
        example(task="semantic", graphs=NETWORK, decoder=MaskRcnnSettings())


@pytest.mark.parametrize(
    "change, place, expected, found",
    [
        (lambda m: m.pop("classes"), "manifest.json, classes", "this key", "none"),
        (lambda m: m.pop("schema_version"), "manifest.json, schema_version", "1", "None"),
        (lambda m: m.update(schema_version=99), "manifest.json, schema_version", "1", "99"),
        (lambda m: m.update(colour="red"), "manifest.json, colour", "known keys only", "this one"),
        (lambda m: m["preprocessing"].update(crop=1), "manifest.json, preprocessing.crop", "", ""),
        (lambda m: m["decoder"].pop("nms_iou") and m["decoder"].update(nms=1), "decoder.nms", "known keys only", ""),
        (lambda m: m.update(score_threshold=1.5), "score_threshold", "less than or equal to 1", "1.5"),
        (lambda m: m.update(score_threshold="0.5"), "score_threshold", "valid number", "'0.5'"),
        (lambda m: m.update(classes=[]), "classes", "at least 1 item", ""),
        (lambda m: m.update(classes=["a", "a"]), "manifest.json", "classes that differ from each other", "a, a"),
        (lambda m: m["graphs"].pop("box_head"), "manifest.json", "with the roles", "no box_head"),
        (lambda m: m["files"].pop("trunk.onnx"), "manifest.json", "SHA-256 of every graph", "trunk.onnx"),
        (lambda m: m["files"].update({"../x": "0" * 64}), "files", "match pattern", "../x"),
        (lambda m: m["graphs"]["trunk"].update(file="/etc/passwd"), "graphs.trunk.file", "match pattern", "passwd"),
        (lambda m: m["graphs"]["trunk"].update(file="..\\x"), "graphs.trunk.file", "match pattern", "x"),
        (lambda m: m["calibration"].update(positive="cat"), "manifest.json", "one of the classes", "'cat'"),
        (lambda m: m["calibration"].update(slope=0.0), "manifest.json", "above 0", "0.0"),
        (lambda m: m["preprocessing"].update(input_size_hw=[0, 5]), "manifest.json", "at least 1", "(0, 5)"),
        (lambda m: m["preprocessing"].update(std=[1, 0, 1]), "manifest.json", "above 0", "(1.0, 0.0, 1.0)"),
    ],
)
def test_a_wrong_manifest_is_named_in_one_line(
    folder: Path, change: Callable[[dict[str, Any]], object], place: str, expected: str, found: str
) -> None:
    edit(folder, change)
    with pytest.raises(ModelFolderError) as caught:
        read_manifest(folder)
    assert place in caught.value.place
    assert expected in caught.value.expected
    assert found in caught.value.found
    assert "\n" not in str(caught.value)


def test_an_altered_file_is_refused(folder: Path) -> None:
    (folder / "box_head.onnx").write_bytes(b"other")
    with pytest.raises(ModelFolderError, match=r"box_head\.onnx: expected SHA-256 .* found .* an altered file"):
        read_manifest(folder)


def test_a_missing_file_is_refused(folder: Path) -> None:
    (folder / "mask_head.onnx").unlink()
    with pytest.raises(ModelFolderError, match=r"mask_head\.onnx: expected a file .* found no such file"):
        read_manifest(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"schema_version": NaN}'])
def test_text_that_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelFolderError, match=r"manifest\.json"):
        read_manifest(folder)


def test_a_missing_folder_and_a_folder_without_manifest_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="found no such file"):
        read_manifest(tmp_path)
    with pytest.raises(ModelFolderError, match="found no such folder"):
        read_manifest(tmp_path / "nowhere")


def test_a_manifest_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        example().name = "other"  # type: ignore[misc]
