"""Colours, sharpness, hair and dark corners: what they do to pixels, and that they do it to nothing else."""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray

from maskstream.core import degrade
from maskstream.training.augment import Augmentation, colour, skin
from maskstream.training.augment.geometry import MEAN_COLOUR
from maskstream.training.recipe import AugmentationRecipe
from maskstream.training.sample import Sample

Image = NDArray[np.uint8]

PHOTOMETRIC = ["brightness", "contrast", "saturation", "hue", "blur", "noise", "jpeg", "hair", "dark_corners"]
SIZES = [(1, 1), (1, 40), (33, 1), (70, 50)]


def random_image(size_hw: tuple[int, int], seed: int = 1) -> Image:
    return np.random.default_rng(seed).integers(256, size=(*size_hw, 3), dtype=np.uint8)


def skin_like(size_hw: tuple[int, int]) -> Image:
    return np.full((*size_hw, 3), (205, 160, 140), np.uint8)


def make_sample(size_hw: tuple[int, int], content_hw: tuple[int, int]) -> Sample:
    image = np.full((*size_hw, 3), MEAN_COLOUR, np.uint8)
    image[: content_hw[0], : content_hw[1]] = random_image(content_hw)
    masks = np.zeros((2, *size_hw), np.uint8)
    masks[0, : content_hw[0] // 2], masks[1, :, : content_hw[1] // 2] = 1, 1
    for array in (image, masks):
        array.flags.writeable = False
    return Sample(image, masks, np.array([0, 1]), np.array([1, 0]), content_hw=content_hw)


# --- colours against torchvision ---


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize(
    "ours, theirs, values",
    [
        (colour.with_brightness, "adjust_brightness", (0.0, 0.4, 1.0, 1.7, 2.0)),
        (colour.with_contrast, "adjust_contrast", (0.0, 0.4, 1.0, 1.7, 2.0)),
        (colour.with_saturation, "adjust_saturation", (0.0, 0.4, 1.0, 1.7, 2.0)),
        (degrade.with_hue, "adjust_hue", (-0.5, -0.3, -0.01, 0.0, 0.05, 0.4, 0.5)),
    ],
)
def test_colours_are_those_of_torchvision_within_rounding(
    ours: Callable[[Image, float], Image], theirs: str, values: tuple[float, ...], size_hw: tuple[int, int]
) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.v2.functional")
    image = random_image(size_hw)
    for value in values:
        expected = getattr(functional, theirs)(torch.from_numpy(image).permute(2, 0, 1), value)
        # torchvision cuts off the decimals of the grey that saturation is measured from as well
        atol = 2 if ours is colour.with_saturation else 1
        np.testing.assert_allclose(ours(image, value).astype(int), expected.permute(1, 2, 0).numpy(), atol=atol)


def test_colours_that_are_known() -> None:
    image = np.array([[[200, 100, 50]]], np.uint8)
    assert colour.with_brightness(image, 1.5).tolist() == [[[255, 150, 75]]]
    assert colour.with_saturation(image, 0).tolist() == [[[124, 124, 124]]]  # 59.78 + 58.7 + 5.7
    assert colour.with_contrast(image, 2).tolist() == [[[255, 76, 0]]]
    assert degrade.with_hue(np.array([[[255, 0, 0]]], np.uint8), 1 / 3).tolist() == [[[0, 255, 0]]]
    assert degrade.with_hue(np.array([[[255, 0, 0]]], np.uint8), -1 / 3).tolist() == [[[0, 0, 255]]]
    for change in (colour.with_brightness, colour.with_saturation, colour.with_contrast):
        np.testing.assert_array_equal(change(image, 1.0), image)
    np.testing.assert_array_equal(degrade.with_hue(image, 0.0), image)


def test_factors_are_drawn_from_their_range_and_the_order_changes() -> None:
    grey = np.full((2, 2, 3), 100, np.uint8)
    recipe, rng = AugmentationRecipe(brightness=0.3), np.random.default_rng(0)
    drawn = [int(colour.jittered(grey, recipe, rng)[0, 0, 0]) for _ in range(500)]
    assert min(drawn) in (70, 71)
    assert max(drawn) in (129, 130)
    assert np.mean(drawn) == pytest.approx(100, abs=3)
    image = random_image((20, 20))
    recipe = AugmentationRecipe(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2)
    assert colour.jittered(image, AugmentationRecipe(), np.random.default_rng(0)) is image
    assert not np.array_equal(colour.jittered(image, recipe, np.random.default_rng(0)), image)


# --- sharpness, noise, files ---


@pytest.mark.parametrize("deviation_px", [0.3, 1.0, 2.0])
def test_blur_is_scipys_gaussian(deviation_px: float) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = random_image((40, 50))
    expected = ndimage.gaussian_filter(image.astype(float), (deviation_px, deviation_px, 0), mode="nearest")
    assert np.abs(degrade.blurred(image, deviation_px) - expected).max() < 3
    assert degrade.blurred(image, deviation_px).mean() == pytest.approx(image.mean(), abs=0.3)


@pytest.mark.parametrize("deviation", [2.0, 7.0, 12.0])
def test_noise_is_normal_and_independent(deviation: float) -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noise = degrade.noisy(grey, deviation, np.random.default_rng(0)).astype(float) - 128
    assert noise.mean() == pytest.approx(0, abs=0.06)
    assert noise.std() == pytest.approx(np.hypot(deviation, np.sqrt(1 / 12)), rel=0.03)
    within = 2 * NormalDist().cdf((deviation + 0.5) / deviation) - 1
    assert np.mean(np.abs(noise) <= deviation) == pytest.approx(within, abs=0.02)
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_noise_stays_within_black_and_white() -> None:
    for value in (0, 255):
        flat = np.full((50, 50, 3), value, np.uint8)
        changed = degrade.noisy(flat, 12.0, np.random.default_rng(0)).astype(int)
        assert np.abs(changed - value).max() < 40


def test_a_jpeg_keeps_its_colours_and_loses_detail() -> None:
    patches = random_image((4, 4)).repeat(16, axis=0).repeat(16, axis=1)
    low, high = degrade.compressed(patches, 30), degrade.compressed(patches, 95)
    inside = np.s_[8::16, 8::16]
    assert np.abs(high[inside].astype(int) - patches[inside]).max() < 16
    assert np.abs(low.astype(int) - patches).mean() > np.abs(high.astype(int) - patches).mean() > 0


# --- skin ---


@pytest.mark.parametrize("seed", range(8))
def test_hair_is_thin_dark_and_leaves_the_skin_between(seed: int) -> None:
    image = skin_like((192, 256))
    haired = skin.with_hair(image, np.random.default_rng(seed))
    assert (haired <= image).all()
    changed = (haired != image).any(axis=2)
    assert 0.002 < changed.mean() < 0.5
    assert haired.min() < 150
    inside = np.argwhere(changed)
    assert np.ptp(inside[:, 0]) > 40
    assert np.ptp(inside[:, 1]) > 40


@pytest.mark.parametrize("seed", range(8))
def test_dark_corners_leave_the_middle_and_darken_outwards(seed: int) -> None:
    image = skin_like((192, 256))
    framed = skin.with_dark_corners(image, np.random.default_rng(seed)).astype(int)
    assert (framed <= image).all()
    assert np.abs(framed[86:106, 118:138] - image[0, 0]).max() <= 2
    corners = framed[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.min() < 60
    outwards = framed[96, 128:, 0]
    assert (np.diff(outwards) <= 0).all()


# --- nothing else ---


@pytest.mark.parametrize("key", PHOTOMETRIC)
@pytest.mark.parametrize("content_hw", [(48, 64), (30, 64), (48, 20), (1, 1)])
def test_masks_ids_and_padding_are_left_alone(key: str, content_hw: tuple[int, int]) -> None:
    sample = make_sample((48, 64), content_hw)
    recipe = AugmentationRecipe.model_validate({key: 0.5 if key == "hue" else 1.0})
    for seed in range(5):
        changed = Augmentation(recipe)(sample, np.random.default_rng(seed))
        assert changed.masks is sample.masks
        assert changed.class_ids is sample.class_ids
        assert changed.content_hw == content_hw
        assert changed.image.shape == sample.image.shape
        assert changed.image.dtype == np.uint8
        assert (changed.image[content_hw[0] :] == MEAN_COLOUR).all()
        assert (changed.image[:, content_hw[1] :] == MEAN_COLOUR).all()
        if content_hw != (1, 1):
            assert not np.array_equal(changed.image, sample.image)


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_into_view_has_the_mean_colour_whatever_happens_to_the_image(seed: int) -> None:
    recipe = dict.fromkeys(PHOTOMETRIC, 1.0) | {"hue": 0.5, "scale": (0.5, 0.5)}
    sample = make_sample((48, 64), (48, 64))
    changed = Augmentation(AugmentationRecipe.model_validate(recipe))(sample, np.random.default_rng(seed))
    outside = np.ones((48, 64), bool)
    outside[11:37, 15:49] = False
    assert (changed.image[outside] == MEAN_COLOUR).all()


@pytest.mark.parametrize("key", ["blur", "noise", "jpeg", "hair", "dark_corners"])
def test_probabilities_are_those_of_the_recipe(key: str) -> None:
    sample = make_sample((24, 32), (24, 32))
    augmentation = Augmentation(AugmentationRecipe.model_validate({key: 0.3}))
    times = [augmentation(sample, np.random.default_rng(seed)).image is not sample.image for seed in range(400)]
    assert np.mean(times) == pytest.approx(0.3, abs=0.07)
