"""`maskstream evaluate` with predictions that are wrong: exit code 2, and one line that says where and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_datasets import SIZE_HW, dataset, record, rectangle

from maskstream.cli import main as command
from maskstream.core.masks import CroppedMask, to_rle
from maskstream.data.dataset import Dataset

SQUARE = to_rle(CroppedMask(np.ones((4, 4), bool), 2, 2), SIZE_HW)
OTHER_SIZE = to_rle(CroppedMask(np.ones((4, 4), bool), 2, 2), (10, 21))
QUICK = ("--no-intervals", "--no-slices", "--no-figures", "--worst", "0")

Run = Callable[..., str]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Images 1.png .. 6.png with ids 1 .. 6, cats and dogs; four in `test`, none in `nothing`, objectless `bare`."""
    folder = tmp_path_factory.mktemp("labelled")
    images = [
        record(
            folder / "source", number, [rectangle(number % 2, 2, 2, 4, 4)] if number < 6 else [], class_id=number % 2
        )
        for number in range(1, 7)
    ]
    return dataset(
        folder / "source",
        images,
        classes=("cat", "dog"),
        splits={"test": ("1.png", "2.png", "3.png", "4.png"), "val": ("5.png",), "bare": ("6.png",), "nothing": ()},
    ).save(folder / "dataset")


