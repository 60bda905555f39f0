"""What a camera and its files take from an image: sharpness, quiet and detail."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream.core.degrade import blurred, compressed, noisy
from maskstream.training.recipe import AugmentationRecipe

Image = NDArray[np.uint8]

BLUR_PX = (0.3, 2.0)
"""Range of the standard deviation of a blur."""

NOISE_LEVELS = (2.0, 12.0)
"""Range of the standard deviation of noise, of 255."""

JPEG_QUALITY = (30, 95)


def degraded(image: Image, recipe: AugmentationRecipe, rng: np.random.Generator) -> Image:
    """An image (h, w, 3) blurred, noisy or compressed by chance; itself where nothing was drawn."""
    if rng.random() < recipe.blur:
        image = blurred(image, rng.uniform(*BLUR_PX))
    if rng.random() < recipe.noise:
        image = noisy(image, rng.uniform(*NOISE_LEVELS), rng)
    if rng.random() < recipe.jpeg:
        image = compressed(image, int(rng.integers(*JPEG_QUALITY, endpoint=True)))
    return image
