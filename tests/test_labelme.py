"""Reading labelme's documents: shapes, objects, pictures, and what goes wrong."""

from __future__ import annotations

import gc
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelme_files import (
    FAR,
    RING,
    SIZE_HW,
    SQUARE,
    codes,
    document,
    load,
    mask_text,
    png,
    put,
    read,
    shape,
    text64,
    written,
)
from PIL import Image

from maskstream.data.findings import Severity
from maskstream.data.formats.labelme import read as labelme
from maskstream.data.formats.labelme.shapes import CIRCLE_ERROR_PX, circle
from maskstream.data.listing import list_folder
from maskstream.errors import DatasetError, SourceError

# Shapes and objects


@pytest.mark.parametrize(
    ("kind", "points", "area_px", "box_xyxy"),
    [
        ("polygon", SQUARE, 400, (10, 10, 30, 30)),
        (None, [[0, 0], [10, 0], [0, 10]], 45, (0, 0, 10, 10)),
        ("polygon", [[3, 3], [9, 9]], 0, (3, 3, 9, 9)),
        ("rectangle", [[10, 5], [30, 15]], 200, (10, 5, 30, 15)),
        ("rectangle", [[30, 5], [10, 15]], 200, (10, 5, 30, 15)),
        ("rectangle", [[30, 15], [10, 5]], 200, (10, 5, 30, 15)),
        ("rectangle", [[10, 5], [30, 5], [30, 15], [10, 15]], 200, (10, 5, 30, 15)),
        ("rectangle", [[50, 30], [70, 50]], 100, (50, 30, 70, 50)),
        ("rectangle", [[7, 7]], 0, (7, 7, 7, 7)),
        ("oriented_rectangle", [[20, 10], [30, 20], [20, 30], [10, 20]], 200, (10, 10, 30, 30)),
    ],
)
def test_shapes_become_polygons(
    tmp_path: Path, kind: str | None, points: list[list[float]], area_px: float, box_xyxy: tuple[float, ...]
) -> None:
    put(tmp_path, shape("x", points, kind))
    (record,) = read(tmp_path).images
    (annotation,) = record.annotations
    assert annotation.area_px == area_px
    assert annotation.box_xyxy == box_xyxy


@pytest.mark.parametrize("radius", [0.0, 0.05, 1.0, 12.3, 500.0])
def test_a_circle_is_a_polygon_close_to_it(radius: float) -> None:
    centre = np.array([20.0, 15.0])
    ring = circle(centre, centre + np.array([0.6, 0.8]) * radius)
    middles = (ring + np.roll(ring, -1, axis=0)) / 2
    assert np.allclose(np.linalg.norm(ring - centre, axis=1), radius)
    assert (radius - np.linalg.norm(middles - centre, axis=1)).max() <= CIRCLE_ERROR_PX + 1e-9
    assert len(ring) <= 3 + math.pi * math.sqrt(radius / (2 * CIRCLE_ERROR_PX))


def test_a_circle_covers_the_pixels_within_its_radius(tmp_path: Path) -> None:
    put(tmp_path, shape("x", [[20, 20], [20, 31]], "circle"))
    (annotation,) = read(tmp_path).images[0].annotations
    assert annotation.area_px == pytest.approx(math.pi * 11**2, rel=0.02)


@pytest.mark.parametrize(
    ("corner", "kept"),
    [
        ((5, 7), RING),
        ((5.9, 7.9), RING),
        ((-2, -3), RING[3:, 2:]),
        ((57, 38), RING[:2, :3]),
        ((60, 40), RING[:0, :0]),
        ((-20, 3), RING[:0, :0]),
    ],
)
def test_a_mask_lies_where_labelme_puts_it_and_keeps_its_hole(
    tmp_path: Path, corner: tuple[float, float], kept: np.ndarray
) -> None:
    (x, y), (height, width) = corner, RING.shape
    put(tmp_path, shape("x", [[x, y], [x + width - 1, y + height - 1]], "mask", mask=mask_text(RING)))
    (annotation,) = read(tmp_path).images[0].annotations
    expected = np.zeros(SIZE_HW, bool)
    top, left = max(int(y), 0), max(int(x), 0)
    expected[top : top + kept.shape[0], left : left + kept.shape[1]] = kept
    assert np.array_equal(annotation.mask(SIZE_HW).dense(SIZE_HW), expected)
    assert annotation.area_px == kept.sum()
    assert isinstance(annotation.segmentation, dict)


