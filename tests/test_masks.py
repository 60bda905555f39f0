"""Cropped masks: RLE equal to pycocotools, polygons equal to the centre rule, outlines with holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from skimage.draw import polygon2mask

from maskstream.core import masks
from maskstream.core.masks import EMPTY, CroppedMask

# pycocotools 2 and NumPy 2: its own business, not ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

bitmaps = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def dense(rows: list[str]) -> np.ndarray:
    """A mask drawn in text: `#` belongs to the object."""
    return np.array([[character == "#" for character in row] for row in rows])


DRAWN = {
    "one pixel": dense(["#"]),
    "one empty pixel": dense(["."]),
    "full": np.ones((3, 4), bool),
    "empty": np.zeros((3, 4), bool),
    "first pixel": dense(["#..", "..."]),
    "last pixel": dense(["...", "..#"]),
    "run on over a column's end": dense([".#", ".#", "#.", "#."]),
    "full columns side by side": dense([".##.", ".##.", ".##."]),
    "ring": dense([".....", ".###.", ".#.#.", ".###.", "....."]),
}


@pytest.mark.parametrize("mask", DRAWN.values(), ids=DRAWN.keys())
def test_rle_is_byte_equal_to_pycocotools(mask: np.ndarray) -> None:
    reference = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = masks.to_rle(masks.crop(mask), mask.shape)
    assert rle["counts"] == reference["counts"].decode("ascii")
    assert rle["size"] == list(mask.shape)
    assert np.array_equal(masks.from_rle(rle).dense(mask.shape), mask)


@settings(max_examples=300)
@given(bitmaps)
def test_rle_of_any_mask_is_byte_equal_to_pycocotools(mask: np.ndarray) -> None:
    reference = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    rle = masks.to_rle(masks.crop(mask), mask.shape)
    assert rle["counts"].encode("ascii") == reference["counts"]
    assert np.array_equal(masks.from_rle(rle).dense(mask.shape), mask)


@given(bitmaps, st.integers(0, 3), st.integers(0, 3))
def test_rle_does_not_depend_on_how_wide_the_bitmap_is_cut(mask: np.ndarray, x0: int, y0: int) -> None:
    size_hw = (mask.shape[0] + 4, mask.shape[1] + 4)
    wide = CroppedMask(mask, x0, y0)
    assert masks.to_rle(wide, size_hw) == masks.to_rle(masks.crop(wide.dense(size_hw)), size_hw)


def test_rle_of_large_random_masks_decodes_in_pycocotools() -> None:
    rng = np.random.default_rng(0)
    for density in (0.01, 0.5, 0.99):
        mask = rng.random((180, 240)) < density
        rle = masks.to_rle(masks.crop(mask), mask.shape)
        assert np.array_equal(coco_mask.decode(rle).astype(bool), mask)
        assert coco_mask.area(rle) == masks.from_rle(rle).area_px


@given(bitmaps)
def test_runs_are_cocos_uncompressed_form(mask: np.ndarray) -> None:
    rle = masks.to_rle(masks.crop(mask), mask.shape)
    runs = masks.to_runs(rle)
    assert masks.from_runs(runs, mask.shape) == rle
    reference = coco_mask.frPyObjects({"size": list(mask.shape), "counts": runs}, *mask.shape)
    assert reference["counts"].decode("ascii") == rle["counts"]


@pytest.mark.parametrize(
    ("counts", "message"),
    [("", "add up to 0"), ("1", "add up to 1"), ("ZZZZ", "add up to"), ("O7", "negative")],
)
def test_runs_that_do_not_fill_the_image_are_refused(counts: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        masks.from_rle({"size": [2, 3], "counts": counts})


@pytest.mark.parametrize("runs", [[], [5], [7], [-1, 7], [2, -2, 6]])
def test_uncompressed_runs_that_do_not_fill_the_image_are_refused(runs: list[int]) -> None:
    with pytest.raises(ValueError, match="RLE run"):
        masks.from_runs(runs, (2, 3))


def test_crop_is_tight_and_dense_undoes_it() -> None:
    mask = dense(["....", "..#.", ".##.", "...."])
    cropped = masks.crop(mask)
    assert (cropped.x0, cropped.y0, cropped.bitmap.shape, cropped.area_px) == (1, 1, (2, 2), 3)
    assert np.array_equal(cropped.dense((4, 4)), mask)
    assert masks.crop(np.zeros((4, 4), bool)).bitmap.size == 0
    assert not EMPTY.dense((4, 4)).any()


@given(arrays(bool, (2, 9, 11)))
def test_overlap_of_cropped_masks_equals_that_of_dense_ones(pair: np.ndarray) -> None:
    a, b = masks.crop(pair[0]), masks.crop(pair[1])
    common, total = np.count_nonzero(pair[0] & pair[1]), np.count_nonzero(pair[0] | pair[1])
    assert masks.intersection_px(a, b) == common
    assert masks.iou(a, b) == (common / total if total else 0.0)
    assert np.array_equal(masks.union([a, b], (9, 11)), pair[0] | pair[1])


def test_masks_apart_and_empty_ones_do_not_overlap() -> None:
    pixel = np.ones((1, 1), bool)
    assert masks.iou(CroppedMask(pixel, 0, 0), CroppedMask(pixel, 5, 5)) == 0.0
    assert masks.iou(EMPTY, EMPTY) == 0.0
    assert not masks.union([], (2, 3)).any()


def star(seed: int, corners: int, centre_xy: tuple[float, float], radius: float) -> np.ndarray:
    """A random star-shaped polygon (corners, 2)."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radii = rng.uniform(0.3, 1.0, corners) * radius
    return np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]) + centre_xy


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.integers(3, 15))
def test_polygon_holds_exactly_the_pixels_whose_centre_is_inside(seed: int, corners: int) -> None:
    polygon = star(seed, corners, (30.0, 25.0), 40.0)
    reference = polygon2mask((50, 60), polygon[:, ::-1] - 0.5)
    assert np.array_equal(masks.from_polygons([polygon], (50, 60)).dense((50, 60)), reference)


