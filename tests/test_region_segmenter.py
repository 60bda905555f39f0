"""From pixel probabilities to label maps, regions and Detections: counted by hand, and held against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from maskstream.core.calibration import Calibration
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.inference.preprocess import Placement, Preprocessing
from maskstream.inference.regions import RegionSegmenter, RegionSettings, label_map, regions

Array = NDArray[np.float32]
SIZE_HW = (32, 64)
PLAIN = Preprocessing(SIZE_HW, mean=(0, 0, 0), std=(1, 1, 1))
"""Colours 0..255 become 0..1, so that a runtime can answer with them."""


class Colours:
    """A Runtime whose answer is the image: red is the probability of the first class, green of the second."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.calls: list[Array] = []

    def run(self, role: str, *arrays: Array) -> tuple[Array, ...]:
        assert role == "network"
        (image,) = arrays
        self.calls.append(image)
        return (image[:, : self.classes],)


def segmenter(classes: int = 1, *, calibration: Calibration | None = None, **settings: object) -> RegionSegmenter:
    names = ("benign", "malignant")[:classes]
    return RegionSegmenter(
        "colours",
        names,
        Colours(classes),
        PLAIN,
        RegionSettings(**settings),
        score_threshold=0.5,
        calibration=calibration,
    )


def frame(red: Array, green: Array | None = None) -> Frame:
    """Probabilities (h, w) as an image."""
    planes = [red, np.zeros_like(red) if green is None else green, np.zeros_like(red)]
    return Frame(np.round(255 * np.stack(planes, axis=-1)).astype(np.uint8), 0, 0.0, "colours")


def plane(size_hw: tuple[int, int] = SIZE_HW, **boxes: tuple[int, int, int, int]) -> Array:
    """Zeros, and rectangles x1, y1, x2, y2 of the probability that stands in the name, p80 for 0.80."""
    values = np.zeros(size_hw, np.float32)
    for name, (x1, y1, x2, y2) in boxes.items():
        values[y1:y2, x1:x2] = float(name[1:3]) / 100
    return values


def test_two_regions_of_one_class_by_hand() -> None:
    (found,) = segmenter().segment([frame(plane(p60=(2, 3, 12, 8), p80=(30, 10, 34, 20)))])
    assert isinstance(segmenter(), Segmenter)
    np.testing.assert_array_equal(found.boxes_xyxy, [[30, 10, 34, 20], [2, 3, 12, 8]])
    np.testing.assert_allclose(found.scores, [0.8, 0.6], atol=1e-6)
    np.testing.assert_array_equal(found.probabilities, [[1], [1]])
    np.testing.assert_array_equal(found.areas_px, [40, 50])
    assert found.size_hw == SIZE_HW
    assert found.classes == ("benign",)


def test_nothing_is_found_in_plain_background() -> None:
    (found,) = segmenter(2).segment([frame(plane())])
    assert (len(found), found.size_hw, found.classes) == (0, SIZE_HW, ("benign", "malignant"))
    assert found.probabilities.shape == (0, 2)
    assert segmenter().segment([]) == []
    assert not segmenter().label_map(frame(plane())).any()


def test_touching_regions_of_two_classes_are_two_detections() -> None:
    red = plane(p80=(0, 0, 10, 10), p20=(10, 0, 20, 10))
    green = plane(p10=(0, 0, 10, 10), p70=(10, 0, 20, 10))
    model = segmenter(2)
    (found,) = model.segment([frame(red, green)])
    np.testing.assert_array_equal(found.boxes_xyxy, [[0, 0, 10, 10], [10, 0, 20, 10]])
    np.testing.assert_allclose(found.scores, [0.9, 0.9], atol=3e-3)
    np.testing.assert_allclose(found.probabilities, [[8 / 9, 1 / 9], [2 / 9, 7 / 9]], atol=3e-3)
    expected = np.zeros(SIZE_HW, np.int32)
    expected[:10, :10], expected[:10, 10:20] = 1, 2
    np.testing.assert_array_equal(model.label_map(frame(red, green)), expected)
    assert model.label_map(frame(red, green)).dtype == np.int32


@pytest.mark.parametrize(
    "probabilities, threshold, label",
    [
        ((0.5,), 0.5, 1),
        ((0.49,), 0.5, 0),
        ((0.49,), 0.3, 1),
        ((0.6,), 0.7, 0),
        ((0.45, 0.15), 0.5, 1),
        ((0.15, 0.45), 0.5, 2),
        ((0.3, 0.25), 0.5, 0),  # together more than the background, each alone less
        ((0.45, 0.15), 0.7, 0),
        ((0.1, 0.2), 0.1, 0),
        ((0.0, 0.0), 0.1, 0),
    ],
)
def test_the_winner_of_a_pixel(probabilities: tuple[float, ...], threshold: float, label: int) -> None:
    assert label_map(np.array(probabilities, np.float32).reshape(-1, 1, 1), threshold) == label


def test_pixels_touch_at_corners() -> None:
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], np.int32)
    found = regions(labels, labels[None].astype(np.float32), ("spot",))
    assert sorted(found.areas_px.tolist()) == [1, 3]


def test_small_regions_are_left_out_of_detections_alone() -> None:
    red = plane(p80=(0, 0, 3, 3), p90=(20, 0, 24, 4))
    model = segmenter(min_area_px=10)
    (found,) = model.segment([frame(red)])
    np.testing.assert_array_equal(found.areas_px, [16])
    assert np.count_nonzero(model.label_map(frame(red))) == 25
    assert not len(segmenter(min_area_px=17).segment([frame(red)])[0])


