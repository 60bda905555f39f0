"""Ids through shake, disappearance and crossing: by hand, and on sample clips with the detector's faults."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core import boxes, masks
from maskstream.core.detections import Detections
from maskstream.evaluation.videos.video import VideoJudge, VideoMetrics, pooled
from maskstream.media.sample import CLASSES, SampleClip
from maskstream.tracking.cut_boxes import CutBoxes
from maskstream.tracking.tracker import Tracker, TrackerSettings

SIZE_HW = (240, 320)
STEP_S = 1 / 30


@dataclass(frozen=True)
class Stamp:
    time_s: float
    source: str = "video.mp4"


def found(*objects: tuple[float, float, float, float], malignant: float = 0.2) -> Detections:
    """Detections with boxes from centre x, centre y, width, height, cut to the frame."""
    n = len(objects)
    x, y, width, height = np.array(objects, np.float32).reshape(n, 4).T
    corners = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], axis=1)
    return Detections(
        boxes_xyxy=boxes.clip(corners, SIZE_HW),
        masks=(masks.EMPTY,) * n,
        scores=np.full(n, 0.9, np.float32),
        probabilities=np.tile(np.array([1 - malignant, malignant], np.float32), (n, 1)),
        track_ids=np.zeros(n, np.int64),
        classes=CLASSES,
        size_hw=SIZE_HW,
    )


def tracked(frames: list[Detections], step_s: float = STEP_S) -> list[list[int]]:
    tracker = Tracker()
    return [tracker.update(Stamp(i * step_s), frame).track_ids.tolist() for i, frame in enumerate(frames)]


def test_nothing_found_gives_nothing() -> None:
    assert tracked([found(), found(), found()]) == [[], [], []]


def test_an_id_comes_on_first_sight_and_stays() -> None:
    assert tracked([found((100, 100, 40, 30))] * 3) == [[1], [1], [1]]


def test_a_new_object_gets_a_new_id_whatever_the_order() -> None:
    left, right = (80, 100, 40, 40), (240, 120, 60, 50)
    assert tracked([found(left), found(right, left), found(left, right)]) == [[1], [2, 1], [1, 2]]


def test_the_input_is_not_changed() -> None:
    detections = found((100, 100, 40, 30))
    result = Tracker().update(Stamp(0), detections)
    assert detections.track_ids.tolist() == [0]
    assert replace(result, track_ids=detections.track_ids).boxes_xyxy is detections.boxes_xyxy


def test_a_new_source_is_a_new_scene_and_ids_count_on() -> None:
    tracker = Tracker()
    frame = found((100, 100, 40, 30))
    ids = [tracker.update(Stamp(0.0, name), frame).track_ids.tolist() for name in ("a.jpg", "b.jpg", "b.jpg", "a.jpg")]
    assert ids == [[1], [2], [2], [3]]


@pytest.mark.parametrize("gone_s, kept", [(0.5, True), (1.5, True), (2.3, True), (4.0, False)])
def test_an_object_that_returns_within_memory_keeps_its_id(gone_s: float, kept: bool) -> None:
    seen, gone = [found((100, 100, 40, 30))] * 30, [found()] * round(gone_s / STEP_S)
    assert tracked([*seen, *gone, *seen])[-1] == [1 if kept else 2]


def test_a_false_detection_is_soon_forgotten() -> None:
    lasting, false = (100, 100, 40, 30), (250, 60, 20, 20)
    frames = [found(lasting)] * 10 + [found(lasting, false)] + [found(lasting)] * 30 + [found(lasting, false)]
    ids = tracked(frames)
    assert ids[10] == [1, 2]
    assert ids[-1] == [1, 3]


def test_a_false_detection_far_away_does_not_take_the_id_of_a_missed_object() -> None:
    missed, other, false = (80, 100, 40, 30), (240, 150, 70, 60), (180, 40, 40, 30)
    ids = tracked([found(missed, other)] * 20 + [found(false, other)] + [found(false, missed, other)] * 2)
    assert ids[20:] == [[3, 2], [3, 1, 2], [3, 1, 2]]


def test_a_jerk_moves_all_objects_farther_than_their_size() -> None:
    """Two alike, 40 pixels wide and 45 apart, jump by 45: without a common shift one would take the other's id."""
    before = found((100, 100, 40, 40), (145, 100, 40, 40))
    after = found((145, 101, 40, 40), (190, 101, 40, 40))
    assert tracked([before] * 10 + [after] * 3)[-1] == [1, 2]


def test_objects_that_cross_keep_their_ids() -> None:
    ids = tracked([found((60 + 4 * i, 100, 40, 40), (260 - 4 * i, 112, 40, 40)) for i in range(50)])
    assert ids == [[1, 2]] * 50


def test_the_size_tells_two_apart_that_return_together() -> None:
    small, large = (100, 100, 30, 30), (150, 130, 80, 70)
    moved_small, moved_large = (190, 60, 30, 30), (140, 90, 80, 70)
    ids = tracked([found(small, large)] * 20 + [found()] * 30 + [found(moved_large, moved_small)])
    assert ids[-1] == [2, 1]


