"""Importing and exporting as a whole: formats are recognised, classes chosen, nothing is lost on the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from maskstream.cli.data import app
from maskstream.core import masks
from maskstream.data.dataset import Dataset
from maskstream.data.exporting import export_dataset
from maskstream.data.formats.format import MaskEncoding, ReadOptions, WriteOptions
from maskstream.data.importing import import_dataset, recognise
from maskstream.errors import DatasetError, OutputError, SourceError

SIZE_HW = (24, 32)
BOX = [4, 4, 8, 8]
SQUARE = [4.0, 4.0, 12.0, 4.0, 12.0, 12.0, 4.0, 12.0]


def picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SIZE_HW, 3), np.uint8)).save(path)


def content(names: list[str], first_id: int = 1, classes: tuple[str, ...] = ("cat", "dog")) -> dict[str, Any]:
    """A COCO file: every image has a square of each class."""
    images = [{"id": first_id + i, "file_name": name, "height": 24, "width": 32} for i, name in enumerate(names)]
    annotations = [
        {
            "image_id": image["id"],
            "category_id": 10 * (j + 1),
            "segmentation": [SQUARE],
            "bbox": [4, 4, 8, 8],
            "area": 64,
        }
        for image in images
        for j in range(len(classes))
    ]
    return {
        "categories": [{"id": 10 * (i + 1), "name": name, "supercategory": "pet"} for i, name in enumerate(classes)],
        "images": images,
        "annotations": [{"id": i + 1, "iscrowd": 0} | annotation for i, annotation in enumerate(annotations)],
    }


def write(path: Path, value: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A COCO folder of two images."""
    for seed, name in enumerate(("a.png", "b ü.png")):
        picture(tmp_path / "pets" / "images" / name, seed)
    write(tmp_path / "pets" / "labels.json", content(["a.png", "b ü.png"]))
    return tmp_path / "pets"


