"""How fast, and in how much memory, a large dataset is listed, checked, split and read.

    python benchmarks/dataset_scale.py [--images 100000] [--annotations 1000000] [--folder DIR] [--steps check,split]

Makes the images (96 x 64, each different) and a COCO file with polygons of twenty points, then runs each command as its
own process and reports images per second and that process's peak memory. Images this small tell what lists, labels and
comparisons cost; decoding larger ones comes on top.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

SIZE_HW = (64, 96)
POINTS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the data; default: a temporary folder")
    parser.add_argument("--steps", default="nothing,import,load,check,split,stats", help="which to run, with commas")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        source = folder / "source"
        if not source.exists():
            make_source(source, arguments.images, arguments.annotations)
        file_mb = (source / "instances.json").stat().st_size / 1e6
        print(f"{arguments.images} images, {arguments.annotations} annotations, {file_mb:.0f} MB of JSON")
        print(f"{'step':<10} {'seconds':>8} {'images/s':>9} {'peak MB':>8}")
        dataset = str(folder / "dataset")
        load = f"from maskstream.data.dataset import Dataset; Dataset.load({dataset!r})"
        steps = {
            "nothing": [sys.executable, "-c", "import maskstream.data.dataset"],
            "import": ["maskstream", "data", "import", str(source), "--out", dataset],
            "load": [sys.executable, "-c", load],
            "check": ["maskstream", "data", "check", dataset, "--json"],
            "split": ["maskstream", "data", "split", dataset, "--ratios", "0.8,0.1,0.1", "--seed", "42"],
            "stats": ["maskstream", "data", "stats", dataset, "--out", str(folder / "stats")],
        }
        for name in arguments.steps.split(","):
            command = steps[name]
            seconds, peak_mb, code = measure(command)
            fault = "" if code == 0 else f"  exit code {code}"
            print(f"{name:<10} {seconds:8.1f} {arguments.images / seconds:9.0f} {peak_mb:8.0f}{fault}", flush=True)


def make_source(folder: Path, images: int, annotations: int) -> None:
    """Images of smooth random colours, and a COCO file whose objects are spread over them."""
    rng = np.random.default_rng(1)
    (folder / "images").mkdir(parents=True)
    height, width = SIZE_HW
    for number in range(images):
        coarse = rng.integers(0, 256, (8, 12, 3), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number:06d}.jpg"), cv2.resize(coarse, (width, height)))
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    with (folder / "instances.json").open("w") as file:
        file.write('{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], "images": [')
        for number in range(images):
            entry = {"id": number + 1, "file_name": f"{number:06d}.jpg", "height": height, "width": width}
            file.write((", " if number else "") + json.dumps(entry))
        file.write('], "annotations": [')
        for number in range(annotations):
            x, y, radius = rng.uniform(15, width - 15), rng.uniform(15, height - 15), rng.uniform(4, 14)
            ring = np.round(np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)]), 2)
            x1, y1 = ring.min(axis=0).tolist()
            x2, y2 = ring.max(axis=0).tolist()
            entry = {
                "id": number + 1,
                "image_id": number % images + 1,
                "category_id": number % 2 + 1,
                "segmentation": [ring.ravel().tolist()],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": round(float(np.pi * radius**2), 2),
                "iscrowd": 0,
            }
            file.write((", " if number else "") + json.dumps(entry))
        file.write("]}")


def measure(command: list[str]) -> tuple[float, float, int]:
    """Seconds, peak memory in MB and exit code of a command."""
    begin = time.perf_counter()
    # wait4 gives the memory of this child alone
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = _wait(child)
    return time.perf_counter() - begin, usage.ru_maxrss / 1024, status


def _wait(child: subprocess.Popen[bytes]) -> tuple[int, int, resource.struct_rusage]:
    pid, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return pid, child.returncode, usage


if __name__ == "__main__":
    main()