def test_an_object_leaves_through_the_edge_and_returns() -> None:
    out = [found((200 + 8 * i, 100, 60, 60)) for i in range(18)]
    frames = [found((200, 100, 60, 60))] * 10 + out + [found()] * 20 + out[::-1]
    ids = tracked(frames)
    assert {number for line in ids for number in line} == {1}


def test_time_that_stands_still_or_runs_back_is_borne() -> None:
    tracker = Tracker()
    ids = [tracker.update(Stamp(t), found((100, 100, 40, 30))).track_ids.tolist() for t in (1.0, 1.0, 0.5, 1.1)]
    assert ids == [[1]] * 4


@given(
    st.lists(
        st.lists(st.tuples(st.floats(-50, 370), st.floats(-50, 290), st.floats(0, 400), st.floats(0, 300)), max_size=6),
        max_size=12,
    )
)
@settings(max_examples=50, deadline=None)
def test_ids_are_unique_in_a_frame_and_a_replay_gives_the_same(
    frames: list[list[tuple[float, float, float, float]]],
) -> None:
    lines = [found(*objects) for objects in frames]
    ids = tracked(lines)
    assert ids == tracked(lines)
    for line in ids:
        assert len(set(line)) == len(line)
        assert all(number >= 1 for number in line)
    assert sorted({number for line in ids for number in line}) == list(
        range(1, max((n for line in ids for n in line), default=0) + 1)
    )


def test_memory_does_not_grow_with_length() -> None:
    """Each frame shows an object that was never seen before; only those of the last moment are kept."""
    tracker = Tracker()
    rng = np.random.default_rng(0)
    for index in range(600):
        place = rng.uniform((20, 20, 8, 8), (300, 220, 60, 60))
        tracker.update(Stamp(index * STEP_S), found(tuple(place.tolist())))
    assert len(tracker._tracks) < 30


def test_a_cut_box_still_tells_where_the_whole_object_is() -> None:
    """An object of 40 x 40 at (10, 100): its left half is out of view."""
    seen = CutBoxes(found((10, 100, 40, 40)))
    assert seen.centres(np.array([[40.0, 40.0]]))[0, 0].tolist() == [10, 100]
    assert seen.size_likeness(np.array([[40.0, 40.0]])).tolist() == [[1]]
    assert seen.size_likeness(np.array([[40.0, 80.0]])).tolist() == [[0.5]]
    assert seen.grown(np.array([[40.0, 80.0]]), np.array([0]), 0.5).tolist() == [[40, 60]]
    assert len(CutBoxes(found())) == 0


@functools.cache
def clip_truth(seed: int) -> list[Detections]:
    clip = SampleClip(seed, (96, 128), 90)
    return [clip.truth(index) for index in range(clip.frame_count)]


def judged(seed: int, every: int, rng: np.random.Generator | None) -> tuple[VideoMetrics, VideoMetrics]:
    """The tracker on a sample clip, and the best that any tracker could do with the same detections."""
    tracker, ours, best = Tracker(), VideoJudge(), VideoJudge()
    for index, truth in list(enumerate(clip_truth(seed)))[::every]:
        detections = truth if rng is None else with_faults(truth, rng)
        ours.add(truth, tracker.update(Stamp(index * STEP_S), detections))
        best.add(truth, detections)
    return ours.result(), best.result()


def with_faults(truth: Detections, rng: np.random.Generator) -> Detections:
    """Misses of one in ten, boxes off by some percent, classes that flicker."""
    kept = truth.select(rng.random(len(truth)) > 0.1)
    width = kept.boxes_xyxy[:, 2:] - kept.boxes_xyxy[:, :2]
    off = rng.normal(0, 0.03, (len(kept), 4)) * np.hstack([width, width])
    malignant = np.clip(0.25 + 0.5 * kept.probabilities[:, 1] + rng.normal(0, 0.2, len(kept)), 0, 1)
    return replace(
        kept,
        boxes_xyxy=boxes.clip((kept.boxes_xyxy + off).astype(np.float32), kept.size_hw),
        probabilities=np.stack([1 - malignant, malignant], axis=1).astype(np.float32),
    )


@pytest.mark.parametrize("every", [1, 3])
def test_identity_f1_on_clean_detections(every: int) -> None:
    results = pooled(judged(seed, every, None)[0] for seed in range(20))
    assert results.idf1 >= 0.98
    assert results.switches <= 2


def test_identity_f1_with_a_detectors_faults() -> None:
    pairs = [judged(seed, 1, np.random.default_rng(seed)) for seed in range(20)]
    ours, best = (pooled(side) for side in zip(*pairs, strict=True))
    assert best.idf1 == pytest.approx(0.947, abs=0.015), "what is missed cannot be named"
    assert ours.idf1 >= 0.98 * best.idf1


def test_settings_are_public_and_count() -> None:
    forgetful = Tracker(TrackerSettings(memory_s=0.1))
    ids = [forgetful.update(Stamp(t), found((100, 100, 40, 30))).track_ids.tolist() for t in (0.0, 0.05, 1.0)]
    assert ids == [[1], [1], [2]]
