"""What a camera, its colours and its files do to an image: blur, noise, compression, a turned hue.

One definition for what training shows a network and for what a finished one is tried on.
"""

from __future__ import annotations

from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.strips import strips

Image = NDArray[np.uint8]

_NORMAL = np.array([NormalDist().inv_cdf((byte + 0.5) / 256) for byte in range(256)])
"""Normal numbers that are equally likely: random bytes look them up many times faster than normal numbers are drawn."""


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


def with_hue(image: Image, turn: float) -> Image:
    """Every hue turned by `turn` of the circle."""
    turned = np.empty_like(image)
    for rows in strips(len(image)):
        shares = np.multiply(image[rows], 1 / 255, dtype=np.float32)
        hsv = np.asarray(cv2.cvtColor(shares, cv2.COLOR_RGB2HSV), np.float32)
        # OpenCV brings hues of the second circle back to the first
        hsv[..., 0] += 360 * (turn % 1)
        turned[rows] = cv2.convertScaleAbs(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=hsv), alpha=255)
    return turned