def test_shapes_of_one_label_and_group_are_one_object(tmp_path: Path) -> None:
    overlapping = [[20, 20], [40, 20], [40, 40], [20, 40]]
    put(
        tmp_path,
        shape("b", SQUARE, group_id=0),
        shape("a", SQUARE, group_id=0),
        shape("b", overlapping, group_id=0),
        shape("b", FAR, group_id=1),
        shape("b", FAR),
        shape("b", FAR),
    )
    dataset = read(tmp_path)
    assert dataset.classes == ("a", "b")
    assert [(a.class_id, a.area_px) for a in dataset.images[0].annotations] == [
        (1, 400 + 400 - 100), (0, 400), (1, 100), (1, 100), (1, 100)
    ]  # fmt: skip
    assert len(dataset.images[0].annotations[0].segmentation) == 2


def test_a_mask_makes_its_group_a_mask(tmp_path: Path) -> None:
    put(
        tmp_path,
        shape("x", SQUARE, group_id="left"),
        shape("x", [[10, 10], [17, 15]], "mask", group_id="left", mask=mask_text(RING)),
        shape("x", [[40, 32], [47, 37]], "mask", group_id="left", mask=mask_text(RING)),
    )
    (annotation,) = read(tmp_path).images[0].annotations
    assert isinstance(annotation.segmentation, dict)
    assert annotation.area_px == 400 + 42


def test_what_is_no_object_stays_in_the_attributes_and_is_told(tmp_path: Path) -> None:
    put(
        tmp_path,
        shape("road", [[0, 0], [5, 5]], "line"),
        shape("x", SQUARE),
        shape("__ignore__", FAR),
        shape("_background_", FAR),
        shape("road", [[0, 0], [5, 5], [9, 0]], "linestrip"),
        shape("road", [[1, 1]], "point"),
        shape("crate", SQUARE, "cuboid"),
    )
    dataset = read(tmp_path)
    assert dataset.classes == ("x",)
    assert [entry["at"] for entry in dataset.images[0].attributes["labelme"]["shapes"]] == [0, 2, 3, 4, 5, 6]
    told = {finding.found.split()[0]: finding.severity for finding in dataset.provenance.findings}
    assert told == {
        "'line'": Severity.NOTE, "'__ignore__'": Severity.NOTE, "'_background_'": Severity.NOTE,
        "'linestrip'": Severity.NOTE, "'point'": Severity.NOTE, "'cuboid'": Severity.WARNING,
    }  # fmt: skip


def test_a_document_without_shapes_is_a_picture_without_objects_and_one_without_document_is_left_out(
    tmp_path: Path,
) -> None:
    put(tmp_path)
    (tmp_path / "unseen.png").write_bytes(png())
    dataset = read(tmp_path)
    assert [(record.name, record.annotations) for record in dataset.images] == [("a.png", ())]
    (finding,) = dataset.provenance.findings
    assert (finding.code, finding.found) == ("unlabelled-images", "none for 1 pictures, such as unseen.png")
    assert load(written(dataset, tmp_path / "out") / "a.json") == document()


def test_labels_txt_orders_the_classes_and_labels_beyond_it_are_told(tmp_path: Path) -> None:
    put(tmp_path, shape("naevus", SQUARE), shape("Nevus", FAR))
    (tmp_path / "labels.txt").write_text(
        "\ufeff__ignore__\r\n_background_\r\nother\r\n naevus \r\n\r\n", encoding="utf-8"
    )
    dataset = read(tmp_path)
    assert dataset.classes == ("other", "naevus", "Nevus")
    (finding,) = dataset.provenance.findings
    assert (finding.code, finding.found) == ("unlisted-label", "'Nevus'")
    assert finding.place.endswith("a.json: shapes[1]")


def test_folders_of_splits_become_splits(tmp_path: Path) -> None:
    for name in ("train/a.png", "val/a.png"):
        put(tmp_path, name=name.replace("png", "json"), image="a.png")
    assert read(tmp_path).splits == {"train": ("train/a.png",), "val": ("val/a.png",)}


def test_recognise(tmp_path: Path) -> None:
    assert labelme.recognise(list_folder(tmp_path)) is None
    (tmp_path / "0.json").write_text('{"images": [], "shapes": []}')
    (tmp_path / "1.json").write_text("[1, 2")
    (tmp_path / "2.json").write_text("[]")
    assert labelme.recognise(list_folder(tmp_path)) is None
    put(tmp_path)
    assert labelme.recognise(list_folder(tmp_path)) == "labelme JSON, such as a.json"


# Pictures


