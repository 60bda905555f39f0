"""HOTA beside MOTA and identity F1: by hand, and equal to what TrackEval 1.3.0 says of recorded sequences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.videos.hota import ALPHAS, HotaJudge, HotaSums
from maskstream.evaluation.videos.video import VideoJudge, VideoMetrics, iou_matrix, pooled

SIDE, SIZE_HW = 8, (48, 48)
Objects = dict[int, tuple[int, int]]

# printed by trackeval 1.3.0 (NumPy 2.4.6, SciPy 1.17.1): HOTA(), CLEAR(), Identity() on the frames of `sequence`, with
# the IoU of the squares as similarity; HOTA, DetA, AssA and LocA are means over alpha, "all" is combine_sequences
RECORDED = {
    1: {
        "HOTA": 0.5180556054726227,
        "DetA": 0.49683937453848587,
        "AssA": 0.5402618638892284,
        "LocA": 0.8032276320991074,
        "MOTA": 0.6388888888888888,
        "IDF1": 0.8206896551724138,
        "IDSW": 0,
        "CLR_TP": 119,
    },
    2: {
        "HOTA": 0.27847241228438196,
        "DetA": 0.4945930963008391,
        "AssA": 0.1579184856691808,
        "LocA": 0.7950247777869526,
        "MOTA": 0.5616438356164384,
        "IDF1": 0.41843971631205673,
        "IDSW": 12,
        "CLR_TP": 115,
    },
    3: {
        "HOTA": 0.4163629708774814,
        "DetA": 0.5200739634062158,
        "AssA": 0.3336676768098835,
        "LocA": 0.8201643719929775,
        "MOTA": 0.6232876712328768,
        "IDF1": 0.6480836236933798,
        "IDSW": 6,
        "CLR_TP": 119,
    },
}
RECORDED_TOGETHER = {
    "HOTA": 0.4175140902379358,
    "DetA": 0.503706473955079,
    "AssA": 0.346607784341528,
    "LocA": 0.8063175786608561,
    "MOTA": 0.6077981651376146,
    "IDF1": 0.6309662398137369,
    "IDSW": 18,
    "CLR_TP": 353,
}


def squares(objects: Objects) -> Detections:
    """Square objects by track id and top left corner (x, y)."""
    n = len(objects)
    corners = np.array(list(objects.values()), np.float32).reshape(n, 2)
    return Detections(
        boxes_xyxy=np.hstack([corners, corners + SIDE]),
        masks=tuple(CroppedMask(np.ones((SIDE, SIDE), bool), x, y) for x, y in objects.values()),
        scores=np.ones(n, np.float32),
        probabilities=np.ones((n, 1), np.float32),
        track_ids=np.array(list(objects), np.int64),
        classes=("object",),
        size_hw=SIZE_HW,
    )


def sequence(seed: int, frames: int = 40, count: int = 4) -> Iterator[tuple[Objects, Objects]]:
    """Wandering squares, and a tracker that misses some, invents some, is a pixel off and sometimes mixes up ids."""
    rng = np.random.default_rng(seed)
    places, names = rng.integers(0, 30, (count, 2)), np.arange(count)
    for _ in range(frames):
        places = np.clip(places + rng.integers(-2, 3, (count, 2)), 0, 33)
        if rng.random() < 0.05:
            names = rng.permutation(count)
        off = rng.integers(-1, 2, (count, 2))
        truth = {i + 1: tuple(places[i].tolist()) for i in range(count) if rng.random() < 0.9}
        found = {
            int(names[i]) + 10: tuple(np.clip(places[i] + off[i], 0, 33).tolist())
            for i in range(count)
            if rng.random() < 0.8
        }
        if rng.random() < 0.3:
            found[int(rng.integers(50, 54))] = tuple(rng.integers(0, 33, 2).tolist())
        yield truth, found


def judged(frames: Iterator[tuple[Objects, Objects]] | list[tuple[Objects, Objects]]) -> tuple[HotaSums, VideoMetrics]:
    hota, clear = HotaJudge(), VideoJudge()
    for truth, found in frames:
        ious = iou_matrix(squares(truth), squares(found))
        hota.add(list(truth), list(found), ious)
        clear.add(squares(truth), squares(found), ious)
    return hota.result(), clear.result()


def flat(hota: HotaSums, clear: VideoMetrics) -> dict[str, float | None]:
    counts = {"MOTA": clear.mota, "IDF1": clear.idf1, "IDSW": clear.switches, "CLR_TP": clear.hits}
    return hota.figures() | counts


@pytest.mark.parametrize("seed", RECORDED)
def test_equals_trackeval(seed: int) -> None:
    assert flat(*judged(sequence(seed))) == pytest.approx(RECORDED[seed], abs=1e-12)


def test_several_videos_equal_trackeval() -> None:
    sums, clear = zip(*(judged(sequence(seed)) for seed in RECORDED))
    together = HotaSums(
        hits=sum(video.hits for video in sums),
        association=sum(video.association for video in sums),
        location=sum(video.location for video in sums),
        truths=sum(video.truths for video in sums),
        found=sum(video.found for video in sums),
    )
    assert flat(together, pooled(clear)) == pytest.approx(RECORDED_TOGETHER, abs=1e-12)


A, B, FAR = (0, 0), (20, 20), (38, 5)
PERFECT = {"HOTA": 1, "DetA": 1, "AssA": 1, "LocA": 1}
NOTHING = {"HOTA": 0, "DetA": 0, "AssA": 0}


@pytest.mark.parametrize(
    "frames, expected",
    [
        ([], {}),
        ([({}, {})], {}),
        ([({1: A}, {})], NOTHING),
        ([({}, {9: A})], NOTHING),
        ([({1: A}, {9: FAR})], NOTHING),
        ([({1: A, 2: B}, {9: A, 8: B})] * 3, PERFECT),
        # half of the frames missed: the hits agree with half of the object
        ([({1: A}, {9: A}), ({1: A}, {})], {"HOTA": 0.5, "DetA": 0.5, "AssA": 0.5, "LocA": 1}),
        # all found, under two ids in turn
        ([({1: A}, {9: A}), ({1: A}, {8: A})], {"HOTA": 0.5**0.5, "DetA": 1, "AssA": 0.5, "LocA": 1}),
        # an IoU of 0.6 (6 of 10 columns) counts up to alpha 0.60, which is 12 of 19
        ([({1: A}, {9: (2, 0)})], {"HOTA": 12 / 19, "DetA": 12 / 19, "AssA": 12 / 19, "LocA": (12 * 0.6 + 7) / 19}),
    ],
)
def test_by_hand(frames: list[tuple[Objects, Objects]], expected: dict[str, float]) -> None:
    assert judged(frames)[0].figures() == pytest.approx(expected)


def test_alphas() -> None:
    assert ALPHAS[[0, -1]].tolist() == [0.05, 0.95]
    assert len(ALPHAS) == 19
