"""What a camera and its files take from an image: sharpness, quiet and detail."""

from __future__ import annotations

from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.training.recipe import AugmentationRecipe

Image = NDArray[np.uint8]

BLUR_PX = (0.3, 2.0)
"""Range of the standard deviation of a blur."""

NOISE_LEVELS = (2.0, 12.0)
"""Range of the standard deviation of noise, of 255."""

JPEG_QUALITY = (30, 95)

_NORMAL = np.array([NormalDist().inv_cdf((byte + 0.5) / 256) for byte in range(256)])
"""Normal numbers that are equally likely: random bytes look them up many times faster than normal numbers are drawn."""


def degraded(image: Image, recipe: AugmentationRecipe, rng: np.random.Generator) -> Image:
    """An image (h, w, 3) blurred, noisy or compressed by chance; itself where nothing was drawn."""
    if rng.random() < recipe.blur:
        image = blurred(image, rng.uniform(*BLUR_PX))
    if rng.random() < recipe.noise:
        image = noisy(image, rng.uniform(*NOISE_LEVELS), rng)
    if rng.random() < recipe.jpeg:
        image = compressed(image, int(rng.integers(*JPEG_QUALITY, endpoint=True)))
    return image


def blurred(image: Image, deviation_px: float) -> Image:
    """The image under a Gaussian."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), deviation_px, borderType=cv2.BORDER_REPLICATE), np.uint8)


def noisy(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """The image with normal noise, independent in each value; none beyond 2.9 deviations."""
    noise = cv2.LUT(rng.integers(256, size=image.shape, dtype=np.uint8), np.round(deviation * _NORMAL).astype(np.int16))
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def compressed(image: Image, quality: int) -> Image:
    """The image as it comes back from a JPEG file."""
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), np.uint8)
