"""YOLO's labels: every layout read, every bad line named, nothing lost that the format can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.coco import folder as coco_folder
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.formats.outlines import one_ring
from maskstream.data.formats.yolo import read as yolo
from maskstream.data.formats.yolo.labels import annotation, box_line, polygon_line, read_labels
from maskstream.data.listing import list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError, SourceError

SIZE_HW = (20, 40)
SQUARE = "0 0.25 0.25 0.5 0.25 0.5 0.75 0.25 0.75"
BOX = "1 0.5 0.5 0.25 0.5"


def fill(folder: Path, files: dict[str, str | bytes | None]) -> Path:
    """Write files; what is None is an image of 40 x 20 pixels."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            Image.new("RGB", SIZE_HW[::-1]).save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def read(folder: Path, **options: object) -> Dataset:
    return yolo.read(folder, ReadOptions(**options))  # type: ignore[arg-type]


def counts(dataset: Dataset) -> dict[str, int]:
    return {record.name: len(record.annotations) for record in dataset.images}


def codes(findings: Sequence[Finding]) -> list[str]:
    return [finding.code for finding in findings]


LAYOUTS = {
    "labels beside images/": (["images/a.png"], ["labels/a.txt"], ["a.png"]),
    "splits below": (["images/train/a.png", "images/val/b.png"], ["labels/train/a.txt"], ["train/a.png", "val/b.png"]),
    "splits above": (
        ["train/images/a.png", "valid/images/b.png"],
        ["train/labels/a.txt"],
        ["train/a.png", "valid/b.png"],
    ),
    "labels beside the images": (["obj_train_data/a.png"], ["obj_train_data/a.txt"], ["obj_train_data/a.png"]),
    "all in one folder": (["a.png", "b.png"], ["a.txt"], ["a.png", "b.png"]),
    "another name for labels": (["images/a.png"], ["yolo_labels/a.txt"], ["a.png"]),
    "another name for images": (["JPEGImages/a.png"], ["labels/a.txt"], ["a.png"]),
    "unicode and spaces": (["images/süß foto 1.png"], ["labels/süß foto 1.txt"], ["süß foto 1.png"]),
    "dots in names": (["images/a.b.png"], ["labels/a.b.txt"], ["a.b.png"]),
    "one name in two folders": (
        ["images/train/a.png", "images/val/a.png"],
        ["labels/val/a.txt"],
        ["train/a.png", "val/a.png"],
    ),
    "names that need their folder": (["images/a.png", "a.png"], ["labels/a.txt"], ["images/a.png", "a.png"]),
}