@pytest.fixture
def run(labelled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command as it is started; returns what it prints, or its one line of an error."""

    def start(predictions: Path | str, *more: str, split: str = "test", fails: bool = False) -> str:
        out = tmp_path / "out"
        arguments = ["evaluate", predictions, "--data", labelled.folder, "--split", split, "--out", out, *QUICK, *more]
        monkeypatch.setattr("sys.argv", ["maskstream", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
        printed = capsys.readouterr()
        if not fails:
            assert (ended.value.code, printed.err) == (0, "")
            return printed.out
        assert ended.value.code == 2
        assert printed.err.count("\n") == 1
        assert not out.exists()
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []
        return printed.err

    return start


def entry(image_id: Any = 1, category_id: Any = 1, score: Any = 0.9, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "score": score, "segmentation": SQUARE, **more}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in entry().items() if name != key}


RESULTS = {
    "no JSON": ("not json", "mine.json: expected JSON, found Expecting value: line 1 column 1 (char 0)"),
    "cut off": ('[{"image_id": 1', "mine.json: expected JSON, found Expecting ',' delimiter: line 1 column 16"),
    "empty": ("", "mine.json: expected JSON, found Expecting value: line 1 column 1"),
    "labels": ({"annotations": []}, "mine.json: expected COCO's result list: [{image_id, category_id, segmentation"),
    "a number": ("3", "expected COCO's result list"),
    "no entries": ([1], "mine.json: [0]: expected object, found int"),
    "NaN": ([entry(), entry(2, score=float("nan"))], "mine.json: [1].score: expected JSON, found NaN, which JSON does"),
    "infinity in a polygon": (
        [entry(segmentation=[[0, 0, float("inf"), 1, 2, 2]])],
        "mine.json: expected JSON, found Infinity, which JSON does not have",
    ),
    "negative score": ([entry(score=-0.1)], "mine.json: [0].score: expected a number in 0..1, found -0.1"),
    "percent": ([entry(score=90)], "mine.json: [0].score: expected a number in 0..1, found 90; scale the scores"),
    "score as text": ([entry(score="0.9")], "mine.json: [0].score: expected float, found str; correct the value"),
    "no score": ([without("score")], "mine.json: [0].score: expected this key, found none; add it"),
    "no image": ([entry(), without("image_id")], "mine.json: [1].image_id: expected this key, found none"),
    "image by name": ([entry("1.png")], "mine.json: [0].image_id: expected int, found str"),
    "no mask": ([without("segmentation")], "mine.json: [0].segmentation: expected run-length codes or polygons, found"),
    "a box alone": (
        [without("segmentation") | {"bbox": [1, 1, 2, 2]}],
        "found a bounding box alone; add the masks: objects are judged by their pixels",
    ),
    "no polygon": ([entry(segmentation=[])], "mine.json: [0].segmentation: expected run-length codes or polygons"),
    "unknown category": (
        [entry(category_id=7)],
        "[0].category_id: expected a category id of the dataset (1, 2), found 7",
    ),
    "unknown images": (
        [entry(17), entry(18), entry(19), entry(20), entry(18), entry(21)],
        "mine.json: image_id: expected ids of the 6 images in",
    ),
    "many unknown images": (
        [entry(n) for n in range(17, 22)],
        "found 5 others: 17, 18, 19 and 2 more; give the ids of",
    ),
    "of another split": (
        [entry(1), entry(5), entry(6)],
        "expected answers to the 4 images of split test, found answers to 2 others: 5.png, 6.png; choose the split",
    ),
    "an id again": ([entry(id=3), entry(id=4), entry(id=3)], "[2].id: expected each id once, found 3 again, as in [0]"),
    "another size": (
        [entry(), entry(segmentation=OTHER_SIZE)],
        "[1].segmentation.size: expected the image's height and width [10, 20], found [10, 21]",
    ),
    "too few runs": (
        [entry(segmentation={"size": [10, 20], "counts": [3, 4]})],
        "[0].segmentation.counts: expected runs that fill the image, found RLE runs add up to 7, expected 10 x 20",
    ),
    "broken runs": (
        [entry(segmentation={"size": [10, 20], "counts": "oooo!"})],
        "[0].segmentation.counts: expected runs that fill the image",
    ),
    "no counts": ([entry(segmentation={"size": [10, 20]})], "[0].segmentation.counts: expected this key, found none"),
    "half a point": (
        [entry(segmentation=[[1, 2, 3, 4, 5]])],
        "[0].segmentation[0]: expected pairs of x, y, found 5 num",
    ),
    "a flat polygon": ([entry(segmentation=[1, 2, 3, 4, 5, 6])], "[0].segmentation[0]: expected array, found int"),
    "corners for a box": (
        [entry(bbox=[5, 5, -1, 2])],
        "[0].bbox: expected x, y, width and height in pixels, found 5, 5, -1 and 2; give",
    ),
    "a huge box": (
        [entry(bbox=[5, 5, 1e300, 2])],
        "[0].bbox: expected x, y, width and height in pixels, found 5",
    ),
    "a number too large": ('[{"image_id": 1, "category_id": 1, "score": 1e400}]', "[0].score: expected a value of"),
    "half a letter": (
        [entry(segmentation={"size": [10, 20], "counts": "\ud800"})],
        "mine.json: expected JSON, found Input data was truncated",
    ),
    "a smaller whole": ([entry(object_score=0.5)], "[0].object_score: expected a number in 0..1, not below the score"),
}


@pytest.mark.parametrize("content, message", RESULTS.values(), ids=RESULTS)
def test_broken_results(content: Any, message: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert message in run(path, fails=True)


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert "mine.json: expected a file of predictions, found No such file" in run(tmp_path / "mine.json", fails=True)


def test_nothing_found_is_an_answer(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("[]")
    printed = run(tmp_path / "mine.json")
    assert "4 of 4 images have no answer in mine.json: nothing counts as found in them" in printed
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["n_without_answer"], metrics["AP"], metrics["mean_jaccard"]) == (4, 0, 0)
    assert metrics["n_without_detection"] == 4


def test_images_without_an_answer_are_counted_and_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([entry(1, 2), entry(3, 2)]))
    assert "2 of 4 images have no answer in mine.json" in run(tmp_path / "mine.json")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["n_without_answer"], metrics["n_predictions"], metrics["mean_jaccard"]) == (2, 2, 0.5)
    assert (metrics["model"], metrics["predictions"], metrics["task"]) == ("mine", "mine.json", "instance")


def test_results_with_a_byte_order_mark(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([entry()]), encoding="utf-8-sig")
    assert "3 of 4 images" in run(tmp_path / "mine.json")


def test_a_split_without_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("[]")
    error = run(tmp_path / "mine.json", split="nothing", fails=True)
    assert "splits.json: nothing: expected at least one image, found none; choose a split that holds images" in error
    assert "one of test, val, bare, nothing, all, found 'tset'" in run(tmp_path / "mine.json", split="tset", fails=True)


def test_truth_without_any_object_leaves_figures_undefined(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps([entry(6)]))
    run(tmp_path / "mine.json", split="bare")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "AP" not in metrics
    assert {"AP", "AP50", "recall"} <= set(metrics["undefined"].split(", "))
    assert (metrics["n_objects"], metrics["mean_jaccard"]) == (0, 0)


def test_a_run_folder_in_use_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    error = run(tmp_path / "missing.json", "--out", str(tmp_path / "taken"), fails=True)
    assert "taken: expected a new or empty folder, found one in use; choose another folder" in error
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes.txt"]


def test_a_run_folder_that_cannot_be_made_is_refused_before_anything_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = run(tmp_path / "missing.json", "--out", str(tmp_path / "file" / "out"), fails=True)
    assert "file/out: expected a place that can be written" in error


def test_a_model_has_no_classes_to_ignore(run: Run) -> None:
    assert "lesions: expected predictions, of which classes are ignored" in run(
        "lesions", "--ignore-classes", fails=True
    )


def test_predictions_cannot_be_asked_about_worse_images(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("[]")
    error = run(tmp_path / "mine.json", "--robustness", "3", fails=True)
    assert "--robustness: expected a model, which can be asked about worse images, found predictions" in error


def test_neither_a_model_nor_predictions(run: Run, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert "expected a model folder or a bundled model" in run("nobody", fails=True)
    assert "manifest.json" in run(tmp_path / "void", fails=True)


ROWS = ("1.png,0.9,0.1", "2.png,0.2,0.8", "3.png,0.5,0.5", "4.png,1,0")

TABLES = {
    "no image column": ("name,cat,dog", ROWS, "mine.csv: line 1: expected a column image_id or image or"),
    "no class": (
        "image",
        ("1.png",),
        "mine.csv: line 1: expected a column for each of the classes cat, dog, or for one",
    ),
    "an unknown class alone": ("image,eel", ("1.png,0.5",), "or for one of them, found eel; name the columns as the"),
    "a missing class": (
        "image,cat,eel",
        ("1.png,0.5,0.5",),
        "for each of the classes cat, dog, or for one of them, found",
    ),
    "missing images": (
        "image,cat,dog",
        ROWS[:1],
        "found none for 3 of them: 2.png, 3.png, 4.png; add them: no answer is",
    ),
    "an image again": ("image,cat,dog", (*ROWS, "1,0.5,0.5"), "line 6: expected each image once, found 1 again, as in"),
    "an unknown image": (
        "image,cat,dog",
        (*ROWS, "9.png,1,0"),
        "expected images of the dataset, found 1 other: 9.png",
    ),
    "of another split": ("image,cat,dog", (*ROWS, "5.png,1,0"), "of split test, found answers to 1 other: 5.png"),
    "NaN": ("image,cat,dog", ("1.png,nan,0.5", *ROWS[1:]), "line 2, cat: expected a probability in 0..1, found 'nan'"),
    "an empty cell": (
        "image,cat,dog",
        ("1.png,,0.5", *ROWS[1:]),
        "line 2, cat: expected a probability in 0..1, found ''",
    ),
    "percent": ("image,cat,dog", ("1.png,90,10", *ROWS[1:]), "line 2, cat: expected a probability in 0..1, found '90'"),
    "no shares": (
        "image,cat,dog",
        ("1.png,0.9,0.9", *ROWS[1:]),
        "that sum to 1, found a sum of 1.8; give probabilities",
    ),
    "a cell too many": (
        "image,cat,dog",
        ("1.png,1,0,0", *ROWS[1:]),
        "line 2: expected 3 cells (image, cat, dog), comma",
    ),
    "nothing": ("", (), "mine.csv: expected a CSV file with a header, found an empty file"),
}


@pytest.mark.parametrize("header, rows, message", TABLES.values(), ids=TABLES)
def test_broken_tables(header: str, rows: tuple[str, ...], message: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("".join(f"{line}\n" for line in (header, *rows) if line))
    assert message in run(tmp_path / "mine.csv", fails=True)


def test_a_table_has_no_task_to_choose(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("image,cat,dog\n")
    assert "found a table of classes; leave --task out" in run(tmp_path / "mine.csv", "--task", "semantic", fails=True)


def mask(path: Path, size_hw: tuple[int, int] = SIZE_HW, level: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size_hw, np.uint8)
    pixels[2:6, 2:6] = level
    Image.fromarray(pixels).save(path)


def test_a_mask_of_another_size(run: Run, tmp_path: Path) -> None:
    mask(tmp_path / "mine" / "1.png", (10, 21))
    mask(tmp_path / "mine" / "2.png", level=2)
    assert "1.png: expected 10 x 20 pixels (height x width), found 10 x 21" in run(tmp_path / "mine", fails=True)


def test_masks_of_no_image(run: Run, tmp_path: Path) -> None:
    for name in ("1", "7", "8"):
        mask(tmp_path / "mine" / f"{name}.png")
    assert "named like the images of the dataset, found 2 of other names: 7.png, 8.png" in run(
        tmp_path / "mine", fails=True
    )


def test_masks_of_another_split(run: Run, tmp_path: Path) -> None:
    mask(tmp_path / "mine" / "5.png")
    assert "expected answers to the 4 images of split test, found answers to 1 other" in run(
        tmp_path / "mine", fails=True
    )


def test_two_masks_of_one_image(run: Run, tmp_path: Path) -> None:
    mask(tmp_path / "mine" / "1_mask.png")
    mask(tmp_path / "mine" / "1_segmentation.png")
    assert "expected one mask for each image and class, or numbered ones" in run(tmp_path / "mine", fails=True)


@pytest.mark.parametrize("level", [1, 2, 255])
def test_masks_that_tell_no_classes(level: int, run: Run, tmp_path: Path) -> None:
    """A level of 1 could be the first class, or an object of any."""
    mask(tmp_path / "mine" / "1.png", level=level)
    error = run(tmp_path / "mine", fails=True)
    assert "expected masks that tell the classes cat, dog apart, found two-valued masks" in error
    assert "--ignore-classes" in error
    printed = run(tmp_path / "mine", "--ignore-classes")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["mean_jaccard"], metrics["n_without_answer"], metrics["classes"]) == (0.25, 3, "ignored")
    assert "3 of 4 images have no answer in mine" in printed


def test_masks_of_one_class_whose_classes_are_listed(run: Run, tmp_path: Path) -> None:
    mask(tmp_path / "mine" / "2.png", level=2)
    (tmp_path / "mine" / "classes.txt").write_text("dog\ncat\n")
    run(tmp_path / "mine")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["mask_kind"], metrics["pooled_jaccard/cat"], metrics["pooled_jaccard/dog"]) == ("index", 0.5, 0)


def test_empty_masks_are_an_answer(run: Run, tmp_path: Path) -> None:
    mask(tmp_path / "mine" / "1.png", level=0)
    run(tmp_path / "mine")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["n_without_answer"], metrics["mean_jaccard"]) == (3, 0)


def test_masks_with_an_unknown_number(run: Run, tmp_path: Path) -> None:
    mask(tmp_path / "mine" / "1.png", level=1)
    mask(tmp_path / "mine" / "2.png", level=7)
    error = run(tmp_path / "mine", fails=True)
    assert "found 2 levels (1, 7) and 2 names of classes; say it in classes.txt" in error


def test_a_damaged_mask(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "1.png").write_bytes(b"no picture")
    assert "1.png: expected an image that can be read" in run(tmp_path / "mine", fails=True)
