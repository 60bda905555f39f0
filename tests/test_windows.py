"""Windows as training samples: every object learned somewhere, slivers nowhere, masks cut exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiled_truth import bar, disc, place_image, window_of

from maskstream.core import masks
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.data.formats.coco.read import read_coco
from maskstream.data.records import Annotation, ImageRecord
from maskstream.inference.windows import TileSettings, windows
from maskstream.training.recipe import TilesRecipe
from maskstream.training.windows import training_windows, window_sample

TILES = TilesRecipe(size_hw=(64, 64), overlap=0.25, empty_share=0.2)
"""In an image of 64 x 160 windows begin at the columns 0, 48 and 96."""
SIZE_HW = (64, 160)


def record_of(*boxes_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int] = SIZE_HW) -> ImageRecord:
    annotations = tuple(Annotation(0, (), box, 0.0) for box in boxes_xyxy)
    return ImageRecord(1, "tanks.png", Path("tanks.png"), size_hw, annotations)


def objects_at(record: ImageRecord, **changes: float) -> dict[int, tuple[int, ...]]:
    """Objects of each window by its first column."""
    return {w.window.x0: w.objects for w in training_windows(record, TILES, **changes)}


def test_the_windows_are_those_of_use() -> None:
    record = record_of(size_hw=(300, 500))
    expected = windows((300, 500), TileSettings(size_hw=(64, 64), overlap=0.25))
    assert tuple(w.window for w in training_windows(record, TILES)) == expected


@pytest.mark.parametrize(
    "box, seen_at",
    [
        ((10, 5, 30, 25), {0}),
        ((50, 5, 62, 25), {0, 48}),  # whole in both
        ((44, 5, 64, 25), {0, 48}),  # whole, and 16 of 20 columns
        ((20, 5, 53, 25), {0}),  # whole, and 5 of 33 columns: a sliver
        ((57, 5, 77, 25), {0, 48}),  # 7 of 20 columns: enough, and whole
        ((59, 5, 79, 25), {48}),  # 5 of 20 columns: a sliver, and whole
        ((0, 5, 160, 25), {0, 48, 96}),  # larger than a window: a part of it in each
        ((30, 5, 125, 25), {0, 48, 96}),  # 34, 64 and 29 columns
        ((47, 5, 115, 25), {48}),  # 17, 64 and 19 columns, of which 19.2 would be enough
    ],
)
def test_where_an_object_is_learned(box: tuple[float, float, float, float], seen_at: set[int]) -> None:
    assert {x0 for x0, objects in objects_at(record_of(box)).items() if objects} == seen_at


def test_regions_keep_every_pixel() -> None:
    record = record_of((20, 5, 49, 25), (59, 5, 79, 25))
    assert objects_at(record) == {0: (0,), 48: (1,), 96: ()}
    assert objects_at(record, least_share=0.0) == {0: (0, 1), 48: (0, 1), 96: ()}


@pytest.mark.parametrize("box", [(10, 10, 19, 10), (30, 40, 43, -37), (20, 5, 20, 25), (-30, 5, -10, 25)])
def test_boxes_without_area_or_outside_are_in_no_window(box: tuple[float, float, float, float]) -> None:
    assert objects_at(record_of(box, (10, 5, 30, 25)), least_share=0.0) == {0: (1,), 48: (), 96: ()}


def test_an_image_without_objects_has_windows_still() -> None:
    assert objects_at(record_of()) == {0: (), 48: (), 96: ()}


def test_windows_without_objects_are_thinned() -> None:
    made = training_windows(record_of((10, 5, 30, 25)), TILES)
    assert [w.share(TILES) for w in made] == [1.0, 0.2, 0.2]


@given(
    st.lists(st.tuples(st.integers(0, 299), st.integers(0, 299), st.integers(1, 200), st.integers(1, 200)), max_size=20)
)
def test_every_object_is_learned_where_it_is_seen_best(places: list[tuple[int, int, int, int]]) -> None:
    boxes_xyxy = [(x, y, min(x + width, 300), min(y + height, 300)) for y, x, height, width in places]
    made = training_windows(record_of(*boxes_xyxy, size_hw=(300, 300)), TILES)
    for number, (x1, y1, x2, y2) in enumerate(boxes_xyxy):
        visible = [
            max(min(x2, w.window.x1) - max(x1, w.window.x0), 0) * max(min(y2, w.window.y1) - max(y1, w.window.y0), 0)
            for w in made
        ]
        assert number in made[int(np.argmax(visible))].objects
        if x2 - x1 <= 16 and y2 - y1 <= 16:
            assert max(visible) == (x2 - x1) * (y2 - y1)


@given(st.integers(0, 2**32))
@settings(max_examples=20)
def test_image_and_masks_are_cut_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size_hw = (150, 190)
    known = [disc(*(rng.integers(size_hw) + 0.5), rng.uniform(1, 60), size_hw) for _ in range(8)]
    record = ImageRecord(
        1, "a.png", Path("a.png"), size_hw, tuple(Annotation.from_mask(0, mask, size_hw) for mask in known)
    )
    image = place_image(size_hw)
    for made in training_windows(record, TILES, least_share=0.0):
        sample = window_sample(image, [known[place] for place in made.objects], made)
        assert window_of(Frame(sample.image, 0, 0.0, "")) == made.window
        for mask, place in zip(sample.masks, sample.objects, strict=True):
            expected = known[place].dense(size_hw)[made.window.slices]
            assert (mask.dense(sample.image.shape[:2]) == expected).all()
        shown = {place for place, mask in enumerate(known) if mask.dense(size_hw)[made.window.slices].any()}
        assert set(sample.objects) == shown


def test_a_mask_that_does_not_reach_in_is_left_out() -> None:
    """A frame of which the box, but no pixel, lies in the window."""
    hollow = np.ones((64, 150), bool)
    hollow[:, 30:] = False
    record = record_of((0, 0, 150, 64), (50, 5, 62, 25))
    made = training_windows(record, TILES)[1]
    assert made.objects == (0, 1)
    sample = window_sample(np.zeros((*SIZE_HW, 3), np.uint8), [CroppedMask(hollow, 0, 0), bar(5, 50, 20, 12)], made)
    assert sample.objects == (1,)
    assert (sample.masks[0].x0, sample.masks[0].y0, sample.masks[0].area_px) == (2, 5, 240)
    nothing = window_sample(np.zeros((*SIZE_HW, 3), np.uint8), [masks.EMPTY, masks.EMPTY], made)
    assert (nothing.masks, nothing.objects) == ((), ())


def test_real_annotations_cut_to_windows(shared_data: Path) -> None:
    """Cutting loses no pixel: each pixel of each object is in as many samples as windows cover it."""
    content = read_coco(shared_data / "coco128" / "instances.json", shared_data / "coco128" / "images")
    tiles = TilesRecipe(size_hw=(256, 256))
    for record in content.images[:5]:
        known = [annotation.mask(record.size_hw) for annotation in record.annotations]
        cover = np.zeros(record.size_hw, np.int64)
        seen_px = [0] * len(known)
        for made in training_windows(record, tiles, least_share=0.0):
            cover[made.window.slices] += 1
            sample = window_sample(np.zeros((*record.size_hw, 3), np.uint8), [known[n] for n in made.objects], made)
            for mask, place in zip(sample.masks, sample.objects, strict=True):
                seen_px[place] += mask.area_px
        assert seen_px == [int(cover[mask.slices][mask.bitmap].sum()) for mask in known]