@pytest.mark.parametrize(("images", "labels", "names"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts(tmp_path: Path, images: list[str], labels: list[str], names: list[str]) -> None:
    fill(tmp_path, dict.fromkeys(images) | dict.fromkeys(labels, SQUARE))
    assert yolo.recognise(list_folder(tmp_path))
    dataset = read(tmp_path)
    assert sorted(counts(dataset)) == sorted(names)
    assert sum(counts(dataset).values()) == len(labels)
    assert all(record.path.is_file() and record.size_hw == SIZE_HW for record in dataset.images)


def test_polygons_and_boxes_by_hand(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": None, "labels/a.txt": f"\ufeff{SQUARE}\r\n\r\n{BOX} \r\n"})
    dataset = read(tmp_path, classes=("tank", "car"))
    assert dataset.classes == ("tank", "car")
    polygon, box = dataset.images[0].annotations
    assert isinstance(polygon.segmentation, tuple)
    assert polygon.segmentation[0].tolist() == [[10, 5], [20, 5], [20, 15], [10, 15]]
    assert (polygon.class_id, polygon.area_px, polygon.box_xyxy) == (0, 100, (10, 5, 20, 15))
    assert (box.class_id, box.segmentation, box.box_xyxy, box.area_px) == (1, (), (15, 5, 25, 15), 100)
    assert box.attributes == {"yolo": {"box_only": True}}
    assert dataset.provenance.importer == "yolo"
    assert dataset.provenance.findings == ()


BAD_LINES = {
    "too few": ("0 0.1 0.2 0.3", "5 numbers", "found 4"),
    "a class alone": ("0", "5 numbers", "found 1"),
    "even": ("0 0.1 0.2 0.3 0.4 0.9", "5 numbers", "found 6"),
    "even polygon": ("0 .1 .1 .2 .1 .2 .2 .9", "odd number", "found 8"),
    "a word": ("0 0.1 0.2 0.3 x", "numbers", "found 'x'"),
    "a comma": ("0,0.1,0.2,0.3,0.4", "numbers", "found '0,0.1,0.2,0.3,0.4'"),
    "NaN": ("0 0.1 nan 0.3 0.4", "numbers", "found 'nan'"),
    "infinite": ("0 0.1 0.2 inf 0.4", "numbers", "found 'inf'"),
    "too large": ("0 0.1 0.2 1e999 0.4", "numbers", "found '1e999'"),
    "underscore": ("0 0.1 0.2 0.3 1_0", "numbers", "found '1_0'"),
    "negative class": ("-1 0.1 0.2 0.3 0.4", "whole number", "found -1"),
    "fractional class": ("1.5 0.1 0.2 0.3 0.4", "whole number", "found 1.5"),
    "pixels": ("0 10 20 30 40", "0 to 1", "found 10"),
    "below": ("0 -0.5 0.2 0.3 0.4", "0 to 1", "found -0.5"),
    "negative size": ("0 0.1 0.2 -0.001 0.4", "width and height", "found -0.001"),
    "10 MB of text": ("0 " + "x" * 10_000_000, "numbers", "found 'xxx"),
}


@pytest.mark.parametrize(("line", "expected", "found"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_bad_lines_are_named(tmp_path: Path, line: str, expected: str, found: str) -> None:
    fill(tmp_path, {"images/a.png": None, "labels/a.txt": f"{SQUARE}\n\n{line}\n"})
    with pytest.raises(DatasetError) as caught:
        read(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'labels/a.txt'}: line 3: expected ")
    assert expected in message
    assert found in message
    assert len(message) < 400


def test_what_a_rounding_puts_outside_is_kept(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": None, "labels/a.txt": "0.0 -0.001 0 1.002 0 1 1"})
    (kept,) = read(tmp_path).images[0].annotations
    assert kept.segmentation[0].tolist() == [[-0.04, 0], [40.08, 0], [40, 20]]


BAD_FOLDERS = {
    "no text": ({"labels/a.txt": b"\xff\xfe\x00"}, "labels/a.txt: expected text in UTF-8"),
    "two label files": ({"labels/a.txt": SQUARE, "images/a.txt": SQUARE}, "found labels/a.txt and images/a.txt"),
    "two images of one stem": ({"labels/a.txt": SQUARE, "images/a.jpg": None}, "found images/a.jpg and images/a.png"),
    "no label file": ({}, "found none among 1 images"),
    "class without name": ({"labels/a.txt": BOX, "classes.txt": "cat"}, "among 0 to 0, the 1 that have names, found 1"),
    "names that contradict": (
        {"labels/a.txt": BOX, "classes.txt": "cat\ndog", "data.yaml": "names: [dog, cat]"},
        "expected the class names of",
    ),
    "an empty name": ({"labels/a.txt": BOX, "classes.txt": "cat\n\ndog"}, "classes.txt: line 2: expected a class name"),
    "a name twice": ({"labels/a.txt": BOX, "classes.txt": "cat\ncat"}, "expected each class name once"),
    "no YAML": ({"labels/a.txt": BOX, "data.yaml": "names: [a\nb: ]"}, "data.yaml: line 2: expected YAML"),
    "YAML with code": ({"labels/a.txt": BOX, "data.yaml": "names: !!python/object:os.system [a]"}, "expected YAML"),
    "names of a wrong kind": ({"labels/a.txt": BOX, "data.yaml": "names: 3"}, "names: expected a list"),
    "no names": ({"labels/a.txt": BOX, "data.yaml": "names: []"}, "names: expected a list"),
    "a name that YAML takes for a bool": ({"labels/a.txt": BOX, "data.yaml": "names: [yes, no]"}, "put it in quotes"),
    "numbers that are none": ({"labels/a.txt": BOX, "data.yaml": "names: {a: b}"}, "expected class numbers"),
    "another number of classes": (
        {"labels/a.txt": BOX, "data.yaml": "nc: 3\nnames: [a, b]"},
        "nc: expected the number",
    ),
    "a split of a wrong kind": (
        {"labels/a.txt": BOX, "data.yaml": "names: [a, b]\ntrain: {a: 1}"},
        "train: expected folders",
    ),
    "a path of a wrong kind": (
        {"labels/a.txt": BOX, "data.yaml": "names: [a, b]\npath: [1]"},
        "path: expected a folder",
    ),
}


@pytest.mark.parametrize(("files", "message"), BAD_FOLDERS.values(), ids=BAD_FOLDERS.keys())
def test_bad_folders_are_refused(tmp_path: Path, files: dict[str, str | bytes | None], message: str) -> None:
    fill(tmp_path, {"images/a.png": None} | files)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)


def test_damaged_images_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": b"no image", "labels/a.txt": SQUARE})
    with pytest.raises(SourceError, match=r"images/a\.png"):
        read(tmp_path)


def test_aliases_that_multiply_do_not_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 20)]
    fill(tmp_path, {"images/a.png": None, "labels/a.txt": BOX, "data.yaml": "\n".join([*lines, "names: *a19"])})
    with pytest.raises(DatasetError, match="found a list"):
        read(tmp_path)


NAMES = {
    "a list": ({"data.yaml": "nc: 2\nnames: ['cat', 'dog']"}, ("cat", "dog")),
    "lines": ({"data.yaml": "names:\n- cat\n- dog\n"}, ("cat", "dog")),
    "numbered": ({"dataset.yml": "names:\n  1: dog\n  0: cat\n"}, ("cat", "dog")),
    "with gaps": ({"data.yaml": "names:\n  1: dog\n  7: cow\n  0: cat\n"}, ("cat", "dog", "cow")),
    "numbers as names": ({"data.yaml": "names: [0, 1]"}, ("0", "1")),
    "classes.txt": ({"labels/classes.txt": "\ufeffcat\r\ndog\r\n\r\n"}, ("cat", "dog")),
    "obj.names": ({"obj.names": "cat\ndog\n"}, ("cat", "dog")),
    "two that agree": ({"obj.names": "cat\ndog", "data.yaml": "names: [cat, dog]"}, ("cat", "dog")),
    "another YAML file": ({"obj.names": "cat\ndog", "training.yaml": "epochs: 3"}, ("cat", "dog")),
    "no file": ({}, ("0", "1")),
}


@pytest.mark.parametrize(("files", "classes"), NAMES.values(), ids=NAMES.keys())
def test_names(tmp_path: Path, files: dict[str, str | bytes | None], classes: tuple[str, ...]) -> None:
    fill(tmp_path, {"images/a.png": None, "labels/a.txt": f"{SQUARE}\n{BOX}"} | files)
    dataset = read(tmp_path)
    assert dataset.classes == classes
    assert [a.class_id for a in dataset.images[0].annotations] == [0, 1]
    assert codes(dataset.provenance.findings) == ([] if files else ["class-names-unknown"])


def test_numbers_without_names_can_be_chosen_among(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": None, "labels/a.txt": BOX.replace("1", "7", 1)})
    assert read(tmp_path).classes == ("7",)
    assert read(tmp_path, classes=("3", "7")).classes == ("3", "7")
    with pytest.raises(DatasetError, match="among 0 to 1, the 2 that have names, found 7"):
        read(tmp_path, classes=("cat", "dog"))
    fill(tmp_path, {"labels/a.txt": ""})
    with pytest.raises(DatasetError, match="found neither a file of names nor a label"):
        read(tmp_path)
    assert read(tmp_path, classes=("cat",)).classes == ("cat",)


SPLITS = {
    "folders": ("train: images/a\nval: images/b", {"train": ["a/1.png", "a/2.png"], "val": ["b/1.png"]}),
    "a root": ("path: .\ntrain: images/a\nval: ./images/b/", {"train": ["a/1.png", "a/2.png"], "val": ["b/1.png"]}),
    "a root elsewhere": ("path: ../sets/x\ntrain: images/a", {"train": ["a/1.png", "a/2.png"]}),
    "from above": ("train: ../images/a\nval: ../images/b", {"train": ["a/1.png", "a/2.png"], "val": ["b/1.png"]}),
    "absolute": ("train: /me/x/images/a\nval: 'C:\\images\\b'", {"train": ["a/1.png", "a/2.png"], "val": ["b/1.png"]}),
    "a list of folders": ("train: [images/a, images/b]\nval:", {"train": ["a/1.png", "a/2.png", "b/1.png"]}),
    "a text file": ("train: train.txt\nval: images/b", {"train": ["a/2.png"], "val": ["b/1.png"]}),
    "others": ("fold0: images/fold0\ntrain: images/a", {"fold0": ["fold0/1.png"], "train": ["a/1.png", "a/2.png"]}),
    "everything": ("train: .", {"train": ["a/1.png", "a/2.png", "b/1.png", "fold0/1.png"]}),
    "none": ("", {}),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SPLITS.values(), ids=SPLITS.keys())
def test_splits(tmp_path: Path, text: str, expected: dict[str, list[str]]) -> None:
    images = ["a/1.png", "a/2.png", "b/1.png", "fold0/1.png"]
    files = {f"images/{name}": None for name in images} | {"labels/a/1.txt": SQUARE, "train.txt": "/x/images/a/2.png\n"}
    fill(tmp_path, files | {"data.yaml": f"names: [cat]\n{text}"})
    for source in (tmp_path, tmp_path / "data.yaml"):
        dataset = read(source)
        assert {split: list(names) for split, names in dataset.splits.items()} == expected
        assert len(dataset.images) == 4


def test_splits_that_do_not_fit_are_told(tmp_path: Path) -> None:
    files = {"images/1.png": None, "labels/1.txt": SQUARE}
    fill(tmp_path, files | {"data.yaml": "names: [cat]\ntrain: images\nval: images\ntest: ../../../../etc"})
    dataset = read(tmp_path)
    assert dict(dataset.splits) == {"train": ("1.png",)}
    assert codes(dataset.provenance.findings) == ["split-repeats-images", "split-without-images"]
    assert all(finding.severity is Severity.WARNING for finding in dataset.provenance.findings)


def test_splits_by_folder(tmp_path: Path) -> None:
    fill(tmp_path, {"train/images/a.png": None, "valid/images/b.png": None, "train/labels/a.txt": SQUARE})
    assert dict(read(tmp_path).splits) == {"train": ("train/a.png",), "val": ("valid/b.png",)}


def test_images_elsewhere(tmp_path: Path) -> None:
    fill(tmp_path / "pictures", {"a.png": None, "b.png": None})
    fill(tmp_path / "text", {"a.txt": SQUARE})
    dataset = read(tmp_path / "text", images=tmp_path / "pictures")
    assert counts(dataset) == {"a.png": 1, "b.png": 0}


def test_what_belongs_to_nothing_is_told(tmp_path: Path) -> None:
    files = {"images/a.png": None, "images/b.png": None, "labels/a.txt": SQUARE, "labels/c.txt": SQUARE}
    fill(tmp_path, files | {"labels/d.txt": "", "README.txt": "Hello world", "notes.txt": "three words here"})
    dataset = read(tmp_path, classes=("cat",))
    assert counts(dataset) == {"a.png": 1, "b.png": 0}
    assert codes(dataset.provenance.findings) == ["label-without-image"] * 2 + ["image-without-label-file"]
    assert "none for 1 of 2 images, such as images/b.png" in str(dataset.provenance.findings[-1])


def test_progress_is_told(tmp_path: Path) -> None:
    fill(tmp_path, {"images/a.png": None, "images/b.png": None, "labels/a.txt": SQUARE})
    told: list[tuple[int, int | None]] = []
    read(tmp_path, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.png": None},
        {"a.png": None, "a.txt": "A picture of a cat"},
        {"a.png": None, "b.txt": SQUARE},
        {"data.yaml": "names: [a]"},
        {"data.yaml": "names: ["},
    ],
)
def test_what_is_not_yolo_is_not_recognised(tmp_path: Path, files: dict[str, str | bytes | None]) -> None:
    assert yolo.recognise(list_folder(fill(tmp_path, files))) is None


def test_a_data_file_is_recognised(tmp_path: Path) -> None:
    fill(tmp_path, {"data.yaml": "names: [a]\ntrain: images/train"})
    assert yolo.recognise(list_folder(tmp_path)) == "YOLO's data.yaml"


def ring(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, np.float64)


def dataset_of(folder: Path, annotations: dict[str, list[Annotation]], **changes: object) -> Dataset:
    """A dataset of images of 40 x 20 pixels."""
    fill(folder, dict.fromkeys(annotations))
    records = [
        ImageRecord(number, name, folder / name, SIZE_HW, tuple(found))
        for number, (name, found) in enumerate(annotations.items(), start=1)
    ]
    return replace(assemble(folder, "test", ("cat", "dög"), records), **changes)  # type: ignore[arg-type]


def test_written_files_by_hand(tmp_path: Path) -> None:
    square = Annotation.from_polygons(1, (ring((10, 5), (20, 5), (20, 15)),), SIZE_HW)
    dataset = dataset_of(tmp_path / "in", {"a.png": [square], "sub/b c.png": []})
    (tmp_path / "out").mkdir()
    assert codes(yolo.write(dataset, tmp_path / "out", WriteOptions())) == ["no-splits"]
    assert (tmp_path / "out/labels/a.txt").read_text() == "1 0.25 0.25 0.5 0.25 0.5 0.75\n"
    assert (tmp_path / "out/labels/sub/b c.txt").read_text() == ""
    assert (tmp_path / "out/images/sub/b c.png").read_bytes() == (tmp_path / "in/sub/b c.png").read_bytes()
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {"names": {0: "cat", 1: "dög"}}
    assert len(list_folder(tmp_path / "out").names) == 5
    again = read(tmp_path / "out")
    assert counts(again) == {"a.png": 1, "sub/b c.png": 0}
    assert again.classes == dataset.classes
    assert again.provenance.findings == ()


def test_splits_are_written_and_read(tmp_path: Path) -> None:
    splits = {"train": ("a.png", "train/b.png"), "fold 1": ("images/c.png",)}
    names = ["a.png", "a.jpg", "train/b.png", "images/c.png", "d.png"]
    dataset = dataset_of(tmp_path / "in", {name: [] for name in names}, splits=splits)
    (tmp_path / "out").mkdir()
    found = yolo.write(dataset, tmp_path / "out", WriteOptions(link=True))
    assert codes(found) == ["image-unsplit"]
    assert "2 in none" in str(found[0])
    assert (tmp_path / "out/images/train/a.png").is_symlink()
    again = read(tmp_path / "out")
    assert dict(again.splits) == {"train": ("train/a.png", "train/b.png"), "fold 1": ("fold 1/c.png",)}
    assert sorted(counts(again)) == ["fold 1/c.png", "train/a.png", "train/b.png", "unsplit/a.jpg", "unsplit/d.png"]


def test_images_of_one_stem_get_label_files_of_their_own(tmp_path: Path) -> None:
    square = Annotation.from_polygons(1, (ring((10, 5), (20, 5), (20, 15)),), SIZE_HW)
    dataset = dataset_of(tmp_path / "in", {"a.png": [square], "a.jpg": [], "a_2.png": [], "a.bmp": [square, square]})
    (tmp_path / "out").mkdir()
    found = yolo.write(dataset, tmp_path / "out", WriteOptions())
    assert codes(found) == ["image-renamed", "no-splits"]
    assert counts(read(tmp_path / "out")) == {"a.png": 1, "a_2.jpg": 0, "a_2_2.png": 0, "a_3.bmp": 2}


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "in", {"a.png": []})
    away = replace(dataset, splits={"../..": ("a.png",)})
    with pytest.raises(DatasetError, match="splits: expected a path inside"):
        yolo.write(away, tmp_path, WriteOptions())
    away = replace(dataset, images=(replace(dataset.images[0], name="../a.png"),))
    with pytest.raises(DatasetError, match="images: expected a path inside"):
        yolo.write(away, tmp_path, WriteOptions())


def test_losses_are_told(tmp_path: Path) -> None:
    mask = CroppedMask(np.ones((4, 4), bool), 3, 3)
    objects = {
        "box": Annotation(0, (), (5.0, 5.0, 9.0, 9.0), 16.0, attributes={"yolo": {"box_only": True}}),
        "no area": Annotation(0, (), (5.0, 5.0, 5.0, 9.0), 0.0),
        "two points": Annotation.from_polygons(0, (ring((1, 1), (5, 5)),), SIZE_HW),
        "outside": Annotation.from_polygons(0, (ring((50, 5), (60, 5), (60, 9)),), SIZE_HW),
        "reaches out": Annotation.from_polygons(0, (ring((30, 5), (60, 5), (60, 9)),), SIZE_HW),
        "crowd": replace(Annotation.from_mask(1, mask, SIZE_HW), iscrowd=True),
        "attributes": Annotation.from_mask(1, mask, SIZE_HW, {"score": 1}),
    }
    dataset = dataset_of(tmp_path / "in", {"a.png": list(objects.values())})
    dataset = replace(dataset, images=(replace(dataset.images[0], group="film"),), splits={"train": ("a.png",)})
    (tmp_path / "out").mkdir()
    found = {
        finding.code: finding.found.split()[0] for finding in yolo.write(dataset, tmp_path / "out", WriteOptions())
    }
    assert found == {
        "box-as-polygon": "1",
        "object-without-area": "3",
        "cut-to-image": "1",
        "crowd-as-object": "1",
        "attributes-lost": "1",
        "image-facts-lost": "1",
    }
    areas = [a.area_px for a in read(tmp_path / "out").images[0].annotations]
    assert areas == [16, objects["reaches out"].area_px, 16, 16]
    (tmp_path / "boxes").mkdir()
    told = yolo.write_boxes(dataset, tmp_path / "boxes", WriteOptions())
    assert {finding.code: finding.found.split()[0] for finding in told}["mask-as-box"] == "4"
    boxes = [a.box_xyxy for a in read(tmp_path / "boxes").images[0].annotations]
    assert boxes == [(5, 5, 9, 9), (1, 1, 5, 5), (30, 5, 40, 9), (3, 3, 7, 7), (3, 3, 7, 7)]


def through_a_line(tmp_path: Path, line: str, size_hw: tuple[int, int]) -> Annotation:
    (tmp_path / "a.txt").write_text(line)
    (label,) = read_labels(tmp_path / "a.txt")
    return annotation(label, label.class_number, size_hw)


sizes_hw = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


@settings(max_examples=150)
@given(arrays(bool, (9, 11)), sizes_hw, st.integers(0, 99))
def test_any_mask_survives(
    tmp_path_factory: pytest.TempPathFactory, bitmap: np.ndarray, free_hw: tuple[int, int], n: int
) -> None:
    size_hw = (9 + free_hw[0], 11 + free_hw[1])
    mask = CroppedMask(bitmap, free_hw[1] // 2, free_hw[0] // 3)
    if not mask.area_px:
        return
    before = Annotation.from_mask(n, masks.crop(mask.dense(size_hw)), size_hw)
    after = through_a_line(tmp_path_factory.getbasetemp(), polygon_line(n, one_ring(before, size_hw), size_hw), size_hw)
    assert (after.class_id, after.area_px, after.box_xyxy) == (n, before.area_px, before.box_xyxy)
    assert masks.iou(after.mask(size_hw), before.mask(size_hw)) == 1


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=12),
    sizes_hw,
)
def test_any_polygon_survives_to_a_millionth_of_a_pixel(
    tmp_path_factory: pytest.TempPathFactory, shares: list[tuple[float, float]], size_hw: tuple[int, int]
) -> None:
    points = np.array(shares) * size_hw[::-1]
    after = through_a_line(tmp_path_factory.getbasetemp(), polygon_line(3, points, size_hw), size_hw)
    assert isinstance(after.segmentation, tuple)
    assert np.abs(after.segmentation[0] - points).max() <= 1e-6


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0, 0.5), sizes_hw)
def test_any_box_survives_to_a_millionth_of_a_pixel(
    tmp_path_factory: pytest.TempPathFactory, x: float, y: float, w: float, h: float, size_hw: tuple[int, int]
) -> None:
    box = tuple((np.array([x, y, x + w, y + h]) * [*size_hw[::-1], *size_hw[::-1]]).tolist())
    after = through_a_line(tmp_path_factory.getbasetemp(), box_line(3, box, size_hw), size_hw)
    assert np.abs(np.subtract(after.box_xyxy, box)).max() <= 1e-6


