"""The preview: the samples that a run would learn from, with their truth, on one sheet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import small_datasets
from small_datasets import rectangle
from typer.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("segmentation_models_pytorch")

from maskstream.cli.main import app
from maskstream.data.dataset import Dataset
from maskstream.draw.palette import object_colour
from maskstream.errors import OutputError, RecipeError
from maskstream.reports.contact_sheet import GAP_PX
from maskstream.training import preview as previews
from maskstream.training.preview import preview, write_preview
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import dump_recipe
from maskstream.training.resolve import resolve

SIZE_HW = (40, 64)
CELL_HW = (8 * SIZE_HW[0] + 48, 8 * SIZE_HW[1])


def make_dataset(folder: Path, count: int = 4, **of_image: Any) -> Dataset:
    """Grey images of a benign object above a malignant one, and a crowd, saved with two splits."""
    source = folder / "source"
    grey = np.full((*SIZE_HW, 3), 128, np.uint8)
    annotations = [
        rectangle(0, 8, 4, 20, 12, SIZE_HW),
        rectangle(1, 30, 22, 24, 14, SIZE_HW),
        rectangle(1, 2, 30, 3, 3, SIZE_HW),
        replace(rectangle(0, 50, 1, 10, 10, SIZE_HW), iscrowd=True),
    ]
    records = [small_datasets.record(source, n, annotations, SIZE_HW, grey, **of_image) for n in range(count)]
    names = [record.name for record in records]
    made = small_datasets.dataset(source, records, splits={"train": tuple(names[:-1]), "val": tuple(names[-1:])})
    return made.save(folder / "data")


def make_recipe(architecture: str = "mask-rcnn", **changes: Any) -> Recipe:
    values = {
        "name": "small",
        "model": {"architecture": architecture},
        "input_size_hw": SIZE_HW,
        "data": {"batch_size": 2},
        "stages": [{"epochs": 1, "learning_rate": 0.1}],
    }
    return Recipe.model_validate(values | changes)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is written under the samples, in order."""
    written: list[str] = []
    original = previews._line

    def line(text: str, width: int) -> np.ndarray:
        written.append(text)
        return original(text, width)

    monkeypatch.setattr(previews, "_line", line)
    return written


@pytest.mark.parametrize("count, rows, columns", [(1, 1, 1), (4, 2, 2), (7, 3, 3)])
def test_there_are_as_many_samples_as_asked_for(tmp_path: Path, count: int, rows: int, columns: int) -> None:
    dataset = make_dataset(tmp_path)
    sheet = preview(resolve(make_recipe(), dataset), dataset, count)
    assert sheet.shape == (rows * (CELL_HW[0] + GAP_PX) + GAP_PX, columns * (CELL_HW[1] + GAP_PX) + GAP_PX, 3)
    assert sheet.dtype == np.uint8


def test_a_cell_shows_the_pixels_the_outlines_and_what_they_are(tmp_path: Path, texts: list[str]) -> None:
    dataset = make_dataset(tmp_path, 2)
    sheet = preview(resolve(make_recipe(), dataset), dataset, 1)
    cell = sheet[GAP_PX : GAP_PX + 8 * SIZE_HW[0], GAP_PX : GAP_PX + 8 * SIZE_HW[1]]
    assert (cell[8 * 37, 8 * 20] == 128).all()
    for class_id, (y, x) in ((0, (4, 18)), (1, (22, 42))):
        # the upper edge of the object, where outline and box lie, from 8 pixels above to 8 below
        edge = cell[8 * y - 8 : 8 * y + 8, 8 * x].astype(int)
        assert np.abs(edge - object_colour(0, class_id)).sum(axis=1).min() < 60
    assert (np.abs(cell[8 * 1 : 8 * 11, 8 * 50 : 8 * 60].astype(int) - 128) < 3).all()  # a crowd is not learned
    # the object of 9 pixels is too small to be learned
    assert texts == ["image: 0.png", "1 benign, 1 malignant"]


def test_regions_learn_small_objects_and_crowds_too(tmp_path: Path, texts: list[str]) -> None:
    dataset = make_dataset(tmp_path, 2)
    preview(resolve(make_recipe("unet"), dataset), dataset, 1)
    assert texts[1] == "2 benign, 2 malignant"


