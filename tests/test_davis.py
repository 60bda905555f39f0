"""J and F of DAVIS: by hand, and against its benchmark's own way, told again with scikit-image and SciPy."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import linear_sum_assignment
from skimage.morphology import disk

from maskstream.core import masks
from maskstream.core.detections import Detections
from maskstream.evaluation.videos.davis import Course, DavisJudge
from maskstream.evaluation.videos.video import iou_matrix

Film = NDArray[np.bool_]
"""Masks of each object in each frame, (objects, frames, h, w); empty where the object is not there."""


def frame_of(film: Film, frame: int) -> Detections:
    """The objects of a frame that are there, with ids from 1."""
    there = [index for index in range(len(film)) if film[index, frame].any()]
    n = len(there)
    return Detections(
        boxes_xyxy=np.zeros((n, 4), np.float32),
        masks=tuple(masks.crop(film[index, frame]) for index in there),
        scores=np.ones(n, np.float32),
        probabilities=np.ones((n, 1), np.float32),
        track_ids=np.array(there, np.int64) + 1,
        classes=("object",),
        size_hw=(film.shape[2], film.shape[3]),
    )


def judged(truth: Film, found: Film) -> dict[int, tuple[Course, Course]]:
    judge = DavisJudge()
    for frame in range(truth.shape[1]):
        pair = frame_of(truth, frame), frame_of(found, frame)
        judge.add(*pair, iou_matrix(*pair))
    return judge.result()


def reference_j(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(truth | found)
    return np.count_nonzero(truth & found) / union if union else 1.0


def reference_boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a pixel differs from that to the right, below or below right; of the last row and column from its one."""
    around = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask != around[:-1, 1:]) | (mask != around[1:, :-1]) | (mask != around[1:, 1:])


