"""Moved samples: image, masks and points follow one matrix, without a half-pixel shift."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskstream.core import boxes as box_tools
from maskstream.core import masks as mask_tools
from maskstream.training.augment import Augmentation, boxes_of_masks
from maskstream.training.augment.geometry import MEAN_COLOUR, Matrix, draw_matrix, moved, moved_points
from maskstream.training.recipe import AugmentationRecipe
from maskstream.training.sample import Sample

SEEDS = st.integers(0, 2**32)
EVERYTHING = AugmentationRecipe(
    horizontal_flip=0.5,
    vertical_flip=0.5,
    rotation_degrees=180,
    shear_degrees=15,
    shift=0.2,
    scale=(0.3, 2.0),
    crop=0.5,
    crop_share=0.3,
    brightness=0.5,
    contrast=0.5,
    saturation=0.5,
    hue=0.2,
    blur=0.5,
    noise=0.5,
    jpeg=0.5,
    hair=0.5,
    dark_corners=0.5,
    copy_paste=0.5,
)


def make_sample(
    size_hw: tuple[int, int], masks: NDArray[np.uint8] | None = None, content_hw: tuple[int, int] | None = None
) -> Sample:
    """Random pixels in the content, the mean colour around it; arrays that refuse to be changed."""
    rng = np.random.default_rng(7)
    height, width = content_hw or size_hw
    image = np.full((*size_hw, 3), MEAN_COLOUR, np.uint8)
    image[:height, :width] = rng.integers(256, size=(height, width, 3))
    masks = np.zeros((0, *size_hw), np.uint8) if masks is None else masks
    ids = np.arange(len(masks))
    sample = Sample(image, masks, ids, ids + 10, image_class=1, content_hw=(height, width))
    for array in (image, masks, ids):
        array.flags.writeable = False
    return sample


def random_masks(count: int, size_hw: tuple[int, int], seed: int = 3) -> NDArray[np.uint8]:
    """Rectangles, some of them over each other."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *size_hw), np.uint8)
    for mask in masks:
        (y1, y2), (x1, x2) = (sorted(rng.integers(0, side + 1, 2)) for side in size_hw)
        mask[y1:y2, x1:x2] = 1
    return masks


def scaling(across: float, down: float, x: float = 0, y: float = 0) -> Matrix:
    return np.array([[across, 0, x], [0, down, y], [0, 0, 1]], np.float64)


def ellipse(middle_xy: tuple[float, float], radii: tuple[float, float], angle: float) -> NDArray[np.float64]:
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x, y = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([middle_xy[0] + cos * x - sin * y, middle_xy[1] + sin * x + cos * y])


def drawn_matrix(seed: int, size_hw: tuple[int, int], **recipe: object) -> Matrix:
    return draw_matrix(AugmentationRecipe.model_validate(recipe), size_hw, size_hw, np.random.default_rng(seed))


# --- what stays exact to the bit ---


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (7, 1), (40, 51)])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_recipe_that_asks_for_nothing_gives_the_sample_itself(size_hw: tuple[int, int], count: int) -> None:
    sample = make_sample(size_hw, random_masks(count, size_hw))
    rng = np.random.default_rng(0)
    changed = Augmentation(AugmentationRecipe())(sample, rng, sample)
    assert changed.image is sample.image
    assert changed.masks is sample.masks
    assert changed.class_ids is sample.class_ids
    assert moved(sample, np.eye(3)) is sample


