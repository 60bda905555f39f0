"""Large images window by window: every object once, and whole."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiled_truth import bar, detections, disc, frame_of, knowing_segmenter, pixels, window_of

from maskstream.core import masks
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import FakeSegmenter, Segmenter
from maskstream.data.box_masks import mask_from_box
from maskstream.data.csv_files import read_table
from maskstream.data.formats.format import BoxShape
from maskstream.evaluation.objects.judge import ImageTruth, judge
from maskstream.inference import tile_merge, tiles
from maskstream.inference.tiles import TiledSegmenter, TileSettings, Window, windows

TILE = TileSettings(size_hw=(64, 64), overlap=0.25)
"""Neighbours share 16 pixels or more."""
SIZE_HW = (200, 230)


def found_in(
    truth: Sequence[CroppedMask], size_hw: tuple[int, int] = SIZE_HW, tile: TileSettings = TILE, **known: object
):
    tiled = TiledSegmenter(knowing_segmenter(truth, **known), tile, max_detections=10_000)
    (found,) = tiled.segment([frame_of(size_hw)])
    return found


def assert_same_objects(found: Detections, truth: Sequence[CroppedMask]) -> None:
    assert sorted(map(pixels, found.masks)) == sorted(map(pixels, truth))
    assert (np.diff(found.scores) <= 0).all()


# ---- windows


@given(
    st.tuples(st.integers(1, 400), st.integers(1, 400)),
    st.tuples(st.integers(10, 300), st.integers(10, 300)),
    st.floats(0, 0.85),
)
def test_windows_cover_the_image_and_share_their_overlap(
    size_hw: tuple[int, int], tile_hw: tuple[int, int], overlap: float
) -> None:
    made = windows(size_hw, TileSettings(size_hw=tile_hw, overlap=overlap))
    for axis, (side, tile) in enumerate(zip(size_hw, tile_hw, strict=True)):
        spans = sorted({((w.y0, w.y1), (w.x0, w.x1))[axis] for w in made})
        assert (spans[0][0], spans[-1][1]) == (0, side)
        assert {end - start for start, end in spans} == {min(side, tile)}
        shared = [before[1] - after[0] for before, after in pairwise(spans)]
        assert all(least >= min(tile * overlap, tile - 1) - 1e-6 for least in shared)
        assert max(shared, default=0) - min(shared, default=0) <= 1
    assert len(made) == len({w.y0 for w in made}) * len({w.x0 for w in made})


@pytest.mark.parametrize(
    "size_hw, expected",
    [
        ((64, 64), [(0, 0)]),
        ((10, 20), [(0, 0)]),
        ((64, 65), [(0, 0), (0, 1)]),
        ((65, 64), [(0, 0), (1, 0)]),
        ((64, 112), [(0, 0), (0, 48)]),
        ((64, 113), [(0, 0), (0, 24), (0, 49)]),
    ],
)
def test_windows_by_hand(size_hw: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    made = windows(size_hw, TILE)
    assert [(w.y0, w.x0) for w in made] == expected
    assert {(w.height, w.width) for w in made} == {(min(size_hw[0], 64), min(size_hw[1], 64))}


def test_the_windows_of_an_oil_tank_image() -> None:
    made = windows((2560, 2560), TileSettings(size_hw=(640, 640)))
    assert len(made) == 25
    assert {w.x0 for w in made} == {0, 480, 960, 1440, 1920}


@given(st.integers(-5, 30), st.integers(-5, 30), st.integers(1, 20), st.integers(1, 20), st.integers(0, 1000))
def test_cutting_a_mask_is_cutting_its_pixels(y0: int, x0: int, height: int, width: int, seed: int) -> None:
    dense = np.random.default_rng(seed).random((40, 40)) < 0.3
    dense[:5] = dense[:, 35:] = False
    window = Window(max(y0, 0), max(x0, 0), min(height, 40 - max(y0, 0)), min(width, 40 - max(x0, 0)))
    cut = window.cut(masks.crop(dense))
    assert (cut.dense((window.height, window.width)) == dense[window.slices]).all()
    assert window.area_px(masks.crop(dense)) == cut.area_px == dense[window.slices].sum()
    assert cut.bitmap.shape == masks.crop(cut.bitmap).bitmap.shape


@pytest.mark.parametrize("changes", [{"overlap": 0.95}, {"size_hw": (0, 5)}, {"edge_px": 0}, {"stride": 3}])
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TileSettings(**{"size_hw": (64, 64), **changes})


def test_settings_survive_a_manifest() -> None:
    assert TileSettings.model_validate_json(TILE.model_dump_json(), strict=True) == TILE


# ---- objects smaller than the overlap


@st.composite
def apart(draw: st.DrawFn) -> list[CroppedMask]:
    """Discs of up to 15 pixels anywhere in the image, the edges included, none on top of another."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    taken, truth = np.zeros(SIZE_HW, bool), []
    for _ in range(draw(st.integers(0, 60))):
        y, x = rng.integers(SIZE_HW) + 0.5
        mask = disc(y, x, rng.uniform(0.1, 7.4), SIZE_HW)
        if not taken[mask.slices][mask.bitmap].any():
            taken[mask.slices] |= mask.bitmap
            truth.append(mask)
    return truth