def test_coco_is_recognised_and_imported(source: Path, tmp_path: Path) -> None:
    imported = import_dataset(str(source), tmp_path / "out")
    assert (imported.format, imported.recognised) == ("coco", "COCO JSON: labels.json")
    dataset = imported.dataset
    assert (dataset.classes, [i.name for i in dataset.images]) == (("cat", "dog"), ["a.png", "b ü.png"])
    assert dataset.splits == {}
    assert len(dataset.records("all")) == 2
    assert [(p.name, p.licence) for p in [dataset.provenance]] == [("pets", "unknown")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pets"]


def test_a_single_file_is_a_source_too(source: Path, tmp_path: Path) -> None:
    imported = import_dataset(str(source / "labels.json"), tmp_path / "out", name="cats", licence="CC0-1.0")
    assert len(imported.dataset.images) == 2
    assert (imported.dataset.provenance.name, imported.dataset.provenance.licence) == ("cats", "CC0-1.0")


def test_ids_names_and_unknown_keys_of_coco_survive(source: Path, tmp_path: Path) -> None:
    told = content(["a.png", "b ü.png"])
    told["info"] = {"year": 2017}
    told["licenses"] = [{"id": 3, "name": "one"}, {"id": 5, "name": "two"}]
    told["images"][1] |= {"license": 5, "coco_url": "x.test/b"}
    told["annotations"][2]["score"] = 0.5
    write(source / "labels.json", told)
    import_dataset(str(source), tmp_path / "out")
    found = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert found["categories"] == told["categories"]
    assert (found["info"], found["licenses"]) == (told["info"], told["licenses"])
    assert found["images"] == told["images"]
    assert [a["category_id"] for a in found["annotations"]] == [10, 20, 10, 20]
    assert found["annotations"][2]["score"] == 0.5


@pytest.mark.parametrize("image_folder", [".", "images", "elsewhere/deep"])
def test_images_are_found_where_tools_put_them(tmp_path: Path, image_folder: str) -> None:
    picture(tmp_path / "s" / image_folder / "a.png")
    write(tmp_path / "s" / "annotations" / "x.json", content(["a.png"]))
    assert len(import_dataset(str(tmp_path / "s"), tmp_path / "out").dataset.images) == 1


def test_images_in_another_folder_are_named_by_an_option(tmp_path: Path) -> None:
    picture(tmp_path / "pictures" / "a.png")
    write(tmp_path / "s" / "x.json", content(["a.png"]))
    with pytest.raises(DatasetError, match=r"a\.png: expected the image that x\.json names, found none.*--images"):
        import_dataset(str(tmp_path / "s"), tmp_path / "out")
    options = ReadOptions(images=tmp_path / "pictures")
    assert len(import_dataset(str(tmp_path / "s"), tmp_path / "out", options=options).dataset.images) == 1


def test_a_file_a_split_as_roboflow_writes_them(tmp_path: Path) -> None:
    for seed, split in enumerate(("train", "valid", "test")):
        picture(tmp_path / "s" / split / "a.png", seed)
        write(tmp_path / "s" / split / "_annotations.coco.json", content(["a.png"], classes=("cat", "dog")[seed % 2 :]))
    dataset = import_dataset(str(tmp_path / "s"), tmp_path / "out").dataset
    assert dict(dataset.splits) == {"test": ("test/a.png",), "train": ("train/a.png",), "val": ("val/a.png",)}
    assert [image.image_id for image in dataset.images] == [1, 2, 3]
    labels = {i.name: [dataset.classes[a.class_id] for a in i.annotations] for i in dataset.images}
    assert labels == {"test/a.png": ["cat", "dog"], "train/a.png": ["cat", "dog"], "val/a.png": ["dog"]}
    pixels = {name: (tmp_path / "out" / "images" / name).read_bytes() for name in labels}
    assert len(set(pixels.values())) == 3


def test_a_file_a_split_as_coco_names_them(tmp_path: Path) -> None:
    for number, split in enumerate(("train2017", "val2017")):
        picture(tmp_path / "s" / split / f"{number}.png", number)
        write(tmp_path / "s" / "annotations" / f"instances_{split}.json", content([f"{number}.png"], number + 40))
    dataset = import_dataset(str(tmp_path / "s"), tmp_path / "out").dataset
    assert dict(dataset.splits) == {"train": ("0.png",), "val": ("1.png",)}
    assert [image.image_id for image in dataset.images] == [40, 41]


def test_boxes_alone_become_masks(source: Path, tmp_path: Path) -> None:
    told = content(["a.png", "b ü.png"])
    for annotation in told["annotations"]:
        del annotation["segmentation"], annotation["area"]
    write(source / "labels.json", told)
    dataset = import_dataset(str(source), tmp_path / "out").dataset
    assert {a.mask(SIZE_HW).area_px for i in dataset.images for a in i.annotations} == {64}


@pytest.mark.parametrize(("chosen", "counts"), [(("dog",), [1, 1]), (("dog", "cat"), [2, 2])])
def test_classes_are_chosen_and_ordered(
    source: Path, tmp_path: Path, chosen: tuple[str, ...], counts: list[int]
) -> None:
    dataset = import_dataset(str(source), tmp_path / "out", options=ReadOptions(classes=chosen)).dataset
    assert dataset.classes == chosen
    assert [len(image.annotations) for image in dataset.images] == counts
    ids = {c["id"] for c in json.loads((tmp_path / "out" / "annotations.json").read_text())["categories"]}
    assert ids == ({20} if chosen == ("dog",) else {1, 2})  # ids in another order would turn the classes round


def test_a_class_that_is_not_there_is_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected classes among cat, dog, found bird, cow"):
        import_dataset(str(source), tmp_path / "out", options=ReadOptions(classes=("cat", "bird", "cow")))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_no_known_format_says_what_is_there(tmp_path: Path) -> None:
    for name in ("a.xyz", "b.xyz", "c"):
        (tmp_path / name).write_text("?")
    with pytest.raises(DatasetError, match=r"known format, found files: 2 \.xyz, 1 without suffix"):
        recognise(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="known format, found no file"):
        recognise(tmp_path / "empty")


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere: expected a folder, .*, found no such file or folder"):
        import_dataset(str(tmp_path / "nowhere"), tmp_path / "out")


def test_a_zip_file_is_a_source(source: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "pets-zipped"), "zip", tmp_path, "pets")
    imported = import_dataset(str(tmp_path / "pets-zipped.zip"), tmp_path / "out")
    assert [image.name for image in imported.dataset.images] == ["a.png", "b ü.png"]
    assert imported.dataset.provenance.source == "pets-zipped.zip"
    for name in ("a.png", "b ü.png"):
        assert (tmp_path / "out" / "images" / name).read_bytes() == (source / "images" / name).read_bytes()


