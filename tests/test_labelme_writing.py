"""Writing labelme's documents: nothing is lost, changed and new objects, and labelme's own opinion of the result."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelme_files import (
    FAR,
    RING,
    SIZE_HW,
    SQUARE,
    codes,
    document,
    load,
    mask_text,
    open_and_save,
    png,
    put,
    read,
    shape,
    text64,
    written,
)

from maskstream.core import masks
from maskstream.data.dataset import Dataset
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.formats.known_formats import FORMATS
from maskstream.data.formats.labelme import read as labelme
from maskstream.data.formats.labelme.shapes import geometry_sha256
from maskstream.data.records import Annotation, ImageRecord

# Nothing is lost


def test_old_documents_get_what_current_labelme_asks_for_and_no_more(tmp_path: Path) -> None:
    old = {
        "lineColor": [0, 255, 0, 128],
        "fillColor": None,
        "shapes": [{"label": "x", "line_color": None, "points": [[1, 2], [30, 2], [1.5, 20]], "fill_color": [1, 2]}],
        "imagePath": "a.png",
    }
    put(tmp_path / "in")
    (tmp_path / "in" / "a.json").write_text("\ufeff" + json.dumps(old).replace("\n", "\r\n"), encoding="utf-8")
    dataset = read(tmp_path / "in")
    assert dataset.images[0].annotations[0].area_px > 0
    expected = old | {"imageData": None, "shapes": [old["shapes"][0] | {"shape_type": "polygon"}]}  # type: ignore[index]
    assert load(written(dataset, tmp_path / "out") / "a.json") == expected


def test_a_size_that_contradicts_the_picture_is_told_and_corrected(tmp_path: Path) -> None:
    put(tmp_path / "in", shape("x", SQUARE), imageHeight=60, imageWidth=40)
    dataset = read(tmp_path / "in")
    assert codes(dataset) == ["size-mismatch"]
    assert load(written(dataset, tmp_path / "out") / "a.json") == document(shape("x", SQUARE))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NUMBERS = st.integers(-50, 150) | st.floats(-50, 150)
KINDS = {
    "polygon": (1, 7), "rectangle": (2, 2), "oriented_rectangle": (4, 4), "circle": (2, 2), "line": (2, 2),
    "linestrip": (2, 4), "point": (1, 1), "points": (1, 4), "cuboid": (1, 8), "mask": (2, 2),
}  # fmt: skip


def unknown(*known: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.text(max_size=6).filter(lambda key: key not in known), VALUES, max_size=3)


@st.composite
def odd_shapes(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(KINDS)))
    fewest, most = KINDS[kind]
    points = draw(st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=fewest, max_size=most))
    keys = {
        "label": draw(st.sampled_from(["a", "b", "__ignore__"]) | st.text(min_size=1, max_size=5)),
        "points": points,
        "shape_type": draw(st.sampled_from([kind, None])) if kind == "polygon" else kind,
    }
    optional = {"group_id": st.none() | st.integers(0, 2) | VALUES, "flags": VALUES, "description": VALUES}
    for name, values in optional.items():
        if draw(st.booleans()):
            keys[name] = draw(values)
    if kind == "mask":
        bits = draw(st.lists(st.booleans(), min_size=6, max_size=6))
        keys["mask"] = mask_text(np.array(bits).reshape(2, 3))
    if keys["shape_type"] is None and draw(st.booleans()):
        del keys["shape_type"]
    return draw(unknown("label", "points", "shape_type", "group_id", "flags", "description", "mask")) | keys


@st.composite
def odd_documents(draw: st.DrawFn) -> dict[str, Any]:
    keys = {"shapes": draw(st.lists(odd_shapes(), max_size=5)), "imagePath": "ä b.png"}
    optional = {
        "version": VALUES,
        "flags": VALUES,
        "imageData": st.sampled_from([None, text64(png())]),
        "imageHeight": st.sampled_from([None, SIZE_HW[0]]),
        "imageWidth": st.sampled_from([None, SIZE_HW[1]]),
    }
    for name, values in optional.items():
        if draw(st.booleans()):
            keys[name] = draw(values)
    return draw(unknown("shapes", "imagePath", *optional)) | keys


@settings(max_examples=60)
@given(content=odd_documents())
def test_whatever_a_document_says_comes_back(content: dict[str, Any]) -> None:
    expected = {"imageData": None} | content
    expected["shapes"] = [s | {"shape_type": s.get("shape_type") or "polygon"} for s in content["shapes"]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "in").mkdir()
        (folder / "in" / "ä b.json").write_text(json.dumps(content), encoding="utf-8")
        (folder / "in" / "ä b.png").write_bytes(png())
        dataset = read(folder / "in")
        assert load(written(dataset, folder / "direct") / "ä b.json") == expected
        saved = dataset.save(folder / "dataset")
        assert load(written(saved, folder / "saved") / "ä b.json") == expected


def test_labelmes_own_examples_come_back_byte_for_byte(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "labelme"
    dataset = read(source)
    assert (len(dataset.images), sum(len(record.annotations) for record in dataset.images)) == (10, 36)
    assert sorted(codes(dataset)) == ["image-path", *4 * ["shape-without-object"]]
    for number, one in enumerate((dataset, dataset.save(tmp_path / "dataset"))):
        out = written(one, tmp_path / f"out{number}")
        for path in source.rglob("*.json"):
            assert load(out / path.relative_to(source)) == load(path)
            assert (out / path.relative_to(source)).read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_labelmes_own_examples_have_the_objects_that_one_sees(shared_data: Path) -> None:
    by_name = {record.name: record for record in read(shared_data / "labelme").images}
    sofa = by_name["instance/2011_000006.jpg"].annotations[-1]
    assert len(sofa.segmentation) == 4
    primitives = by_name["primitives/primitives.jpg"].annotations
    radius = math.hypot(30, 41)
    areas = [100 * 100, math.pi * radius**2, 151 * 102]
    assert [a.area_px for a in primitives[:3]] == pytest.approx(areas, rel=0.005)
    octagon = primitives[-1]
    assert octagon.box_xyxy == (417, 305, 517, 405)
    assert isinstance(octagon.segmentation, dict)
    assert by_name["tutorial/apc2016_obj3.jpg"].size_hw == (907, 1210)


# Changed and new objects


def edited(dataset: Dataset, *annotations: Annotation) -> Dataset:
    return dataset.with_images([replace(dataset.images[0], annotations=annotations)])


def test_changed_objects_keep_their_place_and_what_else_they_say(tmp_path: Path) -> None:
    put(
        tmp_path / "in",
        shape("x", SQUARE, "rectangle", note=1),
        shape("x", [[1, 1], [2, 2]], "line"),
        shape("x", [[40, 20], [40, 25]], "circle", note=2),
        shape("y", [[40, 20], [40, 25]], "circle", note=3),
    )
    dataset = read(tmp_path / "in")
    first, second, third = dataset.images[0].annotations
    moved = Annotation.from_polygons(1, (np.array(FAR, float),), SIZE_HW, second.attributes)
    out = written(edited(dataset, moved, replace(third, class_id=0), first), tmp_path / "out")
    before = load(tmp_path / "in" / "a.json")["shapes"]
    assert load(out / "a.json")["shapes"] == [
        before[0],
        before[1],
        shape("y", FAR, "polygon", note=2, description="", mask=None),
        before[3] | {"label": "x"},
    ]


def test_an_object_that_falls_apart_gets_a_group_of_its_own(tmp_path: Path) -> None:
    put(tmp_path / "in", shape("x", SQUARE, note=1), shape("x", FAR, group_id=4))
    dataset = read(tmp_path / "in")
    first, second = dataset.images[0].annotations
    parts = Annotation.from_polygons(0, (np.array(FAR, float), np.array(SQUARE, float)), SIZE_HW, first.attributes)
    shapes = load(written(edited(dataset, parts, second), tmp_path / "out") / "a.json")["shapes"]
    assert [(s["group_id"], s["points"]) for s in shapes] == [(5, FAR), (4, FAR), (5, SQUARE)]
    assert shapes[0]["note"] == 1
    assert [a.area_px for a in read(tmp_path / "out").images[0].annotations] == [500, 100]


def bare_dataset(folder: Path, *annotations: Annotation, **others: Any) -> Dataset:
    """A dataset of one picture that never was in labelme's format."""
    folder.mkdir()
    (folder / "p.png").write_bytes(png())
    return assemble(
        folder, "test", ("x",), [ImageRecord(1, "sub/p.png", folder / "p.png", SIZE_HW, annotations, **others)]
    )