def test_polygon_area_is_that_of_pycocotools() -> None:
    for seed in range(20):
        polygon = star(seed, 40, (60.0, 60.0), 50.0)
        ours = masks.from_polygons([polygon], (120, 120)).dense((120, 120))
        reference = coco_mask.decode(coco_mask.frPyObjects([polygon.ravel().tolist()], 120, 120)[0]).astype(bool)
        assert abs(int(ours.sum()) - int(reference.sum())) < 0.01 * reference.sum()
        assert (ours & reference).sum() / (ours | reference).sum() > 0.95


def test_polygon_on_pixel_edges_is_not_shifted_by_half_a_pixel() -> None:
    square = np.array([[2, 3], [6, 3], [6, 5], [2, 5]], float)
    mask = masks.from_polygons([square], (8, 8))
    assert (mask.x0, mask.y0, mask.bitmap.shape, mask.area_px) == (2, 3, (2, 4), 8)
    assert masks.from_polygons([square[::-1]], (8, 8)).area_px == 8


@pytest.mark.parametrize(("diameter", "tolerance"), [(20, 0.01), (40, 0.005), (90, 0.002)])
def test_disc_has_the_area_of_a_disc(diameter: int, tolerance: float) -> None:
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    disc = np.column_stack([np.cos(angles), np.sin(angles)]) * diameter / 2 + (50.13, 50.29)
    area = masks.from_polygons([disc], (100, 100)).area_px
    assert area == pytest.approx(np.pi * diameter**2 / 4, rel=tolerance)


def test_inner_polygon_is_a_hole_and_overlaps_follow_the_even_odd_rule() -> None:
    outer = np.array([[1, 1], [9, 1], [9, 9], [1, 9]], float)
    inner = np.array([[3, 3], [6, 3], [6, 7], [3, 7]], float)
    mask = masks.from_polygons([outer, inner], (10, 10)).dense((10, 10))
    assert mask.sum() == 64 - 12
    assert not mask[3:7, 3:6].any()