def test_frames_of_videos_know_their_video(source: Path, tmp_path: Path) -> None:
    rows = "video,file,frame,time_s,sha256,image\nfilm.mp4,,3,0.1,ff,images/a.png\n"
    (source / "frames.csv").write_text(rows)
    dataset = import_dataset(str(source), tmp_path / "out").dataset
    assert [image.group for image in dataset.images] == ["film.mp4", None]


def test_a_dataset_folder_is_a_source(source: Path, tmp_path: Path) -> None:
    first = import_dataset(str(source), tmp_path / "one").dataset
    again = import_dataset(str(tmp_path / "one"), tmp_path / "two")
    assert again.format == "maskstream"
    assert again.dataset.content_sha256() == first.content_sha256()


def test_the_source_is_not_changed(source: Path, tmp_path: Path) -> None:
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in source.rglob("*") if p.is_file()}
    import_dataset(str(source), tmp_path / "out")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in source.rglob("*") if p.is_file()} == before


def with_ring(source: Path, out: Path) -> Dataset:
    """The imported pets, one of which has a hole in its mask."""
    told = content(["a.png", "b ü.png"])
    bitmap = np.ones((8, 8), bool)
    bitmap[2:5, 2:5] = False
    told["annotations"][0]["segmentation"] = masks.to_rle(masks.CroppedMask(bitmap, 4, 4), SIZE_HW)
    write(source / "labels.json", told)
    return import_dataset(str(source), out).dataset


@pytest.mark.parametrize("encoding", ["as-is", "rle", "runs", "polygons"])
def test_every_coco_encoding_keeps_the_pixels(source: Path, tmp_path: Path, encoding: str) -> None:
    dataset = with_ring(source, tmp_path / "dataset")
    findings = export_dataset(dataset, tmp_path / "out", "coco", WriteOptions(mask_encoding=MaskEncoding(encoding)))
    entries = json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"]
    kinds = {type(entry["segmentation"]) for entry in entries}
    assert kinds == {"as-is": {dict, list}, "rle": {dict}, "runs": {dict}, "polygons": {list}}[encoding]
    counts = {type(e["segmentation"]["counts"]) for e in entries if isinstance(e["segmentation"], dict)}
    assert counts == {"as-is": {str}, "rle": {str}, "runs": {list}, "polygons": set()}[encoding]
    assert [f.code for f in findings] == (["mask-as-polygon"] if encoding == "polygons" else [])
    again = import_dataset(str(tmp_path / "out"), tmp_path / "again", "coco").dataset
    for old, new in zip(dataset.images, again.images, strict=True):
        for a, b in zip(old.annotations, new.annotations, strict=True):
            assert np.array_equal(a.mask(SIZE_HW).dense(SIZE_HW), b.mask(SIZE_HW).dense(SIZE_HW))