def test_pictures_in_a_folder_beside_the_documents(tmp_path: Path) -> None:
    (tmp_path / "Bilder é").mkdir()
    for stem, path in {"a": "../Bilder é/a.png", "b": "..\\Bilder é\\b.png"}.items():
        (tmp_path / "Bilder é" / f"{stem}.png").write_bytes(png())
        (tmp_path / "json").mkdir(exist_ok=True)
        (tmp_path / "json" / f"{stem}.json").write_text(json.dumps(document(shape("x", SQUARE), image=path)))
    dataset = read(tmp_path)
    assert [record.name for record in dataset.images] == ["Bilder é/a.png", "Bilder é/b.png"]
    assert codes(dataset) == []
    out = written(dataset.save(tmp_path / "dataset"), tmp_path / "out")
    for stem in "ab":
        assert load(out / "json" / f"{stem}.json") == load(tmp_path / "json" / f"{stem}.json")
        assert (out / "Bilder é" / f"{stem}.png").read_bytes() == png()


@pytest.mark.parametrize("path", ["/home/somebody/a.png", "C:\\data\\a.png", "../../a.png", "b.png", "nowhere/a.png"])
def test_a_path_of_another_machine_gives_the_picture_beside_the_document(tmp_path: Path, path: str) -> None:
    source = tmp_path / "source"
    put(source, shape("x", SQUARE), imagePath=path)
    (tmp_path / "a.png").write_bytes(png((5, 5)))
    dataset = read(source)
    (finding,) = dataset.provenance.findings
    assert (finding.code, finding.severity, finding.remedy) == ("image-path", "warning", "a.png is used")
    assert dataset.images[0].path == source / "a.png"
    expected = document(shape("x", SQUARE))
    assert load(written(dataset, tmp_path / "out") / "a.json") == expected


@pytest.mark.parametrize(
    "path",
    ["../secret.png", "../../../../../../etc/passwd", "/etc/passwd", "C:\\secret.png", "link.png", "sub/../../a.png"],
)
def test_nothing_outside_the_source_is_read(tmp_path: Path, path: str) -> None:
    source = tmp_path / "source"
    put(source, shape("x", SQUARE), imagePath=path)
    (source / "a.png").unlink()
    (tmp_path / "secret.png").write_bytes(png())
    (source / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DatasetError, match=r"a\.json: imagePath: expected the path of a picture of the source, found "):
        read(source)


def test_a_link_leads_to_a_folder_that_the_user_names(tmp_path: Path) -> None:
    source, images = tmp_path / "source", tmp_path / "images"
    put(source, shape("x", SQUARE))
    images.mkdir()
    (source / "a.png").rename(images / "a.png")
    assert codes(read(source, images=images)) == []
    assert read(source, images=images).images[0].path == images / "a.png"
    (source / "a.png").symlink_to(images / "a.png")
    with pytest.raises(DatasetError, match="give its folder with --images"):
        read(source)


def test_a_document_without_a_picture_is_told_and_left_out(tmp_path: Path) -> None:
    put(tmp_path, shape("x", SQUARE))
    put(tmp_path, shape("y", SQUARE), image="b.png")
    (tmp_path / "b.png").unlink()
    dataset = read(tmp_path)
    assert [record.name for record in dataset.images] == ["a.png"]
    assert dataset.classes == ("x",)
    assert codes(dataset) == ["missing-image"]
    assert dataset.provenance.findings[0].severity == Severity.ERROR


@pytest.mark.parametrize("path", ["a.png", "gone/a.png", "../../a.png"])
def test_an_embedded_picture_becomes_the_image_and_is_embedded_again(tmp_path: Path, path: str) -> None:
    source = tmp_path / "source"
    put(source, shape("x", SQUARE), imagePath=path, imageData=text64(png()))
    (source / "a.png").unlink()
    dataset = read(source)
    (record,) = dataset.images
    assert (record.name, record.size_hw) == ("a.png", SIZE_HW)
    assert record.read_image()[0, 0].tolist() == [90, 90, 90]
    assert codes(dataset) == (["image-path"] if path.startswith("..") else [])
    scratch = record.path
    out = written(dataset.save(tmp_path / "dataset"), tmp_path / "out")
    assert load(out / "a.json") == load(source / "a.json")
    assert (out / "a.png").read_bytes() == png()
    del dataset
    gc.collect()
    assert scratch.is_file()
    folder = Path(str(scratch.parent))
    del record, scratch
    gc.collect()
    assert not folder.exists()


