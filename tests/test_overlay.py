"""The overlay: what it draws, where, in which colour, and that its text can be read."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import cv2
import numpy as np
import pytest
from found_objects import disk, found
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core.detections import NO_TRACK, Detections
from maskstream.draw.labels import SMALLEST_TEXT_PX, fit_plate, label_text, percent_text, place_plates
from maskstream.draw.overlay import OverlayStyle, draw_overlay, smooth_outlines
from maskstream.draw.palette import BASE_COLOURS, contrast, ink_on, object_colour

SIZE_HW = (120, 160)
BARE = OverlayStyle(labels=False)


def noise(size_hw=SIZE_HW, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), dtype=np.uint8)


def one_disk(malignant=0.87, track_id=3):
    return found([disk(SIZE_HW, 80, 60, 30)], [malignant], [track_id])


def test_the_input_stays_as_it_was_and_no_object_gives_an_equal_new_image():
    image = noise()
    before = image.copy()
    drawn = draw_overlay(image, one_disk())
    assert np.array_equal(image, before)
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert np.count_nonzero(drawn != image) > 1000

    empty = draw_overlay(image, Detections.empty(("benign", "malignant"), SIZE_HW))
    assert np.array_equal(empty, image)
    assert not np.shares_memory(empty, image)


def test_the_inside_is_the_image_tinted_by_the_stated_opacity():
    image = noise()
    style = OverlayStyle(fill_opacity=0.25, labels=False)
    drawn = draw_overlay(image, one_disk(), style=style)
    inside = disk(SIZE_HW, 80, 60, 20)
    expected = 0.75 * image[inside] + 0.25 * np.array(object_colour(3, 1))
    assert np.abs(drawn[inside] - expected).max() <= 0.51


def test_nothing_outside_the_box_and_its_line_is_touched():
    image = noise()
    drawn = draw_overlay(image, one_disk(), style=BARE)
    changed_rows, changed_columns = np.nonzero((drawn != image).any(axis=2))
    x1, y1, x2, y2 = one_disk().boxes_xyxy[0].astype(int)
    assert changed_columns.min() >= x1 - 3
    assert changed_rows.min() >= y1 - 3
    assert changed_columns.max() < x2 + 3
    assert changed_rows.max() < y2 + 3


def test_the_box_is_drawn_on_its_outermost_pixels():
    black = np.zeros((*SIZE_HW, 3), np.uint8)
    mask = np.zeros(SIZE_HW, bool)
    mask[50:70, 40:120] = True
    detections = replace(found([mask], [0.9], [1]), boxes_xyxy=np.array([[20, 30, 140, 100]], np.float32))
    drawn = draw_overlay(black, detections, style=BARE)
    half = np.array(object_colour(1, 1)) // 2
    assert np.array_equal(drawn[60, [20, 139]], [half, half])
    assert np.array_equal(drawn[[30, 99], 80], [half, half])
    assert not drawn[60, [19, 21, 138, 140]].any()
    without_box = draw_overlay(black, detections, style=OverlayStyle(labels=False, boxes=False))
    assert not without_box[60, [20, 139]].any()


def test_the_outline_of_a_disk_is_round_to_half_a_pixel():
    (outline,) = smooth_outlines(one_disk().masks[0])
    radii = np.hypot(outline[:, 0] + 0.5 - 80, outline[:, 1] + 0.5 - 60)
    assert radii.mean() == pytest.approx(29.4, abs=0.2)
    assert radii.std() < 0.2
    assert len(smooth_outlines(found([disk(SIZE_HW, 80, 60, 30) & ~disk(SIZE_HW, 80, 60, 10)], [1], [1]).masks[0])) == 2
    assert smooth_outlines(found([np.zeros(SIZE_HW, bool)], [1], [1]).masks[0]) == []


def test_a_track_keeps_its_colour_whatever_its_class_and_its_place_in_the_list():
    left, right = disk(SIZE_HW, 40, 60, 20), disk(SIZE_HW, 120, 60, 20)
    black = np.zeros((*SIZE_HW, 3), np.uint8)
    first = draw_overlay(black, found([left, right], [0.9, 0.2], [5, 2]))
    second = draw_overlay(black, found([right, left], [0.8, 0.1], [2, 5]))
    for place in ((60, 40), (60, 120)):
        assert np.array_equal(first[place], second[place])
    assert not np.array_equal(first[60, 40], first[60, 120])
    assert object_colour(NO_TRACK, 1) != object_colour(NO_TRACK, 0)
    assert object_colour(22, 0) == object_colour(1, 0)
    assert len({object_colour(track_id, 0) for track_id in range(1, 22)}) == 21


def lab(colour, simulation):
    """CIE Lab of a colour as a dichromat sees it (Viénot, Brettel and Mollon 1999, in linear RGB)."""
    linear = (np.array(colour) / 255) ** 2.2
    seen = (np.clip(simulation @ linear, 0, 1) ** (1 / 2.2)).astype(np.float32)
    return cv2.cvtColor(seen[None, None], cv2.COLOR_RGB2Lab)[0, 0]


@pytest.mark.parametrize(
    "name, simulation",
    [
        ("usual", np.eye(3)),
        ("protanope", [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
        ("deuteranope", [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    ],
)
def test_base_colours_differ_for_every_colour_vision(name, simulation):
    seen = [lab(colour, np.array(simulation)) for colour in BASE_COLOURS]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > 11, name


def test_text_reads_on_every_plate():
    ratios = [contrast(colour, ink_on(colour)) for colour in product((0, 60, 90, 119, 128, 200, 255), repeat=3)] + [
        contrast(object_colour(track_id, 0), ink_on(object_colour(track_id, 0))) for track_id in range(1, 22)
    ]
    assert min(ratios) >= 4.5
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)


@pytest.mark.parametrize(
    "probability, text",
    [(0.0, "0 %"), (0.0004, "<1 %"), (0.87, "87 %"), (0.994, "99 %"), (0.9999, ">99 %"), (1.0, "100 %")],
)
def test_percentages_never_round_to_certainty(probability, text):
    assert percent_text(probability) == text


def test_labels_name_track_class_and_the_probability_of_that_class():
    (detection,) = one_disk(malignant=0.87, track_id=3)
    assert label_text(detection) == "#3 malignant 87 %"
    (detection,) = one_disk(malignant=0.2, track_id=NO_TRACK)
    assert label_text(detection) == "benign 80 %"
    only = Detections(
        one_disk().boxes_xyxy, one_disk().masks, np.float32([0.72]), np.ones((1, 1), np.float32),
        np.array([4]), ("tank",), SIZE_HW,
    )  # fmt: skip
    assert label_text(next(iter(only))) == "#4 tank 72 %"


def test_a_label_is_ink_on_its_colour_above_the_box():
    drawn = draw_overlay(noise((480, 640)), found([disk((480, 640), 320, 240, 60)], [0.9], [1]))
    plate = fit_plate("#1 malignant 90 %", 15, (480, 640))
    patch = drawn[180 - plate.height_px : 180, 260 : 260 + plate.width_px].reshape(-1, 3).astype(int)
    colour = np.array(object_colour(1, 1))
    assert (np.abs(patch - colour).max(axis=1) <= 1).mean() > 0.5
    assert 0.05 < (patch.max(axis=1) < 60).mean() < 0.35


boxes_in_image = st.tuples(
    st.floats(-20, 300), st.floats(-20, 220), st.floats(1, 200), st.floats(1, 200)
).map(lambda b: np.float32([b[0], b[1], b[0] + b[2], b[1] + b[3]]))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes_in_image, max_size=12), st.integers(1, 320), st.integers(1, 240))
def test_plates_stay_inside_and_never_cover_one_another(boxes_xyxy, width, height):
    wanted = [(f"#{number} malignant 87 %", box) for number, box in enumerate(boxes_xyxy)]
    covered = np.zeros((height, width), int)
    for _, plate, place in place_plates(wanted, 15, (height, width)):
        x1, y1, x2, y2 = place.astype(int)
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert (x2 - x1, y2 - y1) == (plate.width_px, plate.height_px)
        assert plate.text_px >= SMALLEST_TEXT_PX
        covered[y1:y2, x1:x2] += 1
    assert covered.max() <= 1


def test_three_objects_in_one_place_still_show_three_labels():
    wanted = [(f"#{number} malignant 87 %", np.float32([10, 30, 60, 60])) for number in (1, 2, 3)]
    assert [index for index, _, _ in place_plates(wanted, 15, (240, 320))] == [0, 1, 2]


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 700), (3, 2), (40, 20_000), (2_000, 10)])
def test_extreme_images_are_drawn(size_hw):
    drawn = draw_overlay(np.zeros((*size_hw, 3), np.uint8), found([np.ones(size_hw, bool)], [0.9], [1]))
    assert drawn.shape == (*size_hw, 3)
    assert drawn.any()


def test_an_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"image is uint8 \(10, 10, 3\), expected uint8 \(120, 160, 3\)"):
        draw_overlay(np.zeros((10, 10, 3), np.uint8), one_disk())