def reference_f(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    near = disk(int(np.ceil(0.008 * np.linalg.norm(truth.shape))))
    true_line, found_line = reference_boundary(truth), reference_boundary(found)
    if not true_line.any() or not found_line.any():
        return float(true_line.any() == found_line.any())
    around_truth, around_found = (cv2.dilate(line.astype(np.uint8), near) > 0 for line in (true_line, found_line))
    precision = np.count_nonzero(found_line & around_truth) / np.count_nonzero(found_line)
    recall = np.count_nonzero(true_line & around_found) / np.count_nonzero(true_line)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def reference(truth: Film, found: Film) -> list[tuple[list[float], list[float]]]:
    """Mean, recall and decay of J and of F of each object, over its best proposal."""
    if len(found) < len(truth):
        found = np.concatenate([found, np.zeros((len(truth) - len(found), *found.shape[1:]), bool)])
    j, f = (
        np.array([[[figure(t, p) for t, p in zip(own, proposal)] for own in truth] for proposal in found])
        for figure in (reference_j, reference_f)
    )
    proposals, objects = linear_sum_assignment(-(j.mean(axis=2) + f.mean(axis=2)) / 2)
    best = dict(zip(objects.tolist(), proposals.tolist()))
    return [(statistics(j[best[index], index]), statistics(f[best[index], index])) for index in range(len(truth))]


def statistics(values: NDArray[np.float64]) -> list[float]:
    ends = (np.round(np.linspace(1, len(values), 4 + 1) + 1e-10) - 1).astype(int)
    quarters = [values[start : end + 1] for start, end in pairwise(ends)]
    return [np.mean(values), np.mean(values > 0.5), np.mean(quarters[0]) - np.mean(quarters[3])]


def assert_equal(ours: dict[int, tuple[Course, Course]], theirs: list[tuple[list[float], list[float]]]) -> None:
    assert len(ours) == len(theirs)
    for index, expected in enumerate(theirs):
        for course, values in zip(ours[index + 1], expected, strict=True):
            assert [course.mean, course.recall, course.decay] == pytest.approx(values, abs=1e-12)


def square(frames: str, x: int, y: int, side: int = 12, size_hw: tuple[int, int] = (40, 60)) -> Film:
    """A square that is there in the frames of a "1"."""
    film = np.zeros((1, len(frames), *size_hw), bool)
    for frame, there in enumerate(frames):
        film[0, frame, y : y + side, x : x + side] = there == "1"
    return film


@pytest.mark.parametrize(
    "truth, found, j, f",
    [
        (square("1111", 5, 5), square("1111", 5, 5), (1, 1, 0), (1, 1, 0)),
        (square("1111", 5, 5), square("0000", 5, 5), (0, 0, 0), (0, 0, 0)),
        # half of it covered, half of the frames lost: 4 / 12 columns apart make an IoU of 8 / 16
        (square("1111", 5, 5), square("1111", 9, 5), (0.5, 0, 0), None),
        (square("11111111", 5, 5), square("11110000", 5, 5), (0.5, 0.5, 1), (0.5, 0.5, 1)),
        # where neither is there the frame is right, and where the track is there alone it is wrong
        (square("1100", 5, 5), square("1100", 5, 5), (1, 1, 0), (1, 1, 0)),
        (square("1100", 5, 5), square("1111", 5, 5), (0.5, 0.5, 1), (0.5, 0.5, 1)),
        (square("1100", 5, 5), square("0000", 5, 5), (0.5, 0.5, -1), (0.5, 0.5, -1)),
        # one pixel beside it no pixel is common, and every boundary pixel near enough
        (square("1", 5, 5, 1), square("1", 6, 5, 1), (0, 0, 0), (1, 1, 0)),
        # the whole image has no boundary, like nothing at all
        (square("11", 0, 0, 60), square("11", 0, 0, 60), (1, 1, 0), (1, 1, 0)),
        (square("11", 0, 0, 60), square("00", 0, 0, 60), (0, 0, 0), (1, 1, 0)),
        (square("11", 0, 0, 60), square("11", 5, 5), (144 / 2400, 0, 0), (0, 0, 0)),
    ],
)
def test_by_hand(truth: Film, found: Film, j: tuple[float, float, float], f: tuple[float, float, float] | None) -> None:
    ((of_region, of_boundary),) = judged(truth, found).values()
    assert (of_region.mean, of_region.recall, of_region.decay) == pytest.approx(j)
    if f is not None:
        assert (of_boundary.mean, of_boundary.recall, of_boundary.decay) == pytest.approx(f)


def test_nothing_there_has_no_figure() -> None:
    assert DavisJudge().result() == {}
    assert judged(square("00", 5, 5), square("11", 5, 5)) == {}


def test_each_object_has_a_track_of_its_own() -> None:
    """One track lies on both objects; it belongs to the one that it fits better, the other has none."""
    truth = np.concatenate([square("1111", 5, 5), square("1111", 13, 5)])
    figures = judged(truth, square("1111", 6, 5))
    assert figures[1][0].mean == pytest.approx(11 / 13)
    assert figures[2][0].mean == 0


@given(seed=st.integers(0, 2**32 - 1), objects=st.integers(1, 3), tracks=st.integers(0, 4), frames=st.integers(1, 9))
@settings(max_examples=15)
def test_equals_the_benchmark_on_random_films(seed: int, objects: int, tracks: int, frames: int) -> None:
    rng = np.random.default_rng(seed)

    def drawn_film(count: int) -> Film:
        drawn = np.zeros((count, frames, 30, 40), bool)
        for index in range(count):
            x, y = rng.integers(-5, 35), rng.integers(-5, 25)
            for frame in np.flatnonzero(rng.random(frames) < 0.8):
                x, y = x + rng.integers(-2, 3), y + rng.integers(-2, 3)
                side = rng.integers(3, 45)
                drawn[index, frame, max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)] = True
        return drawn

    truth, found = drawn_film(objects), drawn_film(tracks)
    # what is never there is no object, and what is never found no proposal
    truth, found = (film[film.any(axis=(1, 2, 3))] for film in (truth, found))
    ours = judged(truth, found)
    theirs = reference(truth, found) if len(truth) else []
    assert sum(j.mean + f.mean for j, f in ours.values()) == pytest.approx(sum(j[0] + f[0] for j, f in theirs))
    if len(truth) == 1 and len(found) <= 1:
        assert_equal(ours, theirs)


@pytest.mark.parametrize("sequence", ["blackswan", "libby"])
def test_equals_the_benchmark_on_the_films_of_davis(sequence: str, shared_data: Path) -> None:
    """Every fifth frame; the found masks are shifted, grown, shrunk, cut and lost, one more track is false."""
    rng = np.random.default_rng(7)
    paths = sorted((shared_data / "davis2016" / "Annotations" / sequence).glob("*.png"))[::5]
    truth = np.stack([np.asarray(Image.open(path).convert("L")) > 127 for path in paths])[None, :, ::2, ::2]
    found = np.zeros((2, *truth.shape[1:]), bool)
    for frame, mask in enumerate(truth[0]):
        kernel = disk(int(rng.integers(1, 4)))
        changed = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(mask.astype(np.uint8), kernel) > 0
        changed = np.roll(changed, rng.integers(-4, 5, 2), axis=(0, 1))
        changed[: int(rng.integers(0, 150))] = False
        found[0, frame] = changed & (rng.random() < 0.9)
        found[1, frame, 20:60, 30 : 60 + frame] = True
    assert truth.any()
    ours = judged(truth, found)
    assert_equal(ours, reference(truth, found))
    # whoever is given the first mask is judged without the first and the last frame
    inner = judged(truth[:, 1:-1], found[:, 1:-1])
    assert_equal(inner, reference(truth[:, 1:-1], found[:, 1:-1]))
    assert 0.2 < ours[1][0].mean < 1
    assert 0.2 < ours[1][1].mean < 1