@pytest.mark.parametrize("content_hw", [(40, 51), (30, 51), (40, 33), (1, 51), (1, 1)])
@pytest.mark.parametrize("key, axis", [("vertical_flip", 0), ("horizontal_flip", 1)])
def test_a_flip_turns_the_content_round_to_the_bit_and_leaves_the_padding(
    content_hw: tuple[int, int], key: str, axis: int
) -> None:
    height, width = content_hw
    masks = random_masks(6, (40, 51))
    masks[:, height:] = 0
    masks[:, :, width:] = 0
    masks[5] = 0
    masks[5, 0, 0] = 1
    sample = make_sample((40, 51), masks, content_hw)
    augmentation = Augmentation(AugmentationRecipe.model_validate({key: 1}))
    flipped = augmentation(sample, np.random.default_rng(0))
    seen = masks.any(axis=(1, 2))

    expected, expected_masks = sample.image.copy(), masks[seen].copy()
    expected[:height, :width] = np.flip(sample.image[:height, :width], axis)
    expected_masks[:, :height, :width] = np.flip(masks[seen][:, :height, :width], axis + 1)
    np.testing.assert_array_equal(flipped.image, expected)
    np.testing.assert_array_equal(flipped.masks, expected_masks)
    np.testing.assert_array_equal(flipped.class_ids, sample.class_ids[seen])
    np.testing.assert_array_equal(flipped.label_ids, sample.label_ids[seen])
    assert flipped.content_hw == content_hw
    assert flipped.image_class == 1

    back = augmentation(flipped, np.random.default_rng(0))
    np.testing.assert_array_equal(back.image, sample.image)
    np.testing.assert_array_equal(back.masks, masks[seen])


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_those_of_numpy(quarters: int) -> None:
    sample = make_sample((31, 31), random_masks(5, (31, 31)))
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    middle = scaling(1, 1, 15.5, 15.5)
    turned = moved(sample, middle @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]]) @ np.linalg.inv(middle))
    np.testing.assert_array_equal(turned.image, np.rot90(sample.image, -quarters))
    seen = sample.masks.any(axis=(1, 2))
    np.testing.assert_array_equal(turned.masks, np.rot90(sample.masks, -quarters, axes=(1, 2))[seen])


@given(first=st.tuples(st.integers(-9, 9), st.integers(-9, 9)), then=st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
@settings(deadline=None, max_examples=30)
def test_whole_shifts_add_up(first: tuple[int, int], then: tuple[int, int]) -> None:
    masks = np.zeros((1, 40, 50), np.uint8)
    masks[0, 18:22, 18:30] = 1
    sample = make_sample((40, 50), masks)
    a, b = scaling(1, 1, *first), scaling(1, 1, *then)
    twice, once = moved(moved(sample, a), b), moved(sample, b @ a)
    np.testing.assert_array_equal(twice.masks, once.masks)
    inside = np.s_[18:22, 18:32]  # what no shift brings out of view
    np.testing.assert_array_equal(twice.image[inside], once.image[inside])


@given(seed=SEEDS)
@settings(deadline=None, max_examples=25)
def test_the_same_seed_gives_the_same_sample_and_changes_no_array(seed: int) -> None:
    sample = make_sample((48, 64), random_masks(5, (48, 64)), (40, 64))
    partner = make_sample((48, 64), random_masks(3, (48, 64), seed=9))
    augmentation = Augmentation(EVERYTHING)
    image, masks = sample.image.copy(), sample.masks.copy()
    one, two = (augmentation(sample, np.random.default_rng(seed), partner) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)
    np.testing.assert_array_equal(one.masks, two.masks)
    np.testing.assert_array_equal(one.class_ids, two.class_ids)
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.masks, masks)


def test_the_number_of_threads_changes_nothing() -> None:
    sample = make_sample((200, 300), random_masks(5, (200, 300)))
    threads = cv2.getNumThreads()
    try:
        changed = []
        for count in (1, 4):
            cv2.setNumThreads(count)
            changed.append([Augmentation(EVERYTHING)(sample, np.random.default_rng(seed), sample) for seed in range(6)])
    finally:
        cv2.setNumThreads(threads)
    for one, four in zip(*changed, strict=True):
        np.testing.assert_array_equal(one.image, four.image)
        np.testing.assert_array_equal(one.masks, four.masks)


# --- what every change keeps ---


