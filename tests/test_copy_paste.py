"""Copy-paste: pasted objects bring their pixels, and what lies under them gives up its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskstream.training.augment import Augmentation
from maskstream.training.augment.copy_paste import pasted
from maskstream.training.recipe import AugmentationRecipe
from maskstream.training.sample import Sample

SEEDS = st.integers(0, 2**32)


def make_sample(labels: NDArray[np.int64], colour: int, first_id: int, content_hw: tuple[int, int]) -> Sample:
    """One object a positive label, in the order of labels, over pixels of about one colour."""
    image = np.random.default_rng(colour).integers(colour, colour + 50, size=(*labels.shape, 3), dtype=np.uint8)
    values = np.unique(labels[labels > 0])
    masks = np.stack([labels == value for value in values]) if len(values) else np.zeros((0, *labels.shape))
    ids = first_id + values.astype(np.int64)
    sample = Sample(image, masks.astype(np.uint8), ids, ids * 2, image_class=colour, content_hw=content_hw)
    for array in (sample.image, sample.masks):
        array.flags.writeable = False
    return sample


def random_labels(seed: int, objects: int, size_hw: tuple[int, int] = (24, 32)) -> NDArray[np.int64]:
    """Rectangles painted over each other, so that labels never overlap."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(size_hw, np.int64)
    for value in range(1, objects + 1):
        (y1, y2), (x1, x2) = (sorted(rng.integers(0, side + 1, 2)) for side in size_hw)
        labels[y1:y2, x1:x2] = value
    return labels


def test_a_table_by_hand() -> None:
    under = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 3, 0]])
    over = np.array([[0, 9, 9, 9], [0, 0, 9, 9], [0, 0, 0, 0]])
    sample = make_sample(under, 0, 0, (3, 4))
    result = pasted(sample, make_sample(over, 100, 0, (3, 4)), np.random.default_rng(0))
    assert result.class_ids.tolist() == [1, 3, 9]
    assert result.label_ids.tolist() == [2, 6, 18]
    assert result.image_class == 0
    np.testing.assert_array_equal(
        result.masks,
        [
            [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]],
            [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]],
            [[0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]],
        ],
    )
    np.testing.assert_array_equal(result.image >= 100, np.repeat((over > 0)[..., None], 3, axis=2))


@given(seed=SEEDS, under=st.integers(0, 5), over=st.integers(0, 5))
@settings(deadline=None, max_examples=80)
def test_masks_never_overlap_and_pixels_are_their_owners(seed: int, under: int, over: int) -> None:
    sample = make_sample(random_labels(seed, under), 0, 0, (24, 32))
    partner = make_sample(random_labels(seed + 1, over), 100, 50, (24, 32))
    result = pasted(sample, partner, np.random.default_rng(seed))
    if not len(partner.masks):
        assert result is sample
        return
    assert result.masks.sum(axis=0).max() == 1
    assert result.masks.any(axis=(1, 2)).all()
    assert result.masks.dtype == np.uint8
    assert len(result.masks) == len(result.class_ids) == len(result.label_ids)
    new = result.class_ids > 50
    assert new.any()
    covered = result.masks[new].any(axis=0)
    np.testing.assert_array_equal(result.image[covered], partner.image[covered])
    np.testing.assert_array_equal(result.image[~covered], sample.image[~covered])
    for class_id, mask in zip(result.class_ids[new], result.masks[new], strict=True):
        np.testing.assert_array_equal(mask, partner.masks[partner.class_ids.tolist().index(class_id)])
    for class_id, mask in zip(sample.class_ids, sample.masks, strict=True):
        left = mask * ~covered
        kept = result.masks[result.class_ids == class_id]
        np.testing.assert_array_equal(kept, left[None] if left.any() else np.zeros((0, 24, 32), np.uint8))


@given(seed=SEEDS)
@settings(deadline=None, max_examples=40)
def test_they_do_not_overlap_after_moving_either(seed: int) -> None:
    sample = make_sample(random_labels(seed, 4, (60, 80)), 0, 0, (60, 80))
    partner = make_sample(random_labels(seed + 1, 4, (60, 80)), 100, 50, (60, 80))
    recipe = AugmentationRecipe(copy_paste=1, large_scale_jitter=(0.3, 2.0), horizontal_flip=0.5, rotation_degrees=30)
    result = Augmentation(recipe)(sample, np.random.default_rng(seed), partner)
    assert result.masks.sum(axis=0).max(initial=0) <= 1


def test_every_object_is_pasted_half_the_time_and_one_at_least() -> None:
    sample = make_sample(np.zeros((6, 8), np.int64), 0, 0, (6, 8))
    partner = make_sample(np.arange(48).reshape(6, 8) // 12, 100, 0, (6, 8))
    results = [pasted(sample, partner, np.random.default_rng(seed)).class_ids.tolist() for seed in range(300)]
    counts = [sum(class_id in ids for ids in results) / 300 for class_id in (1, 2, 3)]
    assert min(map(len, results)) == 1
    # alone one time in two, and one of three when none is drawn
    np.testing.assert_allclose(counts, 1 - 0.5 * 2 / 3, atol=0.09)


def test_the_partner_has_a_draw_of_its_own() -> None:
    labels = np.zeros((20, 30), np.int64)
    labels[2:6, 2:6] = 1
    sample = make_sample(np.zeros((20, 30), np.int64), 0, 0, (20, 30))
    augmentation = Augmentation(AugmentationRecipe(copy_paste=1, horizontal_flip=0.5))
    partner = make_sample(labels, 100, 0, (20, 30))
    flipped = {
        (
            np.array_equal(result.image[10, 0], sample.image[10, 29]),
            bool(result.masks[0, 2, 27]),
        )
        for result in (augmentation(sample, np.random.default_rng(seed), partner) for seed in range(40))
    }
    assert flipped == {(False, False), (False, True), (True, False), (True, True)}


def test_the_recipe_says_how_often() -> None:
    sample = make_sample(np.zeros((6, 8), np.int64), 0, 0, (6, 8))
    partner = make_sample(np.ones((6, 8), np.int64), 100, 0, (6, 8))
    augmentation = Augmentation(AugmentationRecipe(copy_paste=0.3))
    times = [len(augmentation(sample, np.random.default_rng(seed), partner).masks) for seed in range(500)]
    assert np.mean(times) == pytest.approx(0.3, abs=0.06)
    assert not any(len(augmentation(sample, np.random.default_rng(seed)).masks) for seed in range(50))


def test_content_grows_with_what_is_pasted_into_the_padding() -> None:
    labels = np.zeros((10, 12), np.int64)
    labels[4:8, 3:9] = 1
    sample = make_sample(np.zeros((10, 12), np.int64), 0, 0, (5, 12))
    result = pasted(sample, make_sample(labels, 100, 0, (10, 12)), np.random.default_rng(0))
    assert result.content_hw == (8, 12)
