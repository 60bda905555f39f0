"""Occlusion maps: highest where the percentage comes from, honest where an object is lost, legible as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from found_objects import disk, found
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core.detections import Detection, Detections
from maskstream.draw.heat import ABOVE, BELOW, draw_heat
from maskstream.evaluation.failures.occlusion import MOST_STOPS, Occlusion, occlude_image, occlude_object
from maskstream.reports.why_pictures import reading, why_picture

SIZE_HW = (120, 160)
OBJECT = disk(SIZE_HW, 80, 60, 40)
NOTHING = Detections.empty(("benign", "malignant"), SIZE_HW)


def _skin() -> np.ndarray:
    image = np.full((*SIZE_HW, 3), 200, np.uint8)
    image[OBJECT] = 100
    return image


def _target(malignant: float = 0.9) -> Detection:
    (target,) = found([OBJECT], [malignant], [1])
    return target


def _spot(x: int, y: int) -> tuple[slice, slice]:
    return slice(y - 5, y + 5), slice(x - 5, x + 5)


class ByOneSpot:
    """Malignant by how white one spot is; keeps count of what it was asked."""

    def __init__(self, x: int, y: int, sign: int = 1) -> None:
        self.place, self.sign, self.asked = _spot(x, y), sign, 0

    def image(self) -> np.ndarray:
        image = _skin()
        image[self.place] = (255, 255, 255)
        return image

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.asked += len(images)
        white = [float(np.mean(image[self.place] == 255)) for image in images]
        return [found([OBJECT], [0.5 + self.sign * 0.4 * share], [1]) for share in white]


@settings(max_examples=12)
@given(st.integers(50, 110), st.integers(35, 85))
def test_the_map_is_highest_where_the_percentage_comes_from(x: int, y: int) -> None:
    model = ByOneSpot(x, y)
    result = occlude_object(model, model.image(), _target(), "malignant")
    top, left = np.unravel_index(np.nanargmax(result.drop), SIZE_HW)
    assert np.hypot(left - x, top - y) <= result.patch_px / 2
    assert result.probability == pytest.approx(0.9)
    assert result.lowest == pytest.approx(0.5, abs=0.02)
    assert result.highest == pytest.approx(0.9)
    assert result.drop[SIZE_HW[0] // 2, 0] != result.drop[SIZE_HW[0] // 2, 0]  # far away nothing was hidden
    assert model.asked == result.runs <= MOST_STOPS + 1
    assert not result.lost.any()


def test_what_speaks_against_a_class_is_below_0() -> None:
    model = ByOneSpot(80, 60, sign=-1)
    result = occlude_object(model, model.image(), _target(0.1), "malignant")
    assert np.unravel_index(np.nanargmin(result.drop), SIZE_HW) == pytest.approx((60, 80), abs=result.patch_px / 2)
    assert np.nanmax(result.drop) == pytest.approx(0, abs=1e-6)


def test_a_place_without_which_the_object_is_lost_has_no_odds() -> None:
    place = _spot(80, 60)

    def find(images: Sequence[np.ndarray]) -> list[Detections]:
        return [found([OBJECT], [0.9], [1]) if np.mean(image[place]) < 130 else NOTHING for image in images]

    result = occlude_object(find, _skin(), _target(), "malignant")
    assert result.lost[60, 80]
    assert not result.lost[25, 80]
    assert result.lowest == result.highest == pytest.approx(0.9)
    assert "no longer found" in reading(result)


def test_an_object_that_is_lost_every_time_says_so() -> None:
    image = _skin()

    def find(images: Sequence[np.ndarray]) -> list[Detections]:
        return [found([OBJECT], [0.9], [1]) if np.array_equal(each, image) else NOTHING for each in images]

    result = occlude_object(find, image, _target(), "malignant")
    # over plain surroundings the patch changes nothing, and the object stays
    assert result.lost[60, 80]
    gone = Occlusion("malignant", 0.9, np.full(SIZE_HW, np.nan, np.float32), np.ones(SIZE_HW, bool), None, None, 20, 5)
    assert "nothing is known of its malignant 90 %" in reading(gone)
    assert why_picture(image, gone, "#1", _target().mask).shape[2] == 3


def test_another_object_is_not_taken_for_the_one_that_is_asked_about() -> None:
    other = disk(SIZE_HW, 20, 20, 15)
    place = _spot(80, 60)

    def find(images: Sequence[np.ndarray]) -> list[Detections]:
        return [
            found([other, OBJECT], [0.2, 0.9], [0, 0]) if np.mean(image[place]) < 130 else found([other], [0.2], [0])
            for image in images
        ]

    result = occlude_object(find, _skin(), _target(), "malignant")
    assert result.lowest == pytest.approx(0.9)
    assert result.lost[60, 80]


def test_an_object_that_was_never_found_is_refused() -> None:
    with pytest.raises(ValueError, match="not found in the untouched image"):
        occlude_object(lambda images: [NOTHING for _ in images], _skin(), _target(), "malignant")


def test_a_model_of_one_class_is_asked_for_its_score() -> None:
    def find(images: Sequence[np.ndarray]) -> list[Detections]:
        return [found([OBJECT], [0.5], [1], scores=[0.4 + 0.5 * (image[60, 80, 0] == 100)]) for image in images]

    result = occlude_object(find, _skin(), _target(), None)
    assert (result.name, result.probability, result.lowest) == ("object", pytest.approx(0.9), pytest.approx(0.4))


@pytest.mark.parametrize("box", [(0, 0, 3, 3), (0, 0, 160, 120), (10, 50, 150, 54), (150, 110, 160, 120)])
def test_objects_of_every_shape_are_covered_in_a_bounded_number_of_runs(box: tuple[int, int, int, int]) -> None:
    mask = np.zeros(SIZE_HW, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    (target,) = found([mask], [0.7], [1])
    result = occlude_object(lambda images: [found([mask], [0.7], [1]) for _ in images], _skin(), target, "malignant")
    assert np.isfinite(result.drop[mask]).all()
    np.testing.assert_allclose(result.drop[mask], 0, atol=1e-6)
    assert result.runs <= MOST_STOPS + 1
    assert reading(result).endswith("whatever place is hidden: it does not rest on any one place of this size.")
    assert why_picture(_skin(), result, "#1", target.mask).dtype == np.uint8


def test_a_classifiers_map_covers_the_whole_image() -> None:
    image = _skin()
    image[_spot(130, 30)] = 255
    result = occlude_image(
        lambda images: [0.2 + 0.6 * float(np.mean(each[_spot(130, 30)] == 255)) for each in images], image, "malignant"
    )
    assert np.isfinite(result.drop).all()
    top, left = np.unravel_index(np.nanargmax(result.drop), SIZE_HW)
    assert np.hypot(left - 130, top - 30) <= result.patch_px
    assert result.probability == pytest.approx(0.8)


def test_the_colours_say_which_way_and_leave_the_rest_grey() -> None:
    image = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    values = np.full((20, 30), np.nan, np.float32)
    values[:, :10], values[:, 10:20] = 1.0, -1.0
    heat = draw_heat(image, values, 1.0, np.zeros((20, 30), bool))
    assert np.abs(heat[0, 0].astype(int) - ABOVE).max() < 30
    assert np.abs(heat[0, 15].astype(int) - BELOW).max() < 30
    assert len(set(heat[0, 25].tolist())) == 1
    striped = draw_heat(image, values, 1.0, np.ones((20, 30), bool))
    assert 0.2 < np.mean(striped.max(axis=2) < 40) < 0.5


def test_the_sentence_names_both_ways() -> None:
    model = ByOneSpot(80, 60)
    result = occlude_object(model, model.image(), _target(), "malignant")
    assert reading(result) == "The model gives malignant 90 % in this picture: 50 % with the reddest place hidden."
