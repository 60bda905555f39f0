"""Measurements against tables computed by hand, against scikit-image, and against their own invariances."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskstream.core.masks import EMPTY, CroppedMask, crop
from maskstream.core.measure import (
    asymmetry,
    border_irregularity,
    equivalent_diameter,
    max_diameter,
    mean_colour,
    measure,
    perimeter,
)


def drawn(*rows: str) -> CroppedMask:
    """A mask from lines of '#' and '.', somewhere in an image."""
    return CroppedMask(np.array([[character == "#" for character in row] for row in rows]), x0=3, y0=5)


def disc(diameter: float, side: int = 200) -> NDArray[np.bool_]:
    y, x = np.mgrid[:side, :side] + 0.5
    return (x - side / 2) ** 2 + (y - side / 2) ** 2 <= (diameter / 2) ** 2


PIXEL = drawn("#")
BAR = drawn("####", "####", "####")
PLUS = drawn(".#.", "###", ".#.")
RING = drawn("###", "#.#", "###")
ELL = drawn("#...", "#...", "#...", "####")


@pytest.mark.parametrize(
    "mask, area, max_d, length, asym",
    [
        (EMPTY, 0, 0.0, 0.0, 0.0),
        (PIXEL, 1, math.sqrt(2), 0.0, 0.0),
        # ten border pixels, each with two of them beside it over an edge
        (BAR, 12, 5.0, 10.0, 0.0),
        # four arms, each touching two others over a corner; the middle is inside
        (PLUS, 5, math.sqrt(10), 4 * math.sqrt(2), 0.0),
        (RING, 8, math.sqrt(18), 8.0, 0.0),
    ],
    ids=["empty", "pixel", "bar", "plus", "ring"],
)
def test_shapes_measured_by_hand(mask: CroppedMask, area: int, max_d: float, length: float, asym: float) -> None:
    assert mask.area_px == area
    assert equivalent_diameter(mask) == pytest.approx(2 * math.sqrt(area / math.pi))
    assert max_diameter(mask) == pytest.approx(max_d)
    assert perimeter(mask) == pytest.approx(length)
    assert asymmetry(mask) == pytest.approx(asym, abs=1e-12)


def test_empty_mask_measures_zero_and_has_no_colour() -> None:
    found = measure(np.zeros((4, 4, 3), np.uint8), EMPTY)
    assert (found.area_px, found.border_irregularity, found.asymmetry) == (0, 0.0, 0.0)
    assert all(math.isnan(level) for level in found.mean_rgb)


def test_colour_counts_only_the_object() -> None:
    image = np.full((20, 20, 3), 200, np.uint8)
    image[5:8, 3:6][RING.bitmap] = (10, 20, 31)
    image[5, 3] = (90, 20, 31)
    assert mean_colour(image, RING) == pytest.approx((20.0, 20.0, 31.0))


def test_a_disc_measures_like_a_disc() -> None:
    mask = crop(disc(160))
    assert equivalent_diameter(mask) == pytest.approx(160, rel=0.001)
    assert max_diameter(mask) == pytest.approx(160, rel=0.01)
    # the estimator runs 5 % long on a disc of pixels
    assert perimeter(mask) == pytest.approx(math.pi * 160, rel=0.06)
    assert border_irregularity(mask) == pytest.approx(1.1, abs=0.02)


def test_a_half_disc_folds_well_one_way_only() -> None:
    half = disc(160)
    half[:, :100] = False
    # the half disc mirrors onto itself along its short axis, and misses a share along the long one
    assert 0.03 < asymmetry(crop(half)) < 0.15
    assert asymmetry(crop(disc(160))) < 0.005


def test_a_ragged_border_is_more_irregular() -> None:
    y, x = np.mgrid[:200, :200] - 99.5
    star = np.hypot(x, y) <= 70 * (1 + 0.2 * np.sin(9 * np.arctan2(y, x)))
    assert border_irregularity(crop(star)) > 1.6 * border_irregularity(crop(disc(140)))


@pytest.mark.parametrize("angle", [15, 40, 90, 137])
def test_turning_hardly_changes_a_measurement(angle: float) -> None:
    shape = np.zeros((240, 240), np.uint8)
    cv2.ellipse(shape, (120, 120), (80, 40), 0, 0, 360, 255, -1)
    shape[120:150, 120:190] = 255
    turn = cv2.getRotationMatrix2D((120, 120), angle, 1)
    turned = crop(cv2.warpAffine(shape, turn, (240, 240)) > 127)
    upright = crop(shape > 127)
    assert turned.area_px == pytest.approx(upright.area_px, rel=0.01)
    assert max_diameter(turned) == pytest.approx(max_diameter(upright), rel=0.02)
    assert perimeter(turned) == pytest.approx(perimeter(upright), rel=0.06)
    assert asymmetry(turned) == pytest.approx(asymmetry(upright), abs=0.02)


def test_perimeter_equals_scikit_image() -> None:
    reference = pytest.importorskip("skimage.measure")
    rng = np.random.default_rng(7)
    for smoothness in (0.5, 1.0, 2.0, 4.0):
        noise = cv2.GaussianBlur(rng.random((90, 120), np.float32), (0, 0), smoothness)
        blobs = noise > np.quantile(noise, 0.6)
        assert perimeter(crop(blobs)) == pytest.approx(reference.perimeter(blobs, neighborhood=4), abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 9), st.integers(0, 9))
def test_where_a_rectangle_lies_does_not_matter(height: int, width: int, x: int, y: int) -> None:
    mask = CroppedMask(np.ones((height, width), bool), x, y)
    assert max_diameter(mask) == pytest.approx(math.hypot(height, width))
    assert asymmetry(mask) == pytest.approx(0.0, abs=1e-12)
    if min(height, width) > 1:
        assert perimeter(mask) == pytest.approx(2 * (height + width) - 4)


def test_an_angle_is_asymmetric() -> None:
    assert 0.1 < asymmetry(ELL) < 1.0
