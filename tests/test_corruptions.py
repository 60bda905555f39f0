"""Corruptions: nothing at severity 0, the stated setting at the others, and truth that is turned with its image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from found_objects import disk
from hypothesis import given
from hypothesis import strategies as st

from maskstream.core.masks import crop, iou
from maskstream.data.records import Annotation, ImageRecord
from maskstream.evaluation.failures.corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    Corruption,
    coarsened,
    corrupted,
    exposed,
)
from maskstream.evaluation.failures.turned import turned_image, turned_record, turned_size

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}


def _image(size_hw: tuple[int, int] = (40, 56), seed: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(40, 200, (*size_hw, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def _record(folder: Path, mask: np.ndarray, *, polygons: bool = False, iscrowd: bool = False) -> ImageRecord:
    """An image that is white on its object and black elsewhere."""
    size_hw = mask.shape[0], mask.shape[1]
    path = folder / "a.png"
    cv2.imwrite(str(path), np.repeat(mask[:, :, None].astype(np.uint8) * 255, 3, axis=2))
    annotation = Annotation.from_mask(0, crop(mask), size_hw)
    if polygons:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        annotation = Annotation.from_polygons(0, (contours[0][:, 0].astype(np.float64) + 0.5,), size_hw)
    return ImageRecord(1, "a.png", path, size_hw, (annotation,), group="g", class_id=1)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_severity_0_is_the_image_itself_and_more_changes_more(corruption: Corruption) -> None:
    image, rng = _image(), np.random.default_rng(0)
    np.testing.assert_array_equal(corruption.apply(image, 0, rng), image)
    assert corruption.level(0) == "unchanged"
    changed = [corruption.apply(image, severity, np.random.default_rng(1)) for severity in SEVERITIES]
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in changed)
    if corruption.name != "rotation":
        gaps = [np.abs(picture.astype(int) - image).mean() for picture in changed]
        assert 0 < gaps[0] < gaps[1] < gaps[2]
    assert all("{" not in corruption.level(severity) for severity in SEVERITIES)
    with pytest.raises(ValueError, match="severity is 4"):
        corruption.apply(image, 4, rng)


def test_a_stop_is_twice_the_light() -> None:
    # sRGB 99.5 of 255 is 12.5 % of the light, 137 is 25 %, 188 is 50 %
    grey = np.full((2, 2, 3), 137, np.uint8)
    assert exposed(grey, 1)[0, 0, 0] == pytest.approx(188, abs=1)
    assert exposed(grey, -1)[0, 0, 0] == pytest.approx(99, abs=1)
    np.testing.assert_array_equal(exposed(np.arange(192, dtype=np.uint8).reshape(8, 8, 3), 0).ravel(), np.arange(192))
    assert exposed(np.full((1, 1, 3), 200, np.uint8), 3).min() == 255


def test_fewer_pixels_keep_the_mean_and_lose_the_detail() -> None:
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    grey = coarsened(np.repeat(board[:, :, None], 3, axis=2), 2)
    assert grey.shape == (64, 64, 3)
    assert np.abs(grey.astype(int) - 127).max() <= 1
    assert coarsened(np.zeros((1, 3, 3), np.uint8), 8).shape == (1, 3, 3)


@given(
    st.integers(8, 40), st.integers(8, 40), st.sampled_from([90, 180, 270, 360, -90]), st.integers(0, 2**31),
)  # fmt: skip
def test_quarter_turns_are_exact(height: int, width: int, degrees: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)
    turned = turned_image(image, degrees)
    assert turned.shape[:2] == turned_size((height, width), degrees)
    np.testing.assert_array_equal(turned_image(turned, -degrees), image)
    if degrees == 90:  # clockwise: what was at the left is on top
        np.testing.assert_array_equal(turned[0], image[::-1, 0])


@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("degrees", [15, 45, 90, 180, 200, 270])
def test_truth_turns_with_its_image(tmp_path: Path, degrees: float, polygons: bool) -> None:
    mask = disk((60, 90), 55, 25, 14)
    mask[30:50, 20:60] = True
    record = _record(tmp_path, mask, polygons=polygons)
    turned = turned_record(record, degrees)
    shown = turned_image(record.read_image(), degrees)[..., 0]
    background = round(float(record.read_image().mean()))
    assert turned.size_hw == shown.shape == turned_size((60, 90), degrees)
    (annotation,) = turned.annotations
    seen = crop(shown > (background + 255) / 2)
    own = annotation.mask(turned.size_hw)
    assert iou(own, seen) > (0.9 if polygons else 0.95)
    if degrees % 90 == 0 and not polygons:
        assert iou(own, seen) == 1
    x1, y1, x2, y2 = annotation.box_xyxy
    rows, columns = own.slices
    np.testing.assert_allclose([x1, y1, x2, y2], [columns.start, rows.start, columns.stop, rows.stop], atol=1.5)
    assert annotation.area_px == own.area_px
    assert (turned.group, turned.class_id, turned.name) == ("g", 1, "a.png")


def test_what_leaves_the_view_is_no_truth_any_more(tmp_path: Path) -> None:
    corner = np.zeros((60, 90), bool)
    corner[:4, :4] = True
    for polygons in (False, True):
        assert turned_record(_record(tmp_path, corner, polygons=polygons), 45).annotations == ()


def test_a_box_alone_turns_to_the_box_around_it(tmp_path: Path) -> None:
    bare = Annotation(0, (), (10.0, 20.0, 30.0, 24.0), 80.0)
    record = ImageRecord(1, "a.png", tmp_path / "a.png", (60, 90), (bare,))
    assert turned_record(record, 90).annotations[0].box_xyxy == (36.0, 10.0, 40.0, 30.0)


def test_the_same_seed_and_image_give_the_same_pixels(tmp_path: Path) -> None:
    record = _record(tmp_path, disk((40, 40), 20, 20, 9))
    for corruption in CORRUPTIONS:
        first, again = (corrupted(record, corruption, 2, seed=5).read_image() for _ in range(2))
        np.testing.assert_array_equal(first, again)
    noise = BY_NAME["noise"]
    other = corrupted(record, noise, 2, seed=6).read_image()
    assert (other != corrupted(record, noise, 2, seed=5).read_image()).any()


def test_a_corrupted_record_is_a_labelled_image_like_any_other(tmp_path: Path) -> None:
    record = _record(tmp_path, disk((40, 60), 20, 20, 9))
    for corruption in CORRUPTIONS:
        for severity in (0, *SEVERITIES):
            worse = corrupted(record, corruption, severity)
            assert worse.size_hw == worse.read_image().shape[:2]
            assert (worse.name, worse.image_id, worse.group, worse.class_id) == ("a.png", 1, "g", 1)
            assert len(worse.annotations) == 1
    unchanged = corrupted(record, BY_NAME["rotation"], 0)
    np.testing.assert_array_equal(unchanged.read_image(), record.read_image())
    assert unchanged.annotations is record.annotations