@given(apart(), st.integers(0, 9))
@settings(max_examples=40)
def test_objects_smaller_than_the_overlap_are_found_once_and_whole(truth: list[CroppedMask], seed: int) -> None:
    assert_same_objects(found_in(truth, seed=seed), truth)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=10)
def test_crowds_of_objects_of_a_few_pixels(seed: int, side: int, gap: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 100, 2).tolist()
    truth = [
        bar(top, left, side, side)
        for top in range(y, y + 60, side + gap)
        for left in range(x, x + 60, side + gap)
        if rng.random() < 0.5
    ]
    assert_same_objects(found_in(truth), truth)


def test_small_objects_on_large_ones_stay_two() -> None:
    """At the seam of the windows at 0 and 42: both in the strip, the small one cut, and the large one cut or whole."""
    large = disc(100, 56, 7.5, SIZE_HW)
    for x in range(50, 62):
        small = disc(100.5, x + 0.5, 2.2, SIZE_HW)
        assert_same_objects(found_in([large, small]), [large, small])
    huge = bar(20, 10, 100, 160)
    small_ones = [disc(70.5, x + 0.5, 3, SIZE_HW) for x in range(20, 160, 7)]
    assert_same_objects(found_in([huge, *small_ones]), [huge, *small_ones])


def test_overlapping_objects_of_one_size_stay_two() -> None:
    for x in range(20, 110, 3):
        truth = [disc(60.5, x + 0.5, 6, SIZE_HW), disc(62.5, x + 2.5, 6, SIZE_HW)]
        for seed in range(4):
            assert_same_objects(found_in(truth, seed=seed), truth)


def test_an_object_of_another_class_in_another_window_is_the_same_object() -> None:
    mask = disc(30, 56, 5, SIZE_HW)

    def answer(frame: Frame) -> Detections:
        window = window_of(frame)
        part = window.cut(mask)
        class_id = int(window.x0 > 0)
        seen = [part] * (part.area_px > 0)
        scores, ids = [0.6 + 0.2 * class_id] * len(seen), [class_id] * len(seen)
        return detections(seen, scores, ids, ("tank", "roof"), frame.size_hw)

    (found,) = TiledSegmenter(FakeSegmenter(answer, ("tank", "roof")), TILE).segment([frame_of(SIZE_HW)])
    assert_same_objects(found, [mask])
    assert (found.class_ids.tolist(), found.scores.tolist()) == ([1], pytest.approx([0.8]))


# ---- objects larger than the overlap