@pytest.mark.parametrize(
    "polygons",
    [
        [],
        [np.zeros((0, 2))],
        [np.array([[1.0, 1.0], [5.0, 5.0]])],
        [np.array([[-9.0, -9.0], [-1.0, -9.0], [-1.0, -1.0]])],
        [np.array([[20.0, 20.0], [30.0, 20.0], [30.0, 30.0]])],
        [np.array([[1.1, 1.1], [1.2, 1.1], [1.2, 1.2]])],
    ],
    ids=["none", "no points", "two points", "left of the image", "right of the image", "between pixel centres"],
)
def test_polygons_without_a_pixel_give_an_empty_mask(polygons: list[np.ndarray]) -> None:
    mask = masks.from_polygons(polygons, (10, 10))
    assert mask.area_px == 0
    assert mask.bitmap.shape == (0, 0)


def test_polygon_is_cut_at_the_image() -> None:
    large = np.array([[-1e9, -1e9], [1e9, -1e9], [1e9, 1e9], [-1e9, 1e9]])
    assert masks.from_polygons([large], (6, 7)).area_px == 42
    assert masks.from_polygons([large / 2e9 * 8], (6, 7)).area_px == 16


def test_contours_outline_the_object_and_its_hole() -> None:
    ring = np.ones((7, 8), bool)
    ring[2:5, 3:6] = False
    outer, hole = sorted(masks.to_contours(CroppedMask(ring, 10, 20)), key=lambda c: c[:, 0].min())
    assert sorted(map(tuple, outer.tolist())) == [(10, 20), (10, 26), (17, 20), (17, 26)]
    assert hole.min(axis=0).tolist() == [12, 21]
    assert hole.max(axis=0).tolist() == [16, 25]


def test_contours_of_nothing_of_a_pixel_and_of_two_parts() -> None:
    assert masks.to_contours(EMPTY) == []
    assert [c.tolist() for c in masks.to_contours(CroppedMask(np.ones((1, 1), bool), 3, 4))] == [[[3, 4]]]
    assert len(masks.to_contours(masks.crop(dense(["#..", "...", "..#"])))) == 2


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[1, 1], [9, 1], [9, 9], [1, 9]], 0),
        ([[1, 9], [9, 9], [9, 1], [1, 1]], 0),
        ([[0, 0], [8, 8], [8, 0], [0, 8]], 12),
        ([[0, 0], [9, 0], [9, 9], [0, 9], [0, 0], [4, 0], [4, 4], [0, 4]], 16),
        ([[-9, -9], [-1, -9], [-9, -1], [-1, -1]], 0),
    ],
    ids=["square", "the other way round", "bow tie", "a corner twice", "outside"],
)
def test_pixels_that_a_ring_runs_around_twice_or_the_wrong_way(points: list[list[float]], expected: int) -> None:
    assert masks.overlapped_px(np.array(points, float), (16, 16)) == expected


@pytest.mark.parametrize("counts", ["0\x7f0", "0é", "0 6"])
def test_characters_that_stand_for_no_run_are_refused(counts: str) -> None:
    with pytest.raises(ValueError, match="a character that stands for no run"):
        masks.from_rle({"size": [2, 3], "counts": counts})


def test_a_run_longer_than_any_image_is_refused() -> None:
    with pytest.raises(ValueError, match="a run longer than any image"):
        masks.from_rle({"size": [2, 3], "counts": "o" * 40 + "0"})


def test_a_small_object_of_a_large_image_is_not_made_dense_with_it() -> None:
    size_hw = (20_000, 20_000)
    square = CroppedMask(np.ones((3, 4), bool), 17_000, 5)
    decoded = masks.from_rle(masks.to_rle(square, size_hw))
    assert (decoded.x0, decoded.y0, decoded.bitmap.shape, decoded.area_px) == (17_000, 5, (3, 4), 12)
