"""What a sample clip shows: skin, hairs and moles, painted from random numbers alone.

Everything is deterministic by the generator that is passed in. Moles absorb light: their pigment is a
transmittance that multiplies the skin below, so that pores and furrows go on through them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

EXTENT = 1.3
"""A mole's patch reaches this far from its centre, in units of its radius: room for the soft edge."""

ANGLES = 1024
"""Entries of a mole's border table."""

Rgb = tuple[float, float, float]
Plane = NDArray[np.float32]
Picture = NDArray[np.uint8]

SKIN_TONES: tuple[Rgb, ...] = (
    (238, 211, 203),
    (226, 186, 176),
    (207, 176, 158),
    (212, 164, 122),
    (176, 132, 104),
    (132, 94, 74),
)


@dataclass(frozen=True, slots=True, eq=False)
class Mole:
    """One lesion in its own coordinates: centre (0, 0), largest radius 1.

    Attributes
    ----------
    kind : "nevus", "keratosis" or "melanoma".
    radii : (ANGLES,) float32 in 0..1: distance of the border from the centre, by angle from 0 to 2 pi.
    pigment : (p, p, 3) uint8, share of red, green and blue light let through (255: all), over the
        square of -EXTENT to EXTENT.
    """

    kind: str
    radii: Plane
    pigment: Picture

    @property
    def area(self) -> float:
        """Area within the border, in squares of its radius."""
        return float(np.pi * np.mean(np.square(self.radii, dtype=np.float64)))

    def relative_radius(self, x: Plane, y: Plane) -> Plane:
        """Distance from the centre over the border's distance at that angle; below 1 is inside."""
        return _relative_radius(self.radii, x, y)


def paint_mole(rng: np.random.Generator, kind: str, radius_px: float) -> Mole:
    """A mole of a kind: "nevus", "keratosis" or "melanoma", with texture fine enough for `radius_px`."""
    border, painter = KINDS[kind]
    radii = _border(rng, border)
    side = max(16, round(2 * EXTENT * radius_px))
    y, x = ((np.mgrid[0:side, 0:side].astype(np.float32) + 0.5) / side * 2 - 1) * np.float32(EXTENT)
    colour, strength = painter(rng, _relative_radius(radii, x, y), x, y)
    transmittance = 1 - strength[..., None] * (1 - np.clip(colour, 0.04, 1))
    return Mole(kind, radii, _to_bytes(transmittance * 255))


def paint_skin(rng: np.random.Generator, size_hw: tuple[int, int], unit_px: float) -> Picture:
    """Skin of a random tone with mottling, furrows, pores and at times vessels; RGB uint8.

    `unit_px` is the width of one frame, against which the texture is scaled.
    """
    height, width = size_hw
    tone = _between(SKIN_TONES, float(rng.uniform(0, len(SKIN_TONES) - 1)))
    furrow_depth, mottled, blotched = rng.uniform((0.015, 0.01, 0), (0.055, 0.035, 0.015))
    vessels = 0.06 if rng.random() < 0.35 else 0.0
    mottling = noise(rng, size_hw, unit_px / 3) + 0.6 * noise(rng, size_hw, unit_px / 9)
    blotches = noise(rng, size_hw, unit_px / 25)
    furrows = ridges(noise(rng, size_hw, unit_px / 40), 0.18) + 0.6 * ridges(noise(rng, size_hw, unit_px / 75), 0.25)
    grain = noise(rng, size_hw, max(1.5, unit_px / 300))
    light = (1 + 0.022 * blotches + 0.018 * grain - furrow_depth * furrows) * _pores(rng, size_hw, unit_px)
    redness = mottled * mottling + blotched * blotches
    redness += vessels * ridges(noise(rng, size_hw, unit_px / 14), 0.05)
    skin = np.empty((height, width, 3), np.float32)
    for channel, share in enumerate((0.35, 1.4, 1.15)):
        skin[..., channel] = tone[channel] * light * (1 - share * redness)
    return _to_bytes(skin)


def paint_hairs(rng: np.random.Generator, size_hw: tuple[int, int], unit_px: float) -> Picture | None:
    """Light that hairs let through, (h, w) uint8; None for skin without hair, as every other is."""
    if rng.random() < 0.5:
        return None
    height, width = size_hw
    layer = np.full(size_hw, 255, np.uint8)
    lie = rng.uniform(0, 2 * np.pi)
    steps = np.linspace(0, 1, 24)
    for _ in range(int(rng.integers(6, 60))):
        heading = lie + rng.normal(0, 0.5) + rng.normal(0, 0.9) * steps
        length = unit_px * rng.uniform(0.15, 0.5) / len(steps)
        start = rng.uniform(0, 1, 2) * (width, height)
        points = start + np.cumsum(np.column_stack([np.cos(heading), np.sin(heading)]) * length, axis=0)
        thickness = max(1, round(unit_px / 640 * rng.uniform(0.8, 2.4)))
        ink = int(rng.integers(45, 140))
        cv2.polylines(layer, [np.round(points * 8).astype(np.int32)], False, (ink,), thickness, cv2.LINE_AA, shift=3)
    return layer