@given(
    st.lists(st.tuples(st.integers(0, 190), st.integers(0, 220), st.integers(1, 200), st.booleans()), max_size=12),
    st.integers(0, 9),
)
@settings(max_examples=60)
def test_bars_across_many_windows_are_joined(places: list[tuple[int, int, int, bool]], seed: int) -> None:
    taken, truth = np.zeros(SIZE_HW, bool), []
    for y, x, length, upright in places:
        size = (min(length, SIZE_HW[0] - y), 3) if upright else (3, min(length, SIZE_HW[1] - x))
        mask = bar(y, x, *size)
        if not taken[mask.slices].any():
            taken[mask.slices] = True
            truth.append(mask)
    assert_same_objects(found_in(truth, seed=seed), truth)


@given(st.lists(st.tuples(st.integers(0, 199), st.integers(0, 229), st.floats(8, 120)), min_size=1, max_size=3))
@settings(max_examples=40)
def test_large_discs_are_joined(places: list[tuple[int, int, float]]) -> None:
    taken, truth = np.zeros(SIZE_HW, bool), []
    for y, x, radius in places:
        mask = disc(y + 0.5, x + 0.5, radius, SIZE_HW)
        if not taken[mask.slices][mask.bitmap].any():
            taken[mask.slices] |= mask.bitmap
            truth.append(mask)
    assert_same_objects(found_in(truth), truth)


def test_an_object_as_large_as_the_image() -> None:
    assert_same_objects(found_in([bar(0, 0, *SIZE_HW)]), [bar(0, 0, *SIZE_HW)])


def test_score_and_class_of_a_joined_object_are_means_over_its_pixels() -> None:
    """Windows at 0 and 36 of an image of 64 x 100 see 50 and 54 columns of a bar from 14 to 90."""
    mask = bar(10, 14, 5, 76)

    def answer(frame: Frame) -> Detections:
        part = window_of(frame).cut(mask)
        first = window_of(frame).x0 == 0
        found = detections([part], [0.6 if first else 0.9], [0], ("tank", "roof"), frame.size_hw)
        return replace(found, probabilities=np.array([[0.8, 0.2] if first else [0.4, 0.6]], np.float32))

    (found,) = TiledSegmenter(FakeSegmenter(answer, ("tank", "roof")), TILE).segment([frame_of((64, 100))])
    assert_same_objects(found, [mask])
    assert found.scores == pytest.approx([(50 * 0.6 + 54 * 0.9) / 104])
    assert found.probabilities[0] == pytest.approx([(50 * 0.8 + 54 * 0.4) / 104, (50 * 0.2 + 54 * 0.6) / 104])
    assert found.boxes_xyxy.tolist() == [[14, 10, 90, 15]]


def test_masks_that_differ_a_little_are_joined_and_not_doubled() -> None:
    """Each window draws every object 1 pixel larger or smaller, on each side by itself."""
    truth = [disc(50, 57, 7, SIZE_HW), disc(80, 100, 30, SIZE_HW), bar(150, 5, 12, 200), disc(20, 20, 6, SIZE_HW)]

    def answer(frame: Frame) -> Detections:
        window = window_of(frame)
        rng = np.random.default_rng([window.y0, window.x0])
        kernel = np.ones((3, 3), np.uint8)
        change = [cv2.erode, cv2.dilate][rng.integers(2)]
        moved = [masks.crop(change(mask.dense(SIZE_HW).astype(np.uint8), kernel) > 0) for mask in truth]
        parts = [part for part in map(window.cut, moved) if part.area_px > 8]
        return detections(parts, rng.uniform(0.5, 1, len(parts)), [0] * len(parts), ("tank",), frame.size_hw)

    (found,) = TiledSegmenter(FakeSegmenter(answer, ("tank",)), TILE).segment([frame_of(SIZE_HW)])
    assert len(found) == len(truth)
    assert all(max(masks.iou(mask, known) for mask in found.masks) > 0.6 for known in truth)


# ---- regions of a label map


