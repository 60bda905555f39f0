"""Preprocessing and its inverse: places, colours, and masks without a half-pixel shift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core import masks
from maskstream.inference.preprocess import Placement, Preprocessing

PREPROCESSING = Preprocessing(input_size_hw=(192, 256))
SIDES = st.integers(1, 3000)


@pytest.mark.parametrize(
    "source_hw, content_hw",
    [
        ((192, 256), (192, 256)),
        ((384, 512), (192, 256)),
        ((480, 640), (192, 256)),
        ((100, 100), (192, 192)),
        ((1080, 1920), (144, 256)),
        ((1920, 1080), (192, 108)),
        ((1, 1), (192, 192)),
        ((10, 20_000), (1, 256)),
        ((20_000, 10), (192, 1)),
        ((1, 20_000), (1, 256)),
    ],
)
def test_fit_keeps_the_aspect_and_at_least_one_pixel(source_hw: tuple[int, int], content_hw: tuple[int, int]) -> None:
    assert Placement.fit(source_hw, (192, 256)).content_size_hw == content_hw


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 20_000), (20_000, 3), (192, 256), (37, 51), (700, 900)])
def test_apply_gives_the_normalised_colour_inside_and_zero_outside(size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), (10, 120, 250), np.uint8)
    array, placement = PREPROCESSING.apply(image)
    height, width = placement.content_size_hw
    expected = (np.array([10, 120, 250]) / 255 - PREPROCESSING.mean) / PREPROCESSING.std
    assert array.shape == (3, 192, 256)
    assert array.dtype == np.float32
    np.testing.assert_allclose(
        array[:, :height, :width], np.broadcast_to(expected[:, None, None], (3, height, width)), atol=1e-6
    )
    assert not array[:, height:].any()
    assert not array[:, :, width:].any()


def test_apply_averages_when_it_shrinks_so_that_nothing_aliases() -> None:
    stripes = np.zeros((384, 512, 3), np.uint8)
    stripes[:, ::2] = 200
    array, _ = PREPROCESSING.apply(stripes)
    grey = (100 / 255 - np.array(PREPROCESSING.mean)) / PREPROCESSING.std
    np.testing.assert_allclose(array.mean(axis=(1, 2)), grey, atol=1e-4)
    assert array.std(axis=(1, 2)).max() < 1e-4


@pytest.mark.parametrize("factor", [0.25, 0.5, 2.0, 4.0])
def test_scaling_keeps_a_ramp_where_it_was(factor: float) -> None:
    height, width = int(192 / factor), int(256 / factor)
    ramp = np.broadcast_to(((np.arange(width) + 0.5) * 255 / width)[None, :, None], (height, width, 3))
    scaled = Placement.fit((height, width), (192, 256)).image_to_input(np.round(ramp).astype(np.uint8))
    expected = (np.arange(256) + 0.5) * 255 / 256
    np.testing.assert_allclose(scaled[96, 8:-8, 0], expected[8:-8], atol=1.5)


@given(SIDES, SIDES, st.tuples(*[st.floats(0, 1, width=32)] * 4))
def test_boxes_come_back(height: int, width: int, corners: tuple[float, ...]) -> None:
    placement = Placement.fit((height, width), (192, 256))
    boxes = np.array([corners], np.float32) * np.array([width, height, width, height], np.float32)
    back = placement.boxes_to_source(placement.boxes_to_input(boxes))
    np.testing.assert_allclose(back, boxes, atol=1e-3)


def test_boxes_are_cut_to_the_image_and_none_stay_none() -> None:
    placement = Placement.fit((480, 640), (192, 256))
    back = placement.boxes_to_source(np.array([[-5, -5, 300, 300]], np.float32))
    assert back.tolist() == [[0, 0, 640, 480]]
    assert placement.boxes_to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)


@settings(max_examples=60)
@given(SIDES, SIDES, st.data())
def test_a_full_mask_gives_exactly_the_pixels_of_its_box(height: int, width: int, data: st.DataObject) -> None:
    x1, x2 = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width)).filter(lambda e: e[0] != e[1])))
    y1, y2 = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height)).filter(lambda e: e[0] != e[1])))
    placement = Placement.fit((height, width), (192, 256))
    box = placement.boxes_to_input(np.array([[x1, y1, x2, y2]], np.float32))[0]
    mask = placement.mask_to_source(np.full((28, 28), 0.6, np.float32), box)
    assert (mask.x0, mask.y0, mask.bitmap.shape) == (x1, y1, (y2 - y1, x2 - x1))
    assert mask.bitmap.all()


@pytest.mark.parametrize("source_hw", [(96, 128), (192, 256), (767, 1022), (2160, 3840)])
def test_a_square_inside_its_box_keeps_its_exact_edges(source_hw: tuple[int, int]) -> None:
    """Bins 7..20 of 28 are the middle half of the box; a shift by half a bin or pixel would move the edges.

    Only the corners may differ: where two soft edges cross, bilinear values round them.
    """
    height, width = source_hw
    soft = np.zeros((28, 28), np.float32)
    soft[7:21, 7:21] = 1
    x1, y1, side = width // 8, height // 8, (height // 2) // 4 * 4
    placement = Placement.fit(source_hw, (192, 256))
    box = placement.boxes_to_input(np.array([[x1, y1, x1 + side, y1 + side]], np.float32))[0]
    mask = placement.mask_to_source(soft, box)
    truth = np.zeros(source_hw, bool)
    truth[y1 + side // 4 : y1 + 3 * side // 4, x1 + side // 4 : x1 + 3 * side // 4] = True
    expected = masks.crop(truth)
    assert (mask.x0, mask.y0, mask.bitmap.shape) == (expected.x0, expected.y0, expected.bitmap.shape)
    assert masks.iou(mask, expected) > 0.995
    straight = slice(side // 28 + 1, -(side // 28 + 1))
    assert mask.bitmap[:, straight].all()
    assert mask.bitmap[straight].all()


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5, 0.75])
def test_a_disc_keeps_its_centre_and_area_at_any_place(shift: float) -> None:
    bins = np.arange(28) + 0.5 - 14
    distance = np.hypot(*np.meshgrid(bins, bins))
    soft = (1 / (1 + np.exp(2 * (distance - 10)))).astype(np.float32)
    placement = Placement.fit((1440, 1920), (192, 256))
    box = np.array([60 + shift, 40 + shift, 116 + shift, 96 + shift], np.float32)
    mask = placement.mask_to_source(soft, box)
    rows, columns = np.nonzero(mask.bitmap)
    scale = 1920 / 256
    centre = (columns.mean() + mask.x0 + 0.5, rows.mean() + mask.y0 + 0.5)
    assert centre == pytest.approx(((88 + shift) * scale, (68 + shift) * scale), abs=0.1)
    assert mask.area_px == pytest.approx(np.pi * (10 * 2 * scale) ** 2, rel=0.01)


def test_a_mask_is_cut_to_the_image_and_may_be_empty() -> None:
    placement = Placement.fit((480, 640), (192, 256))
    over = placement.mask_to_source(np.ones((28, 28), np.float32), np.array([-10, -10, 300, 300], np.float32))
    assert (over.x0, over.y0, over.bitmap.shape) == (0, 0, (480, 640))
    box = np.array([10, 10, 50, 50], np.float32)
    assert placement.mask_to_source(np.zeros((28, 28), np.float32), box) is masks.EMPTY
    flat = np.array([10, 10, 10, 10], np.float32)
    assert placement.mask_to_source(np.ones((28, 28), np.float32), flat) is masks.EMPTY
    outside = np.array([300, 300, 320, 320], np.float32)
    assert placement.mask_to_source(np.ones((28, 28), np.float32), outside) is masks.EMPTY


def test_a_mask_of_one_bin_works() -> None:
    placement = Placement.fit((10, 10), (10, 10))
    mask = placement.mask_to_source(np.ones((1, 1), np.float32), np.array([2, 3, 5, 7], np.float32))
    assert (mask.x0, mask.y0, mask.bitmap.shape) == (2, 3, (4, 3))


def test_masks_go_to_the_input_with_the_image() -> None:
    placement = Placement.fit((384, 512), (192, 256))
    mask = np.zeros((384, 512), bool)
    mask[100:200, 60:160] = True
    there = placement.mask_to_input(mask)
    assert there.shape == (192, 256)
    assert there.sum() == 50 * 50
    assert there[50:100, 30:80].all()
    assert not placement.mask_to_input(np.zeros((384, 512), bool)).any()