@pytest.mark.parametrize("encoding", MaskEncoding)
def test_coco128_comes_back_from_every_encoding(shared_data: Path, tmp_path: Path, encoding: MaskEncoding) -> None:
    dataset = import_dataset(str(shared_data / "coco128"), tmp_path / "dataset").dataset
    export_dataset(dataset, tmp_path / "out", "coco", WriteOptions(mask_encoding=encoding))
    again = import_dataset(str(tmp_path / "out"), tmp_path / "again").dataset
    overlaps = [
        masks.iou(a.mask(old.size_hw), b.mask(new.size_hw))
        for old, new in zip(dataset.images, again.images, strict=True)
        for a, b in zip(old.annotations, new.annotations, strict=True)
    ]
    assert len(overlaps) == 939
    assert min(overlaps) == 1


def split_pets(source: Path, out: Path) -> Path:
    import_dataset(str(source), out)
    splits = {"splits": {"train": ["a.png"], "test": ["b ü.png"]}, "made_by": "hand"}
    (out / "splits.json").write_text(json.dumps(splits))
    return out


def test_a_folder_for_each_split_is_complete_in_itself(source: Path, tmp_path: Path) -> None:
    folder = split_pets(source, tmp_path / "dataset")
    result = CliRunner().invoke(
        app, ["export", str(folder), "--format", "coco", "--by-split", "--link", "--out", str(tmp_path / "view")]
    )
    assert result.exit_code == 0, result.exception
    assert sorted(p.name for p in (tmp_path / "view").iterdir()) == ["test", "train"]
    for split, name in {"train": "a.png", "test": "b ü.png"}.items():
        image = tmp_path / "view" / split / "images" / name
        assert image.is_symlink()
        assert image.read_bytes() == (source / "images" / name).read_bytes()
        entries = json.loads((tmp_path / "view" / split / "annotations.json").read_text())["images"]
        assert [entry["file_name"] for entry in entries] == [name]


def test_one_split_is_exported(source: Path, tmp_path: Path) -> None:
    folder = split_pets(source, tmp_path / "dataset")
    arguments = ["export", str(folder), "--format", "coco", "--out", str(tmp_path / "x"), "--split"]
    assert CliRunner().invoke(app, [*arguments, "test"]).exit_code == 0
    assert [p.name for p in (tmp_path / "x" / "images").iterdir()] == ["b ü.png"]
    assert isinstance(CliRunner().invoke(app, [*arguments, "nowhere"]).exception, DatasetError)


def test_what_cannot_be_exported(source: Path, tmp_path: Path) -> None:
    dataset = import_dataset(str(source), tmp_path / "dataset").dataset
    with pytest.raises(DatasetError, match=r"--format: expected one of coco.*, found 'pascal'"):
        export_dataset(dataset, tmp_path / "out", "pascal")
    with pytest.raises(OutputError, match="expected a new or empty folder"):
        export_dataset(dataset, tmp_path / "dataset", "coco")
    (tmp_path / "dataset" / "images" / "a.png").unlink()
    with pytest.raises(DatasetError, match=r"a\.png: expected an image file, found none"):
        export_dataset(dataset, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    result = CliRunner().invoke(
        app, ["export", str(tmp_path / "dataset"), "--format", "coco", "--by-split", "--out", str(tmp_path / "out")]
    )
    assert isinstance(result.exception, DatasetError)


def test_the_command_says_what_it_recognised(source: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import", str(source), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.exception
    assert "recognised coco: COCO JSON: labels.json" in result.stdout
    rows = [line.replace("│", " ").split() for line in result.stdout.splitlines() if line.startswith("│")]
    assert rows == [["images", "2"], ["cat", "2"], ["dog", "2"]]


@pytest.mark.parametrize("colour", ["red=a", "1,2=a", "1,2,300=a", "1,2,3="])
def test_a_colour_that_is_none(source: Path, tmp_path: Path, colour: str) -> None:
    arguments = ["import", str(source), "--out", str(tmp_path / "out"), "--colour", colour]
    error = CliRunner().invoke(app, arguments).exception
    assert isinstance(error, DatasetError)
    assert "--colour: expected R,G,B=NAME" in str(error)