def test_of_a_file_and_an_embedded_picture_the_one_that_the_labels_fit_is_used(tmp_path: Path) -> None:
    for name, data in {"same": png(), "other": png(shade=10), "larger": png((80, 120))}.items():
        put(tmp_path, shape("x", SQUARE), image=f"{name}.png", imageData=text64(data))
    dataset = read(tmp_path)
    shades = {record.name: (record.size_hw, int(record.read_image()[0, 0, 0])) for record in dataset.images}
    assert shades == {"same.png": (SIZE_HW, 90), "other.png": (SIZE_HW, 90), "larger.png": ((80, 120), 90)}
    told = [(Path(f.place.split(":")[0]).name, f.code, f.severity) for f in dataset.provenance.findings]
    assert told == [
        ("larger.json", "two-images", "warning"),
        ("larger.json", "size-mismatch", "warning"),
        ("other.json", "two-images", "note"),
    ]
    out = written(dataset, tmp_path / "out")
    assert load(out / "same.json") == load(tmp_path / "same.json")
    assert load(out / "other.json")["imageData"] is None
    assert [load(out / "larger.json")[key] for key in ("imageHeight", "imageWidth")] == [80, 120]


def test_exif_rotation_counts_for_the_size(tmp_path: Path) -> None:
    picture = Image.new("RGB", (40, 60))
    exif = picture.getexif()
    exif[0x0112] = 6
    put(tmp_path, shape("x", SQUARE), image="a.jpg")
    picture.save(tmp_path / "a.jpg", exif=exif)
    dataset = read(tmp_path)
    assert dataset.images[0].size_hw == SIZE_HW
    assert codes(dataset) == []


