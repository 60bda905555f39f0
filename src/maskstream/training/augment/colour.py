"""Brightness, contrast, saturation and hue, as torchvision's ColorJitter defines them.

One difference: results are rounded, where torchvision cuts off decimals and so makes images a little darker each time.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.degrade import with_hue
from maskstream.training.recipe import AugmentationRecipe

Image = NDArray[np.uint8]

_GREY = np.array([0.2989, 0.587, 0.114])
"""Shares of red, green and blue in grey; ITU-R BT.601, with torchvision's digits."""


def jittered(image: Image, recipe: AugmentationRecipe, rng: np.random.Generator) -> Image:
    """An image (h, w, 3) with its colours changed in random order; itself where the recipe changes none."""
    factors = {
        with_brightness: recipe.brightness,
        with_contrast: recipe.contrast,
        with_saturation: recipe.saturation,
    }
    changes = [partial(change, factor=rng.uniform(1 - x, 1 + x)) for change, x in factors.items() if x]
    if recipe.hue:
        changes.append(partial(with_hue, turn=rng.uniform(-recipe.hue, recipe.hue)))
    for number in rng.permutation(len(changes)):
        image = changes[number](image)
    return image


def with_brightness(image: Image, factor: float) -> Image:
    """Every value times `factor`."""
    return _blended_with(image, 0.0, factor)


def with_contrast(image: Image, factor: float) -> Image:
    """Every value `factor` times as far from the image's mean grey."""
    return _blended_with(image, float(_GREY @ cv2.mean(image)[:3]), factor)


def with_saturation(image: Image, factor: float) -> Image:
    """Every value `factor` times as far from its pixel's grey."""
    return np.asarray(cv2.transform(image, factor * np.eye(3) + (1 - factor) * _GREY), np.uint8)


def _blended_with(image: Image, grey: float, factor: float) -> Image:
    values = factor * np.arange(256) + (1 - factor) * grey
    return np.asarray(cv2.LUT(image, np.round(values).clip(0, 255).astype(np.uint8)), np.uint8)
