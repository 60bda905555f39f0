"""Identity F1, MOTA and track IoU: by hand, and against motmetrics."""

from __future__ import annotations

import motmetrics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask, iou
from maskstream.evaluation.videos.video import VideoJudge, VideoMetrics, pooled
from maskstream.media.sample import CLASSES, SampleClip

SIZE_HW = (40, 60)
Objects = dict[int, tuple[int, int]]


def squares(objects: Objects, side: int = 6) -> Detections:
    """Square objects of `side` pixels, by track id and top left corner (x, y)."""
    n = len(objects)
    corners = np.array(list(objects.values()), np.float32).reshape(n, 2)
    return Detections(
        boxes_xyxy=np.hstack([corners, corners + side]),
        masks=tuple(CroppedMask(np.ones((side, side), bool), x, y) for x, y in objects.values()),
        scores=np.ones(n, np.float32),
        probabilities=np.tile(np.array([1, 0], np.float32), (n, 1)),
        track_ids=np.array(list(objects), np.int64),
        classes=CLASSES,
        size_hw=SIZE_HW,
    )


def judged(*frames: tuple[Objects, Objects]) -> VideoMetrics:
    judge = VideoJudge()
    for truth, found in frames:
        judge.add(squares(truth), squares(found))
    return judge.result()


A, B, FAR = (0, 0), (20, 20), (50, 30)


@pytest.mark.parametrize(
    "frames, idf1, mota, track_iou, switches",
    [
        ([], 1.0, None, None, 0),
        ([({}, {})], 1.0, None, None, 0),
        ([({}, {1: A})], 0.0, None, None, 0),
        ([({1: A}, {})], 0.0, 0.0, 0.0, 0),
        ([({1: A}, {9: A})] * 4, 1.0, 1.0, 1.0, 0),
        # an overlap of 0.5 hits (4 of 8 columns), one of 0.2 does not
        ([({1: A}, {9: (2, 0)})], 1.0, 1.0, 0.5, 0),
        ([({1: A}, {9: (4, 0)})], 0.0, -1.0, 0.2, 0),
        # one object, its id changes after one of four frames: IDTP 3
        ([({1: A}, {9: A})] + [({1: A}, {8: A})] * 3, 0.75, 0.75, 0.75, 1),
        # two objects exchange ids halfway: every frame is a hit, half of the identities are right
        ([({1: A, 2: B}, {1: A, 2: B})] * 2 + [({1: A, 2: B}, {2: A, 1: B})] * 2, 0.5, 0.75, 0.5, 2),
        # missed for two frames and found again under its old id
        ([({1: A}, {9: A}), ({1: A}, {}), ({1: A}, {}), ({1: A}, {9: A})], 4 / 6, 0.5, 0.5, 0),
        # one false positive beside a hit
        ([({1: A}, {9: A, 7: FAR})], 2 / 3, 0.0, 1.0, 0),
        # one track over two objects in turn belongs to the one it stays longer with
        ([({1: A}, {9: A})] * 3 + [({2: B}, {9: B})], 0.75, 1.0, 0.5, 0),
    ],
)
def test_by_hand(
    frames: list[tuple[Objects, Objects]], idf1: float, mota: float | None, track_iou: float | None, switches: int
) -> None:
    metrics = judged(*frames)
    assert metrics.idf1 == pytest.approx(idf1)
    assert metrics.mota == pytest.approx(mota)
    assert metrics.track_iou == pytest.approx(track_iou)
    assert metrics.switches == switches


def test_pairs_of_before_stay_while_they_overlap() -> None:
    """Track 9 still covers half of the object when track 8 covers it wholly: no switch, one false positive."""
    metrics = judged(({1: A}, {9: A}), ({1: A}, {9: (2, 0), 8: A}))
    assert (metrics.hits, metrics.switches, metrics.detections) == (2, 0, 3)


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 12), count=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_equals_motmetrics(seed: int, frames: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 18, (count, 2))
    judge, reference = VideoJudge(), motmetrics.MOTAccumulator(auto_id=True)
    for _ in range(frames):
        places = np.clip(places + rng.integers(-2, 3, (count, 2)), 0, 30)
        names = rng.permutation(count) if rng.random() < 0.3 else np.arange(count)
        jitter = rng.integers(-1, 2, (count, 2))
        moved = {int(n) + 10: tuple((places[i] + jitter[i]).tolist()) for i, n in enumerate(names)}
        found = squares({name: place for name, place in moved.items() if rng.random() < 0.8})
        truth = squares({i + 1: tuple(places[i].tolist()) for i in range(count) if rng.random() < 0.9})
        judge.add(truth, found)
        distances = np.array([[1 - iou(a, b) for b in found.masks] for a in truth.masks]).reshape(
            len(truth), len(found)
        )
        reference.update(truth.track_ids, found.track_ids, np.where(distances <= 0.5, distances, np.nan))
    ours = judge.result()
    names = ["idf1", "mota", "num_switches", "num_misses", "num_false_positives", "num_objects", "num_predictions"]
    theirs = motmetrics.metrics.create().compute(reference, metrics=names, return_dataframe=False)
    assert ours.truths == theirs["num_objects"]
    assert ours.detections == theirs["num_predictions"]
    assert ours.truths - ours.hits == theirs["num_misses"]
    assert ours.detections - ours.hits == theirs["num_false_positives"]
    assert ours.switches == theirs["num_switches"]
    if ours.truths:
        assert ours.mota == pytest.approx(theirs["mota"], abs=1e-12)
        assert ours.idf1 == pytest.approx(theirs["idf1"], abs=1e-12)


def test_the_truth_of_a_sample_clip_judges_itself_perfect() -> None:
    clip = SampleClip(6, (96, 128), 60)
    judge = VideoJudge()
    for index in range(0, 60, 5):
        judge.add(clip.truth(index), clip.truth(index))
    metrics = judge.result()
    assert (metrics.idf1, metrics.mota, metrics.track_iou, metrics.switches) == (1, 1, pytest.approx(1), 0)
    assert metrics.flat()["n_frames"] == 12
    assert metrics.flat()["track_iou"] == pytest.approx(1)


def test_videos_are_pooled_by_their_counts() -> None:
    good = judged(*[({1: A}, {1: A})] * 3)
    bad = judged(({1: A}, {}))
    together = pooled([good, bad])
    assert together.idf1 == pytest.approx(6 / 7)
    assert together.mota == pytest.approx(0.75)
    assert together.track_iou == pytest.approx(0.5)
    assert (together.objects, together.frames) == (2, 4)
    assert pooled([]).idf1 == 1
    assert pooled([]).mota is None


def test_untracked_objects_and_shared_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="found: an object has no track id"):
        judged(({1: A}, {0: A}))
    twice = squares({1: A, 2: B}).with_track_ids(np.array([3, 3]))
    with pytest.raises(ValueError, match="truth: two objects of one frame share a track id"):
        VideoJudge().add(twice, squares({}))
