"""VIA's files: all versions and shapes read, nothing lost on the way back, every fault named."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.data.csv_files import write_table
from maskstream.data.dataset import Dataset
from maskstream.data.formats.coco import folder as coco_folder
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.formats.via import read as via
from maskstream.data.formats.via.classes import class_attribute, class_name
from maskstream.data.formats.via.shapes import geometry, shape_of
from maskstream.data.importing import keep_classes
from maskstream.data.listing import list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError, SourceError

SIZE_HW = (20, 40)
TRIANGLE = {"name": "polygon", "all_points_x": [10, 20, 20], "all_points_y": [5, 5, 15]}
RECT = {"name": "rect", "x": 3, "y": 4, "width": 10, "height": 5}
CIRCLE = {"name": "circle", "cx": 20, "cy": 10, "r": 6}
ELLIPSE = {"name": "ellipse", "cx": 20, "cy": 10, "rx": 8, "ry": 4, "theta": 0.5}
POINT = {"name": "point", "cx": 1, "cy": 2}
LINE = {"name": "polyline", "all_points_x": [1, 2], "all_points_y": [3, 4]}


def region(shape: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(name: str, *regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"filename": name, "size": 1, "regions": list(regions), "file_attributes": {}} | more


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", SIZE_HW[::-1]).save(path)
    return path


def fill(folder: Path, *entries: dict[str, Any], name: str = "via.json", **blocks: Any) -> Path:
    """A folder with the images of these entries and a file of VIA's: a project where there are other blocks."""
    for one in entries:
        picture(folder / one["filename"])
    files = {f"{one['filename']}{one['size']}": one for one in entries}
    content = {"_via_img_metadata": files} | blocks if blocks else files
    (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return folder


def read(folder: Path, **options: Any) -> Dataset:
    return via.read(folder, ReadOptions(**options))


def codes(dataset: Dataset) -> list[str]:
    return [finding.code for finding in dataset.provenance.findings]


def again(dataset: Dataset, folder: Path) -> Dataset:
    """The dataset, written and read."""
    folder.mkdir()
    via.write(dataset, folder, WriteOptions())
    return read(folder)


def facts(dataset: Dataset) -> list[Any]:
    """All that a dataset says of its images, as values that compare."""
    return [
        (
            record.name,
            record.attributes,
            [
                (
                    dataset.classes[a.class_id],
                    a.box_xyxy,
                    a.area_px,
                    a.attributes,
                    a.segmentation if isinstance(a.segmentation, dict) else [part.tolist() for part in a.segmentation],
                )
                for a in record.annotations
            ],
        )
        for record in dataset.images
    ]


# of the triangle, the 10 pixels whose centres lie on its long edge belong to it
def test_version_1_by_hand(tmp_path: Path) -> None:
    one = entry("süß 1.png", fileref="", base64_img_data="")
    one["regions"] = {"0": region(TRIANGLE, kind="cat"), "1": region(RECT, kind="dog")}
    fill(tmp_path, one, entry("b.png"))
    assert via.recognise(list_folder(tmp_path)) == "VIA, via.json"
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert [record.name for record in dataset.images] == ["süß 1.png", "b.png"]
    cat, dog = dataset.images[0].annotations
    assert isinstance(cat.segmentation, tuple)
    assert cat.segmentation[0].tolist() == [[10, 5], [20, 5], [20, 15]]
    assert (cat.class_id, cat.box_xyxy, cat.area_px, cat.attributes) == (0, (10, 5, 20, 15), 55, {})
    assert (dog.class_id, dog.segmentation, dog.box_xyxy, dog.area_px) == (1, (), (3, 4, 13, 9), 50)
    assert dataset.images[1].annotations == ()
    assert dataset.images[0].stated_size_hw == SIZE_HW
    assert codes(dataset) == []


PROJECT = {
    "_via_settings": {"ui": {"x": 1}, "core": {"default_filepath": "/elsewhere/"}, "project": {"name": "mine"}},
    "_via_attributes": {
        "region": {
            "sort": {
                "type": "dropdown",
                "description": "?",
                "options": {"dog": "Dog", "cat": ""},
                "default_options": {},
            },
            "colour": {"type": "text", "description": "", "default_value": ""},
        },
        "file": {"place": {"type": "text"}},
    },
    "_via_data_format_version": "2.0.10",
    "_via_image_id_list": ["b.png1", "a.png1"],
}


def test_a_project_of_version_2_loses_nothing(tmp_path: Path) -> None:
    odd = TRIANGLE | {"note": "by hand"}
    halves = {"name": "rect", "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.7}
    regions = [
        region(POINT, sort="nose"),
        region(TRIANGLE, sort="cat", colour="grey"),
        region(LINE) | {"score": 3},
        region(odd, sort="dog") | {"hand": [1, 2]},
        region(CIRCLE, sort="cat"),
        region(ELLIPSE, sort="cat"),
        region(halves, sort="dog"),
        region({"name": "spiral", "turns": 3}),
    ]
    first = entry("a.png", *regions, file_attributes={"place": "Rome"}, base64_img_data="AAAA", extra=None)
    fill(tmp_path / "in", first, entry("b.png", file_attributes={"place": "Oslo"}), **PROJECT)
    dataset = read(tmp_path / "in", label_column="sort")
    assert dataset.classes == ("dog", "cat")
    assert [record.name for record in dataset.images] == ["b.png", "a.png"]
    assert codes(dataset) == ["shape-without-area"]
    assert "1 point, 1 polyline, 1 spiral" in str(dataset.provenance.findings[0])
    saved = dataset.save(tmp_path / "dataset")
    (tmp_path / "out").mkdir()
    assert not via.write(saved, tmp_path / "out", WriteOptions())
    written = json.loads((tmp_path / "out/via_project.json").read_text())
    found = next(one for one in written["_via_img_metadata"].values() if one["filename"] == "a.png")
    assert found["regions"] == regions
    assert (found["file_attributes"], found["base64_img_data"]) == ({"place": "Rome"}, "AAAA")
    assert written["_via_settings"] == PROJECT["_via_settings"]
    assert written["_via_attributes"] == PROJECT["_via_attributes"]
    assert [name[:5] for name in written["_via_image_id_list"]] == ["b.png", "a.png"]
    back = read(tmp_path / "out", label_column="sort")
    assert facts(back) == facts(dataset)
    assert back.heading.info["via"] == dataset.heading.info["via"]


def test_what_was_changed_since_is_written_anew(tmp_path: Path) -> None:
    fill(tmp_path / "in", entry("a.png", region(CIRCLE, tag="x"), region(ELLIPSE, tag="y"), region(RECT, tag="x")))
    dataset = read(tmp_path / "in")
    mask = masks.crop(np.eye(20, 40, dtype=bool))
    circle, ellipse, rect = dataset.images[0].annotations
    moved = replace(ellipse, segmentation=(ellipse.segmentation[0] + 1,))
    changed = replace(circle, segmentation=masks.to_rle(mask, SIZE_HW), class_id=1)
    image = replace(dataset.images[0], annotations=(changed, moved, replace(rect, box_xyxy=(1.0, 1.0, 3.5, 4.0))))
    back = again(replace(dataset, images=(image,)), tmp_path / "out").images[0].annotations
    assert [a.class_id for a in back] == [1, 1, 0]
    assert np.array_equal(back[0].mask(SIZE_HW).dense(SIZE_HW), mask.dense(SIZE_HW))
    assert np.array_equal(back[1].segmentation[0], moved.segmentation[0])
    assert back[2].box_xyxy == (1, 1, 3.5, 4)


def test_csv_is_read_like_json(tmp_path: Path) -> None:
    entries = [entry("a.png", region(TRIANGLE, sort="cat, big"), region(CIRCLE, sort='d"g')), entry("b.png")]
    fill(tmp_path / "json", *entries)
    for header in ("filename", "#filename"):
        columns = [header, "file_size", "file_attributes", "region_count", "region_id"]
        columns += ["region_shape_attributes", "region_attributes"]
        rows = []
        for one in entries:
            for number, part in enumerate(one["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]):
                cells = [json.dumps(part[key]) for key in ("shape_attributes", "region_attributes")]
                rows.append([one["filename"], 1, "{}", len(one["regions"]), number, *cells])
        folder = tmp_path / f"csv {header}"
        fill(folder, *entries)
        (folder / "via.json").unlink()
        write_table(folder / "via.csv", columns, rows)
        assert via.recognise(list_folder(folder)) == "VIA, via.csv"
        assert facts(read(folder)) == facts(read(tmp_path / "json"))
        rows[0][5] = "{"
        write_table(folder / "via.csv", columns, rows)
        with pytest.raises(DatasetError, match="line 2, region_shape_attributes: expected JSON"):
            read(folder)


def test_folders_of_splits_and_images(tmp_path: Path) -> None:
    fill(tmp_path / "train", entry("a.png", region(TRIANGLE)))
    fill(tmp_path / "val", entry("a.png", region(TRIANGLE)), entry("b.png"))
    dataset = read(tmp_path)
    assert dict(dataset.splits) == {"train": ("train/a.png",), "val": ("val/a.png", "val/b.png")}
    elsewhere = tmp_path / "elsewhere"
    picture(elsewhere / "a.png")
    (tmp_path / "train/a.png").unlink()
    assert [r.path for r in read(tmp_path / "train", images=elsewhere).images] == [elsewhere / "a.png"]
    assert [r.name for r in read(tmp_path / "val/via.json").images] == ["a.png", "b.png"]


def test_what_has_no_counterpart_is_told(tmp_path: Path) -> None:
    fill(
        tmp_path,
        entry("a.png", region(TRIANGLE, sort="cat"), region(TRIANGLE), region(CIRCLE, sort="")),
        entry("b.png"),
    )
    (tmp_path / "b.png").unlink()
    picture(tmp_path / "c.png")
    dataset = read(tmp_path)
    assert codes(dataset) == ["label-without-image", "image-without-label", "region-without-class"]
    told = [str(finding) for finding in dataset.provenance.findings]
    assert told[0].startswith(f"{tmp_path / 'via.json'}: b.png1: expected the image b.png, found none")
    assert "1 others, left out, such as c.png" in told[1]
    assert "none for 2, which are of the class 'object'" in told[2]
    assert dataset.classes == ("cat", "object")
    assert [record.name for record in dataset.images] == ["a.png"]


def test_regions_without_class_take_the_one_that_is_named(tmp_path: Path) -> None:
    fill(tmp_path, entry("a.png", region(TRIANGLE)))
    assert read(tmp_path).classes == ("object",)
    assert read(tmp_path, classes=("balloon",)).classes == ("balloon",)
    assert read(tmp_path, classes=("balloon", "car")).classes == ("object",)
    fill(tmp_path, entry("a.png"))
    assert read(tmp_path).classes == ("object",)


ATTRIBUTES = {
    "none": ([{}, {}], None, None),
    "no region": ([], None, None),
    "the only one": ([{}, {"sort": "a"}], None, "sort"),
    "a preferred one": ([{"colour": "a", "Label": "b"}], None, "Label"),
    "the first preferred one": ([{"type": "a", "name": "b"}, {"label": "c"}], None, "label"),
    "the one asked for": ([{"colour": "a", "label": "b"}], "colour", "colour"),
}


@pytest.mark.parametrize(("regions", "asked", "expected"), ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_class_attribute(regions: list[dict[str, str]], asked: str | None, expected: str | None) -> None:
    assert class_attribute(regions, asked, Path("x")) == expected


def test_unclear_class_attributes_are_refused() -> None:
    with pytest.raises(DatasetError, match="one named class, label, name, type, found colour, size"):
        class_attribute([{"colour": "a"}, {"size": "b"}], None, Path("x"))
    with pytest.raises(DatasetError, match="expected regions with the attribute 'kind', found the attributes colour"):
        class_attribute([{"colour": "a"}], "kind", Path("x"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("cat", "cat"), (" cat ", "cat"), ("", None), (" ", None), (None, None), (3, "3"), ({"a": True}, "a"), ({}, None)],
)
def test_class_names(value: object, expected: str | None) -> None:
    assert class_name({"sort": value}, "sort", "x") == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": True, "b": True}, "expected one class, found a, b"),
        (True, "expected a class name, found True"),
        ([1], r"expected a class name, found \[1\]"),
        ("x" * 10_000_000, "at most 1000 characters, found 10000000"),
    ],
)
def test_class_names_of_other_kinds_are_refused(tmp_path: Path, value: object, message: str) -> None:
    fill(tmp_path, entry("a.png", region(TRIANGLE, sort=value)))
    with pytest.raises(DatasetError, match=rf"a\.png1\.regions\[0\]\.region_attributes\.sort: .*{message}") as caught:
        read(tmp_path)
    assert len(str(caught.value)) < 500


def bad(shape: dict[str, Any]) -> str:
    return json.dumps({"a.png1": entry("a.png", region(shape))})


BAD_FILES = {
    "empty": ("", "expected JSON"),
    "cut off": ('{"a.png1": {"filename"', "expected JSON"),
    "a list": ('[{"shape_attributes": 1}]', "expected VIA's JSON, found a list"),
    "no file name": ('{"a": {"regions": []}}', "a: filename: expected this key"),
    "no object": ('{"a": 3}', "via.json: a: expected a valid dictionary"),
    "regions of a wrong type": ('{"a": {"filename": "a.png", "regions": 3}}', "a: regions: expected a valid list"),
    "no shape": (
        '{"a": {"filename": "a.png", "regions": [{}]}}',
        r"a: regions\[0\].shape_attributes: expected this key",
    ),
    "a key twice": ('{"a": {"filename": "a.png"}, "a": {"filename": "b.png"}}', "the key 'a' twice in one object"),
    "NaN": (bad(CIRCLE | {"r": math.nan}), "found NaN, which JSON does not have"),
    "a number beyond all": (bad(CIRCLE).replace("6", "1e999"), "shape_attributes: r: expected a finite number"),
    "a huge whole number": (bad(CIRCLE).replace("6", "1" * 400), "shape_attributes: r: expected a"),
    "a place far beyond": (
        bad(CIRCLE | {"r": 1e300}),
        "shape_attributes: r: expected less than or equal to 1000000000",
    ),
    "text for a number": (bad(CIRCLE | {"r": "6"}), "shape_attributes: r: expected a valid number, found '6'"),
    "no radius": (bad({"name": "circle", "cx": 1, "cy": 1}), "shape_attributes: r: expected this key"),
    "no kind": (bad({"cx": 1}), "shape_attributes.name: expected the kind of a shape"),
    "more x than y": (bad(TRIANGLE | {"all_points_y": [1, 2]}), "expected as many y as x, found 3 x and 2 y"),
    "points that are none": (
        bad(TRIANGLE | {"all_points_x": [1, None, 3]}),
        r"all_points_x\[1\]: expected a valid number",
    ),
    "too deep": ('{"a":' * 100_000, "objects too deep|expected JSON"),
    "path traversal": ('{"a": {"filename": "../../a.png"}}', "a.filename: expected a path inside"),
    "an absolute path": ('{"a": {"filename": "/etc/passwd"}}', "a.filename: expected a path inside"),
    "an address": ('{"a": {"filename": "https://x.test/a.png"}}', "a.filename: expected a path inside"),
    "an image twice": (
        json.dumps({"a.png1": entry("a.png"), "a.png2": entry("a.png")}),
        "a.png2: expected each image once, found 'a.png' again, as in .*a.png1",
    ),
    "no image": ('{"b": {"filename": "b.png"}}', "found 1 files, and none of their images"),
    "no entry": ('{"_via_img_metadata": {}}', "none of their images"),
    "metadata of a wrong type": ('{"_via_img_metadata": []}', "_via_img_metadata: expected an object, found list"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "via.json").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read(tmp_path / "via.json")
    assert str(tmp_path / "via.json") in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "via.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(DatasetError, match="expected JSON"):
        read(tmp_path / "via.json")
    with pytest.raises(DatasetError, match="expected a JSON file, found No such file"):
        read(tmp_path / "none.json")


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    fill(tmp_path, entry("a.png", region(TRIANGLE)))
    (tmp_path / "via.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "via.json").read_bytes().replace(b", ", b",\r\n"))
    assert len(read(tmp_path).images[0].annotations) == 1


def test_damaged_images_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, entry("a.png", region(TRIANGLE)))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(SourceError, match=r"a\.png"):
        read(tmp_path)


def test_odd_shapes_are_kept(tmp_path: Path) -> None:
    shapes = [
        {"name": "polygon", "all_points_x": [], "all_points_y": []},
        {"name": "polygon", "all_points_x": [1, 9], "all_points_y": [1, 9]},
        {"name": "rect", "x": 5, "y": 5, "width": 0, "height": -3},
        {"name": "circle", "cx": 3, "cy": 3, "r": 0},
        {"name": "circle", "cx": 90, "cy": 90, "r": 5},
        {"name": "circle", "cx": 2e9 / 3, "cy": 90, "r": 1e8},
    ]
    fill(tmp_path / "in", entry("a.png", *(region(shape, sort="cat") for shape in shapes)))
    dataset = read(tmp_path / "in")
    assert [a.area_px for a in dataset.images[0].annotations] == [0, 0, 0, 0, 0, 0]
    assert facts(again(dataset, tmp_path / "out")) == facts(dataset)


def test_circles_and_ellipses_have_their_area(tmp_path: Path) -> None:
    fill(tmp_path, entry("a.png", region(CIRCLE), region(ELLIPSE), region(ELLIPSE | {"theta": math.pi / 2})))
    circle, ellipse, upright = read(tmp_path).images[0].annotations
    assert circle.area_px == pytest.approx(math.pi * 36, rel=0.02)
    assert ellipse.area_px == pytest.approx(math.pi * 32, rel=0.02)
    assert np.allclose(upright.box_xyxy, (16, 2, 24, 18), atol=0.1)
    # turned clockwise on the screen: the right end goes down
    right = ellipse.segmentation[0][np.argmax(ellipse.segmentation[0][:, 0])]
    assert right[1] > 10


@pytest.mark.parametrize("files", [{}, {"a.json": "{}"}, {"a.json": ""}, {"a.csv": "filename,class\na.png,b\n"}])
def test_what_is_not_via_is_not_recognised(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert via.recognise(list_folder(tmp_path)) is None


def ring(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, np.float64)


def dataset_of(folder: Path, *annotations: Annotation) -> Dataset:
    path = picture(folder / "sub/a.png")
    record = ImageRecord(1, "sub/a.png", path, SIZE_HW, annotations)
    return assemble(folder, "test", ("cat", "dög"), [record])


def test_losses_are_told(tmp_path: Path) -> None:
    mask = CroppedMask(np.ones((4, 4), bool), 3, 3)
    dataset = dataset_of(
        tmp_path / "in",
        Annotation(0, (), (5.0, 5.0, 9.0, 9.0), 16.0),
        Annotation(0, masks.to_rle(masks.EMPTY, SIZE_HW), (0.0, 0.0, 0.0, 0.0), 0.0),
        replace(Annotation.from_mask(1, mask, SIZE_HW), iscrowd=True),
        Annotation.from_mask(1, mask, SIZE_HW, {"score": 1}),
    )
    dataset = replace(dataset, images=(replace(dataset.images[0], group="film"),), splits={"train": ("sub/a.png",)})
    (tmp_path / "out").mkdir()
    found = {f.code: f.found.split()[0] for f in via.write(dataset, tmp_path / "out", WriteOptions(link=True))}
    assert found == {
        "object-without-points": "1",
        "crowd-as-object": "1",
        "attributes-lost": "1",
        "image-facts-lost": "1",
        "splits-lost": "1,",
    }
    assert (tmp_path / "out/images/sub/a.png").is_symlink()
    back = read(tmp_path / "out")
    assert back.classes == ("cat", "dög")
    assert [record.name for record in back.images] == ["sub/a.png"]
    assert [(a.class_id, a.area_px) for a in back.images[0].annotations] == [(0, 16), (1, 16), (1, 16)]


@pytest.mark.parametrize(
    "attributes",
    [{"shape": 3}, {"shape": {"name": "circle"}}, {"shape": {}}, {"attributes": []}, {"region": 1}],
)
def test_altered_attributes_are_refused(tmp_path: Path, attributes: dict[str, Any]) -> None:
    triangle = Annotation.from_polygons(0, (ring((1, 1), (9, 1), (9, 9)),), SIZE_HW, {"via": attributes})
    with pytest.raises(DatasetError, match=r"attributes\.via"):
        again(dataset_of(tmp_path / "in", triangle), tmp_path / "out")


coordinates = st.floats(-5, 45, allow_nan=False)
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=8)


@settings(max_examples=100)
@given(polygons)
def test_any_polygon_survives(points: list[tuple[float, float]]) -> None:
    before = Annotation.from_polygons(0, (ring(*points),), SIZE_HW)
    shape = json.loads(json.dumps(shape_of(before, None, SIZE_HW)))
    assert np.array_equal(geometry(shape, "x"), before.segmentation[0])


@settings(max_examples=100)
@given(arrays(bool, SIZE_HW))
def test_any_mask_survives(bitmap: np.ndarray) -> None:
    mask = masks.crop(bitmap)
    before = Annotation(0, masks.to_rle(mask, SIZE_HW), (0, 0, 0, 0), 0)
    shape = shape_of(before, None, SIZE_HW)
    assert (shape is None) == (not mask.area_px)
    if shape:
        after = geometry(json.loads(json.dumps(shape)), "x")
        assert np.array_equal(masks.from_polygons([after], SIZE_HW).dense(SIZE_HW), bitmap)


values = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5)
attributes = st.dictionaries(st.text(min_size=1, max_size=5), values, max_size=3)
numbers = st.integers(-50, 50) | st.floats(-50, 50, allow_nan=False)
shapes = st.one_of(
    st.builds(lambda x, y, w, h: {"name": "rect", "x": x, "y": y, "width": w, "height": h}, *[numbers] * 4),
    st.builds(lambda x, y, r: {"name": "circle", "cx": x, "cy": y, "r": r}, *[numbers] * 3),
    st.builds(
        lambda x, y, a, b, t: {"name": "ellipse", "cx": x, "cy": y, "rx": a, "ry": b, "theta": t}, *[numbers] * 5
    ),
    st.builds(lambda x, y: {"name": "point", "cx": x, "cy": y}, numbers, numbers),
    st.lists(st.tuples(numbers, numbers), max_size=6).map(
        lambda points: {
            "name": "polygon",
            "all_points_x": [x for x, _ in points],
            "all_points_y": [y for _, y in points],
        }
    ),
)
regions = st.lists(
    st.builds(
        lambda shape, sort, more: region(shape, **({"more": more, "class": sort})),
        shapes,
        st.sampled_from("abc"),
        attributes,
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(st.lists(regions, min_size=1, max_size=3), attributes)
def test_any_file_is_written_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, images: list[list[dict[str, Any]]], of_file: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("via")
    entries = [entry(f"{n}.png", *found, file_attributes=of_file) for n, found in enumerate(images)]
    dataset = read(fill(folder / "in", *entries))
    back = again(dataset, folder / "out")
    written = json.loads((folder / "out/via_project.json").read_text())["_via_img_metadata"]
    for one in written.values():
        before = next(known for known in entries if known["filename"] == one["filename"])
        assert one["regions"] == before["regions"]
        assert one["file_attributes"] == of_file
    assert facts(back) == facts(dataset)
    assert back.classes == dataset.classes


def test_balloons_as_they_come(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "balloon_via"
    assert via.recognise(list_folder(source)) == "VIA, via_region_data.json"
    dataset = keep_classes(read(source, classes=("balloon",)), ("balloon",))
    assert (len(dataset.images), sum(len(r.annotations) for r in dataset.images)) == (13, 50)
    assert dataset.classes == ("balloon",)
    assert codes(dataset) == []
    assert read(source).classes == ("object",)
    assert all(a.area_px > 0 and not a.attributes for r in dataset.images for a in r.annotations)
    back = again(dataset, tmp_path / "out")
    assert facts(back) == facts(dataset)
    original = json.loads((source / "via_region_data.json").read_text())
    written = json.loads((tmp_path / "out/via_project.json").read_text())["_via_img_metadata"]
    assert written.keys() == original.keys()
    for key, one in written.items():
        shapes_before = [part["shape_attributes"] for part in original[key]["regions"].values()]
        assert [part["shape_attributes"] for part in one["regions"]] == shapes_before


def test_coco128_to_via_and_back(shared_data: Path, tmp_path: Path) -> None:
    before = coco_folder.read(shared_data / "coco128", ReadOptions())
    found = via.write(before, tmp_path, WriteOptions(link=True))
    assert [finding.code for finding in found] == ["crowd-as-object", "image-facts-lost"]
    after = read(tmp_path)
    assert after.classes == before.classes
    known = {record.name: record for record in after.images}
    overlaps = []
    for record in before.images:
        back = known[record.name].annotations
        assert [a.class_id for a in back] == [a.class_id for a in record.annotations]
        overlaps += [
            masks.iou(a.mask(record.size_hw), b.mask(record.size_hw)) for a, b in zip(record.annotations, back)
        ]
    assert len(overlaps) == 939
    assert min(overlaps) == 1
