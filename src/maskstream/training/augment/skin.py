"""What lies over skin in dermoscopy: hair, and the dark rim of the round field of view."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.strips import strips
from maskstream.training.recipe import AugmentationRecipe

Image = NDArray[np.uint8]

_POINTS = 24
"""Of a hair's axis."""

_DRAWN_PX = 1024
"""Hair is drawn at about this many pixels a side and made smaller, as it is thinner than a pixel of most inputs."""

_SUBPIXEL_BITS = 4
_BLACK_HAIR, _BROWN_HAIR = np.array([22, 16, 16]), np.array([112, 76, 48])


def marked(image: Image, recipe: AugmentationRecipe, rng: np.random.Generator) -> Image:
    """An image (h, w, 3) with hair or dark corners by chance; itself where nothing was drawn."""
    if rng.random() < recipe.hair:
        image = with_hair(image, rng)
    if rng.random() < recipe.dark_corners:
        image = with_dark_corners(image, rng)
    return image


def with_hair(image: Image, rng: np.random.Generator) -> Image:
    """The image under a few to many hairs of one person: of a colour, a thickness and roughly a direction."""
    height, width = image.shape[:2]
    fine = max(1, round(_DRAWN_PX / max(height, width)))
    outlines = _outlines(int(np.exp2(rng.uniform(2, 5.5))), height, width, rng)
    opacities = rng.integers(110, 245, len(outlines))
    coverage = np.zeros((height * fine, width * fine), np.uint8)
    for outline, opacity in zip(outlines, opacities.tolist(), strict=True):
        points = np.round(outline * (fine << _SUBPIXEL_BITS)).astype(np.int32)
        cv2.fillPoly(coverage, [points], opacity, cv2.LINE_8, _SUBPIXEL_BITS)
    small = cv2.resize(coverage, (width, height), interpolation=cv2.INTER_AREA)
    opacity = np.asarray(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 0.8)), np.uint8)
    colour = _BLACK_HAIR + (_BROWN_HAIR - _BLACK_HAIR) * rng.random() ** 2
    covered = np.empty_like(image)
    for rows in strips(height):
        covered[rows] = _blended(image[rows], colour, opacity[rows] * np.float32(1 / 255))
    return covered


def _outlines(count: int, height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Outlines (count, k, 2) of hairs, x, y in pixels: curved, mostly one way, thinner towards root and tip."""
    along = np.linspace(0, 1, _POINTS)
    way = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.3, (count, 1))
    way = np.where(rng.random((count, 1)) < 0.2, rng.uniform(0, 2 * np.pi, (count, 1)), way)
    curl, phase = rng.uniform(0.2, 1.4), rng.uniform(0, 7, (count, 1))
    bend, wave = rng.normal(0, curl, (count, 1)), rng.normal(0, 0.2 * curl, (count, 1))
    heading = way + bend * (along - 0.5) + wave * np.sin(5 * along + phase)
    length = rng.uniform(0.25, 1.2, (count, 1)) * max(height, width)
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=-1) * length[..., None] / _POINTS
    axis = np.cumsum(steps, axis=1)
    axis += rng.uniform(0, 1, (count, 1, 2)) * [width, height] - axis[:, _POINTS // 2, None]

    thickness = rng.uniform(0.004, 0.011) * min(height, width) * np.exp(rng.normal(0, 0.25, (count, 1)))
    side = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    side *= (thickness * (1 - 0.8 * along**3) * np.minimum(0.4 + 6 * along, 1) / 2)[..., None]
    return np.concatenate([axis + side, (axis - side)[:, ::-1]], axis=1)


def with_dark_corners(image: Image, rng: np.random.Generator) -> Image:
    """The image as a round field of view shows it: light fades outwards, then a soft edge, then almost black."""
    height, width = image.shape[:2]
    half_diagonal = np.hypot(height, width) / 2
    middle_xy = np.array([width, height]) * (0.5 + rng.uniform(-0.06, 0.06, 2))
    radius, edge = rng.uniform(0.72, 0.98), rng.uniform(0.01, 0.06)
    across, down = ((np.arange(side) + 0.5 - at) / half_diagonal for side, at in zip((width, height), middle_xy))
    fading, darkness = rng.uniform(0, 0.3), rng.uniform(2, 26) * np.array([1.2, 1.0, 1.0])
    framed = np.empty_like(image)
    for rows in strips(height):
        squared = np.add.outer(down[rows] ** 2, across**2, dtype=np.float32)
        beyond = np.clip((np.sqrt(squared) - radius) / edge, 0, 1)
        faded = fading * np.square(np.minimum(squared / radius**2, 1))
        framed[rows] = _blended(image[rows], darkness, np.maximum(faded, beyond * beyond * (3 - 2 * beyond)))
    return framed


def _blended(image: Image, colour: NDArray[np.float64], opacity: NDArray[np.float32]) -> Image:
    """The image under a colour of the given opacity (h, w) in 0..1."""
    over = np.empty_like(image)
    over[:] = np.tile(np.round(colour).astype(np.uint8), (image.shape[1], 1))
    return np.asarray(cv2.blendLinear(image, over, 1 - opacity, opacity), np.uint8)
