"""The canonical dataset: what is saved is read back, by us and by pycocotools; what is broken is named."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, LeftOut, Provenance
from maskstream.data.formats.coco.heading import Heading
from maskstream.data.formats.coco.read import read_coco
from maskstream.data.formats.coco.write import write_coco
from maskstream.errors import DatasetError, MaskstreamError, OutputError

# pycocotools 2 and NumPy 2: its own business, not ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

CLASSES = ("benign", "malignant")
SIZE_HW = (24, 32)
TRIANGLE = np.array([[2.0, 2.0], [20.0, 3.0], [8.0, 18.0]])
PROVENANCE = Provenance(name="two", source="here", licence="CC0-1.0", licence_url="https://x.test", importer="test")


def picture(path: Path, size_hw: tuple[int, int] = SIZE_HW, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def ring() -> Annotation:
    bitmap = np.ones((8, 6), bool)
    bitmap[2:5, 2:4] = False
    return Annotation.from_mask(1, CroppedMask(bitmap, 10, 5), SIZE_HW, {"label": "melanoma"})


def triangle() -> Annotation:
    area = float(masks.from_polygons([TRIANGLE], SIZE_HW).area_px)
    return Annotation(0, (TRIANGLE,), (2.0, 2.0, 20.0, 18.0), area, iscrowd=True)


def make(source: Path) -> Dataset:
    """Three images: a ring and a triangle, nothing, and one that is left out."""
    annotations = {"a.png": (ring(), triangle()), "sub/naïve b.png": (), "c.png": (ring(),)}
    images = tuple(
        ImageRecord(i + 7, name, picture(source / name, seed=i), SIZE_HW, found, f"film {i}", {"n": i})
        for i, (name, found) in enumerate(annotations.items())
    )
    return Dataset(
        folder=source,
        classes=CLASSES,
        images=images,
        splits={"train": ("sub/naïve b.png", "a.png"), "test": ()},
        left_out=(LeftOut(image="c.png", split="test", reason="copy of a.png"),),
        splits_made_by="hand",
        provenance=PROVENANCE,
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return make(tmp_path / "source").save(tmp_path / "dataset").folder


def same_annotation(a: Annotation, b: Annotation) -> bool:
    values = [(x.class_id, x.box_xyxy, x.area_px, x.iscrowd, x.attributes) for x in (a, b)]
    pixels = [x.mask(SIZE_HW).dense(SIZE_HW) for x in (a, b)]
    return values[0] == values[1] and np.array_equal(pixels[0], pixels[1])


def test_what_is_saved_is_read_back(saved: Path, tmp_path: Path) -> None:
    before, after = make(tmp_path / "source"), Dataset.load(str(saved))
    assert (after.classes, after.splits, after.left_out) == (before.classes, before.splits, before.left_out)
    for old, new in zip(before.images, after.images, strict=True):
        assert (new.image_id, new.name, new.size_hw, new.group, new.attributes) == (
            old.image_id, old.name, old.size_hw, old.group, old.attributes,
        )  # fmt: skip
        assert new.path.read_bytes() == old.path.read_bytes()
        assert all(map(same_annotation, old.annotations, new.annotations))
    assert [len(image.annotations) for image in after.images] == [2, 0, 1]


def test_the_folder_holds_its_four_parts_and_nothing_else(saved: Path) -> None:
    assert sorted(p.name for p in saved.iterdir()) == ["annotations.json", "dataset.json", "images", "splits.json"]
    assert sorted(p.name for p in saved.parent.iterdir()) == ["dataset", "source"]
    provenance = Dataset.load(saved).provenance
    assert (provenance.licence, provenance.importer) == ("CC0-1.0", "test")
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", provenance.maskstream)
    assert set(provenance.sha256) == {"annotations.json", "splits.json"}
    content = json.loads((saved / "annotations.json").read_text())
    assert list(content) == ["info", "licenses", "categories", "images", "annotations"]
    assert content["licenses"] == [{"id": 1, "name": "CC0-1.0", "url": "https://x.test"}]


def test_category_ids_count_from_1_in_the_file_and_class_ids_from_0_inside(saved: Path) -> None:
    content = json.loads((saved / "annotations.json").read_text())
    assert [(c["id"], c["name"]) for c in content["categories"]] == [(1, "benign"), (2, "malignant")]
    assert [a["category_id"] for a in content["annotations"]] == [2, 1, 2]
    assert [a.class_id for a in Dataset.load(saved).images[0].annotations] == [1, 0]


def test_class_ids_follow_category_ids_with_gaps_and_in_any_order(saved: Path) -> None:
    content = json.loads((saved / "annotations.json").read_text())
    content["categories"] = [{"id": 90, "name": "brush"}, {"id": 0, "name": "person"}, {"id": 13, "name": "sign"}]
    for annotation, category_id in zip(content["annotations"], (90, 13, 0), strict=True):
        annotation["category_id"] = category_id
    (saved / "annotations.json").write_text(json.dumps(content))
    dataset = Dataset.load(saved)
    assert dataset.classes == ("person", "sign", "brush")
    assert [a.class_id for image in dataset.images for a in image.annotations] == [2, 1, 0]


def test_pycocotools_reads_the_same_objects(saved: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(saved / "annotations.json")
    for image in Dataset.load(saved).images:
        theirs = reference.loadAnns(reference.getAnnIds(imgIds=image.image_id))
        for ours, entry in zip(image.annotations, theirs, strict=True):
            x, y, width, height = entry["bbox"]
            assert ours.box_xyxy == (x, y, x + width, y + height)
            assert ours.area_px == entry["area"]
            pixels = reference.annToMask(entry).astype(bool)
            found = ours.mask(SIZE_HW).dense(SIZE_HW)
            if isinstance(entry["segmentation"], dict):
                assert np.array_equal(found, pixels)
            else:  # pycocotools rasterises polygons a fraction of a pixel apart from the centre rule
                assert (found & pixels).sum() / (found | pixels).sum() > 0.93


def test_parts_of_a_polygon_are_united_as_in_coco() -> None:
    squares = tuple(np.array([[x, 2], [x + 6, 2], [x + 6, 8], [x, 8]], float) for x in (2, 5))
    annotation = Annotation(0, squares, (2.0, 2.0, 11.0, 8.0), 54.0)
    assert annotation.mask(SIZE_HW).area_px == 9 * 6


def test_uncompressed_rle_is_read(saved: Path) -> None:
    content = json.loads((saved / "annotations.json").read_text())
    entry = content["annotations"][0]
    entry["segmentation"]["counts"] = masks.to_runs(entry["segmentation"])
    (saved / "annotations.json").write_text(json.dumps(content))
    assert same_annotation(Dataset.load(saved).images[0].annotations[0], ring())


cropped_masks = st.tuples(st.integers(1, 24), st.integers(1, 32), st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(cropped_masks, max_size=4), st.lists(st.lists(st.floats(-5, 40), min_size=6, max_size=6), max_size=3))
def test_annotations_come_back_from_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[int, int, int, float]],
    polygons: list[list[float]],
) -> None:
    path = tmp_path_factory.mktemp("coco") / "annotations.json"
    annotations = []
    for height, width, seed, density in drawn:
        full = np.zeros(SIZE_HW, bool)
        full[:height, :width] = np.random.default_rng(seed).random((height, width)) < density
        annotations.append(Annotation.from_mask(seed % 2, masks.crop(full), SIZE_HW))
    annotations += [Annotation(0, (np.reshape(p, (-1, 2)),), (0.0, 0.0, 1.5, 2.5), 0.5) for p in polygons]
    record = ImageRecord(3, "a.png", path.parent / "a.png", SIZE_HW, tuple(annotations))
    write_coco(path, CLASSES, [record], Heading())
    content = read_coco(path, path.parent)
    (read,) = content.images
    assert content.classes == CLASSES
    assert len(read.annotations) == len(annotations)
    assert all(map(same_annotation, annotations, read.annotations))


def test_an_empty_dataset(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, CLASSES, (), {"train": ()}, (), "hand", PROVENANCE).save(tmp_path / "out")
    assert (dataset.images, dataset.records("train")) == ((), ())
    assert len(dataset.content_sha256()) == 64


def test_records_of_a_split_come_in_its_order(saved: Path) -> None:
    dataset = Dataset.load(saved)
    assert [record.name for record in dataset.records("train")] == ["sub/naïve b.png", "a.png"]
    assert dataset.records("test") == ()
    with pytest.raises(DatasetError, match=r"splits\.json: splits: expected one of train, test, all, found 'tset'"):
        dataset.records("tset")


def test_content_hash_follows_labels_splits_and_pixels_but_not_the_place(saved: Path, tmp_path: Path) -> None:
    first = Dataset.load(saved).content_sha256()
    again = make(tmp_path / "source").save(tmp_path / "elsewhere").content_sha256()
    assert first == again
    picture(saved / "images" / "a.png", seed=99)
    changed = Dataset.load(saved).content_sha256()
    splits = json.loads((saved / "splits.json").read_text())
    splits["splits"]["train"].reverse()
    (saved / "splits.json").write_text(json.dumps(splits))
    assert len({first, changed, Dataset.load(saved).content_sha256()}) == 3


def test_images_are_read_as_rgb_and_turned_as_exif_says(tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = (255, 0, 0)
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=turned, quality=95)
    image = ImageRecord(1, "a.jpg", tmp_path / "a.jpg", (60, 40)).read_image()
    assert image.shape == (60, 40, 3)
    assert image.dtype == np.uint8
    assert np.abs(image[:25].astype(int) - (255, 0, 0)).max() < 8
    assert image[35:].max() < 8


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (Path.unlink, "expected an image that can be read, found no such file"),
        (lambda path: path.write_bytes(b""), "expected an image that can be read"),
        (lambda path: path.write_text("text"), "expected an image that can be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:600]), "expected an image that can be read"),
        (lambda path: picture(path, (10, 12)), r"expected 24 x 32 pixels \(height x width\), found 10 x 12"),
    ],
    ids=["missing", "empty", "text", "cut", "other size"],
)
def test_images_that_cannot_be_read_are_named(saved: Path, spoil: Callable[[Path], Any], message: str) -> None:
    record = Dataset.load(saved).images[0]
    spoil(record.path)
    with pytest.raises(MaskstreamError, match=rf"a\.png: .*{message}"):
        record.read_image()


BAD_ANNOTATIONS: dict[str, tuple[tuple[Any, ...], Any, str]] = {
    "no block": (("categories",), None, r"annotations\.json: categories: expected this key, found none; add it"),
    "no key": (("images", 1, "file_name"), None, r"images\[1\]\.file_name: expected this key"),
    "text for a number": (("images", 0, "width"), "32", r"images\[0\]\.width: expected a valid integer, found '32'"),
    "object for a list": (("annotations",), {}, r"annotations: expected a valid array, found \{\}"),
    "no side": (("images", 0, "height"), 0, r"images\[0\]\.height: expected greater than 0, found 0"),
    "endless side": (("images", 0, "height"), 10**12, r"less than or equal to 1000000"),
    "same image id": (("images", 1, "id"), 7, r"images: expected each id once, found 7 again"),
    "same file": (("images", 1, "file_name"), "a.png", r"each file_name once, found 'a\.png' again"),
    "same annotation id": (("annotations", 1, "id"), 1, r"annotations: expected each id once, found 1 again"),
    "same category": (("categories", 1, "name"), "benign", r"categories: expected each name once, found 'benign'"),
    "no name": (("categories", 1, "name"), "", r"categories\[1\]\.name: expected a length of 1 or more, found ''"),
    "path out": (("images", 0, "file_name"), "../a.png", r"images\[0\]\.file_name: expected a path inside images/"),
    "path within out": (("images", 0, "file_name"), "b/../../a.png", "expected a path inside images/"),
    "absolute path": (("images", 0, "file_name"), "/etc/passwd", "expected a path inside images/"),
    "Windows path": (("images", 0, "file_name"), "..\\a.png", "expected a path inside images/"),
    "drive": (("images", 0, "file_name"), "C:/a.png", "expected a path inside images/"),
    "no path": (("images", 0, "file_name"), "", "expected a path inside images/"),
    "long path": (("images", 0, "file_name"), "a" * 5000, r"found none \(1 of 3 images are missing\)"),
    "missing image": (("images", 0, "file_name"), "d.png", r"d\.png: expected an image file, found none \(1 of 3"),
    "unknown category": (("annotations", 1, "category_id"), 0, r"annotations\[1\]\.category_id: .* 2 categories"),
    "unknown image": (("annotations", 1, "image_id"), 1, r"annotations\[1\]\.image_id: expected an id among the 3"),
    "three box numbers": (("annotations", 0, "bbox"), [1, 2, 3], r"annotations\[0\]\.bbox\[3\]"),
    "NaN in a box": (("annotations", 0, "bbox", 2), float("nan"), r"bbox\[2\]: expected a finite number, found nan"),
    "negative area": (("annotations", 0, "area"), -1, r"area: expected greater than or equal to 0"),
    "NaN in attributes": (("annotations", 0, "attributes"), {"a": float("nan")}, "expected finite numbers"),
    "iscrowd 2": (("annotations", 0, "iscrowd"), 2, r"iscrowd: expected less than or equal to 1"),
    "half a point": (("annotations", 0, "segmentation"), [[1, 2, 3, 4, 5, 6, 7]], "expected pairs of x, y, found 7"),
    "NaN point": (("annotations", 1, "segmentation", 0, 3), float("nan"), r"polygons\[0\]\[3\]: expected a finite"),
    "text mask": (("annotations", 0, "segmentation"), "mask", "expected a valid array, found 'mask'"),
    "mask of another size": (("annotations", 0, "segmentation", "size"), [32, 24], r"size: .* \[24, 32\], found \[32"),
    "short runs": (("annotations", 0, "segmentation", "counts"), [700, 60], "expected runs that fill the image"),
    "broken runs": (("annotations", 0, "segmentation", "counts"), "¤¤", "expected runs that fill the image"),
}


@pytest.mark.parametrize(("keys", "value", "message"), BAD_ANNOTATIONS.values(), ids=BAD_ANNOTATIONS.keys())
def test_bad_annotations_are_named_in_one_line(saved: Path, keys: tuple[Any, ...], value: Any, message: str) -> None:
    content = json.loads((saved / "annotations.json").read_text())
    *parents, last = keys
    block = content
    for key in parents:
        block = block[key]
    if value is None:
        del block[last]
    else:
        block[last] = value
    (saved / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message) as caught:
        Dataset.load(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, found EOF"),
        (b'{"images": [', "expected JSON, found EOF while parsing a list at line 1 column 12"),
        (b"[]", r"expected an object, found \[\]"),
        (b"\xff\xfe\x00", "expected JSON"),
        (b'{"a":' * 5000, "expected JSON, found recursion limit exceeded"),
    ],
    ids=["empty", "cut", "list", "binary", "deep"],
)
@pytest.mark.parametrize("name", ["annotations.json", "splits.json", "dataset.json"])
def test_broken_json_is_named(saved: Path, name: str, content: bytes, message: str) -> None:
    (saved / name).write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name}: {message}"):
        Dataset.load(saved)


@pytest.mark.parametrize("name", ["annotations.json", "splits.json", "dataset.json"])
def test_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(DatasetError, match=f"{name}: expected a JSON file, found No such file or directory"):
        Dataset.load(saved)


@pytest.mark.parametrize(
    ("splits", "left_out", "message"),
    [
        ({"train": ["d.png"]}, [], r"splits\.json: splits\.train: expected names of the 3 images, found 'd\.png'"),
        ({"train": ["a.png"], "test": ["a.png"]}, [], r"splits\.test: .* found 'a\.png' also in splits\.train"),
        ({"train": ["a.png", "a.png"]}, [], r"splits\.train: expected each image once"),
        ({"train": ["a.png"]}, ["a.png"], r"left_out: expected each image once, .* also in splits\.train"),
        ({"train": []}, ["d.png"], r"left_out: expected names of the 3 images"),
        ({"train": [1]}, [], r"splits\.train\[0\]: expected a valid string, found 1"),
        ([], [], r"splits: expected an object"),
    ],
)
def test_splits_that_contradict_are_refused(saved: Path, splits: Any, left_out: list[str], message: str) -> None:
    entries = [{"image": name, "split": "train", "reason": "copy"} for name in left_out]
    content = {"splits": splits, "left_out": entries, "made_by": "hand"}
    (saved / "splits.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=message):
        Dataset.load(saved)


def test_a_folder_in_use_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="expected a new or empty folder, found one in use"):
        make(tmp_path / "source").save(tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert len(make(tmp_path / "source").save(tmp_path / "out").images) == 3


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make(tmp_path / "source")
    copied: list[Path] = []

    def copy_two(source: Path, target: Path) -> None:
        if len(copied) == 2:
            raise OSError(28, "No space left on device")
        copied.append(target)
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(shutil, "copyfile", copy_two)
    with pytest.raises(OutputError, match="No space left on device"):
        dataset.save(tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a place that can be written"):
        make(tmp_path / "source").save(tmp_path / "file" / "out")
    with pytest.raises(OutputError, match="expected a new or empty folder"):
        make(tmp_path / "source").save(tmp_path / "file")


def test_coco128_has_the_masks_that_pycocotools_sees(shared_data: Path) -> None:
    path = shared_data / "coco128" / "instances.json"
    content = read_coco(path, shared_data / "coco128" / "images")
    classes, images = content.classes, content.images
    assert (len(classes), len(images), sum(len(image.annotations) for image in images)) == (80, 128, 939)
    assert (classes[0], classes[-1]) == ("person", "toothbrush")
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(path)
    common = union = 0
    for image in images[:40]:
        entries = reference.loadAnns(reference.getAnnIds(imgIds=image.image_id))
        for ours, entry in zip(image.annotations, entries, strict=True):
            found = ours.mask(image.size_hw).dense(image.size_hw)
            pixels = reference.annToMask(entry).astype(bool)
            common, union = common + (found & pixels).sum(), union + (found | pixels).sum()
            assert classes[ours.class_id] == reference.cats[entry["category_id"]]["name"]
            assert ours.area_px == entry["area"]
            assert found.sum() == pytest.approx(pixels.sum(), rel=0.02, abs=12)
    assert common / union > 0.98


def test_an_image_that_claims_to_be_endless_needs_no_endless_memory(saved: Path) -> None:
    content = json.loads((saved / "annotations.json").read_text())
    content["images"][0] |= {"height": 10**6, "width": 10**6}
    content["annotations"] = [content["annotations"][1] | {"segmentation": [[0, 0, 1e6, 0, 1e6, 1e6]], "area": None}]
    (saved / "annotations.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"annotations\[0\]: expected bbox and area, .* 1000000 x 1000000 pixels"):
        Dataset.load(saved)