def new_objects() -> list[Annotation]:
    """A polygon, one of two parts, a mask with a hole, a box, a crowd, and a mask without pixels."""
    holed = masks.CroppedMask(RING, 20, 10)
    square, far = np.array(SQUARE, float), np.array(FAR, float)
    return [
        Annotation.from_polygons(0, (square,), SIZE_HW),
        Annotation.from_polygons(0, (square, far), SIZE_HW),
        Annotation.from_mask(0, holed, SIZE_HW),
        Annotation(0, (), (3.0, 4.0, 9.0, 14.0), 60.0, attributes={"colour": "red"}),
        replace(Annotation.from_mask(0, holed, SIZE_HW), iscrowd=True),
        Annotation(0, masks.to_rle(masks.EMPTY, SIZE_HW), (0.0, 0.0, 0.0, 0.0), 0.0),
    ]


def test_objects_of_other_formats(tmp_path: Path) -> None:
    dataset = bare_dataset(tmp_path / "in", *new_objects(), group="film 1")
    folder = tmp_path / "out"
    folder.mkdir()
    findings = labelme.write(dataset, folder, WriteOptions())
    assert [finding.code for finding in findings] == [
        "empty-object", "box-as-rectangle", "lost-attributes", "lost-attributes"
    ]  # fmt: skip
    content = load(folder / "sub" / "p.json")
    assert content["imagePath"] == "p.png"
    kinds = [(s["shape_type"], s["group_id"]) for s in content["shapes"]]
    assert kinds == [
        ("polygon", None),
        ("polygon", 0),
        ("polygon", 0),
        ("mask", None),
        ("rectangle", None),
        ("mask", None),
    ]
    assert content["shapes"][3]["points"] == [[20, 10], [27, 15]]
    before, after = dataset.images[0].annotations, read(folder).images[0].annotations
    assert [a.area_px for a in after] == [400, 500, 42, 60, 42]
    assert [a.iscrowd for a in after] == [False, False, False, False, True]
    for index in (0, 1, 2, 4):
        assert masks.iou(before[index].mask(SIZE_HW), after[index].mask(SIZE_HW)) == 1


