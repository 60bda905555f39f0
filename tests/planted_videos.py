"""Films with planted faults, and the truth about them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

KINDS = ("blurred", "over-exposed", "repeat", "loop")
BLUR_PX = (2.0, 3.0, 5.0)
"""Standard deviations, in pixels of a frame 640 pixels across."""

FAR = 60
"""A loop shows again what was there so many frames before."""


def pan(seed: int, count: int, size_hw: tuple[int, int] = (270, 480)) -> list[Image]:
    """A camera that drifts over a surface with detail of every size (1/f noise), which changes its light slowly."""
    rng = np.random.default_rng(seed)
    side = 1024
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    spectrum = np.fft.rfft2(rng.standard_normal((side, side))) / np.maximum(frequency, 1 / side)
    surface = np.fft.irfft2(spectrum)
    surface = (surface - surface.mean()) / surface.std()
    tint = rng.uniform(0.8, 1.1, 3)
    phases = rng.uniform(0, 2 * np.pi, 4)
    images = []
    for index in range(count):
        x = side / 3 + 2.2 * index + 30 * np.sin(index / 23 + phases[0])
        y = side / 3 + 60 * np.sin(index / 61 + phases[1]) + 8 * np.sin(index / 11 + phases[2])
        matrix = np.array([[1, 0, -x], [0, 1, -y]], np.float64)
        seen = cv2.warpAffine(surface.astype(np.float32), matrix, size_hw[::-1], borderMode=cv2.BORDER_WRAP)
        light = 118 + 12 * np.sin(index / 70 + phases[3])
        images.append(np.clip(seen[..., None] * 34 * tint + light, 0, 255).astype(np.uint8))
    return images


def plant(images: Sequence[Image], seed: int) -> tuple[list[Image], list[str]]:
    """The film with blur, over-exposure, frozen frames and loops, and the fault of each frame ("" for none).

    Faults come one after the other, 1 to 4 frames long, with 4 to 11 good frames in between.
    """
    rng = np.random.default_rng(seed)
    planted, faults = list(images), [""] * len(images)
    scale = max(images[0].shape) / 640
    start, turn = 10, 0
    while start < len(images) - 8:
        kind, length = KINDS[turn % len(KINDS)], int(rng.integers(1, 5))
        turn += 1
        if kind == "loop" and (start < FAR or any(faults[start - FAR : start - FAR + length])):
            continue
        for index in range(start, start + length):
            planted[index] = _spoil(kind, images, index, start, scale, rng)
            faults[index] = "repeat" if kind == "loop" else kind
        start += length + int(rng.integers(4, 12))
    return planted, faults


def _spoil(kind: str, images: Sequence[Image], index: int, start: int, scale: float, rng: np.random.Generator) -> Image:
    if kind == "blurred":
        return cv2.GaussianBlur(images[index], (0, 0), scale * rng.choice(BLUR_PX)).astype(np.uint8)
    if kind == "over-exposed":
        return np.clip(images[index] * rng.choice([1.8, 2.5]) + rng.choice([0, 40]), 0, 255).astype(np.uint8)
    return images[start - 1] if kind == "repeat" else images[index - FAR]


def precision_recall(found: Sequence[bool], true: Sequence[bool]) -> tuple[float, float]:
    """Of what was found how much is true, and of what is true how much was found."""
    hits = sum(f and t for f, t in zip(found, true, strict=True))
    return hits / max(sum(found), 1), hits / max(sum(true), 1)