def components(labels: np.ndarray) -> tuple[list[CroppedMask], list[int]]:
    """The 8-connected regions of each class of a label map, 0 being background."""
    found, ids = [], []
    for class_id in range(labels.max()):
        count, parts = cv2.connectedComponents((labels == class_id + 1).astype(np.uint8), connectivity=8)
        found += [masks.crop(parts == part) for part in range(1, count)]
        ids += [class_id] * (count - 1)
    return found, ids


def region_segmenter(labels: np.ndarray) -> Segmenter:
    """Finds the regions of the part of a label map that it sees."""
    classes = tuple(f"class {number}" for number in range(labels.max()))

    def answer(frame: Frame) -> Detections:
        found, ids = components(labels[window_of(frame).slices])
        return detections(found, np.full(len(found), 0.9), ids, classes, frame.size_hw)

    return FakeSegmenter(answer, classes)


@given(st.integers(0, 2**32), st.floats(3, 25), st.integers(1, 3))
@settings(max_examples=20)
def test_regions_are_those_of_the_whole_label_map(seed: int, roughness: float, classes: int) -> None:
    noise = np.random.default_rng(seed).standard_normal(SIZE_HW).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), roughness)
    labels = np.digitize(smooth, np.quantile(smooth, np.linspace(0.4, 1, classes + 1)[:-1])).astype(np.int32)
    known, ids = components(labels)
    tile = TILE.model_copy(update={"join_share": 0.0})
    (found,) = TiledSegmenter(region_segmenter(labels), tile, 10_000).segment([frame_of(SIZE_HW)])
    assert_same_objects(found, known)
    by_pixels = dict(zip(map(pixels, known), ids, strict=True))
    assert [by_pixels[pixels(mask)] for mask in found.masks] == found.class_ids.tolist()


def test_a_comb_whose_teeth_meet_in_another_window_is_one_region() -> None:
    labels = np.zeros((64, 200), np.int32)
    labels[10:50:6, 20:150] = labels[13:50:6, 20:150] = 1
    labels[10:50, 145:150] = 1
    known, _ = components(labels)
    assert len(known) == 1
    (found,) = TiledSegmenter(region_segmenter(labels), TILE).segment([frame_of((64, 200))])
    assert_same_objects(found, known)


# ---- which view counts


def one_window_says(answers: dict[int, list[tuple[CroppedMask, float]]]) -> Detections:
    """An image of 64 x 112 whose windows begin at the columns 0 and 48, each answering in the image's pixels."""

    def answer(frame: Frame) -> Detections:
        window = window_of(frame)
        rows = answers.get(window.x0, [])
        cut = [window.cut(mask) for mask, _ in rows]
        return detections(cut, [score for _, score in rows], [0] * len(rows), ("tank",), frame.size_hw)

    (found,) = TiledSegmenter(FakeSegmenter(answer, ("tank",)), TILE).segment([frame_of((64, 112))])
    return found


WHOLE, PART = bar(10, 55, 8, 20), bar(10, 55, 8, 9)


@pytest.mark.parametrize("whole_score", [0.55, 0.95])
def test_the_whole_view_counts_whatever_its_score(whole_score: float) -> None:
    found = one_window_says({0: [(WHOLE, 0.8)], 48: [(WHOLE, whole_score)]})
    assert_same_objects(found, [WHOLE])
    assert found.scores == pytest.approx([whole_score])


@pytest.mark.parametrize("part", [PART, bar(0, 55, 8, 9), bar(50, 55, 14, 9)])
def test_a_part_that_another_window_sees_better_and_does_not_believe_is_dropped(part: CroppedMask) -> None:
    """At the image's own edges as well, where nothing is cut."""
    assert len(one_window_says({0: [(part, 0.8)], 48: []})) == 0


def test_a_part_that_no_other_window_sees_better_stays() -> None:
    reaching_back = bar(10, 30, 8, 34)
    assert_same_objects(one_window_says({0: [(reaching_back, 0.8)], 48: []}), [reaching_back])


