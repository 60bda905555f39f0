"""A model's first guess as labelme JSON: what is written, what is never touched, and what a person made of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from found_objects import disk, found
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from labelme_files import document, load, open_and_save, png, put, read, shape, written
from PIL import Image
from typer.testing import CliRunner

from maskstream.cli.data.preannotate import preannotate as command
from maskstream.core import masks
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import FakeSegmenter
from maskstream.data.preannotate import Preannotated, outlines, preannotate
from maskstream.errors import DatasetError, MaskstreamError

CLASSES = ("benign", "malignant")
SIZE_HW = (120, 160)
ROUND = disk(SIZE_HW, 50, 60, 30)
HOLED = ROUND & ~disk(SIZE_HW, 50, 60, 12)
TWO = disk(SIZE_HW, 30, 30, 15) | disk(SIZE_HW, 90, 80, 20)
NOTHING = np.zeros(SIZE_HW, bool)


def fake(*objects: np.ndarray, name: str = "fake") -> FakeSegmenter:
    """A model that finds these objects in every picture; the probability of malignant falls from 0.8."""

    def answer(frame: Frame) -> Detections:
        if not objects:
            return Detections.empty(CLASSES, frame.size_hw)
        malignant = [0.8 - 0.1 * index for index in range(len(objects))]
        return found(objects, malignant, [0] * len(objects))

    return FakeSegmenter(answer, CLASSES, name=name)


def run(folder: Path, segmenter: FakeSegmenter, sha256: str = "ab" * 32, **options: Any) -> Preannotated:
    return preannotate(folder, segmenter, version="3", sha256=sha256, **options)


def pictures(folder: Path, *names: str) -> Path:
    for name in names or ("a.png",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(SIZE_HW))
    return folder


def origins(folder: Path) -> list[tuple[str, list[str]]]:
    (record,) = read(folder).images
    return [(a.attributes["provenance"], a.attributes.get("corrected", [])) for a in record.annotations]


# What is written


def test_class_score_and_provenance_stand_in_each_shape(tmp_path: Path) -> None:
    pictures(tmp_path)
    done = run(tmp_path, fake(ROUND), score=0.25)
    assert (done.written, done.objects, done.done, done.kept, done.findings) == (1, 1, 0, 0, [])
    content = load(tmp_path / "a.json")
    (one,) = content["shapes"]
    assert (one["label"], one["shape_type"], one["group_id"]) == ("malignant", "polygon", None)
    stamp = one["maskstream"]
    assert len(stamp.pop("shape_sha256")) == 64
    model = {"model": "fake", "version": "3", "sha256": "ab" * 32}
    assert stamp == model | {
        "object": 1, "part": 1, "parts": 1, "label": "malignant", "score": 0.9,
        "probabilities": {"benign": 0.2, "malignant": 0.8},
    }  # fmt: skip
    assert content["maskstream"] == model | {"classes": list(CLASSES), "score_threshold": 0.25, "objects": 1}
    assert (content["imagePath"], content["imageData"], content["imageHeight"], content["imageWidth"]) == (
        "a.png", None, 120, 160
    )  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "kinds", "iou"),
    [
        (ROUND, ["polygon"], 0.97),
        (HOLED, ["polygon"], 0.96),
        (TWO, ["polygon", "polygon"], 0.96),
        (NOTHING, ["rectangle"], 0),
    ],
)
def test_holes_and_pieces_survive_as_polygons_that_can_be_edited(
    tmp_path: Path, mask: np.ndarray, kinds: list[str], iou: float
) -> None:
    run(pictures(tmp_path), fake(mask))
    shapes = load(tmp_path / "a.json")["shapes"]
    assert [s["shape_type"] for s in shapes] == kinds
    assert {s["group_id"] for s in shapes} == ({1} if len(kinds) > 1 else {None})
    assert sum(len(s["points"]) for s in shapes) <= 60
    (annotation,) = read(tmp_path).images[0].annotations
    assert masks.iou(annotation.mask(SIZE_HW), masks.crop(mask)) >= iou
    assert annotation.attributes["provenance"] == "model"


def test_a_picture_without_objects_gets_a_document_all_the_same(tmp_path: Path) -> None:
    run(pictures(tmp_path), fake())
    dataset = read(tmp_path)
    assert dataset.classes == CLASSES
    assert dataset.images[0].annotations == ()
    assert dataset.images[0].attributes["preannotation"] == {
        "model": "fake", "version": "3", "objects": 0, "deleted": 0, "score_threshold": 0.5
    }  # fmt: skip


@given(bitmap=arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_outlines_without_tolerance_are_exact(bitmap: np.ndarray) -> None:
    mask = masks.crop(bitmap)
    parts = [masks.from_polygons([ring], bitmap.shape) for ring in outlines(mask, 0)]
    assert np.array_equal(masks.union(parts, bitmap.shape), bitmap)


def test_what_the_tolerance_costs_on_the_validation_masks_of_isic(shared_data: Path) -> None:
    folder = shared_data / "isic2017"
    with (folder / "labels.csv").open(newline="") as file:
        names = [row["image_id"] for row in csv.DictReader(file) if row["split"] == "val"]
    ious, points = [], []
    for name in names:
        mask = masks.crop(np.asarray(Image.open(folder / "masks" / f"{name}.png").convert("L")) > 127)
        rings = outlines(mask)
        kept = masks.union([masks.from_polygons([ring], (192, 256)) for ring in rings], (192, 256))
        ious.append(masks.iou(mask, masks.crop(kept)))
        points.append(sum(map(len, rings)))
    assert np.mean(ious) == pytest.approx(0.9887, abs=0.0005)
    assert np.min(ious) > 0.94
    assert np.median(points) <= 38


# What is never touched


def test_a_stopped_run_goes_on_and_documents_that_are_there_stay(tmp_path: Path) -> None:
    names = ["10.png", "2.png", "sub/1.png", "x.png"]
    pictures(tmp_path, *names)
    put(tmp_path, shape("mine", [[1, 1], [9, 1], [9, 9]]), image="x.png")
    mine = (tmp_path / "x.json").read_bytes()
    seen: list[str] = []
    answer = fake(ROUND)

    class Stopping(FakeSegmenter):
        def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
            if len(seen) == 1:
                raise KeyboardInterrupt
            seen.append(Path(frames[0].source).name)
            return answer.segment(frames, score_threshold)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Stopping(lambda frame: Detections.empty(CLASSES, frame.size_hw), CLASSES))
    assert seen == ["2.png"]
    first = (tmp_path / "2.json").read_bytes()
    assert not (tmp_path / "10.json").exists()
    steps: list[tuple[int, int | None]] = []
    done = run(tmp_path, answer, on_progress=lambda *step: steps.append(step))
    assert (done.written, done.done) == (2, 2)
    assert steps == [(1, 2), (2, 2)]
    assert ((tmp_path / "2.json").read_bytes(), (tmp_path / "x.json").read_bytes()) == (first, mine)
    assert (tmp_path / "sub" / "1.json").is_file()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == sorted(
        ["10.json", "10.png", "2.json", "2.png", "1.json", "1.png", "x.json", "x.png"]
    )


Change = Callable[[dict[str, Any]], object]


def _nothing(content: dict[str, Any]) -> None:
    pass


def _as_labelme_saves(content: dict[str, Any]) -> None:
    content["version"] = "6.3.1"
    for one in content["shapes"]:
        one["points"] = [[int(x), float(y)] for x, y in one["points"]]


CHANGES: dict[str, Change] = {
    "label": lambda c: c["shapes"][0].update(label="benign"),
    "point": lambda c: c["shapes"][0]["points"][0].__setitem__(0, 0.5),
    "deleted": lambda c: c["shapes"].pop(),
    "added": lambda c: c["shapes"].append(shape("benign", [[1, 1], [9, 1], [9, 9]])),
    "a line": lambda c: c["shapes"].append(shape("scale", [[1, 1], [9, 1]], "line")),
    "copied": lambda c: c["shapes"].append(dict(c["shapes"][0])),
    "flag": lambda c: c["flags"].update(reviewed=True),
    "shape's flag": lambda c: c["shapes"][0]["flags"].update(hard=True),
    "description": lambda c: c["shapes"][0].update(description="seen"),
    "all gone": lambda c: c["shapes"].clear(),
    "no stamp": lambda c: c.pop("maskstream"),
    "broken stamp": lambda c: c.update(maskstream=5),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_overwrite_keeps_what_a_person_touched(tmp_path: Path, change: Change) -> None:
    run(pictures(tmp_path), fake(ROUND))
    content = load(tmp_path / "a.json")
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    before = (tmp_path / "a.json").read_bytes()
    done = run(tmp_path, fake(TWO, name="newer"), sha256="cd" * 32, overwrite=True)
    assert (done.written, done.kept) == (0, 1)
    assert (tmp_path / "a.json").read_bytes() == before


@pytest.mark.parametrize("change", [_nothing, _as_labelme_saves])
def test_overwrite_replaces_what_a_model_wrote_and_nobody_changed(tmp_path: Path, change: Change) -> None:
    run(pictures(tmp_path), fake(ROUND))
    content = load(tmp_path / "a.json")
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    again = run(tmp_path, fake(ROUND), overwrite=True)
    assert (again.written, again.done) == (0, 1)
    lower = run(tmp_path, fake(ROUND), score=0.3, overwrite=True)
    newer = run(tmp_path, fake(TWO, name="newer"), sha256="cd" * 32, overwrite=True)
    assert (lower.written, newer.written) == (1, 1)
    assert load(tmp_path / "a.json")["maskstream"]["model"] == "newer"


def test_documents_and_pictures_that_cannot_be_read_are_told_and_left(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.png").write_bytes(b"no picture")
    done = run(tmp_path, fake(ROUND), overwrite=True)
    assert (done.written, done.kept) == (1, 0)
    assert [finding.code for finding in done.findings] == ["broken-file", "unreadable-image"]
    assert (tmp_path / "a.json").read_text() == "{"
    assert not (tmp_path / "b.json").exists()


def test_folders_that_labelme_could_not_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected pictures, found none"):
        run(tmp_path, fake())
    pictures(tmp_path, "a.jpg", "a.png")
    with pytest.raises(DatasetError, match=r"a\.png: expected a name of its own .*, found that of a\.jpg; rename one"):
        run(tmp_path, fake())
    assert not (tmp_path / "a.json").exists()


# What a person made of it


def _ungroup(content: dict[str, Any]) -> None:
    content["shapes"][1]["group_id"] = None


def _join(content: dict[str, Any]) -> None:
    for one in content["shapes"]:
        one.update(group_id=9, label="benign")


def _copy_and_move(content: dict[str, Any]) -> None:
    copy = dict(content["shapes"][0])
    copy["points"] = [[x + 3, y] for x, y in copy["points"]]
    content["shapes"].insert(0, copy)


@pytest.mark.parametrize(
    ("objects", "change", "expected", "deleted"),
    [
        ([ROUND], _nothing, [("model", [])], 0),
        ([ROUND], _as_labelme_saves, [("model", [])], 0),
        ([], CHANGES["added"], [("person", [])], 0),
        ([ROUND], CHANGES["label"], [("model, corrected by a person", ["label"])], 0),
        ([ROUND], CHANGES["point"], [("model, corrected by a person", ["geometry"])], 0),
        ([ROUND], CHANGES["added"], [("model", []), ("person", [])], 0),
        ([ROUND], CHANGES["copied"], [("person", []), ("model", [])], 0),
        ([ROUND], _copy_and_move, [("person", []), ("model", [])], 0),
        ([ROUND, HOLED], CHANGES["deleted"], [("model", [])], 1),
        ([ROUND, HOLED], CHANGES["all gone"], [], 2),
        ([ROUND], lambda c: c["shapes"][0].update(label="__ignore__"), [], 0),
        ([ROUND], lambda c: c["shapes"][0].update(maskstream=[]), [("person", [])], 1),
        ([ROUND], lambda c: c.update(maskstream={"objects": 10**30}), [("model", [])], None),
        ([TWO], _nothing, [("model", [])], 0),
        ([TWO], CHANGES["deleted"], [("model, corrected by a person", ["geometry"])], 0),
        ([TWO], _ungroup, 2 * [("model, corrected by a person", ["geometry"])], 0),
        ([ROUND, HOLED], _join, [("model, corrected by a person", ["label", "geometry"])], 0),
    ],
)
def test_import_knows_who_made_an_object_and_what_was_changed(
    tmp_path: Path,
    objects: list[np.ndarray],
    change: Change,
    expected: list[tuple[str, list[str]]],
    deleted: int | None,
) -> None:
    run(pictures(tmp_path), fake(*objects))
    content = load(tmp_path / "a.json")
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert origins(tmp_path) == expected
    counted = read(tmp_path).images[0].attributes.get("preannotation", {}).get("deleted")
    assert counted == deleted


def test_documents_that_no_model_wrote_say_nothing_of_their_origin(tmp_path: Path) -> None:
    put(tmp_path, shape("x", [[1, 1], [9, 1], [9, 9]]))
    (record,) = read(tmp_path).images
    assert record.annotations[0].attributes.keys() == record.attributes.keys() == {"labelme"}


def test_stamps_survive_the_way_through_a_dataset(tmp_path: Path) -> None:
    run(pictures(tmp_path / "in"), fake(TWO, HOLED, NOTHING))
    dataset = read(tmp_path / "in").save(tmp_path / "dataset")
    assert [a.attributes["provenance"] for a in dataset.images[0].annotations] == 3 * ["model"]
    assert load(written(dataset, tmp_path / "out") / "a.json") == load(tmp_path / "in" / "a.json")


def test_labelme_opens_and_saves_it_and_nothing_counts_as_changed(tmp_path: Path) -> None:
    run(pictures(tmp_path), fake(TWO, HOLED, NOTHING))
    before = load(tmp_path / "a.json")
    open_and_save([tmp_path / "a.json"])
    after = load(tmp_path / "a.json")
    assert after["maskstream"] == before["maskstream"]
    assert [s["maskstream"] for s in after["shapes"]] == [s["maskstream"] for s in before["shapes"]]
    assert origins(tmp_path) == 3 * [("model", [])]
    assert run(tmp_path, fake(ROUND), sha256="cd" * 32, overwrite=True).written == 1


# The command


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(command)
    return made


def test_the_command_with_the_bundled_model(app: typer.Typer, shared_data: Path, tmp_path: Path) -> None:
    name = "ISIC_0000003"
    (tmp_path / f"{name}.jpg").write_bytes((shared_data / "isic2017" / "images" / f"{name}.jpg").read_bytes())
    result = CliRunner().invoke(app, [str(tmp_path)])
    assert result.exit_code == 0
    assert "1 files written with 1 objects; 0 were there already" in result.stderr
    content = load(tmp_path / f"{name}.json")
    stamp = content["shapes"][0]["maskstream"]
    assert (stamp["model"], stamp["version"], len(stamp["sha256"])) == ("lesions", "1", 64)
    assert sum(stamp["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    again = CliRunner().invoke(app, [str(tmp_path), "--model", "lesions", "--overwrite"])
    assert "0 files written with 0 objects; 1 were there already" in again.stderr
    assert load(tmp_path / f"{name}.json") == content


def test_the_command_tells_what_it_left_alone(app: typer.Typer, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    put(tmp_path, image="mine.png")
    (tmp_path / "mine.json").write_text(json.dumps(document(image="mine.png")))
    result = CliRunner().invoke(app, [str(tmp_path), "--overwrite"])
    assert result.exit_code == 0
    assert "1 kept, which a person or another program wrote or changed" in result.stderr
    assert result.stderr.count("expected an image that can be read") == 10
    assert "and 2 more that could not be read" in result.stderr
    assert isinstance(CliRunner().invoke(app, [str(tmp_path / "nowhere")]).exception, MaskstreamError)