def test_classification_has_the_class_of_the_image_below(tmp_path: Path, texts: list[str]) -> None:
    source = tmp_path / "source"
    records = [small_datasets.record(source, n, (), SIZE_HW, class_id=n % 2) for n in range(6)]
    names = tuple(record.name for record in records)
    made = small_datasets.dataset(source, records, splits={"train": names[:4], "val": names[4:]})
    dataset = made.save(tmp_path / "data")
    preview(resolve(make_recipe("small-cnn"), dataset), dataset, 4)
    shown = dict(zip(texts[::2], texts[1::2], strict=True))
    assert shown == {f"image: {n}.png": ("benign", "malignant")[n % 2] for n in range(4)}


def test_synthetic_scenes_and_tiles_are_called_so(tmp_path: Path, texts: list[str]) -> None:
    dataset = make_dataset(tmp_path)
    recipe = make_recipe(synthetic={"share": 1.0, "plain_share": 1.0})
    preview(resolve(recipe, dataset), dataset, 1)
    assert texts[0].startswith("synthetic: scene ")
    assert texts[1] == "no object"
    texts.clear()
    recipe = make_recipe(data={"batch_size": 2, "tiles": {"size_hw": (20, 32)}})
    preview(resolve(recipe, dataset), dataset, 8)
    assert all(text.startswith("tile: ") for text in texts[::2])


def test_the_seed_decides_and_the_recipe_changes_what_is_seen(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    recipe = resolve(make_recipe(augmentation={"brightness": 0.5, "rotation_degrees": 90}), dataset)
    same = [preview(recipe, dataset, 2) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], preview(recipe.model_copy(update={"seed": 1}), dataset, 2))


def test_copy_paste_brings_objects_of_another_image(tmp_path: Path, texts: list[str]) -> None:
    dataset = make_dataset(tmp_path, 6)
    recipe = make_recipe(augmentation={"copy_paste": 1.0, "rotation_degrees": 180})
    preview(resolve(recipe, dataset), dataset, 6)
    assert any(int(part.split()[0]) > 1 for text in texts[1::2] for part in text.split(", ") if part != "no object")


def test_long_names_keep_their_end(tmp_path: Path) -> None:
    line = previews._line("image: " + 60 * "folder/" + "name.png", 200)
    assert line.shape == (24, 200, 3)
    assert line.min() < 60
    narrow = previews._line("image: name.png", 3)
    assert narrow.shape == (24, 3, 3)


@pytest.mark.parametrize(
    "size_hw, expected_hw", [((1, 1), (512, 512)), ((300, 400), (300, 400)), ((640, 1280), (256, 512))]
)
def test_samples_are_magnified_by_whole_numbers_or_averaged(
    size_hw: tuple[int, int], expected_hw: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(*size_hw, 3), dtype=np.uint8)
    resized = previews._resized(pixels)
    assert resized.shape == (*expected_hw, 3)
    assert resized.mean() == pytest.approx(pixels.mean(), abs=0.6)


def test_the_file_must_be_a_png_and_appears_whole(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    recipe = resolve(make_recipe(), dataset)
    with pytest.raises(OutputError, match=r"let it end with \.png"):
        write_preview(tmp_path / "sheet.jpg", recipe, dataset, 1)
    write_preview(tmp_path / "new" / "sheet.png", recipe, dataset, 1)
    written = cv2.imread(str(tmp_path / "new" / "sheet.png"))[..., ::-1]
    np.testing.assert_array_equal(written, preview(recipe, dataset, 1))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]


def test_the_command_writes_the_sheet_and_takes_seed_and_changes(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(make_recipe(augmentation={"brightness": 0.5})))
    sheets = []
    for number, options in enumerate(([], ["--seed", "5"], ["--set", "augmentation.brightness=0"])):
        out = tmp_path / f"{number}.png"
        arguments = ["data", "preview", str(recipe), "--data", str(dataset.folder), "--out", str(out), "--count", "2"]
        done = CliRunner().invoke(app, [*arguments, *options])
        assert done.exit_code == 0, done.output
        assert out.name in done.output.replace("\n", "")
        sheets.append(cv2.imread(str(out)))
    assert sheets[0].shape == sheets[1].shape == sheets[2].shape
    assert not np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])


def test_a_typo_in_the_recipe_is_named_with_its_remedy(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(make_recipe()))
    arguments = ["data", "preview", str(recipe), "--data", str(dataset.folder), "--out", str(tmp_path / "a.png")]
    done = CliRunner().invoke(app, [*arguments, "--set", "augmentation.haar=1"])
    assert isinstance(done.exception, RecipeError)
    assert "did you mean 'hair'?" in str(done.exception)