def test_of_two_whole_views_the_better_one_is_kept() -> None:
    one, other = bar(10, 52, 8, 8), bar(11, 52, 8, 8)
    assert_same_objects(one_window_says({0: [(one, 0.7)], 48: [(other, 0.9)]}), [other])
    assert_same_objects(one_window_says({0: [(one, 0.9)], 48: [(other, 0.7)]}), [one])


def test_a_view_inside_a_larger_one_is_the_same_object() -> None:
    small, large = bar(12, 53, 4, 4), bar(10, 52, 8, 8)
    assert_same_objects(one_window_says({0: [(small, 0.7)], 48: [(large, 0.9)]}), [large])


def test_two_objects_that_another_window_sees_as_one() -> None:
    """The better-scored opinion wins, and takes none of the two with it."""
    two, one = [bar(10, 52, 8, 4), bar(10, 56, 8, 4)], bar(10, 52, 8, 8)
    assert_same_objects(one_window_says({0: [(two[0], 0.9), (two[1], 0.8)], 48: [(one, 0.7)]}), two)
    assert_same_objects(one_window_says({0: [(two[0], 0.7), (two[1], 0.6)], 48: [(one, 0.9)]}), [one])


def test_a_mask_that_spills_over_does_not_swallow_its_neighbour() -> None:
    """The tank at the left reaches 2 columns into the second window, which does not report so little of it."""
    left, right = bar(10, 40, 8, 10), bar(10, 50, 8, 30)
    spilled = bar(10, 48, 8, 32)
    found = one_window_says({0: [(left, 0.9), (right, 0.6)], 48: [(spilled, 0.8)]})
    assert_same_objects(found, [left, spilled])


def test_neighbours_that_overlap_a_little_stay_two() -> None:
    """In the strip from column 48 on their IoU is a third; but the left one is seen whole and is much larger."""
    left, right = bar(10, 30, 8, 26), bar(10, 52, 8, 8)
    assert_same_objects(one_window_says({0: [(left, 0.9)], 48: [(right, 0.8)]}), [left, right])


@pytest.mark.parametrize("rows, joined", [(6, True), (2, False)])
def test_parts_of_two_classes_are_joined_where_the_strip_shows_the_same(rows: int, joined: bool) -> None:
    """Parts of 6 rows at the left and of 6 or 2 at the right: the strip shows an IoU of 1 or a third."""
    left, right = bar(10, 10, 6, 54), bar(10, 48, rows, 60)

    def answer(frame: Frame) -> Detections:
        first = window_of(frame).x0 == 0
        part = window_of(frame).cut(left if first else right)
        return detections([part], [0.9], [0 if first else 1], ("tank", "roof"), frame.size_hw)

    tile = TILE.model_copy(update={"merge_iou": 0.5})
    (found,) = TiledSegmenter(FakeSegmenter(answer, ("tank", "roof")), tile).segment([frame_of((64, 112))])
    assert_same_objects(found, [bar(10, 10, 6, 98)] if joined else [left, right])


# ---- the Segmenter


def test_images_without_objects() -> None:
    assert len(found_in([])) == 0
    assert found_in([]).size_hw == SIZE_HW