def test_parts_that_overlap_stay_a_union(tmp_path: Path) -> None:
    parts = (ring((2, 2), (12, 2), (12, 12), (2, 12)), ring((8, 8), (18, 8), (18, 18), (8, 18)))
    apart = (ring((2, 2), (5, 2), (5, 5)), ring((8, 8), (18, 8), (18, 18), (8, 18)))
    objects = [Annotation.from_polygons(0, rings, SIZE_HW) for rings in (parts, apart)]
    dataset = dataset_of(tmp_path / "in", {"a.png": objects})
    (tmp_path / "out").mkdir()
    yolo.write(dataset, tmp_path / "out", WriteOptions())
    again = read(tmp_path / "out").images[0].annotations
    assert [a.area_px for a in again] == [a.area_px for a in objects]
    assert all(masks.iou(a.mask(SIZE_HW), b.mask(SIZE_HW)) == 1 for a, b in zip(again, objects))


def test_coco128_as_it_comes(shared_data: Path) -> None:
    source = shared_data / "coco128"
    assert yolo.recognise(list_folder(source)) == (
        "YOLO labels, 100 text files for 128 images, such as yolo_labels/000000000009.txt"
    )
    dataset = read(source)
    assert len(dataset.images) == 128
    assert sum(counts(dataset).values()) == 746
    assert len(dataset.classes) == 69
    assert (dataset.classes[0], dataset.classes[-1]) == ("1", "90")
    assert codes(dataset.provenance.findings) == ["image-without-label-file", "class-names-unknown"]
    coco = coco_folder.read(source, ReadOptions())
    truth = {record.name: record for record in coco.images}
    best = []
    for record in dataset.images:
        assert record.size_hw == truth[record.name].size_hw
        for found in record.annotations:
            pixels = found.mask(record.size_hw)
            known = [a for a in truth[record.name].annotations if not a.iscrowd]
            overlaps = [masks.iou(pixels, a.mask(record.size_hw)) for a in known]
            numbers = [str(coco.heading.category_ids[a.class_id]) for a in known]
            best.append((max(overlaps), numbers[int(np.argmax(overlaps))] == dataset.classes[found.class_id]))
    # these label files are outlines of their own: along pixel centres, without what other objects hide
    assert np.mean([overlap for overlap, _ in best]) == pytest.approx(0.853, abs=0.001)
    assert np.mean([same for overlap, same in best if overlap > 0.8]) > 0.99


def test_coco128_to_yolo_and_back(shared_data: Path, tmp_path: Path) -> None:
    before = coco_folder.read(shared_data / "coco128", ReadOptions())
    found = yolo.write(before, tmp_path, WriteOptions(link=True))
    assert codes(found) == ["image-facts-lost", "crowd-as-object", "no-splits"]
    assert "10 regions" in str(found[1])
    after = {record.name: record for record in read(tmp_path).images}
    assert read(tmp_path).classes == before.classes
    overlaps = []
    for record in before.images:
        again = after[record.name].annotations
        assert [a.class_id for a in again] == [a.class_id for a in record.annotations]
        pairs = zip(record.annotations, again)
        overlaps += [masks.iou(a.mask(record.size_hw), b.mask(record.size_hw)) for a, b in pairs]
    assert len(overlaps) == 939
    assert min(overlaps) == 1
