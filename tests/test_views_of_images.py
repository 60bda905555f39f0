"""Views of an image: what they show, and how far percentages scatter between them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from maskstream.export.calibrate import pooled_sd
from maskstream.export.views import VIEWS, View, any_view


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size_hw", [(1, 1), (48, 64)])
def test_views_keep_size_and_type(view: View, size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    seen = view.of(image)
    assert seen.shape == image.shape
    assert seen.dtype == np.uint8


def test_views_do_what_they_say() -> None:
    image: NDArray[np.uint8] = np.zeros((41, 61, 3), np.uint8)
    image[10:15, 40:45] = 100
    np.testing.assert_array_equal(View().of(image), image)
    np.testing.assert_array_equal(View(mirror=True).of(image), image[:, ::-1])
    np.testing.assert_array_equal(View(turn_degrees=180).of(image), image[::-1, ::-1])
    np.testing.assert_array_equal(View(gain=0.5).of(image), image // 2)
    assert View(gain=3.0).of(image).max() == 255
    moved = View(shift=(-6 / 61, 4 / 41)).of(image)
    np.testing.assert_array_equal(moved[14:19, 34:39], image[10:15, 40:45])
    middle = np.roll(image, (8, -12), axis=(0, 1)).astype(np.uint8)
    assert View(zoom=2.0).of(middle).astype(int).sum() == pytest.approx(4 * middle.astype(int).sum(), rel=0.02)


def test_pooled_sd_by_hand() -> None:
    groups: list[NDArray[np.float64]] = [
        np.array([1.0, 3.0]),
        np.array([10.0, 10.0, 13.0]),
        np.array([5.0]),
        np.array([]),
    ]
    assert pooled_sd(groups) == pytest.approx(np.sqrt((2 + 6) / 3))
    assert pooled_sd([]) == 0.0
    assert pooled_sd([np.array([4.0])]) == 0.0


def test_there_is_ever_another_view() -> None:
    views = [any_view(number) for number in range(100)]
    assert tuple(views[: len(VIEWS)]) == VIEWS
    assert len(set(views)) == 100
    assert any_view(57) == views[57]