def test_coco_comes_back_from_labelme_with_every_pixel(shared_data: Path, tmp_path: Path) -> None:
    dataset = FORMATS["coco"].read(shared_data / "coco128", ReadOptions())  # type: ignore[misc]
    back = read(written(dataset, tmp_path / "out"))
    assert back.classes == dataset.classes
    assert len(back.images) == 128
    by_name = {record.name: record for record in back.images}
    for record in dataset.images:
        again = by_name[record.name].annotations
        assert [(a.class_id, a.iscrowd) for a in again] == [(a.class_id, a.iscrowd) for a in record.annotations]
        for one, other in zip(record.annotations, again):
            assert one.area_px == 0 or masks.iou(one.mask(record.size_hw), other.mask(record.size_hw)) == 1


@pytest.mark.parametrize(
    ("classes", "lines"),
    [
        (("b", "a c"), ["__ignore__", "b", "a c"]),
        ((), ["__ignore__"]),
        (("a\nb",), None),
        ((" a",), None),
        (("\u2028",), None),
    ],
)
def test_the_classes_are_listed_for_labelme(tmp_path: Path, classes: tuple[str, ...], lines: list[str] | None) -> None:
    written(replace(bare_dataset(tmp_path / "in"), classes=classes), tmp_path / "out")
    path = tmp_path / "out" / "labels.txt"
    assert (path.read_text().splitlines() if path.exists() else None) == lines


def test_links_in_place_of_copies(tmp_path: Path) -> None:
    dataset = bare_dataset(tmp_path / "in")
    (tmp_path / "out").mkdir()
    assert labelme.write(dataset, tmp_path / "out", WriteOptions(link=True)) == []
    assert (tmp_path / "out" / "sub" / "p.png").is_symlink()
    assert load(tmp_path / "out" / "sub" / "p.json")["shapes"] == []


# labelme itself


def test_labelme_accepts_what_is_written_and_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    every_kind = [
        shape("x", SQUARE, note={"of": [1, None]}),
        shape("x", SQUARE[:2], "rectangle", flags={"hard": True}, description="left"),
        shape("x", SQUARE, "oriented_rectangle"),
        shape("x", SQUARE[:2], "circle", group_id=3),
        shape("x", SQUARE[:2], "line"),
        shape("x", SQUARE, "linestrip"),
        shape("x", SQUARE[:1], "point"),
        shape("x", SQUARE, "points"),
        shape("x", [[10, 10], [17, 15]], "mask", mask=mask_text(RING)),
    ]
    put(tmp_path / "in", *every_kind, mine=[1, {"é": None}])
    put(tmp_path / "in", shape("x", SQUARE), image="b.png", imageData=text64(png()))
    put(tmp_path / "in", {"label": "x", "points": SQUARE}, image="old.png", imageHeight=1, imageWidth=None)
    first = written(read(tmp_path / "in"), tmp_path / "labelme")
    new = written(bare_dataset(tmp_path / "bare", *new_objects()), tmp_path / "new")
    paths = [*first.glob("*.json"), *new.rglob("*.json")]
    before = {path: load(path) for path in paths}
    open_and_save(paths)
    for path in paths:
        after = load(path)
        assert after["version"] == "6.3.1"
        assert after.get("mine") == before[path].get("mine")
        assert after["imageData"] == before[path]["imageData"]
        assert len(after["shapes"]) == len(before[path]["shapes"])
        for one, other in zip(before[path]["shapes"], after["shapes"]):
            assert geometry_sha256(one) == geometry_sha256(other)
            kept = {key for key in one if key not in ("mask", "description")}
            assert {key: other[key] for key in kept} == {key: one[key] for key in kept}
