"""Recipes: those that ship are valid, what is wrong is explained, and what is printed is what was read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from maskstream.errors import RecipeError
from maskstream.training.recipe import MaskRcnnModel, Recipe
from maskstream.training.recipe_file import dump_recipe, load_recipe, parse_recipe, shipped_recipes
from maskstream.training.smoke import smoke

SHIPPED = (
    "coco-finetune",
    "isic-cnn-scratch",
    "isic-transfer",
    "lesions",
    "lungs-unet-mobilenet",
    "lungs-unet-vgg16",
    "oil-tanks-staged",
    "skin-mask-rcnn-r101",
)

BASE = {
    "name": "x",
    "classes": ["benign", "malignant"],
    "model": {"architecture": "mask-rcnn", "backbone": "mobilenet-v2", "class_head": "context"},
    "labels": {"nevus": "benign", "melanoma": "malignant"},
    "positive": "malignant",
    "input_size_hw": [64, 64],
    "stages": [{"epochs": 1, "learning_rate": 0.001}],
}


def _write(folder: Path, **changes: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(BASE | changes))
    return path


def test_the_recipes_that_ship() -> None:
    assert shipped_recipes() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_valid_named_as_its_file_and_survives_being_printed(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.about
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe)), "printed") == recipe


def test_what_the_starting_documents_asked_for() -> None:
    """The figures of the first table of recipes."""
    r101 = load_recipe("skin-mask-rcnn-r101")
    assert isinstance(r101.model, MaskRcnnModel)
    assert (r101.model.backbone, r101.input_size_hw, r101.data.batch_size) == ("resnet101", (224, 224), 2)
    assert (r101.stages[0].steps, r101.stages[0].learning_rate, r101.data.workers) == (1000, 0.00025, 2)
    tanks = load_recipe("oil-tanks-staged")
    assert [stage.learning_rate for stage in tanks.stages] == [2e-4, 1e-4, 2e-5]
    assert [stage.trains for stage in tanks.stages] == ["heads", "all", "all"]
    assert (tanks.validation.best, tanks.validation.mode) == (("loss",), "min")
    assert len(tanks.data.test_images) == 4
    cnn = load_recipe("isic-cnn-scratch")
    assert cnn.model.model_dump() == {"architecture": "small-cnn", "channels": (28, 64, 128), "dense": 64}
    assert (cnn.input_size_hw, cnn.data.batch_size, cnn.optimiser.name) == ((224, 224), 32, "adam")


def test_labels_belong_to_classes() -> None:
    recipe = load_recipe("lesions")
    assert recipe.label_names == ("nevus", "melanoma", "seborrheic_keratosis")
    assert recipe.labels_of_class == ((0, 2), (1,))


def test_without_labels_the_classes_stand_for_themselves() -> None:
    recipe = load_recipe("isic-transfer")
    assert recipe.label_names == ("bcc", "mel")
    assert recipe.labels_of_class == ((0,), (1,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stagess": []}, "did you mean 'stages'"),
        ({"augmentation": {"rotate_degrees": 3}}, r"augmentation.rotate_degrees.*did you mean 'rotation_degrees'"),
        ({"model": {"architecture": "unet", "encodr": "vgg16"}, "labels": {}}, r"model.encodr.*did you mean 'encoder'"),
        ({"stages": [{"epochs": 1, "learning_rat": 1}]}, r"stages.0.learning_rate.*Field required"),
        ({"stages": [{"epochs": 1, "learning_rate": 1, "warmup": 1}]}, r"stages.0.warmup.*did you mean 'warmup_share'"),
        ({"data": {"tiles": {"size_hw": [9, 9], "overlaps": 1}}}, r"data.tiles.overlaps.*did you mean 'overlap'"),
        ({"model": {"architecture": "mask_rcnn"}}, "model: expected a valid value.*'mask-rcnn'"),
        ({"stages": []}, "at least 1 item"),
        ({"stages": [{"learning_rate": 1}]}, "either epochs or steps"),
        ({"stages": [{"epochs": 1, "steps": 1, "learning_rate": 1}]}, "either epochs or steps"),
        ({"stages": [{"epochs": 1, "learning_rate": 1}] * 2}, "names that differ"),
        ({"stages": [{"epochs": 0, "learning_rate": 1}]}, "greater than 0"),
        ({"positive": "bad"}, "positive must be one of benign, malignant"),
        ({"labels": {"nevus": "benign"}}, "no other: malignant"),
        ({"model": {"architecture": "unet"}}, "class_head: context only"),
        ({"name": "../x"}, "name: expected a valid value"),
        ({"augmentation": {"scale": [2, 1]}}, "from the smaller to the larger"),
    ],
)
def test_a_wrong_recipe_is_explained_in_a_line(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(_write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("epochs: [", "a YAML file"), ("- 1", "found list"), ("", "found NoneType"), ("\xff", "YAML")]
)
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_name_that_nearly_ships_is_suggested() -> None:
    with pytest.raises(RecipeError, match="did you mean 'lungs-unet-vgg16'"):
        load_recipe("lungs-unet-vgg")


def test_changes_replace_values_deep_inside(tmp_path: Path) -> None:
    changes = ("stages.0.epochs=7", "data.tiles.size_hw=[32, 32]", "initial_weights=null", "name=y")
    recipe = load_recipe(_write(tmp_path, initial_weights="w"), changes)
    assert recipe.stages[0].epochs == 7
    assert recipe.data.tiles is not None
    assert (recipe.data.tiles.size_hw, recipe.initial_weights, recipe.name) == ((32, 32), None, "y")


@pytest.mark.parametrize("change", ["stages.5.epochs=7", "seed", "name.deeper=1", "stages.x=1", "seed=["])
def test_a_change_that_fits_nowhere_is_an_error(tmp_path: Path, change: str) -> None:
    with pytest.raises(RecipeError, match=r"key\.of\.part=value"):
        load_recipe(_write(tmp_path), (change,))


def test_a_change_to_an_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'seed'"):
        load_recipe(_write(tmp_path), ("sed=3",))


def test_smoke_keeps_the_model_and_shrinks_the_rest() -> None:
    recipe = load_recipe("oil-tanks-staged")
    small = smoke(recipe)
    assert small.input_size_hw == (64, 64)
    assert [stage.steps for stage in small.stages] == [2, 2, 2]
    assert isinstance(small.model, MaskRcnnModel)
    assert small.model.settings.anchor_sizes[0] == (1.5, 2.5)
    assert small.model.model_copy(update={"settings": None}) == recipe.model.model_copy(update={"settings": None})
    assert Recipe.model_validate(small.model_dump()) == small