def noise(rng: np.random.Generator, size_hw: tuple[int, int], cell_px: float) -> Plane:
    """Smooth noise of about unit variance whose bumps are `cell_px` wide, float32 of `size_hw`."""
    height, width = size_hw
    cell = max(1.0, cell_px)
    cells_hw = int(np.ceil(height / cell)) + 3, int(np.ceil(width / cell)) + 3
    coarse = rng.standard_normal(cells_hw, dtype=np.float32)
    matrix = np.array([[cell, 0, -cell], [0, cell, -cell]], np.float64)
    smooth = cv2.warpAffine(coarse, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.float32) * np.float32(1.3)


def ridges(values: Plane, width: float) -> Plane:
    """Thin lines, 0..1, along the zero crossings of noise."""
    lines: Plane = np.exp(-((values / np.float32(width)) ** 2))
    return lines


def _pores(rng: np.random.Generator, size_hw: tuple[int, int], unit_px: float) -> Plane:
    height, width = size_hw
    count = int(rng.uniform(150, 900) * height * width / unit_px**2)
    layer = np.zeros(size_hw, np.float32)
    rows, columns = rng.integers(0, height, count), rng.integers(0, width, count)
    layer[rows, columns] = rng.uniform(0.3, 1, count).astype(np.float32)
    sigma = max(0.7, unit_px / 420)
    spread = np.asarray(cv2.GaussianBlur(layer, (0, 0), sigma), np.float32)
    light: Plane = 1 - np.clip(spread * np.float32(0.09 * 2 * np.pi * sigma**2), 0, 0.2)
    return light


@dataclass(frozen=True, slots=True)
class _Border:
    """How a border swings: `swing` of the first harmonic, falling by frequency to the power `fall`."""

    first: int
    last: int
    swing: tuple[float, float]
    fall: float


def _border(rng: np.random.Generator, border: _Border) -> Plane:
    angles = np.linspace(0, 2 * np.pi, ANGLES, endpoint=False)
    radii = np.ones(ANGLES)
    swing = rng.uniform(*border.swing)
    for harmonic in range(border.first, border.last + 1):
        amplitude = swing * rng.uniform(0.4, 1) / (harmonic - border.first + 1) ** border.fall
        radii += amplitude * np.cos(harmonic * angles + rng.uniform(0, 2 * np.pi))
    radii = np.clip(radii, 0.4, None)
    scaled: Plane = (radii / radii.max()).astype(np.float32)
    return scaled


def _relative_radius(radii: Plane, x: Plane, y: Plane) -> Plane:
    position = (np.arctan2(y, x) * np.float32(ANGLES / (2 * np.pi))) % np.float32(ANGLES)
    below = position.astype(np.int32) % ANGLES
    share = np.clip(position - below, 0, 1)
    around = np.append(radii, radii[0])
    border = around[below] * (1 - share) + around[below + 1] * share
    relative: Plane = np.sqrt(x * x + y * y) / border
    return relative


Painting = tuple[NDArray[np.float32], Plane]
"""Transmittance of full pigment (h, w, 3) and the pigment's strength (h, w) in 0..1."""


def _nevus(rng: np.random.Generator, q: Plane, x: Plane, y: Plane) -> Painting:
    size_hw, side = (q.shape[0], q.shape[1]), q.shape[0]
    light, dark = np.array([0.86, 0.66, 0.5]), np.array([0.4, 0.24, 0.18])
    centre = rng.uniform(-0.25, 0.45) * np.clip(1 - q, 0, 1)
    network = ridges(noise(rng, size_hw, side / rng.uniform(22, 36)), 0.4) * rng.uniform(0.08, 0.35)
    clouds = 0.09 * noise(rng, size_hw, side / 5) + 0.06 * noise(rng, size_hw, side / 14)
    mix = np.clip(rng.uniform(0.05, 0.65) + centre + network + clouds, 0, 1)
    edge = rng.uniform(0.15, 0.4)
    ragged = q + 0.04 * noise(rng, size_hw, side / 12) + 0.03 * noise(rng, size_hw, side / 30)
    strength = _step(ragged, 1 - edge, 1 + 0.4 * edge)
    return _blend(light, dark, mix), strength * np.float32(rng.uniform(0.8, 1))


