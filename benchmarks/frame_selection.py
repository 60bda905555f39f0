"""How fast `maskstream frames` is, and how much of what is planted it finds.

    python benchmarks/frame_selection.py [--frames 900] [--seeds 1000-1004] [--data ../shared/data] [--out figures.json]

Speed: a 720p film (x264, quality 20) is decoded alone, then scored and picked from; both as multiples of real time at
30 frames a second, and the processor time of picking beside its wall time. Faults: blur, over-exposure, frozen frames
and loops are planted (`tests/planted_videos.py`) in films of a drifting camera at 480 x 270, one a seed, and in real
ones where `--data` is given, and encoded by x264 and as MPEG-4. Seeds 1000 to 1004 and the real films named here had
no part in choosing the limits. At last the distances of hashes of unrelated pictures.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, islice
from pathlib import Path

import av
import numpy as np

from maskstream.core.files import write_json
from maskstream.core.parallel import available_cores
from maskstream.data.frames.pick import FrameOptions, pick_frames
from maskstream.data.frames.scores import look_at
from maskstream.media.sources import open_source

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from planted_videos import Image, pan, plant, precision_recall

RATE = 30
CODECS = {
    "x264 18": ("libx264", {"crf": "18", "preset": "veryfast"}),
    "x264 23": ("libx264", {"crf": "23", "preset": "veryfast"}),
    "mpeg4": ("mpeg4", {}),
}
MPEG4_BITS_A_SECOND = 6_000_000
REAL = ("davis2016/JPEGImages/blackswan", "davis2016/JPEGImages/car-shadow")


def encode(path: Path, images: Sequence[Image], codec: str, options: dict[str, str]) -> Path:
    """Write a film."""
    with av.open(str(path), "w") as video:
        stream = video.add_stream(codec, rate=Fraction(RATE), options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if codec == "mpeg4":
            stream.bit_rate = MPEG4_BITS_A_SECOND
        for image in images:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        video.mux(stream.encode())
    return path


def speed(folder: Path, frames: int) -> dict[str, float]:
    """Multiples of real time of decoding alone and of picking 50 frames."""
    images, _ = plant(pan(999, frames, (720, 1280)), 999)
    video = encode(folder / "speed.mp4", images, "libx264", {"crf": "20", "preset": "veryfast"})
    del images
    started = time.perf_counter()
    count = sum(1 for _ in open_source(video).frames())
    decode_s = time.perf_counter() - started
    started, started_cpu = time.perf_counter(), time.process_time()
    pick_frames([video], folder / "speed", FrameOptions(50))
    picking_s, picking_cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    return {
        "frames": count,
        "cores": available_cores(),
        "decode_alone_x_real_time": round(count / RATE / decode_s, 2),
        "picking_x_real_time": round(count / RATE / picking_s, 2),
        "picking_over_decode_alone": round(picking_s / decode_s, 2),
        "picking_cpu_ms_a_frame": round(1000 * picking_cpu_s / count, 2),
    }


def find(video: Path, faults: Sequence[str], out: Path) -> dict[str, str]:
    """Precision and recall of each kind, as the reason given."""
    pick_frames([video], out, FrameOptions(10))
    with (out / "frames.csv").open(encoding="utf-8", newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    found = {}
    for kind in ("blurred", "over-exposed", "repeat"):
        true = [fault == kind for fault in faults]
        precision, recall = precision_recall([reason == kind for reason in reasons], true)
        found[kind] = f"{precision:.3f} {recall:.3f} of {sum(true)}"
    return found


def hashes(seeds: Sequence[int]) -> dict[str, float]:
    """Hash distances of unrelated pictures."""
    known = [look_at(pan(seed, 1)[0]).hash for seed in seeds for seed in range(100 * seed, 100 * seed + 10)]
    apart = [(a ^ b).bit_count() for a, b in combinations(known, 2)]
    return {"mean": round(float(np.mean(apart)), 2), "least": min(apart)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--seeds", default="1000-1004")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    first, last = map(int, given.seeds.split("-"))
    videos: dict[str, list[Image]] = {f"drift {seed}": pan(seed, 300) for seed in range(first, last + 1)}
    for name in REAL if given.data else ():
        images = [frame.image for frame in islice(open_source(given.data / name).frames(), 240)]
        videos[name] = [image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2] for image in images]
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, images) in enumerate(videos.items()):
            planted, faults = plant(images, 1000 + number)
            for codec, (encoder, options) in CODECS.items():
                video = encode(Path(folder) / f"{number}-{encoder}.mp4", planted, encoder, options)
                key = f"{name}, {codec}"
                figures[key] = find(video, faults, Path(folder) / key.replace("/", "-"))
                print(key, json.dumps(figures[key]), flush=True)
        figures["hash distance of unrelated pictures"] = hashes(range(first, last + 1))
        figures["speed"] = speed(Path(folder), given.frames)
    print(json.dumps({name: figures[name] for name in list(figures)[-2:]}, indent=2))
    if given.out:
        write_json(given.out, figures)


if __name__ == "__main__":
    main()