@given(
    seed=SEEDS,
    size_hw=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    count=st.integers(0, 4),
    jitter=st.booleans(),
    has_partner=st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_shapes_types_and_ids_are_kept(
    seed: int, size_hw: tuple[int, int], count: int, jitter: bool, has_partner: bool
) -> None:
    sample = make_sample(size_hw, random_masks(count, size_hw, seed), ((size_hw[0] + 1) // 2, size_hw[1]))
    recipe = EVERYTHING.model_copy(update={"large_scale_jitter": (0.1, 2.0)} if jitter else {})
    changed = Augmentation(recipe)(sample, np.random.default_rng(seed), sample if has_partner else None)
    assert changed.image.shape == sample.image.shape
    assert changed.image.dtype == changed.masks.dtype == np.uint8
    assert changed.masks.shape == (len(changed.class_ids), *size_hw)
    assert len(changed.class_ids) <= count * (1 + has_partner)
    assert set(np.unique(changed.masks)) <= {0, 1}
    assert changed.masks.any(axis=(1, 2)).all()
    assert changed.class_ids.dtype == changed.label_ids.dtype == np.int64
    np.testing.assert_array_equal(changed.label_ids, changed.class_ids + 10)
    assert changed.image_class == 1
    assert all(1 <= side <= whole for side, whole in zip(changed.content_hw, size_hw, strict=True))


@given(
    seed=SEEDS,
    middle_xy=st.tuples(st.floats(40, 88), st.floats(35, 61)),
    radii=st.tuples(st.floats(9, 30), st.floats(9, 30)),
)
@settings(deadline=None, max_examples=80)
def test_a_polygon_and_its_mask_move_alike(
    seed: int, middle_xy: tuple[float, float], radii: tuple[float, float]
) -> None:
    polygon = ellipse(middle_xy, radii, seed % 7)
    mask = mask_tools.from_polygons([polygon], (96, 128)).dense((96, 128))
    sample = make_sample((96, 128), mask.astype(np.uint8)[None])
    matrix = drawn_matrix(
        seed,
        (96, 128),
        horizontal_flip=0.5,
        vertical_flip=0.5,
        rotation_degrees=180,
        shear_degrees=20,
        scale=(0.3, 2),
        shift=0.3,
    )
    moved_polygon = moved_points(polygon, matrix)
    expected = mask_tools.from_polygons([moved_polygon], (96, 128)).dense((96, 128))
    assume(expected.sum() > 20)
    found = moved(sample, matrix).masks[0].astype(bool)
    grain_px = max(1.0, np.sqrt(abs(np.linalg.det(matrix))))  # what a pixel of the mask before has become
    edges = np.diff(moved_polygon, axis=0, append=moved_polygon[:1])
    # a mask's edge is half a pixel off at most and a quarter on average; another quarter comes from sampling it again
    assert np.count_nonzero(found ^ expected) <= 0.5 * grain_px * np.hypot(*edges.T).sum() + 4
    if expected[1:-1, 1:-1].sum() == expected.sum():
        assert found.sum() / expected.sum() == pytest.approx(1, abs=0.2)
        centre_px = np.argwhere(found).mean(axis=0) - np.argwhere(expected).mean(axis=0)
        assert np.abs(centre_px).max() < 0.4 * grain_px


def test_masks_that_move_keep_their_area_and_place_on_average() -> None:
    """A bias of a tenth of a pixel, in place or in the position of edges, would show here."""
    shifts, ratios = [], []
    for seed in range(60):
        polygon = ellipse((64.3, 47.8), (22, 15), seed)
        mask = mask_tools.from_polygons([polygon], (96, 128)).dense((96, 128)).astype(np.uint8)
        matrix = drawn_matrix(seed, (96, 128), rotation_degrees=180, scale=(0.4, 1.5), shift=0.05)
        found = moved(make_sample((96, 128), mask[None]), matrix).masks[0]
        shifts.append(np.argwhere(found).mean(axis=0)[::-1] + 0.5 - moved_points(np.array([[64.3, 47.8]]), matrix)[0])
        ratios.append(found.sum() / (mask.sum() * abs(np.linalg.det(matrix))))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.02
    assert np.mean(ratios) == pytest.approx(1, abs=0.005)


@given(seed=SEEDS, x=st.floats(30, 98), y=st.floats(30, 66))
@settings(deadline=None, max_examples=50)
def test_points_follow_the_pixels_that_they_mark(seed: int, x: float, y: float) -> None:
    across, down = np.arange(128) + 0.5 - x, np.arange(96) + 0.5 - y
    spot = 250 * np.exp(-np.add.outer(down**2, across**2) / (2 * 3.0**2))
    image = np.repeat(np.round(spot).astype(np.uint8)[..., None], 3, axis=2)
    matrix = drawn_matrix(seed, (96, 128), horizontal_flip=0.5, rotation_degrees=180, shear_degrees=10, scale=(0.4, 2))
    expected_xy = moved_points(np.array([[x, y]]), matrix)[0]
    assume((expected_xy > 25).all() and (expected_xy < [103, 71]).all())
    found = moved(replace(make_sample((96, 128)), image=image), matrix).image[..., 0].astype(float)
    rows, columns = np.indices(found.shape) + 0.5
    # what comes from outside has the mean colour, far from the spot
    near = np.hypot(columns - expected_xy[0], rows - expected_xy[1]) < 12 * np.sqrt(abs(np.linalg.det(matrix)))
    weights = np.where(near, found, 0)
    centre_xy = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    np.testing.assert_allclose(centre_xy, expected_xy, atol=0.15)


@given(seed=SEEDS)
@settings(deadline=None, max_examples=40)
def test_a_mask_moves_as_its_picture_does(seed: int) -> None:
    """The same pixels as a mask, warped in its box only, and as a white shape in the whole image."""
    mask = mask_tools.from_polygons([ellipse((60.4, 48.1), (6, 40), 0.3)], (96, 128)).dense((96, 128)).astype(np.uint8)
    sample = replace(make_sample((96, 128), mask[None]), image=np.repeat(mask[..., None] * np.uint8(254), 3, axis=2))
    changed = moved(sample, drawn_matrix(seed, (96, 128), rotation_degrees=180, scale=(0.2, 1.5), shift=0.2))
    painted = (changed.image[..., 0] > 127) & (changed.image != MEAN_COLOUR).any(axis=2)
    found = changed.masks[0].astype(bool) if len(changed.masks) else np.zeros((96, 128), bool)
    np.testing.assert_array_equal(painted, found)


@given(seed=SEEDS)
@settings(deadline=None, max_examples=40)
def test_neighbours_never_come_to_overlap(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 5, (12, 16)).repeat(8, axis=0).repeat(8, axis=1)
    masks = np.stack([labels == value for value in range(5)]).astype(np.uint8)
    matrix = drawn_matrix(seed, (96, 128), rotation_degrees=180, shear_degrees=20, scale=(0.2, 2), shift=0.2)
    assert moved(make_sample((96, 128), masks), matrix).masks.sum(axis=0).max(initial=0) <= 1


# --- pixels ---


def test_half_the_size_is_the_mean_of_four_pixels() -> None:
    sample = make_sample((40, 60))
    half = moved(sample, scaling(0.5, 0.5))
    expected = cv2.resize(sample.image, (30, 20), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(half.image[:20, :30], expected)
    assert (half.image[21:] == MEAN_COLOUR).all()
    assert (half.image[:, 31:] == MEAN_COLOUR).all()
    assert half.content_hw == (40, 60)


@pytest.mark.parametrize("zoom", [0.12, 0.21, 0.34, 0.45])
def test_stripes_turn_grey_when_they_shrink(zoom: float) -> None:
    stripes = np.zeros((240, 320, 3), np.uint8)
    stripes[:, ::2] = 200
    small = moved(replace(make_sample((240, 320)), image=stripes), scaling(zoom, zoom)).image
    inside = small[2 : int(240 * zoom) - 2, 2 : int(320 * zoom) - 2]
    assert np.abs(inside.astype(int) - 100).max() < 40
    assert inside.mean() == pytest.approx(100, abs=4)


def test_twice_the_size_is_the_bilinear_resize() -> None:
    sample = make_sample((40, 60))
    large = moved(sample, scaling(2, 2)).image
    expected = cv2.resize(sample.image[:21, :31], (62, 42), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(large[1:39, 1:59].astype(int), expected[1:39, 1:59], atol=1)


# --- what is drawn ---


def test_objects_out_of_view_are_dropped_with_their_ids() -> None:
    masks = np.zeros((3, 20, 30), np.uint8)
    masks[0, 2:5, 2:5] = masks[1, 2:5, 20:25] = masks[2, 10:14, 24:29] = 1
    shifted = moved(make_sample((20, 30), masks), scaling(1, 1, -15, 0))
    assert shifted.class_ids.tolist() == [1, 2]
    assert shifted.label_ids.tolist() == [11, 12]
    np.testing.assert_array_equal(boxes_of_masks(shifted.masks), [[5, 2, 10, 5], [9, 10, 14, 14]])


@given(seed=SEEDS)
@settings(deadline=None, max_examples=30)
def test_large_scale_jitter_pads_no_more_than_need_be(seed: int) -> None:
    recipe = AugmentationRecipe(large_scale_jitter=(0.1, 2.0), scale=(9.0, 9.0))
    matrix = draw_matrix(recipe, (80, 100), (100, 100), np.random.default_rng(seed))
    assert matrix[0, 0] == matrix[1, 1]
    assert 0.1 <= matrix[0, 0] <= 2
    corners = moved_points(np.array([[0.0, 0], [100, 80]]), matrix)
    lengths = corners[1] - corners[0]
    for start, end, length in zip(*corners, lengths, strict=True):
        fits = length <= 100
        assert (start >= -1e-9 and end <= 100 + 1e-9) if fits else (start <= 1e-9 and end >= 100 - 1e-9)


def test_large_scale_jitter_is_even_on_a_logarithmic_scale() -> None:
    zooms = [drawn_matrix(seed, (9, 9), large_scale_jitter=(0.25, 4))[0, 0] for seed in range(2000)]
    assert np.mean(np.log(zooms)) == pytest.approx(0, abs=0.06)
    assert np.mean(np.array(zooms) < 0.5) == pytest.approx(0.25, abs=0.03)


@given(seed=SEEDS, crop_share=st.floats(0.1, 1))
@settings(deadline=None, max_examples=30)
def test_a_crop_shows_its_share_of_the_content_and_fills_it(seed: int, crop_share: float) -> None:
    matrix = drawn_matrix(seed, (60, 80), crop=1, crop_share=crop_share)
    (x1, y1), (x2, y2) = moved_points(np.array([[0.0, 0], [80, 60]]), np.linalg.inv(matrix))
    assert min(x1, y1) >= -1e-9
    assert x2 <= 80 + 1e-9
    assert y2 <= 60 + 1e-9
    assert (x2 - x1) * (y2 - y1) >= crop_share * 4800 - 1e-6
    assert (x2 - x1) / (y2 - y1) == pytest.approx(80 / 60)


def test_ranges_are_those_of_the_recipe() -> None:
    draws = [drawn_matrix(seed, (60, 80), rotation_degrees=10, scale=(0.8, 1.25)) for seed in range(300)]
    zooms = np.array([np.sqrt(np.linalg.det(matrix)) for matrix in draws])
    angles = np.degrees([np.arctan2(matrix[1, 0], matrix[0, 0]) for matrix in draws])
    assert 0.8 <= zooms.min() < 0.82
    assert 1.23 < zooms.max() <= 1.25
    assert -10 <= angles.min() < -9.5
    assert 9.5 < angles.max() <= 10
    middles = np.array([moved_points(np.array([[40.0, 30]]), matrix)[0] for matrix in draws])
    np.testing.assert_allclose(middles, np.tile([40, 30], (300, 1)))
    shifts = np.array([drawn_matrix(seed, (60, 80), shift=0.25)[:2, 2] for seed in range(300)])
    assert (np.abs(shifts) <= [20, 15]).all()
    assert (np.abs(shifts).max(axis=0) > [19, 14]).all()


# --- boxes ---


@pytest.mark.parametrize("size_hw", [(1, 1), (5, 13), (64, 48)])
def test_boxes_are_tight_and_half_open(size_hw: tuple[int, int]) -> None:
    masks = random_masks(12, size_hw)
    found = boxes_of_masks(masks)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([box_tools.from_mask(mask.astype(bool)) for mask in masks]))


def test_no_mask_has_no_box() -> None:
    assert boxes_of_masks(np.zeros((0, 4, 5), np.uint8)).shape == (0, 4)