def _keratosis(rng: np.random.Generator, q: Plane, x: Plane, y: Plane) -> Painting:
    size_hw, side = (q.shape[0], q.shape[1]), q.shape[0]
    waxy, brown = np.array([0.86, 0.72, 0.53]), np.array([0.55, 0.41, 0.3])
    fissures = ridges(noise(rng, size_hw, side / 14), 0.2) * rng.uniform(0.1, 0.4)
    clouds = 0.16 * noise(rng, size_hw, side / 5) + 0.06 * noise(rng, size_hw, side / 20)
    colour = _blend(waxy, brown, np.clip(rng.uniform(0.1, 0.6) + clouds + fissures, 0, 1))
    openings, cysts = noise(rng, size_hw, side / 26), noise(rng, size_hw, side / 32)
    colour *= 1 - np.float32(rng.uniform(0.1, 0.45)) * _step(-openings, -2.8, -1.9)[..., None]
    colour += np.float32(rng.uniform(0.1, 0.3)) * _step(-cysts, -2.9, -2.0)[..., None]
    edge = rng.uniform(0.05, 0.12)
    return colour, _step(q, 1 - edge, 1 + 0.4 * edge) * np.float32(rng.uniform(0.85, 1))


def _melanoma(rng: np.random.Generator, q: Plane, x: Plane, y: Plane) -> Painting:
    size_hw, side = (q.shape[0], q.shape[1]), q.shape[0]
    brown, black = np.array([0.76, 0.52, 0.39]), np.array([0.2, 0.13, 0.12])
    turn = rng.uniform(0, 2 * np.pi)
    slope = (np.cos(turn) * x + np.sin(turn) * y) * np.float32(rng.uniform(0.2, 0.55))
    network = ridges(noise(rng, size_hw, side / 26), 0.4) * rng.uniform(0.05, 0.25)
    clouds = 0.2 * noise(rng, size_hw, side / 5) + 0.1 * noise(rng, size_hw, side / 14)
    colour = _blend(brown, black, np.clip(rng.uniform(0.2, 0.5) + slope + clouds + network, 0, 1))
    for tint, cells, least in TINTS:
        ground = noise(rng, size_hw, side / cells) + 0.35 * noise(rng, size_hw, side / (4 * cells)) - slope
        patch = np.float32(rng.uniform(0.3, 0.85)) * _step(-ground, -least - 1.2, -least)
        colour += (np.array(tint, np.float32) - colour) * patch[..., None]
    edge = np.clip(0.18 + 0.09 * noise(rng, size_hw, side / 3), 0.05, 0.4)
    ragged = q + 0.05 * noise(rng, size_hw, side / 12) + 0.03 * noise(rng, size_hw, side / 30)
    return colour, _step((ragged - 1) / edge, -1, 0.4)


TINTS: tuple[tuple[Rgb, int, float], ...] = (
    ((0.48, 0.51, 0.58), 3, 0.0),
    ((0.86, 0.56, 0.52), 4, 0.5),
    ((0.94, 0.86, 0.8), 5, 0.8),
    ((0.14, 0.1, 0.11), 10, 0.8),
)
"""Blue-grey veil, red, scar-like white and black dots of a melanoma: transmittance, patches across, rarity."""

KINDS: dict[str, tuple[_Border, Callable[[np.random.Generator, Plane, Plane, Plane], Painting]]] = {
    "nevus": (_Border(2, 8, (0.04, 0.16), 1.2), _nevus),
    "keratosis": (_Border(2, 14, (0.06, 0.16), 0.95), _keratosis),
    "melanoma": (_Border(1, 20, (0.2, 0.34), 1.15), _melanoma),
}


def _step(values: Plane, full: float, none: float) -> Plane:
    """1 below `full`, 0 above `none`, smooth between."""
    share = np.clip((np.float32(none) - values) / np.float32(none - full), 0, 1)
    smooth: Plane = share * share * (3 - 2 * share)
    return smooth


def _blend(first: NDArray[np.float64], second: NDArray[np.float64], mix: Plane) -> NDArray[np.float32]:
    return (first + (second - first) * mix[..., None]).astype(np.float32)


def _between(colours: tuple[Rgb, ...], position: float) -> NDArray[np.float64]:
    stops = np.arange(len(colours))
    return np.array([np.interp(position, stops, [colour[channel] for colour in colours]) for channel in range(3)])


def _to_bytes(values: NDArray[np.float32]) -> Picture:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
