"""One scene of a sample clip: what is painted, how it moves, and what the camera makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.media.sample_motion import Affine, CameraPath, MolePaths, bump, chain, inverse, random_waves, similarity
from maskstream.media.sample_paint import EXTENT, Mole, Picture, paint_hairs, paint_mole, paint_skin

WIDTH_RANGE = {"nevus": (0.1, 0.48), "keratosis": (0.12, 0.5), "melanoma": (0.2, 0.56)}
"""Largest diameter as a share of the frame's width, before the camera zooms."""

KIND_SHARES = {"nevus": 0.42, "keratosis": 0.2, "melanoma": 0.38}

WIDEST = {1: 0.56, 2: 0.36, 3: 0.25}
"""Limit of that share by the number of moles in the clip."""

MARGIN = 0.6
"""Skin is painted this many frames further on every side than one frame shows; beyond, it is mirrored."""

FINEST_PX = 960
"""Texture is painted for frames up to this many pixels wide and enlarged for wider ones: memory stays small."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One mole as one frame shows it.

    Attributes
    ----------
    number : 1-based track id.
    kind : kind of mole.
    mask : its visible part.
    visible : share of its area that is visible: within the frame and under no other mole.
    """

    number: int
    kind: str
    mask: CroppedMask
    visible: float


@dataclass(frozen=True, slots=True, eq=False)
class _Canvas:
    """Skin and hairs over more than a frame, and the map from their pixels to skin in units of length."""

    skin: Picture
    hairs: Picture | None
    to_skin: Affine