def test_a_score_threshold_drops_regions() -> None:
    red = plane(p60=(2, 3, 12, 8), p80=(30, 10, 34, 20))
    assert [len(segmenter().segment([frame(red)], score)[0]) for score in (0.0, 0.59, 0.7, 0.9)] == [2, 2, 1, 0]


def test_a_calibration_moves_probabilities_and_leaves_scores() -> None:
    calibration = Calibration("malignant", 0.5, -1.0, ((0, 0), (0, 0)), 0.0)
    shown = frame(plane(p80=(0, 0, 10, 10)), plane(p10=(0, 0, 10, 10)))
    (raw,), (found,) = segmenter(2).segment([shown]), segmenter(2, calibration=calibration).segment([shown])
    np.testing.assert_array_equal(found.scores, raw.scores)
    np.testing.assert_array_equal(found.probabilities, calibration.apply(raw.probabilities, raw.classes))


@pytest.mark.parametrize("size_hw", [(32, 64), (64, 128), (100, 90), (16, 32), (10, 200)])
def test_a_mirrored_look_is_averaged_and_changes_nothing_that_is_symmetric(size_hw: tuple[int, int]) -> None:
    """A runtime that answers pixel by pixel sees the same from both sides, padding or not."""
    rng = np.random.default_rng(1)
    shown = Frame(rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8), 0, 0.0, "noise")
    model, mirrored = segmenter(2), segmenter(2, mirror=True)
    np.testing.assert_allclose(mirrored.probabilities(shown), model.probabilities(shown), atol=1e-6)
    first, second = mirrored._runtime.calls
    width = Placement.fit(size_hw, SIZE_HW).content_size_hw[1]
    np.testing.assert_array_equal(second[..., :width], first[..., :width][..., ::-1])
    np.testing.assert_array_equal(second[..., width:], first[..., width:])


def test_a_network_that_favours_one_side_is_evened_out() -> None:
    class LeftOnly(Colours):
        def run(self, role: str, *arrays: Array) -> tuple[Array, ...]:
            answer = np.zeros((1, 1, *SIZE_HW), np.float32)
            answer[..., :8] = 1
            return (answer,)

    model = RegionSegmenter("left", ("spot",), LeftOnly(1), PLAIN, RegionSettings(mirror=True), score_threshold=0.5)
    answer = model.probabilities(frame(plane()))[0, 0]
    np.testing.assert_array_equal(answer, [0.5] * 8 + [0] * 48 + [0.5] * 8)


@given(
    labels=arrays.arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2)),
    seed=st.integers(0, 1000),
)
def test_regions_are_scipys_and_make_up_the_label_map(labels: NDArray[np.int32], seed: int) -> None:
    probabilities = np.random.default_rng(seed).uniform(0.01, 0.5, (2, *labels.shape)).astype(np.float32)
    for class_id in range(2):
        probabilities[class_id][labels == 1 + class_id] += 0.5 - probabilities.min()
    found = regions(labels, probabilities, ("a", "b"))
    painted = np.zeros_like(labels)
    for row, mask in enumerate(found.masks):
        dense = mask.dense(labels.shape)
        assert mask.area_px > 0
        assert not painted[dense].any()
        assert set(labels[dense]) == {1 + found.class_ids[row]}
        painted[dense] = 1 + found.class_ids[row]
        _, parts = ndimage.label(dense, np.ones((3, 3)))
        assert parts == 1
        assert found.scores[row] == pytest.approx(min(1, probabilities[:, dense].sum(axis=0).mean()), abs=1e-5)
        x1, y1, x2, y2 = found.boxes_xyxy[row].astype(int)
        assert (dense[y1:y2, x1:x2].sum(), dense[y1].any(), dense[y2 - 1].any()) == (mask.area_px, True, True)
    np.testing.assert_array_equal(painted, labels)
    assert len(found) == sum(ndimage.label(labels == value, np.ones((3, 3)))[1] for value in (1, 2))
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


@given(
    source_hw=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    input_hw=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_a_map_goes_back_to_source_pixels_without_a_shift(
    source_hw: tuple[int, int], input_hw: tuple[int, int]
) -> None:
    """A ramp stays a ramp: each pixel gets the value at its own centre, but for the outermost half pixel."""
    placement = Placement.fit(source_hw, input_hw)
    height, width = placement.content_size_hw
    values = np.full(input_hw, 1e6, np.float32)  # padding must not leak in
    values[:height, :width] = np.arange(height)[:, None] + 0.5 + 100 * (np.arange(width)[None] + 0.5)
    found = placement.map_to_source(values)
    assert found.shape == source_hw
    if source_hw[0] * source_hw[1] < height * width:
        assert found.mean() == pytest.approx(values[:height, :width].mean(), rel=1e-4)
        return
    y = ((np.arange(source_hw[0]) + 0.5) * height / source_hw[0]).clip(0.5, height - 0.5)
    x = ((np.arange(source_hw[1]) + 0.5) * width / source_hw[1]).clip(0.5, width - 0.5)
    np.testing.assert_allclose(found, y[:, None] + 100 * x[None], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 500), (200, 300)])
def test_an_image_of_any_size_has_an_answer_of_its_size(size_hw: tuple[int, int]) -> None:
    (found,) = segmenter().segment([frame(np.full(size_hw, 0.8, np.float32))])
    np.testing.assert_array_equal(found.boxes_xyxy, [[0, 0, size_hw[1], size_hw[0]]])
    assert found.areas_px.tolist() == [size_hw[0] * size_hw[1]]


@pytest.mark.parametrize("wrong", [{"pixel_threshold": 0}, {"pixel_threshold": 1.1}, {"min_area_px": -1}, {"area": 3}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        RegionSettings(**wrong)
