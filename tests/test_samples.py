"""From a dataset to samples: which images go where, what a recipe lacks, and what each sample shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_datasets import crowd, dataset, record, rectangle

from maskstream.data.dataset import Dataset
from maskstream.errors import DatasetError, RecipeError
from maskstream.training.draws import Draw
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import Recipe, SyntheticRecipe
from maskstream.training.recipe_file import parse_recipe
from maskstream.training.resolve import resolve
from maskstream.training.sample import UNKNOWN
from maskstream.training.samples import Item, SampleMaker, items_of, synthetic_scene

STAGES = [{"epochs": 1, "learning_rate": 0.001}]
SMALL = {"architecture": "mask-rcnn", "backbone": "mobilenet-v2"}
CLASSIFIER = {"architecture": "small-cnn"}
REGIONS = {"architecture": "unet"}


def _recipe(model: object = SMALL, **changes: object) -> Recipe:
    values = {"name": "x", "model": model, "input_size_hw": [20, 40], "stages": STAGES} | changes
    return parse_recipe(values, "test")


@pytest.fixture
def made(tmp_path: Path) -> Dataset:
    """Six images of 10 x 20: two of benign objects, two of malignant ones, two without any."""
    images = [
        record(tmp_path, 1, [rectangle(0, 2, 3, 4, 5)], attributes={"label": "nevus"}),
        record(tmp_path, 2, [rectangle(1, 0, 0, 2, 2), rectangle(0, 10, 2, 6, 6)]),
        record(tmp_path, 3, [rectangle(1, 5, 5, 4, 4), crowd(1, 0, 0, 20, 2)]),
        record(tmp_path, 4, [rectangle(0, 1, 1, 8, 8)]),
        record(tmp_path, 5),
        record(tmp_path, 6),
    ]
    splits = {"train": ("1.png", "2.png", "3.png"), "val": ("4.png", "5.png"), "test": ("6.png",)}
    return dataset(tmp_path, images, splits=splits)


def _names(dataset: Dataset, **data: object) -> dict[str, list[str]]:
    splits = split_records(_recipe(data=data).data, dataset)
    return {split: [record.name for record in records] for split, records in splits.items()}


def test_the_datasets_own_splits(made: Dataset) -> None:
    assert _names(made) == {"train": ["1.png", "2.png", "3.png"], "val": ["4.png", "5.png"], "test": ["6.png"]}
    assert _names(made, limit=1) == {"train": ["1.png"], "val": ["4.png"], "test": ["6.png"]}


def test_named_images_are_held_out_and_the_rest_is_learned_from(made: Dataset) -> None:
    unsplit = replace(made, splits={})
    names = _names(unsplit, test_images=["2.png"], val_images=["5.png", "1.png"])
    assert names == {"train": ["3.png", "4.png", "6.png"], "val": ["1.png", "5.png"], "test": ["2.png"]}
    # with splits only their images are learned from, and val keeps what is not named
    assert _names(made, test_images=["4.png"]) == {
        "train": ["1.png", "2.png", "3.png"],
        "val": ["5.png"],
        "test": ["4.png"],
    }


def test_held_out_images_must_be_there_and_in_one_place(made: Dataset) -> None:
    with pytest.raises(RecipeError, match=r"data\.val_images: expected images of .*found 9\.png"):
        _names(made, val_images=["9.png"])
    with pytest.raises(RecipeError, match=r"no image in both, found 1\.png"):
        _names(made, val_images=["1.png"], test_images=["1.png"])


def test_a_missing_split_is_told(made: Dataset) -> None:
    with pytest.raises(DatasetError, match=r"found 'validation'.*maskstream data split"):
        _names(made, val="validation")


def test_classes_come_from_what_the_dataset_shows(made: Dataset) -> None:
    assert resolve(_recipe(), replace(made, classes=("benign", "malignant", "never"))).classes == (
        "benign",
        "malignant",
    )


def test_balanced_weights_become_numbers_whose_mean_is_one(made: Dataset) -> None:
    """Train shows two benign objects, two malignant ones and a crowd: weights 5 / (2 * 2) and 5 / (2 * 3)."""
    weights = resolve(_recipe(loss={"class_weights": "balanced"}), made).loss.class_weights
    assert weights == pytest.approx({"benign": 1.25, "malignant": 5 / 6})
    regions = resolve(_recipe(REGIONS, loss={"class_weights": "balanced"}), made).loss.class_weights
    areas = {"background": 600 - 56 - 60, "benign": 20 + 36, "malignant": 4 + 16 + 40}
    assert regions == pytest.approx({name: 600 / (3 * area) for name, area in areas.items()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["benign"]}, "classes that the model knows .benign., found malignant"),
        ({"classes": ["benign", "malignant", "other"]}, "found nothing of other"),
        ({"model": CLASSIFIER}, "images with a class of their own, found none"),
        ({"data": {"train": "test"}}, "objects with masks, found none"),
        (
            {"data": {"val_images": ["1.png", "2.png", "3.png", "4.png", "5.png"]}},
            "train: expected images to learn from",
        ),
    ],
)
def test_what_does_not_fit_together_is_told_before_the_first_step(
    made: Dataset, changes: dict[str, object], message: str
) -> None:
    with pytest.raises((DatasetError, RecipeError), match=message):
        resolve(_recipe(**changes), made)


def test_a_classifier_needs_two_classes(tmp_path: Path) -> None:
    images = [record(tmp_path, number, class_id=0) for number in range(2)]
    one = dataset(tmp_path, images, splits={"train": ("0.png",), "val": ("1.png",)})
    with pytest.raises(DatasetError, match="two or more, to tell apart, found benign"):
        resolve(_recipe(CLASSIFIER), one)


def _maker(made: Dataset, **changes: object) -> SampleMaker:
    recipe = resolve(_recipe(**changes), made)
    items, _ = items_of(made.records("train"), recipe)
    return SampleMaker(items, recipe, made)


def test_a_sample_is_the_image_fitted_into_the_input(made: Dataset) -> None:
    """Images of 10 x 20 at twice their size: masks of 4 x 5 pixels become 8 x 10."""
    sample = _maker(made).sample(Draw(0, seed=None))
    assert (sample.size_hw, sample.content_hw) == ((20, 40), (20, 40))
    assert sample.masks.shape == (1, 20, 40)
    assert sample.masks[0, 6:16, 4:12].all()
    assert sample.masks.sum() == 80
    assert (sample.class_ids.tolist(), sample.label_ids.tolist(), sample.image_class) == ([0], [0], UNKNOWN)


def test_what_the_image_does_not_fill_has_the_mean_colour(made: Dataset) -> None:
    sample = _maker(made, input_size_hw=[20, 20]).sample(Draw(0, seed=None))
    assert sample.content_hw == (10, 20)
    assert (sample.image[10:] == (124, 116, 104)).all()


def test_crowds_are_no_instances_but_belong_to_regions(made: Dataset) -> None:
    assert len(_maker(made).sample(Draw(2, seed=None)).masks) == 1
    assert len(_maker(made, model=REGIONS).sample(Draw(2, seed=None)).masks) == 2


def test_finer_labels_are_learned_where_they_are_known(made: Dataset) -> None:
    labels = {"nevus": "benign", "keratosis": "benign", "melanoma": "malignant"}
    model = SMALL | {"class_head": "context"}
    maker = _maker(made, model=model, classes=["malignant", "benign"], labels=labels)
    assert maker.sample(Draw(0, seed=None)).label_ids.tolist() == [0]
    assert maker.sample(Draw(1, seed=None)).label_ids.tolist() == [UNKNOWN, UNKNOWN]
    assert maker.sample(Draw(1, seed=None)).class_ids.tolist() == [0, 1]
    assert maker.labels(maker.items[0]) == ("nevus",)
    assert maker.labels(maker.items[1]) == ("benign", "malignant")


def test_windows_are_items_of_their_own(made: Dataset) -> None:
    """Windows of 10 x 10 in 10 x 20: two an image; an object counts where enough of it is seen."""
    maker = _maker(made, data={"tiles": {"size_hw": [10, 10], "overlap": 0, "empty_share": 0.25}})
    assert len(maker.items) == 6
    _, shares = items_of(made.records("train"), maker.recipe)
    assert shares == [1, 0.25, 1, 1, 1, 1]  # the last shows a part of the crowd
    sample = maker.sample(Draw(3, seed=None))
    assert sample.class_ids.tolist() == [0]
    assert sample.masks[0].sum() == 4 * 36
    assert maker.name(3) == "2.png from column 10, row 0"


def test_the_same_draw_gives_the_same_sample_whatever_the_cache_holds(made: Dataset) -> None:
    changes = {"augmentation": {"rotation_degrees": 90, "noise": 1, "copy_paste": 1}}
    roomy, bare = _maker(made, **changes), _maker(made, data={"cache_mb": 0}, **changes)
    for seed in range(4):
        draw = Draw(1, seed, partner=0)
        first, again, uncached = roomy.sample(draw), roomy.sample(draw), bare.sample(draw)
        for other in (again, uncached):
            np.testing.assert_array_equal(first.image, other.image)
            np.testing.assert_array_equal(first.masks, other.masks)


def test_a_small_cache_keeps_what_was_used_last(made: Dataset) -> None:
    maker = _maker(made, data={"cache_mb": 0.004})  # room for one sample of 20 x 40 x 3 + 800
    first = maker.fitted(0)
    assert maker.fitted(0) is first
    maker.fitted(1)
    assert maker.fitted(0) is not first


def test_synthetic_scenes_are_repeatable_and_some_are_plain() -> None:
    recipe = SyntheticRecipe(plain_share=0.5)
    scenes = [synthetic_scene(recipe, number) for number in range(12)]
    assert 0 < sum(not len(truth) for _, truth in scenes) < 12
    np.testing.assert_array_equal(scenes[3][0], synthetic_scene(recipe, 3)[0])


def test_an_item_without_objects_is_a_sample(made: Dataset) -> None:
    maker = SampleMaker([Item(made.images[4])], resolve(_recipe(), made), made)
    assert maker.sample(Draw(0, seed=1)).masks.shape == (0, 20, 40)
    assert maker.labels(maker.items[0]) == ()
