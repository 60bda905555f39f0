"""Masks made of boxes: how well each shape fits shapes that are known, and what stays without a mask."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.data.box_masks import ellipse, is_degenerate, mask_from_box, with_box_masks
from maskstream.data.formats import boxes_csv
from maskstream.data.formats.format import BoxShape, ReadOptions
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import SourceError

SIZE_HW = (120, 160)


def disc(radius: float, centre_xy: tuple[float, float] = (80.0, 60.0)) -> CroppedMask:
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]] + 0.5
    return masks.crop(np.hypot(x - centre_xy[0], y - centre_xy[1]) < radius)


def box_of(mask: CroppedMask) -> tuple[float, float, float, float]:
    height, width = mask.bitmap.shape
    return float(mask.x0), float(mask.y0), float(mask.x0 + width), float(mask.y0 + height)


def picture_of(mask: CroppedMask) -> np.ndarray:
    """A bright object on dark ground, with noise."""
    noise = np.random.default_rng(0).normal(0, 8, (*SIZE_HW, 3))
    level = np.where(mask.dense(SIZE_HW)[:, :, None], [200, 180, 60], [40, 60, 90])
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def box_only(box: tuple[float, float, float, float], **attributes: object) -> Annotation:
    return Annotation(0, (), box, 0.0, attributes=attributes)


def record_of(path: Path, *annotations: Annotation, size_hw: tuple[int, int] | None = SIZE_HW) -> ImageRecord:
    return ImageRecord(1, path.name, path, size_hw, annotations)


@pytest.mark.parametrize("radius", [10, 25, 50])
def test_a_disc_fills_pi_quarters_of_its_box_and_all_of_the_ellipse(radius: int) -> None:
    truth = disc(radius)
    box = box_of(truth)
    square = mask_from_box(box, BoxShape.RECTANGLE, SIZE_HW)
    assert square.area_px == (2 * radius) ** 2
    assert masks.iou(square, truth) == pytest.approx(math.pi / 4, abs=0.01)
    assert masks.iou(mask_from_box(box, BoxShape.ELLIPSE, SIZE_HW), truth) > 0.99
    assert masks.iou(mask_from_box(box, BoxShape.GRABCUT, SIZE_HW, picture_of(truth)), truth) > 0.95


def test_a_rectangle_fills_its_box_and_the_ellipse_misses_the_corners() -> None:
    truth = CroppedMask(np.ones((40, 60), bool), 30, 20)
    assert masks.iou(mask_from_box(box_of(truth), BoxShape.RECTANGLE, SIZE_HW), truth) == 1.0
    assert masks.iou(mask_from_box(box_of(truth), BoxShape.ELLIPSE, SIZE_HW), truth) == pytest.approx(0.785, abs=0.01)


def test_grabcut_follows_an_outline_that_no_shape_has() -> None:
    """An L covers 5/9 of its box."""
    bitmap = np.ones((60, 60), bool)
    bitmap[:40, 20:] = False
    bitmap[20:, :] = True
    truth = CroppedMask(bitmap, 50, 30)
    ious = {shape: masks.iou(mask_from_box(box_of(truth), shape, SIZE_HW, picture_of(truth)), truth)
            for shape in BoxShape}  # fmt: skip
    assert ious[BoxShape.RECTANGLE] == pytest.approx(bitmap.mean())
    assert ious[BoxShape.GRABCUT] > 0.9 > ious[BoxShape.ELLIPSE]


def test_grabcut_is_the_same_every_time_and_on_every_thread() -> None:
    truth = disc(30)
    image = np.random.default_rng(1).integers(0, 256, (*SIZE_HW, 3), np.uint8)

    def cut(_: int) -> CroppedMask:
        return mask_from_box(box_of(truth), BoxShape.GRABCUT, SIZE_HW, image)

    first = cut(0)
    with ThreadPoolExecutor(4) as threads:
        for other in threads.map(cut, range(8)):
            assert (other.x0, other.y0) == (first.x0, first.y0)
            assert np.array_equal(other.bitmap, first.bitmap)


def test_a_large_box_is_cut_in_a_reduced_image_and_stays_inside_its_box() -> None:
    y, x = np.mgrid[:700, :900] + 0.5
    truth = masks.crop(np.hypot(x - 450, y - 350) < 300)
    level = np.where(truth.dense((700, 900))[:, :, None], [200, 180, 60], [40, 60, 90])
    image = np.clip(level + np.random.default_rng(0).normal(0, 8, level.shape), 0, 255).astype(np.uint8)
    made = mask_from_box(box_of(truth), BoxShape.GRABCUT, (700, 900), image)
    assert masks.iou(made, truth) > 0.98
    assert made.x0 >= truth.x0
    assert made.y0 >= truth.y0


@pytest.mark.parametrize("shape", BoxShape)
@pytest.mark.parametrize(
    "box", [(5.0, 5.0, 5.0, 9.0), (5.0, 5.0, 9.0, 5.0), (9.0, 5.0, 5.0, 9.0), (0.0, 0.0, 0.0, 0.0)]
)
def test_a_degenerate_box_has_no_mask(shape: BoxShape, box: tuple[float, float, float, float], tmp_path: Path) -> None:
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    assert is_degenerate(box)
    assert mask_from_box(box, shape, SIZE_HW, image).area_px == 0
    (record,) = with_box_masks([record_of(tmp_path / "not-there.png", box_only(box))], shape)
    assert record.annotations[0].segmentation == ()
    assert record.annotations[0].attributes == {}


@given(
    st.floats(-50, 200),
    st.floats(-50, 200),
    st.floats(0.01, 300),
    st.floats(0.01, 300),
    st.sampled_from([BoxShape.RECTANGLE, BoxShape.ELLIPSE]),
)
def test_a_mask_stays_in_box_and_image(x: float, y: float, width: float, height: float, shape: BoxShape) -> None:
    made = mask_from_box((x, y, x + width, y + height), shape, SIZE_HW)
    if made.area_px:
        x1, y1, x2, y2 = box_of(made)
        assert max(x - 0.5, 0) <= x1 < x2 <= min(x + width + 0.5, SIZE_HW[1])
        assert max(y - 0.5, 0) <= y1 < y2 <= min(y + height + 0.5, SIZE_HW[0])


@given(st.floats(0.5, 3000), st.floats(0.5, 3000))
def test_the_ellipse_touches_the_box_and_is_close_to_an_ellipse(width: float, height: float) -> None:
    points = ellipse((10.0, 20.0, 10 + width, 20 + height))
    assert points.min(axis=0) == pytest.approx([10, 20])
    assert points.max(axis=0) == pytest.approx([10 + width, 20 + height])
    x, y = points.T
    shoelace = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    assert 0.95 < shoelace / (math.pi / 4 * width * height) <= 1.0


def test_only_objects_without_a_mask_get_one_and_the_box_stays(tmp_path: Path) -> None:
    kept = Annotation.from_polygons(0, (np.array([[0.0, 0], [4, 0], [4, 4]]),), SIZE_HW)
    records = [
        record_of(tmp_path / "a.png", box_only((10.0, 20.0, 30.5, 40.0), note="x"), kept),
        record_of(tmp_path / "b.png"),
    ]
    told: list[tuple[int, int | None]] = []
    first, second = with_box_masks(records, BoxShape.RECTANGLE, lambda done, total: told.append((done, total)))
    made, same = first.annotations
    assert isinstance(made.segmentation, tuple)
    assert made.segmentation[0].tolist() == [[10, 20], [30.5, 20], [30.5, 40], [10, 40]]
    assert made.box_xyxy == (10.0, 20.0, 30.5, 40.0)
    assert made.area_px == 20 * 20
    assert made.attributes == {"note": "x", "mask_from": "rectangle"}
    assert same is kept
    assert second is records[1]
    assert told == [(1, 2), (2, 2)]
    assert with_box_masks([], BoxShape.ELLIPSE) == ()


def test_a_box_outside_the_image_stays_without_a_mask(tmp_path: Path) -> None:
    (record,) = with_box_masks([record_of(tmp_path / "a.png", box_only((500.0, 5, 520, 9)))], BoxShape.ELLIPSE)
    assert record.annotations[0].segmentation == ()


def test_an_image_of_unknown_size_that_is_not_there_is_not_looked_for(tmp_path: Path) -> None:
    record = record_of(tmp_path / "a.png", box_only((0.0, 0, 10, 10)), size_hw=None)
    assert with_box_masks([record], BoxShape.RECTANGLE)[0].annotations[0].area_px == 100
    with pytest.raises(SourceError, match=r"a\.png: expected an image that can be read"):
        with_box_masks([record], BoxShape.GRABCUT)


def test_grabcut_says_when_an_ellipse_took_its_place(tmp_path: Path) -> None:
    truth = disc(30)
    path = tmp_path / "a.png"
    Image.fromarray(picture_of(truth)).save(path)
    whole = (0.0, 0.0, float(SIZE_HW[1]), float(SIZE_HW[0]))
    (record,) = with_box_masks([record_of(path, box_only(box_of(truth)), box_only(whole))], BoxShape.GRABCUT)
    found, replaced = record.annotations
    assert found.attributes == {"mask_from": "grabcut"}
    assert found.box_xyxy == box_of(truth)
    assert masks.iou(found.mask(SIZE_HW), truth) > 0.95
    assert replaced.attributes == {"mask_from": "ellipse", "grabcut": "nothing"}
    assert replaced.area_px == pytest.approx(math.pi / 4 * 120 * 160, rel=0.01)
    with pytest.raises(ValueError, match="GrabCut needs the image"):
        mask_from_box(whole, BoxShape.GRABCUT, SIZE_HW)


def test_the_oil_tanks_get_ellipses_but_for_the_two_degenerate_boxes(shared_data: Path) -> None:
    dataset = boxes_csv.read(shared_data / "oil_tanks", ReadOptions())
    records = with_box_masks(dataset.images, BoxShape.ELLIPSE)
    made = [annotation for record in records for annotation in record.annotations]
    bare = [annotation.box_xyxy for annotation in made if annotation.segmentation == ()]
    assert len(made) == 2978
    assert sorted(bare) == [(884, 901, 897, 824), (1782, 1932, 1791, 1932)]
