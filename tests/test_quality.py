"""Sharpness, light and hash of whole pictures; `test_views.py` tests the same measures on objects."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_videos import pan

from maskstream.core.quality import HASH_BITS, Light, least_sharpness, perceptual_hash, sharpness

PICTURE = pan(seed=5, count=1, size_hw=(120, 160))[0]
GREY = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY).astype(np.float32)


def apart(a: int, b: int) -> int:
    return (a ^ b).bit_count()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (8, 8)])
def test_a_picture_of_one_grey_is_not_sharp_and_has_no_hash(shape: tuple[int, int]) -> None:
    flat = np.full(shape, 90, np.float32)
    assert sharpness(flat) == 0.0
    assert least_sharpness(flat) == 0.0
    assert perceptual_hash(flat) == 0


def test_the_sharpness_of_a_step_by_hand() -> None:
    # a blur spreads a step without changing its height, so one step alone is not called blurred or sharp: 0
    step = np.repeat([[0.0] * 20 + [100.0] * 20], 40, axis=0).astype(np.float32)
    assert sharpness(step) == pytest.approx(0.0, abs=1e-5)
    # a checkerboard's steps are all taken away
    board = np.indices((40, 40)).sum(0) % 2 * np.float32(100)
    assert sharpness(board.astype(np.float32)) > 0.95


def test_sharpness_falls_with_every_blur_and_does_not_see_contrast() -> None:
    blurred = [cv2.GaussianBlur(GREY, (0, 0), sigma).astype(np.float32) for sigma in (0.5, 1, 2, 4)]
    values = [sharpness(GREY), *map(sharpness, blurred)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.15 * values[0]
    assert sharpness(GREY * np.float32(0.25)) == pytest.approx(values[0], abs=1e-5)


def test_a_movement_along_the_rows_takes_the_sharpness_along_the_rows() -> None:
    moved = cv2.blur(GREY, (15, 1)).astype(np.float32)
    assert least_sharpness(moved) < 0.5 * least_sharpness(GREY)
    assert least_sharpness(moved) < 0.7 * sharpness(moved)
    assert least_sharpness(moved.T.copy()) == pytest.approx(least_sharpness(moved), abs=1e-5)


@pytest.mark.parametrize(
    "colour, black, burnt_out, glare",
    [
        ((8, 8, 8), True, False, False),
        ((9, 0, 0), False, False, False),
        ((253, 10, 10), False, True, False),
        ((252, 10, 10), False, False, False),
        ((230, 230, 230), False, False, True),
        ((230, 229, 230), False, False, False),
        ((255, 255, 255), False, True, True),
        ((120, 120, 120), False, False, False),
    ],
)
def test_which_pixels_are_lost(colour: tuple[int, int, int], black: bool, burnt_out: bool, glare: bool) -> None:
    light = Light.of(np.full((2, 3, 3), colour, np.uint8))
    assert light.black.shape == (2, 3)
    assert (light.black.all(), light.burnt_out.all(), light.glare.all()) == (black, burnt_out, glare)
    assert light.lost.all() == (black or burnt_out or glare)


def test_a_hash_survives_size_light_and_compression() -> None:
    before = perceptual_hash(GREY)
    assert 0 < before < 1 << (HASH_BITS - 1), "the bit of the mean grey is unused"
    assert apart(perceptual_hash(cv2.resize(GREY, (640, 480)).astype(np.float32)), before) <= 3
    assert perceptual_hash(GREY * np.float32(0.5)) == before
    assert perceptual_hash(GREY + np.float32(40)) == before
    jpeg = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    again = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_RGB2GRAY).astype(np.float32)
    assert apart(perceptual_hash(again), before) <= 3


def test_a_negative_differs_in_every_bit_and_strangers_in_half() -> None:
    assert apart(perceptual_hash(255 - GREY), perceptual_hash(GREY)) == HASH_BITS - 1
    hashes = [
        perceptual_hash(cv2.cvtColor(pan(seed, 1, (120, 160))[0], cv2.COLOR_RGB2GRAY).astype(np.float32))
        for seed in range(20, 32)
    ]
    distances = [apart(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert 28 < np.mean(distances) < 36


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_every_picture_has_its_measures(height: int, width: int, seed: int) -> None:
    grey = (np.random.default_rng(seed).random((height, width)) * 255).astype(np.float32)
    assert 0 <= least_sharpness(grey) <= 1
    assert 0 <= sharpness(grey) <= 1
    assert 0 <= perceptual_hash(grey) < 1 << HASH_BITS
