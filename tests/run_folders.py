"""Run folders made by hand, in the layout that `maskstream segment` writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from found_objects import disk, found

from maskstream.core.detections import Detections
from maskstream.core.masks import to_rle
from maskstream.draw.overlay import draw_overlay
from maskstream.media.sinks import ImageSink

LIMITS = """Trained on ISIC 2017 dermoscopy only.

## Not for
- skin of **other** body sites, `mobile` photographs
- children
"""


def summary(**changes: Any) -> dict[str, Any]:
    """A whole summary.json."""
    return {
        "source": "wrist & arm.mp4",
        "source_sha256": "5f" * 32,
        "kind": "video",
        "frames": 30,
        "frames_damaged": 0,
        "warnings": [],
        "duration_s": 1.0,
        "size_hw": [96, 128],
        "stages": {"decode_s": 0.21, "segment_s": 3.2, "track_s": 0.05, "draw_s": 0.12, "encode_s": 0.4},
        "model": {
            "name": "lesions",
            "version": "1.0.0",
            "sha256": "a7" * 32,
            "positive_class": "malignant",
            "calibrated": True,
            "limits": LIMITS,
            "licence": {"code": "Apache-2.0", "weights": "CC0-1.0"},
        },
        "maskstream_version": "0.1.0",
        "created": "2026-11-20T10:00:00Z",
        "arguments": {"source": "wrist & arm.mp4", "score": 0.5},
        **changes,
    }


def line(index: int, time_s: float, source: str, detections: Detections) -> dict[str, Any]:
    """One line of detections.jsonl."""
    return {
        "frame": index,
        "time_s": time_s,
        "source": source,
        "size_hw": list(detections.size_hw),
        "detections": [
            {
                "track_id": d.track_id,
                "class": d.class_name,
                "class_id": d.class_id,
                "score": d.score,
                "probabilities": dict(zip(detections.classes, map(float, d.probabilities), strict=True)),
                "box_xyxy": [float(edge) for edge in d.box_xyxy],
                "area_px": d.mask.area_px,
                "mask": to_rle(d.mask, detections.size_hw),
            }
            for d in detections
        ],
    }


def track(track_id: int, *, malignant: float, half: float | None = 10.0, **changes: Any) -> dict[str, Any]:
    """One row of tracks.csv; the interval reaches `half` to each side, or is empty."""
    row: dict[str, Any] = {
        "track_id": track_id, "source": "wrist & arm.mp4", "class": "malignant" if malignant > 50 else "benign",
        "first_frame": 0, "last_frame": 29, "first_time_s": 0.0, "last_time_s": 29 / 30, "frames_seen": 30,
        "mean_area_px": 706.9, "mean_score": 0.91, "views": 4, "best_frame": 12, "best_time_s": 0.4,
    }  # fmt: skip
    for name, percent in (("benign", 100 - malignant), ("malignant", malignant)):
        row[f"{name}_percent"] = percent
        row[f"{name}_percent_low"] = "" if half is None else max(0.0, percent - half)
        row[f"{name}_percent_high"] = "" if half is None else min(100.0, percent + half)
    return {**row, **changes}


def write_tables(folder: Path, facts: dict[str, Any], tracks: Sequence[dict[str, Any]], lines: Iterable[dict]) -> None:
    """Write summary.json, tracks.csv and detections.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(facts), encoding="utf-8")
    with (folder / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(track(1, malignant=0)) if not tracks else list(tracks[0]))
        writer.writeheader()
        writer.writerows(tracks)
    with (folder / "detections.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in lines)


def write_video(path: Path, images: Sequence[np.ndarray], rate: int = 30) -> None:
    """Write frames (h, w, 3) as an H.264 film."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, rate)
        stream.height, stream.width = images[0].shape[:2]
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def moving_disk(index: int) -> Detections:
    """Object 1, a disk that moves to the right by two pixels a frame."""
    return found([disk((96, 128), 30 + 2 * index, 48, 15)], [0.6 + 0.01 * index], [1])


def film_run(folder: Path, detections_at: Callable[[int], Detections] = moving_disk, frames: int = 30) -> Path:
    """A run over a film of one moving object, with an overlay to match."""
    folder.mkdir(parents=True, exist_ok=True)
    found_in = [detections_at(index) for index in range(frames)]
    grey = np.full((96, 128, 3), 190, np.uint8)
    write_video(folder / "overlay.mp4", [draw_overlay(grey, detections) for detections in found_in])
    lines = [line(index, index / 30, "wrist & arm.mp4", detections) for index, detections in enumerate(found_in)]
    write_tables(folder, summary(), [track(1, malignant=74.0)], lines)
    return folder


def picture_run(folder: Path, names: Sequence[str]) -> Path:
    """A run over single pictures, one object each; the first is the most malignant."""
    lines, tracks = [], []
    sink = ImageSink(folder / "overlay")
    for index, name in enumerate(names):
        detections = found([disk((96, 128), 64, 48, 20)], [0.9 - 0.1 * index / len(names)], [index + 1])
        sink.write(name, draw_overlay(np.full((96, 128, 3), 190, np.uint8), detections))
        lines.append(line(index, 0.0, name, detections))
        times = {"first_frame": index, "last_frame": index, "best_frame": index, "best_time_s": 0.0, "last_time_s": 0.0}
        tracks.append(track(index + 1, malignant=90 - 10 * index / len(names), source=name, frames_seen=1, **times))
    facts = summary(kind="images", source="pictures", frames=len(names), duration_s=None)
    write_tables(folder, facts, tracks, lines)
    return folder
