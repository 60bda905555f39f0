"""The ISIC 2017 importer, on a small copy of its layout and on the challenge itself; `maskstream data import`."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from typer.testing import CliRunner

from maskstream.cli.data import app
from maskstream.data.dataset import Dataset
from maskstream.data.formats import isic
from maskstream.data.formats.format import ReadOptions
from maskstream.errors import DatasetError, MaskstreamError, OutputError, SourceError

# pycocotools 2 and NumPy 2: its own business, not ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

ROWS = [
    ("ISIC_0000001", "train", "nevus", "0"),
    ("ISIC_0000002", "train", "melanoma", "1"),
    ("ISIC_0000003", "val", "seborrheic_keratosis", "0"),
    ("ISIC_0000004", "test", "melanoma", "1"),
    ("ISIC_0012970", "train", "nevus", "0"),
    ("ISIC_0012221", "test", "nevus", "0"),
]
"""One image reserved for film, one near-duplicate of a val image, and one listed but in the test split."""

MASK = np.zeros((18, 24), np.uint8)
MASK[4:12, 6:20] = 255
MASK[6:9, 10:14] = 0


def write_labels(folder: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = isic.COLUMNS) -> None:
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small copy of the layout."""
    folder = tmp_path / "isic"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rng = np.random.default_rng(0)
    for image_id, *_ in ROWS:
        Image.fromarray(rng.integers(0, 256, (18, 24, 3), np.uint8)).save(folder / "images" / f"{image_id}.jpg")
        Image.fromarray(MASK).save(folder / "masks" / f"{image_id}.png")
    write_labels(folder, ROWS)
    return folder


def test_classes_splits_and_what_is_left_out(source: Path, tmp_path: Path) -> None:
    dataset = isic.read(source, ReadOptions()).save(tmp_path / "out")
    assert dataset.classes == ("benign", "malignant")
    assert dataset.splits == {
        "train": ("ISIC_0000002.jpg",),
        "val": ("ISIC_0000003.jpg",),
        "test": ("ISIC_0000004.jpg", "ISIC_0012221.jpg"),
    }
    assert [(entry.image, entry.split, entry.reason) for entry in dataset.left_out] == [
        ("ISIC_0000001.jpg", "train", "reserved for film tests"),
        ("ISIC_0012970.jpg", "train", "near-duplicate of a val image"),
    ]
    assert len(dataset.images) == len(ROWS)
    assert dataset.provenance.licence == "CC0-1.0"


def test_objects_keep_their_pixels_hole_and_finer_label(source: Path, tmp_path: Path) -> None:
    dataset = isic.read(source, ReadOptions()).save(tmp_path / "out")
    for record, (image_id, _, label, malignant) in zip(dataset.images, ROWS, strict=True):
        (annotation,) = record.annotations
        assert annotation.class_id == int(malignant)
        assert record.attributes == annotation.attributes == {"label": label}
        assert annotation.box_xyxy == (6.0, 4.0, 20.0, 12.0)
        assert annotation.area_px == 8 * 14 - 3 * 4
        assert np.array_equal(annotation.mask(record.size_hw).dense(record.size_hw), MASK == 255)
        assert record.path.read_bytes() == (source / "images" / f"{image_id}.jpg").read_bytes()


def test_an_empty_mask_gives_an_image_without_objects(source: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros_like(MASK)).save(source / "masks" / "ISIC_0000002.png")
    (record,) = isic.read(source, ReadOptions()).save(tmp_path / "out").records("train")
    assert record.annotations == ()
    assert record.attributes == {"label": "melanoma"}


def test_a_byte_order_mark_and_further_columns_do_no_harm(source: Path, tmp_path: Path) -> None:
    write_labels(source, [(*row, "767 x 1022") for row in ROWS], (*isic.COLUMNS, "original_size_hxw"))
    text = (source / "labels.csv").read_text()
    (source / "labels.csv").write_text(text, encoding="utf-8-sig")
    assert len(isic.read(source, ReadOptions()).save(tmp_path / "out").images) == len(ROWS)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("ISIC_0000002", "train", "melanoma"), "line 3, malignant: expected 1, found None"),
        (("ISIC_0000002", "train", "melanoma", "0"), "line 3, malignant: expected 1, found '0'"),
        (("ISIC_0000002", "train", "nevus", "1"), "line 3, malignant: expected 0, found '1'"),
        (("ISIC_0000002", "Train", "nevus", "0"), "line 3, split: expected train or val or test, found 'Train'"),
        (("ISIC_0000002", "train", "wart", "0"), "line 3, label: expected nevus or melanoma or .*, found 'wart'"),
        (("../../secret", "train", "nevus", "0"), r"line 3, image_id: expected letters, .*, found '\.\./\.\./secret'"),
        (("", "train", "nevus", "0"), "line 3, image_id: expected letters, digits, _ and -, found ''"),
        (("ISIC_0000001", "val", "nevus", "0"), r"found more than one for ISIC_0000001 \(1 such images\)"),
        (("ISIC_0000099", "val", "nevus", "0"), r"found none for ISIC_0000002 \(1 such images\)"),
    ],
)
def test_bad_rows_are_named(source: Path, tmp_path: Path, row: tuple[str, ...], message: str) -> None:
    write_labels(source, [ROWS[0], row, *ROWS[2:]])
    with pytest.raises(DatasetError, match=rf"labels\.csv: .*{message}") as caught:
        isic.read(source, ReadOptions()).save(tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "found no image_id, split, label, malignant"),
        (b"image_id,split,label\nISIC_0000001,train,nevus\n", "found no malignant"),
        (b"image_id,split,label,malignant\n", "found no rows"),
        (b"image_id;split;label;malignant\nISIC_0000001;train;nevus;0\n", "found no image_id"),
        (b'image_id,split,label,malignant\n"ISIC_0000001,train,nevus,0\n', "expected a CSV file, found unexpected end"),
        (b"image_id,split,label,malignant\n\xff\xfe,train,nevus,0\n", "expected a CSV file, found 'utf-8' codec"),
        (b"image_id,split,label,malignant\n" + b"x" * 10_000_000, "expected a CSV file, found field larger"),
    ],
    ids=["empty", "column missing", "no rows", "semicolons", "open quote", "not UTF-8", "10 MB label"],
)
def test_a_broken_label_file_is_named(source: Path, tmp_path: Path, content: bytes, message: str) -> None:
    (source / "labels.csv").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"labels\.csv: .*{message}"):
        isic.read(source, ReadOptions()).save(tmp_path / "out")


