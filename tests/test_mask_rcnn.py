"""The decoder without PyTorch: its steps against torchvision's, and what a detection means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from maskstream.core.calibration import Calibration
from maskstream.core.frame import Frame
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter, MaskRcnnSettings, apply_deltas, make_anchors, softmax
from maskstream.inference.preprocess import Preprocessing

INPUT_SIZE_HW = (96, 128)
SETTINGS = MaskRcnnSettings()
CLASSES = ("benign", "malignant")


class FakeRuntime:
    """Answers with fixed objects: `logits` for the anchors nearest to `boxes`, and masks full of 1."""

    roles = ("trunk", "box_head", "class_head", "mask_head")

    def __init__(self, boxes: np.ndarray, logits: np.ndarray, probabilities: np.ndarray) -> None:
        self.boxes, self.logits, self.probabilities = boxes.astype(np.float32), logits, probabilities
        self.anchors = make_anchors(SETTINGS, INPUT_SIZE_HW)
        self.called: list[str] = []

    def run(self, role: str, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        self.called.append(role)
        return getattr(self, f"_{role}")(*arrays)

    def _trunk(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        assert image.shape == (1, 3, *INPUT_SIZE_HW)
        objectness = np.full(len(self.anchors), -9.0, np.float32)
        deltas = np.zeros((len(self.anchors), 4), np.float32)
        for row, box in enumerate(self.boxes):
            sizes = self.anchors[row, 2:] - self.anchors[row, :2]
            centre = (self.anchors[row, :2] + self.anchors[row, 2:]) / 2
            deltas[row, :2] = ((box[:2] + box[2:]) / 2 - centre) / sizes
            deltas[row, 2:] = np.log((box[2:] - box[:2]) / sizes)
            objectness[row] = 9.0 - row
        return objectness, deltas, np.zeros(1, np.float32), np.zeros(1, np.float32)

    def _box_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
        distances = np.abs(boxes[:, None] - self.boxes[None]).max(axis=2)
        nearest = distances.argmin(axis=1)
        background = np.array([9.0] + [-9.0] * (self.logits.shape[1] - 1), np.float32)
        near = distances.min(axis=1)[:, None] < 0.01
        deltas = np.zeros((len(boxes), self.logits.shape[1], 4), np.float32)
        return np.where(near, self.logits[nearest], background).astype(np.float32), deltas

    def _class_head(self, boxes: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, ...]:
        distances = np.abs(boxes[:, None] - self.boxes[None]).max(axis=2)
        return (self.probabilities[distances.argmin(axis=1)].astype(np.float32),)

    def _mask_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.ones((len(boxes), 28, 28), np.float32),)


def segmenter(runtime: FakeRuntime, **changes: Any) -> MaskRcnnSegmenter:
    return MaskRcnnSegmenter(
        "fake", CLASSES, runtime, Preprocessing(INPUT_SIZE_HW), SETTINGS, **{"score_threshold": 0.5, **changes}
    )


def frame(size_hw: tuple[int, int] = INPUT_SIZE_HW) -> Frame:
    return Frame(np.zeros((*size_hw, 3), np.uint8), 0, 0.0, "test")


def objects(*rows: tuple[list[float], list[float], list[float]]) -> FakeRuntime:
    boxes, logits, probabilities = zip(*rows, strict=True)
    return FakeRuntime(np.array(boxes), np.array(logits), np.array(probabilities))


def test_anchors_equal_torchvisions() -> None:
    generator = AnchorGenerator(SETTINGS.anchor_sizes, (SETTINGS.anchor_ratios,) * 3)
    maps = [torch.zeros(1, 1, INPUT_SIZE_HW[0] // s, INPUT_SIZE_HW[1] // s) for s in SETTINGS.anchor_strides]
    (expected,) = generator(ImageList(torch.zeros(1, 3, *INPUT_SIZE_HW), [INPUT_SIZE_HW]), maps)
    np.testing.assert_array_equal(make_anchors(SETTINGS, INPUT_SIZE_HW), expected.numpy())


@given(
    size_hw=st.tuples(st.integers(64, 300), st.integers(64, 300)),
    strides=st.sampled_from([(8, 16, 32), (4, 8, 16, 32, 64), (32, 32, 64), (16,)]),
)
def test_anchors_of_any_input_size_equal_torchvisions(size_hw: tuple[int, int], strides: tuple[int, ...]) -> None:
    """Where a side is no multiple of a stride, torchvision moves the anchors together; so do we."""
    sizes = tuple((8.0 * (1 + level), 11.0) for level in range(len(strides)))
    settings = MaskRcnnSettings(anchor_sizes=sizes, anchor_strides=strides)
    generator = AnchorGenerator(sizes, (settings.anchor_ratios,) * len(strides))
    maps = [torch.zeros(1, 1, -(-size_hw[0] // s), -(-size_hw[1] // s)) for s in strides]
    (expected,) = generator(ImageList(torch.zeros(1, 3, *size_hw), [size_hw]), maps)
    np.testing.assert_array_equal(make_anchors(settings, size_hw), expected.numpy())


def test_deltas_move_boxes_as_torchvision_does() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 60, (50, 2))], axis=1).astype(np.float32)
    deltas = rng.normal(0, 2, (50, 4)).astype(np.float32)  # beyond the bound on growth, too
    expected = BoxCoder((1.0, 1.0, 1.0, 1.0)).decode_single(torch.from_numpy(deltas), torch.from_numpy(boxes))
    np.testing.assert_allclose(apply_deltas(boxes, deltas), expected.numpy(), rtol=1e-4, atol=1e-3)


def test_no_deltas_for_no_boxes() -> None:
    assert apply_deltas(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_softmax_of_huge_logits_is_finite() -> None:
    np.testing.assert_allclose(softmax(np.array([[1e4, 0.0], [0.0, 0.0]], np.float32)), [[1, 0], [0.5, 0.5]])


def test_an_object_of_doubtful_class_does_not_vanish() -> None:
    """0.45 and 0.45 make an object of 0.9, though no class reaches the threshold of 0.5."""
    logits = np.log([0.1, 0.45, 0.45])
    (found,) = segmenter(objects(([20, 30, 60, 70], logits.tolist(), [0.5, 0.5]))).segment([frame()])
    assert len(found) == 1
    assert found.scores[0] == pytest.approx(0.9, abs=1e-5)
    np.testing.assert_allclose(found.probabilities, [[0.5, 0.5]])


def test_suppression_goes_across_classes() -> None:
    """Two boxes with IoU 0.82, of different classes: the better one stays."""
    rows = (([20, 30, 60, 70], [0.0, 4.0, -9.0], [0.9, 0.1]), ([22, 32, 62, 70], [0.0, -9.0, 3.0], [0.1, 0.9]))
    (found,) = segmenter(objects(*rows)).segment([frame()])
    assert found.class_ids.tolist() == [0]


def test_an_object_inside_a_better_one_is_doubted() -> None:
    """A box of a quarter of the area inside another (IoU 0.25): half its score is left, and it is still ranked."""
    rows = (([20, 30, 60, 70], [0.0, 5.0], [0.9, 0.1]), ([30, 40, 50, 60], [0.0, 3.0], [0.9, 0.1]))
    (found,) = segmenter(objects(*rows)).segment([frame()], score_threshold=0.05)
    alone = 1 / (1 + np.exp(-3.0))
    np.testing.assert_allclose(found.scores, [1 / (1 + np.exp(-5.0)), alone / 2], atol=1e-5)
    assert len(segmenter(objects(*rows)).segment([frame()])[0]) == 1


class HalfBlindRuntime(FakeRuntime):
    """Knows the object only where the image's left edge is bright: in the image itself, not in its mirror image."""

    def _trunk(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        upright = image[0, 0, 0, 0] > image[0, 0, 0, -1]
        objectness, deltas, *_ = super()._trunk(image)
        return objectness, deltas, np.float32([upright]), np.float32([upright])

    def _box_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
        logits, deltas = super()._box_head(boxes, *maps)
        return np.where(maps[0][0] > 0, logits, np.zeros_like(logits)), deltas

    def _mask_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
        masks = np.zeros((len(boxes), 28, 28), np.float32)
        masks[:, :, :14] = 1  # the left half, of each sight
        return (masks,)


def test_mirror_averages_the_image_and_its_mirror_image() -> None:
    """0.993 in the image and 0.5 in its mirror image make 0.747; the left halves of both sights make two halves."""
    image = np.zeros((*INPUT_SIZE_HW, 3), np.uint8)
    image[:, :10] = 255
    runtime = HalfBlindRuntime(np.array([[20, 30, 60, 70]]), np.array([[0.0, 5.0]]), np.array([[0.2, 0.8]]))
    model = segmenter(runtime)
    model.settings = SETTINGS.model_copy(update={"mirror": True})
    (found,) = model.segment([Frame(image, 0, 0.0, "test")])
    expected = (1 / (1 + np.exp(-5.0)) + 0.5) / 2
    assert found.scores[0] == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(found.boxes_xyxy[0], [20, 30, 60, 70], atol=1e-3)
    assert found.areas_px[0] == 40 * 40, "0.5 everywhere counts as inside"


def test_mirror_turns_the_content_not_the_padding() -> None:
    """A tall image fills the input's left part only; the trunk sees that part mirrored in its place."""
    seen: list[np.ndarray] = []

    class Watching(FakeRuntime):
        def _trunk(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
            seen.append(image)
            return super()._trunk(image)

    image = np.random.default_rng(0).integers(0, 255, (96, 48, 3), np.uint8)
    model = segmenter(Watching(np.array([[5, 5, 40, 40]]), np.array([[9.0, -9.0]]), np.array([[0.5, 0.5]])))
    model.settings = SETTINGS.model_copy(update={"mirror": True})
    model.segment([Frame(image, 0, 0.0, "test")])
    np.testing.assert_array_equal(seen[1][..., :48], seen[0][..., :48][..., ::-1])
    np.testing.assert_array_equal(seen[1][..., 48:], 0)


class PlainRuntime(FakeRuntime):
    """Without a class head, as torchvision's models are: no context map, a mask for each of two classes."""

    roles = ("trunk", "box_head", "mask_head")

    def _trunk(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        objectness, deltas, _, level = super()._trunk(image)
        return objectness, deltas, level

    def _mask_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
        assert len(maps) == 1
        masks = np.zeros((len(boxes), 2, 28, 28), np.float32)
        masks[:, 0, :14], masks[:, 1, 14:] = 1, 1  # upper half of the first class, lower half of the second
        return (masks,)


def test_without_a_class_head_the_box_head_names_the_class() -> None:
    """Background 0.2 and classes 0.2 and 0.6: an object with score 0.8, classes 0.25 and 0.75, the second's mask."""
    logits = np.log([[0.2, 0.2, 0.6], [0.1, 0.6, 0.3]])
    runtime = PlainRuntime(np.array([[20, 30, 60, 70], [70, 10, 100, 40]]), logits, np.zeros((2, 2)))
    (found,) = segmenter(runtime).segment([frame()])
    np.testing.assert_allclose(found.scores, [0.9, 0.8], atol=1e-5)
    np.testing.assert_allclose(found.probabilities, [[2 / 3, 1 / 3], [0.25, 0.75]], atol=1e-5)
    assert [mask.y0 for mask in found.masks] == [10, 50]
    assert found.areas_px.tolist() == [30 * 15, 40 * 20]
    assert runtime.called == ["trunk", "box_head", "mask_head"]


def test_without_a_class_head_nothing_found_is_an_answer() -> None:
    runtime = PlainRuntime(np.array([[20, 30, 60, 70]]), np.array([[9.0, -9.0, -9.0]]), np.zeros((1, 2)))
    assert len(segmenter(runtime).segment([frame()])[0]) == 0


def test_the_box_heads_classes_are_averaged_over_the_mirror_image() -> None:
    """0.75 and 0.25 in the image, even odds in its mirror image: 0.625 and 0.375."""

    class HalfSure(PlainRuntime):
        def _trunk(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
            objectness, deltas, _ = super()._trunk(image)
            return objectness, deltas, np.float32([image[0, 0, 0, 0] > image[0, 0, 0, -1]])

        def _box_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
            upright = np.log(np.float32([0.2, 0.6, 0.2]))
            mirrored = np.log(np.float32([0.2, 0.4, 0.4]))
            logits = np.tile(upright if maps[0][0] > 0 else mirrored, (len(boxes), 1))
            return logits, np.zeros((len(boxes), 3, 4), np.float32)

    image = np.zeros((*INPUT_SIZE_HW, 3), np.uint8)
    image[:, :10] = 255
    model = segmenter(HalfSure(np.array([[40, 30, 88, 70]]), np.zeros((1, 3)), np.zeros((1, 2))))
    model.settings = SETTINGS.model_copy(update={"mirror": True, "max_detections": 1})
    (found,) = model.segment([Frame(image, 0, 0.0, "test")])
    np.testing.assert_allclose(found.scores, [0.8], atol=1e-5)
    np.testing.assert_allclose(found.probabilities, [[0.625, 0.375]], atol=1e-5)


def test_one_mask_for_all_classes_may_have_an_axis_of_its_own() -> None:
    class WithAxis(FakeRuntime):
        def _mask_head(self, boxes: np.ndarray, *maps: np.ndarray) -> tuple[np.ndarray, ...]:
            return (np.ones((len(boxes), 1, 28, 28), np.float32),)

    runtime = WithAxis(np.array([[20, 30, 60, 70]]), np.array([[-5.0, 5.0]]), np.array([[0.2, 0.8]]))
    (found,) = segmenter(runtime).segment([frame()])
    assert found.class_ids.tolist() == [1]
    assert found.areas_px.tolist() == [40 * 40]


def test_boxes_masks_and_areas_come_in_source_pixels() -> None:
    """An image twice the input's size: everything doubles, edges included."""
    (found,) = segmenter(objects(([20, 30, 60, 70], [-5.0, 5.0], [0.2, 0.8]))).segment([frame((192, 256))])
    np.testing.assert_allclose(found.boxes_xyxy, [[40, 60, 120, 140]], atol=1e-3)
    assert found.size_hw == (192, 256)
    assert found.areas_px.tolist() == [80 * 80]
    mask = found.masks[0]
    assert (mask.x0, mask.y0, mask.bitmap.shape) == (40, 60, (80, 80))


def test_nothing_found_is_an_answer() -> None:
    runtime = objects(([20, 30, 60, 70], [9.0, -9.0], [0.5, 0.5]))
    (found,) = segmenter(runtime).segment([frame()])
    assert len(found) == 0
    assert found.classes == CLASSES
    assert runtime.called == ["trunk", "box_head"], "no head runs on no boxes"


def test_the_threshold_of_the_call_counts() -> None:
    runtime = objects(([20, 30, 60, 70], [0.0, 0.0], [0.5, 0.5]))
    assert len(segmenter(runtime).segment([frame()], score_threshold=0.51)[0]) == 0
    assert len(segmenter(runtime).segment([frame()], score_threshold=0.49)[0]) == 1


def test_probabilities_are_calibrated() -> None:
    calibration = Calibration("malignant", slope=2.0, bias=1.0, covariance=((0, 0), (0, 0)), view_sd=0.0)
    runtime = objects(([20, 30, 60, 70], [-5.0, 5.0], [0.2, 0.8]))
    (found,) = segmenter(runtime, calibration=calibration).segment([frame()])
    expected = 1 / (1 + np.exp(-(2.0 * np.log(0.8 / 0.2) + 1.0)))
    np.testing.assert_allclose(found.probabilities, [[1 - expected, expected]], atol=1e-6)


def test_frames_are_answered_in_order() -> None:
    runtime = objects(([20, 30, 60, 70], [-5.0, 5.0], [0.2, 0.8]))
    sizes = [(96, 128), (48, 64), (1, 1), (10, 2000)]
    found = segmenter(runtime).segment([frame(size) for size in sizes])
    assert [detections.size_hw for detections in found] == sizes
    assert segmenter(runtime).segment([]) == []