@pytest.mark.parametrize("size_hw", [(64, 64), (1, 1), (30, 64), (64, 65), (65, 64), (65, 65), (20, 300)])
def test_images_about_as_large_as_a_window(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    truth = [bar(0, 0, min(height, 3), min(width, 4))]
    if width > 20:
        truth += [bar(height // 2, 5, 1, width - 5)]
    assert_same_objects(found_in(truth, size_hw), truth)


def test_a_small_image_goes_to_the_model_as_it_is() -> None:
    seen: list[Frame] = []

    def answer(frame: Frame) -> Detections:
        seen.append(frame)
        return Detections.empty(("tank",), frame.size_hw)

    frame = Frame(np.zeros((64, 40, 3), np.uint8), 7, 1.5, "video.mp4")
    TiledSegmenter(FakeSegmenter(answer, ("tank",)), TILE).segment([frame])
    assert seen == [frame]
    TiledSegmenter(FakeSegmenter(answer, ("tank",)), TILE).segment(
        [replace(frame, image=np.zeros((64, 65, 3), np.uint8))]
    )
    assert {(part.index, part.time_s, part.source, part.size_hw) for part in seen[1:]} == {
        (7, 1.5, "video.mp4", (64, 64))
    }


def test_it_is_a_segmenter_with_the_models_own_words() -> None:
    inner = knowing_segmenter([disc(50, 50, 5, SIZE_HW)])
    tiled = TiledSegmenter(inner, TILE)
    assert isinstance(tiled, Segmenter)
    assert (tiled.name, tiled.classes, tiled.score_threshold) == ("fake", ("tank",), 0.5)
    assert [len(found) for found in tiled.segment([frame_of(SIZE_HW)] * 2, 0.0)] == [1, 1]
    assert len(tiled.segment([frame_of(SIZE_HW)], 1.0)[0]) == 0
    assert tiled.segment([]) == []


@pytest.mark.parametrize("size_hw", [SIZE_HW, (60, 60)])
def test_the_best_detections_are_kept(size_hw: tuple[int, int]) -> None:
    truth = [bar(y, x, 2, 2) for y in range(2, 58, 4) for x in range(2, 58, 4)]
    frame = frame_of(size_hw)
    (all_found,) = TiledSegmenter(knowing_segmenter(truth), TILE).segment([frame])
    (best,) = TiledSegmenter(knowing_segmenter(truth), TILE, max_detections=10).segment([frame])
    assert len(all_found) == len(truth)
    assert best.scores.tolist() == all_found.scores[:10].tolist()


def test_more_than_a_thousand_objects_are_merged_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only neighbours are compared: 0.2 s on one core; intersecting the masks of all pairs takes 3 s by itself."""
    size_hw = (2560, 2560)
    rng = np.random.default_rng(0)
    truth = [
        disc(y + rng.uniform(0, 8), x + rng.uniform(0, 8), rng.uniform(4, 25), size_hw)
        for y in range(20, 2540, 60)
        for x in range(20, 2540, 60)
    ]
    seconds: list[float] = []

    def timed(*arguments: object) -> Detections:
        started = time.process_time()
        merged = tile_merge.merge(*arguments)
        seconds.append(time.process_time() - started)
        return merged

    monkeypatch.setattr(tiles, "merge", timed)
    found = found_in(truth, size_hw, TileSettings(size_hw=(640, 640)))
    assert_same_objects(found, truth)
    assert len(truth) > 1700
    assert seconds[0] < 2


# ---- real boxes, with the truth as the model


def test_known_oil_tanks_come_back_through_tiles(shared_data: Path) -> None:
    """Ellipses in the boxes of the image with the most tanks, more than COCO's figures count."""
    table = read_table(shared_data / "oil_tanks" / "annotations.csv")
    image_id, bounds = table.require("image_id"), table.require("bounds")
    boxes_of: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for row in table.rows():
        boxes_of[row.cells[image_id]].append(tuple(map(float, row.cells[bounds].strip("()").split(","))))
    labelled = max(boxes_of.values(), key=len)
    size_hw = (2560, 2560)
    tanks = [mask_from_box(box, BoxShape.ELLIPSE, size_hw) for box in labelled]
    truth = ImageTruth(1, tuple(tanks), (0,) * len(tanks), size_hw, boxes_xyxy=np.array(labelled, np.float32))
    assert len(tanks) > 400

    found = found_in(tanks, size_hw, TileSettings(size_hw=(640, 640)))
    assert_same_objects(found, tanks)
    figures = judge([(truth, found)], ("tank",), 0.5, max_detections=1000)
    assert (figures["AP"], figures["box_AP"], figures["box_AP50"]) == (1, 1, 1)
    assert judge([(truth, found)], ("tank",), 0.5)["box_AP50"] < 0.3