class Scene:
    """Skin, moles, hairs, camera and lens of one clip, all from one generator.

    Parameters
    ----------
    size_hw : frame size in pixels.
    moles : number of moles, 0 to 3; None lets the generator choose 1 to 3.
    """

    def __init__(self, rng: np.random.Generator, size_hw: tuple[int, int], moles: int | None) -> None:
        height, width = size_hw
        self._size_hw = size_hw
        self._unit_px = float(min(width, height * 4 / 3))
        drawn = int(rng.choice([1, 2, 3], p=[0.4, 0.35, 0.25]))
        count = drawn if moles is None else moles
        kinds = [str(kind) for kind in rng.choice(list(KIND_SHARES), count, p=list(KIND_SHARES.values()))]
        radii = [_radius(rng, kind, count) for kind in kinds]
        leaves, passing = bool(rng.random() < 0.35), bool(rng.random() < 0.5)
        # one stream each, so that the number of pixels of one layer does not change what another draws
        hand, drift, lens, skin, hairs, *painters = rng.spawn(5 + count)
        self._camera = CameraPath(hand, self._unit_px, np.array([width / 2, height / 2]), leaves)
        self._paths = MolePaths(drift, radii, passing)
        self._lens = Lens(lens, size_hw, self._unit_px)
        texture_px = min(self._unit_px, FINEST_PX)
        self._moles = [
            paint_mole(painter, kind, radius * texture_px)
            for painter, kind, radius in zip(painters, kinds, radii, strict=True)
        ]
        self._texture_px = texture_px
        self._skin_rng, self._hair_rng = skin, hairs

    @cached_property
    def _canvas(self) -> _Canvas:
        """Painted when the first picture is asked for: the truth alone needs none."""
        wanted_hw = np.array(self._size_hw) * (1 + 2 * MARGIN) * self._texture_px / self._unit_px
        height, width = np.round(wanted_hw).astype(int).tolist()
        return _Canvas(
            skin=paint_skin(self._skin_rng, (height, width), self._texture_px),
            hairs=paint_hairs(self._hair_rng, (height, width), self._texture_px),
            to_skin=similarity(1 / self._texture_px, 0, -np.array([width, height]) / 2 / self._texture_px),
        )

    def picture(self, time_s: float, grain: np.random.Generator) -> Picture:
        """The frame at a time, RGB uint8; `grain` is the generator of its sensor noise."""
        canvas = self._canvas
        view = chain(canvas.to_skin, self._camera.view(time_s))
        image = _warp(canvas.skin, view, self._size_hw, cv2.BORDER_REFLECT_101)
        layers = self._layers(time_s)
        if layers:
            image = _multiply(image, _pigment(layers, self._size_hw))
        if canvas.hairs is not None:
            hairs = _warp(canvas.hairs, view, self._size_hw, cv2.BORDER_REFLECT_101)
            image = _multiply(image, _picture(cv2.cvtColor(hairs, cv2.COLOR_GRAY2RGB)))
        return self._lens.expose(image, time_s, grain)

    def shown(self, time_s: float) -> list[Shown]:
        """Every mole with its visible part at a time; where moles overlap the later one lies on top."""
        layers = self._layers(time_s)
        owner = np.zeros(self._size_hw, np.uint8)
        for number, layer in enumerate(layers, start=1):
            owner[layer.slices][layer.inside] = number
        return [self._shown(number, layer, owner) for number, layer in enumerate(layers, start=1)]

    def _shown(self, number: int, layer: Layer, owner: NDArray[np.uint8]) -> Shown:
        part = masks.crop(owner[layer.slices] == number)
        rows, columns = layer.slices
        placed = CroppedMask(part.bitmap, part.x0 + columns.start, part.y0 + rows.start)
        return Shown(number, layer.mole.kind, placed, placed.area_px / layer.full_area_px)

    def _layers(self, time_s: float) -> list[Layer]:
        view = self._camera.view(time_s)
        places = self._paths.places(time_s)
        return [
            place_mole(mole, chain(place, view), self._size_hw) for mole, place in zip(self._moles, places, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A mole at its place in the frame, kept in the rectangle that it touches.

    Attributes
    ----------
    mole : what is placed.
    slices : rows and columns of the rectangle in the frame.
    to_rectangle : the map from the mole's coordinates to pixels of the rectangle.
    inside : pixels of the rectangle whose centre lies within the border, bool.
    full_area_px : area of the whole mole, also where it is out of view.
    """

    mole: Mole
    slices: tuple[slice, slice]
    to_rectangle: Affine
    inside: NDArray[np.bool_]
    full_area_px: float

    def pigment(self) -> Picture:
        """Light let through over the rectangle."""
        side = self.mole.pigment.shape[0]
        to_mole = similarity(2 * EXTENT / side, 0, np.array([-EXTENT, -EXTENT]))
        size_hw = self.inside.shape[0], self.inside.shape[1]
        return _warp(self.mole.pigment, chain(to_mole, self.to_rectangle), size_hw, cv2.BORDER_CONSTANT)


def place_mole(mole: Mole, to_frame: Affine, size_hw: tuple[int, int]) -> Layer:
    """Put a mole into a frame of `size_hw`; out of view the layer's rectangle is empty."""
    reach = EXTENT * float(np.hypot(to_frame[0, 0], to_frame[1, 0]))
    (left, top), (right, bottom) = to_frame[:, 2] - reach, to_frame[:, 2] + reach
    rows = slice(*np.clip([np.floor(top), np.ceil(bottom)], 0, size_hw[0]).astype(int).tolist())
    columns = slice(*np.clip([np.floor(left), np.ceil(right)], 0, size_hw[1]).astype(int).tolist())
    to_rectangle = chain(to_frame, similarity(1, 0, -np.array([columns.start, rows.start], np.float64)))
    back = inverse(to_rectangle)
    centre_y, centre_x = np.mgrid[0 : rows.stop - rows.start, 0 : columns.stop - columns.start] + 0.5
    x = (back[0, 0] * centre_x + back[0, 1] * centre_y + back[0, 2]).astype(np.float32)
    y = (back[1, 0] * centre_x + back[1, 1] * centre_y + back[1, 2]).astype(np.float32)
    full_area_px = mole.area * float(np.linalg.det(to_frame[:, :2]))
    return Layer(mole, (rows, columns), to_rectangle, mole.relative_radius(x, y) < 1, full_area_px)


class Lens:
    """What the lens and sensor add: vignette, moments out of focus, glare, noise."""

    def __init__(self, rng: np.random.Generator, size_hw: tuple[int, int], unit_px: float) -> None:
        height, width = size_hw
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        distance = np.hypot(x + 0.5 - width / 2, y + 0.5 - height / 2) / np.float32(unit_px)
        fall = rng.uniform(0.1, 0.45) * np.clip((distance - 0.2) / 0.45, 0, 1) ** 2
        self._vignette = np.repeat(np.round((1 - fall) * 255).astype(np.uint8)[..., None], 3, axis=2)
        self._blur_px = rng.uniform(0.8, 2.6) * unit_px / 640
        self._blur_timing = rng.uniform(0, 4), rng.uniform(0.2, 0.5), rng.uniform(0, 0.4), rng.uniform(4, 9)
        self._glares = [_Glare(rng, unit_px) for _ in range(int(rng.integers(0, 4)))]
        level = rng.uniform(1.0, 3.5)
        grain_hw = height + GRAIN_ROOM, width + GRAIN_ROOM
        grain = rng.standard_normal((*grain_hw, 3), dtype=np.float32) * np.float32(level)
        self._grain = np.clip(np.round(grain + 128), 0, 255).astype(np.uint8)

    def expose(self, image: Picture, time_s: float, grain: np.random.Generator) -> Picture:
        """The picture that the sensor gives of what lies before the lens."""
        sigma = self._blur_px * bump(time_s, *self._blur_timing)
        if sigma > 0.3:
            image = _picture(cv2.GaussianBlur(image, (0, 0), sigma))
        image = _multiply(image, self._vignette)
        for glare in self._glares:
            glare.add_to(image, time_s)
        height, width = image.shape[:2]
        top, left = grain.integers(0, GRAIN_ROOM, 2)
        noise = self._grain[top : top + height, left : left + width]
        return _picture(cv2.addWeighted(image, 1, noise, 1, -128))


GRAIN_ROOM = 32
"""Sensor noise is cut at a random place from a sheet this many pixels larger than a frame."""


class _Glare:
    """A bright reflection that comes, wanders a little and goes."""

    def __init__(self, rng: np.random.Generator, unit_px: float) -> None:
        side = max(4, round(unit_px * rng.uniform(0.03, 0.14)))
        y, x = (np.mgrid[0:side, 0:side].astype(np.float32) + 0.5) / side * 2 - 1
        stretch, turn = rng.uniform(1, 2.5), rng.uniform(0, np.pi)
        along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        spot = np.exp(-5 * (along**2 + (across * stretch) ** 2)) * 1.15 - 0.02
        self._spot = np.repeat(np.clip(spot * 255, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
        self._place = rng.uniform(0, 1, 2)
        self._x, self._y = random_waves(rng, (0.05,), (0.3,)), random_waves(rng, (0.05,), (0.3,))
        self._shine = random_waves(rng, (0.9,), (0.35,))

    def add_to(self, image: Picture, time_s: float) -> None:
        """Brighten the image in place."""
        strength = self._shine.at(time_s)
        if strength <= 0:
            return
        side = self._spot.shape[0]
        place = np.clip(self._place + np.array([self._x.at(time_s), self._y.at(time_s)]), 0, 1)
        left, top = (place * (image.shape[1] - side, image.shape[0] - side)).astype(int)
        region = image[top : top + side, left : left + side]
        region[:] = cv2.addWeighted(region, 1, self._spot, strength, 0)


def _radius(rng: np.random.Generator, kind: str, count: int) -> float:
    low, high = WIDTH_RANGE[kind]
    return float(rng.uniform(low, min(high, WIDEST[count]))) / 2


def _pigment(layers: list[Layer], size_hw: tuple[int, int]) -> Picture:
    """Light let through by all moles: the top one within its border, the darkest at soft edges."""
    through = np.full((*size_hw, 3), 255, np.uint8)
    for layer in layers:
        region, own = through[layer.slices], layer.pigment()
        region[:] = np.where(layer.inside[..., None], own, np.minimum(region, own))
    return through


def _warp(picture: Picture, to_frame: Affine, size_hw: tuple[int, int], border: int) -> Picture:
    # OpenCV counts from pixel centres, our maps from pixel edges: half a pixel apart
    half = np.array([0.5, 0.5])
    matrix = chain(chain(similarity(1, 0, half), to_frame), similarity(1, 0, -half))
    height, width = size_hw
    if height == 0 or width == 0:
        return np.zeros((height, width, *picture.shape[2:]), np.uint8)
    warped = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=(255, 255, 255)
    )
    return _picture(warped)


def _multiply(image: Picture, share: Picture) -> Picture:
    return _picture(cv2.multiply(image, share, scale=1 / 255))


def _picture(array: object) -> Picture:
    return np.asarray(array, np.uint8)
