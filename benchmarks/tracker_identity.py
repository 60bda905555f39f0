"""Identity F1 of trackers on the truth of synthetic clips, whole and with the faults of a detector.

    python benchmarks/tracker_identity.py --seeds 0-199 [--tracker maskstream] [--every 1] [--faults]

`bound` names every detection with its true id: no tracker can do better with the same detections. ByteTrack
and OC-SORT come from the package `trackers` (not a dependency), with the same memory and, since an id on first
sight is wanted here, one frame to confirm a track. They see boxes and scores, as they are made to.

Faults: one object in ten is missed; in bursts (one begins every hundred frames and lasts 3 to 11) seven in ten;
of an object that is almost out of view half as many again; places are off by 2.5 % of the width; masks lose or
gain up to 2 pixels; class probabilities flicker with a standard deviation of 0.2; every twentieth frame a false
detection begins that lasts 1 to 3 frames.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from maskstream.core import masks
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.videos.video import VideoJudge, VideoMetrics, pooled
from maskstream.media.sample import CLASSES, SampleClip
from maskstream.tracking.tracker import Tracker

SIZE_HW = (240, 320)
Update = Callable[["Stamp", Detections], Detections]


@dataclass(frozen=True)
class Stamp:
    """When a detection was made, and of what."""

    time_s: float
    source: str


def with_faults(truths: list[Detections], rng: np.random.Generator) -> Iterator[Detections]:
    """What a detector with faults would find; track ids are the true ones, and new ones for false detections."""
    burst, false_id, false_now = 0, 1000, []
    for truth in truths:
        burst = int(rng.integers(3, 12)) if rng.random() < 0.01 else max(burst - 1, 0)
        objects = []
        for item in truth:
            hardly_seen = 1 - min(1, item.mask.area_px / (0.004 * SIZE_HW[0] * SIZE_HW[1]))
            missed = rng.random() < 0.1 + 0.4 * hardly_seen or (burst > 0 and rng.random() < 0.7)
            if not missed:
                malignant = np.clip(0.25 + 0.5 * item.probabilities[1] + rng.normal(0, 0.2), 0.01, 0.99)
                objects.append((_off(item.mask, rng), malignant, rng.uniform(0.5, 1), item.track_id))
        false_now = [(disc, frames - 1, number) for disc, frames, number in false_now if frames > 1]
        if rng.random() < 0.05:
            false_id += 1
            disc = rng.uniform((0, 0, 0.03), (SIZE_HW[1], SIZE_HW[0], 0.1)) * (1, 1, SIZE_HW[1])
            false_now.append((disc, int(rng.integers(1, 4)), false_id))
        for disc, _, number in false_now:
            objects.append((_disc(*disc), rng.uniform(0.1, 0.9), rng.uniform(0.5, 0.8), number))
        yield _detections([item for item in objects if item[0].area_px >= 20])


def _off(mask: CroppedMask, rng: np.random.Generator) -> CroppedMask:
    room = 8
    full = np.zeros((SIZE_HW[0] + 2 * room, SIZE_HW[1] + 2 * room), np.uint8)
    full[room:-room, room:-room] = mask.dense(SIZE_HW)
    change = int(rng.integers(-2, 3))
    if change:
        full = (cv2.dilate if change > 0 else cv2.erode)(full, np.ones((3, 3), np.uint8), iterations=abs(change))
    shift = np.round(rng.normal(0, max(0.5, 0.025 * mask.bitmap.shape[1]), 2)).astype(int)
    moved = np.roll(full, np.clip(shift, -room, room), axis=(0, 1))
    return masks.crop(moved[room:-room, room:-room].astype(bool))


def _disc(x: float, y: float, radius: float) -> CroppedMask:
    rows, columns = np.mgrid[0 : SIZE_HW[0], 0 : SIZE_HW[1]] + 0.5
    return masks.crop(np.hypot(columns - x, rows - y) < radius)


def _detections(objects: list[tuple[CroppedMask, float, float, int]]) -> Detections:
    corners = [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for m, *_ in objects]
    malignant = np.array([item[1] for item in objects], np.float32)
    unsorted = Detections(
        boxes_xyxy=np.array(corners, np.float32).reshape(-1, 4),
        masks=tuple(item[0] for item in objects),
        scores=np.array([item[2] for item in objects], np.float32),
        probabilities=np.stack([1 - malignant, malignant], axis=1).reshape(-1, 2),
        track_ids=np.array([item[3] for item in objects], np.int64),
        classes=CLASSES,
        size_hw=SIZE_HW,
    )
    return unsorted.select(np.argsort(-unsorted.scores, kind="stable"))


def from_package(name: str) -> Update:
    """A tracker of the package `trackers`; detections that it leaves without an id are dropped."""
    import supervision
    import trackers

    common = {"lost_track_buffer": 75, "frame_rate": 30.0, "minimum_consecutive_frames": 1}
    if name == "bytetrack":
        tracker = trackers.ByteTrackTracker(track_activation_threshold=0.5, high_conf_det_threshold=0.5, **common)
    else:
        tracker = trackers.OCSORTTracker(**common)

    def update(_: Stamp, detections: Detections) -> Detections:
        rows = np.arange(len(detections))
        theirs = supervision.Detections(
            xyxy=detections.boxes_xyxy, confidence=detections.scores, class_id=rows * 0, data={"row": rows}
        )
        tracked = tracker.update(theirs)
        ids = np.full(len(tracked), -1) if tracked.tracker_id is None else tracked.tracker_id
        rows = np.asarray(tracked.data.get("row", rows[:0]), np.intp)[ids >= 0]
        return detections.select(rows).with_track_ids(ids[ids >= 0].astype(np.int64) + 1)

    return update


def new_tracker(name: str) -> Update:
    if name == "bound":
        return lambda _, detections: detections
    return Tracker().update if name == "maskstream" else from_package(name)


def judge_seed(seed: int, name: str, every: int, faults: bool) -> VideoMetrics:
    """One clip of five seconds, every so many frames of it."""
    clip, verdict, update = SampleClip(seed, SIZE_HW), VideoJudge(), new_tracker(name)
    truths = [clip.truth(index) for index in range(clip.frame_count)]
    found = list(with_faults(truths, np.random.default_rng(seed))) if faults else truths
    for index in range(0, clip.frame_count, every):
        verdict.add(truths[index], update(Stamp(clip.time_s(index), clip.name), found[index]))
    return verdict.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", required=True, help="first-last, both included")
    parser.add_argument("--tracker", default="maskstream", choices=["maskstream", "bytetrack", "ocsort", "bound"])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--faults", action="store_true")
    given = parser.parse_args()
    first, last = map(int, given.seeds.split("-"))
    videos = {seed: judge_seed(seed, given.tracker, given.every, given.faults) for seed in range(first, last + 1)}
    worst = sorted((round(video.idf1, 3), seed) for seed, video in videos.items())[:5]
    print(given.tracker, json.dumps(pooled(videos.values()).flat()), "worst (idf1, seed):", worst)


if __name__ == "__main__":
    main()