# What goes wrong


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shapes": None}, r"a\.json: shapes: expected a valid list, found None"),
        ({"shapes": [1]}, r"a\.json: shapes\[0\]: expected an? "),
        ({"shapes": [{"points": SQUARE}]}, r"shapes\[0\]\.label: expected this key, found none"),
        ({"shapes": [{"label": "x"}]}, r"shapes\[0\]\.points: expected this key, found none"),
        ({"shapes": [shape("", SQUARE)]}, r"shapes\[0\]\.label: expected a label of 1 to 1000 characters; not 0"),
        ({"shapes": [shape("x" * 10_000_000, SQUARE)]}, r"a label of 1 to 1000 characters; not 10000000"),
        ({"shapes": [shape("x", [])]}, r"shapes\[0\]\.points: expected a length of 1 or more"),
        ({"shapes": [shape("x", [[1, 2], [3]])]}, r"shapes\[0\]\.points\[1\]: expected a pair of x and y"),
        ({"shapes": [shape("x", [[1, 2], [3, "4"]])]}, r"shapes\[0\]\.points\[1\]\[1\]: expected a valid number"),
        ({"shapes": [shape("x", [[True, 2]])]}, r"shapes\[0\]\.points\[0\]\[0\]: expected a valid number"),
        ({"shapes": [shape("x", [[math.nan, 2]])]}, r"shapes\[0\]\.points\[0\]\[0\]: expected a finite number"),
        ({"shapes": [shape("x", [[1e300, 2]])]}, r"shapes\[0\]\.points\[0\]: expected pixels, at most 1e\+09"),
        ({"shapes": [shape("x", SQUARE, "circle")]}, r"shapes\[0\]\.points: expected a centre and a point on the rim"),
        ({"shapes": [shape("x", SQUARE[:2], "mask")]}, r"shapes\[0\]\.mask: expected a PNG in base64, found none"),
        ({"shapes": [shape("x", SQUARE[:2], "mask", mask="?")]}, r"shapes\[0\]\.mask: expected a PNG in base64"),
        ({"shapes": [shape("x", SQUARE[:2], "mask", mask="abcd")]}, r"found bytes that are no picture"),
        ({"shapes": [shape("x", SQUARE[:2], "mask", mask=text64(png()))]}, r"expected a grey PNG, found one with 3"),
        (
            {"shapes": [shape("x", SQUARE[:2], "mask", mask=mask_text(np.ones((41, 9))))]},
            r"a mask within the picture's 40 x 60 pixels \(height x width\), found 41 x 9",
        ),
        ({"imagePath": 5}, r"a\.json: imagePath: expected a valid string, found 5"),
        ({"imageData": "abc"}, r"imageData: expected a picture in base64, or null, found text that is no base64"),
        ({"imageData": "abcd", "imagePath": "gone", "x": 1}, None),
        ({"imageHeight": "40"}, r"imageHeight: expected a valid integer, found '40'"),
        ({"version": math.nan}, r"a\.json: expected JSON, found "),
    ],
)
def test_broken_documents_are_named_with_their_key(tmp_path: Path, change: dict[str, Any], message: str | None) -> None:
    path = put(tmp_path, shape("x", SQUARE))
    path.write_text(json.dumps(document(shape("x", SQUARE)) | change))
    if message is None:
        (tmp_path / "a.png").unlink()
        message = "imageData: expected a picture in base64, or null, found bytes that are no picture"
    with pytest.raises(DatasetError, match=message) as caught:
        read(tmp_path)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON"),
        (b'{"shapes": [', "expected JSON"),
        (b'{"shapes": [], "imagePath": "\xff"}', "expected JSON"),
        (b'{"shapes": [], "imagePath": "\\ud800"}', "expected JSON"),
        (b'{"shapes": [], "imagePath": "a.png", "x": ' + b"[" * 150 + b"]" * 150 + b"}", "at most 100 levels deep"),
        (b'{"shapes": [], "imagePath": "a.png", "x": ' + b"[" * 9999 + b"]" * 9999 + b"}", "expected JSON"),
        (b'{"shapes": [], "imagePath": "a.png", "x": ' + b"9" * 9999 + b"}", "expected JSON"),
        (b'{"imagePath": "a.png"}', "shapes: expected this key"),
        (b'{"shapes": []}', "imagePath: expected this key"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(DatasetError, match=rf"a\.json.*{message}"):
        read(tmp_path)


def test_json_of_other_programs_is_told_and_left_out(tmp_path: Path) -> None:
    put(tmp_path, shape("x", SQUARE))
    (tmp_path / "package.json").write_text('{"name": "x"}')
    (tmp_path / "list.json").write_text("[]")
    assert codes(read(tmp_path)) == ["other-json", "other-json"]
    with pytest.raises(DatasetError, match="expected labelled images, found none"):
        read(tmp_path / "package.json")


def test_two_documents_for_one_picture(tmp_path: Path) -> None:
    put(tmp_path, shape("x", SQUARE))
    put(tmp_path, shape("x", SQUARE), name="copy.json")
    with pytest.raises(
        DatasetError, match=r"copy\.json: expected a picture of its own, found a\.png, which .*a\.json is"
    ):
        read(tmp_path)


def test_two_pictures_of_one_stem(tmp_path: Path) -> None:
    put(tmp_path, shape("x", SQUARE))
    (tmp_path / "a.jpg").write_bytes(png())
    dataset = read(tmp_path)
    assert [record.name for record in dataset.images] == ["a.png"]
    assert codes(dataset) == ["unlabelled-images"]
    twin = replace(dataset.images[0], image_id=2, name="a.jpg", attributes={})
    with pytest.raises(DatasetError, match=r"a document of its own, found a\.json, which a\.png has as well"):
        written(dataset.with_images([*dataset.images, twin]), tmp_path / "out")


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    put(tmp_path, shape("x", SQUARE))
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"a\.png"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"document": 5}, r"a\.png: attributes\.labelme: document"),
        (
            {"file": "../../evil.json"},
            r"attributes\.labelme\.file: expected a path inside images/, found '\.\./\.\./evil",
        ),
        ({"shapes": [{"at": 0, "shape": {"label": "x"}}]}, r"attributes\.labelme: points: expected this key"),
    ],
)
def test_altered_attributes_of_a_dataset_are_named(tmp_path: Path, attributes: dict[str, Any], message: str) -> None:
    put(tmp_path / "in", shape("x", SQUARE))
    dataset = read(tmp_path / "in")
    record = replace(dataset.images[0], attributes={"labelme": attributes})
    with pytest.raises(DatasetError, match=message):
        written(dataset.with_images([record]), tmp_path / "out")


@pytest.mark.parametrize(
    "extra",
    [{"at": [0], "shapes": []}, {"at": [0], "shapes": [{"points": 5}]}, {"at": "0"}, 5, {"at": [0], "shapes": [5]}],
)
def test_altered_attributes_of_an_object_are_named(tmp_path: Path, extra: Any) -> None:
    put(tmp_path / "in", shape("x", SQUARE))
    dataset = read(tmp_path / "in")
    (annotation,) = dataset.images[0].annotations
    record = replace(dataset.images[0], annotations=(replace(annotation, attributes={"labelme": extra}),))
    with pytest.raises(DatasetError, match=r"a\.png: annotations\[0\]"):
        written(dataset.with_images([record]), tmp_path / "out")