def test_missing_files_are_named_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    for name in ("masks/ISIC_0012221.png", "images/ISIC_0000003.jpg", "labels.csv"):
        (source / name).unlink()
        with pytest.raises(MaskstreamError, match=f"(?i){name}: .*no such file or directory"):
            isic.read(source, ReadOptions()).save(tmp_path / "out")
    with pytest.raises(DatasetError, match=r"nowhere/labels\.csv: expected a CSV file"):
        isic.read(tmp_path / "nowhere", ReadOptions()).save(tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["isic"]


def test_a_mask_of_another_size_is_named(source: Path, tmp_path: Path) -> None:
    Image.fromarray(MASK.T).save(source / "masks" / "ISIC_0000003.png")
    with pytest.raises(DatasetError, match=r"0000003\.png: expected 18 x 24 pixels .*, found 24 x 18"):
        isic.read(source, ReadOptions()).save(tmp_path / "out")


@pytest.mark.parametrize("kept_share", [0.0, 0.01, 0.6])
def test_damaged_files_are_named(source: Path, tmp_path: Path, kept_share: float) -> None:
    for path in (source / "masks" / "ISIC_0000004.png", source / "images" / "ISIC_0000003.jpg"):
        path.write_bytes(path.read_bytes()[: int(kept_share * path.stat().st_size)])
        with pytest.raises(SourceError, match=rf"{path.name}: expected an image that can be read"):
            isic.read(source, ReadOptions()).save(tmp_path / "out")


def test_the_command_prints_images_and_objects_of_each_split(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["import", str(source), "--out", str(out), "--format", "isic2017"])
    assert result.exit_code == 0
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines() if line.startswith("│")]
    assert rows == [
        ["images", "1", "1", "2", "2", "6"],
        ["benign", "0", "1", "1", "2", "4"],
        ["malignant", "1", "0", "1", "0", "2"],
    ]
    assert len(Dataset.load(out).images) == 6


def test_the_command_refuses_an_unknown_format_and_a_folder_in_use(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    arguments = ["import", str(source), "--out", str(tmp_path / "out"), "--format"]
    assert isinstance(CliRunner().invoke(app, [*arguments, "pascal"]).exception, DatasetError)
    assert isinstance(CliRunner().invoke(app, [*arguments, "isic2017"]).exception, OutputError)


@pytest.fixture(scope="session")
def challenge(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The ISIC 2017 challenge, imported."""
    return isic.read(shared_data / "isic2017", ReadOptions()).save(tmp_path_factory.mktemp("isic2017") / "dataset")


def test_the_challenge_has_its_known_counts(challenge: Dataset) -> None:
    counts = {
        split: [sum(record.annotations[0].class_id == class_id for record in challenge.records(split))
                for class_id in (0, 1)]
        for split in challenge.splits
    }  # fmt: skip
    assert counts == {"train": [1593, 359], "val": [118, 30], "test": [483, 117]}
    assert all(len(record.annotations) == 1 for record in challenge.images)
    assert Counter((entry.split, entry.reason) for entry in challenge.left_out) == {
        ("train", "near-duplicate of a test image"): 24,
        ("train", "near-duplicate of a val image"): 4,
        ("val", "near-duplicate of a test image"): 2,
        ("train", "reserved for film tests"): 20,
    }
    labels = Counter(record.attributes["label"] for record in challenge.records("test"))
    assert labels == {"nevus": 393, "melanoma": 117, "seborrheic_keratosis": 90}


def test_the_challenge_keeps_every_byte_and_every_mask_pixel(challenge: Dataset, shared_data: Path) -> None:
    for record in challenge.images[::50]:
        (annotation,) = record.annotations
        mask_path = shared_data / "isic2017" / "masks" / record.name.replace(".jpg", ".png")
        expected = np.asarray(Image.open(mask_path).convert("L")) > 127
        assert isinstance(annotation.segmentation, dict)
        assert np.array_equal(coco_mask.decode(annotation.segmentation), expected)
        assert coco_mask.toBbox(annotation.segmentation).tolist() == [
            annotation.box_xyxy[0], annotation.box_xyxy[1],
            annotation.box_xyxy[2] - annotation.box_xyxy[0], annotation.box_xyxy[3] - annotation.box_xyxy[1],
        ]  # fmt: skip
        assert coco_mask.area(annotation.segmentation) == annotation.area_px
        assert record.path.read_bytes() == (shared_data / "isic2017" / "images" / record.name).read_bytes()
        assert record.read_image().shape == (192, 256, 3)
