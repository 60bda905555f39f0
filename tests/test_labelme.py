"""labelme's documents: shapes, objects, pictures, what goes wrong, and that reading and writing loses nothing."""

from __future__ import annotations

import gc
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
from labelme_files import SIZE_HW, document, mask_text, open_and_save, png, put, shape, text64
from PIL import Image

from maskstream.core import masks
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Severity
from maskstream.data.formats import labelme
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.formats.labelme_shapes import CIRCLE_ERROR_PX, circle, geometry_sha256
from maskstream.data.listing import list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError, SourceError

SQUARE = [[10, 10], [30, 10], [30, 30], [10, 30]]
FAR = [[40, 5], [50, 5], [50, 15], [40, 15]]
RING = np.ones((6, 8), bool)
RING[2:4, 3:6] = False


def read(folder: Path, **options: Any) -> Dataset:
    return labelme.read(folder, ReadOptions(**options))


def written(dataset: Dataset, folder: Path) -> Path:
    folder.mkdir()
    labelme.write(dataset, folder, WriteOptions())
    return folder


def codes(dataset: Dataset) -> list[str]:
    return [finding.code for finding in dataset.provenance.findings]


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


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
