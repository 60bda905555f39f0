"""How fast, and in how much memory, the objects of a large dataset are judged.

    python benchmarks/evaluation_scale.py [--images 5000] [--objects 36000] [--detections 100000] [--classes 80]
                                          [--resamples 1000] [--folder DIR] [--limits]

Makes labels and COCO's results (ellipses in images of 640 x 480, whose sizes and numbers spread as COCO's do; most
objects are found, some with another shape or class), then judges them in a process of its own, on two cores. Images are
not needed: what reads them (worst images, slices by colour) is left out. `--limits` fails where the target is missed:
two minutes and 2 GB for the numbers above.
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

import numpy as np

SIZE_HW = (480, 640)
CORES = 2
LIMIT_S, LIMIT_MB = 120.0, 2000.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=36_000)
    parser.add_argument("--detections", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--resamples", type=int, default=1000, help="draws behind each interval; 0: no intervals")
    parser.add_argument("--folder", type=Path, help="where to make the data; default: a temporary folder")
    parser.add_argument("--limits", action="store_true", help="fail where the target is missed")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.judge:
        judge(arguments.judge, arguments.resamples)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "results.json").exists():
            make(folder, arguments.images, arguments.objects, arguments.detections, arguments.classes)
        sizes = {name: (folder / f"{name}.json").stat().st_size / 1e6 for name in ("truth", "results")}
        print(
            f"{arguments.images} images, {arguments.objects} objects ({sizes['truth']:.0f} MB of JSON), "
            f"{arguments.detections} detections ({sizes['results']:.0f} MB), {arguments.classes} classes, {CORES} cores"
        )
        command = [sys.executable, __file__, "--judge", str(folder), "--resamples", str(arguments.resamples)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(done.stdout, end="")
    told = json.loads(done.stdout.splitlines()[-1])
    if arguments.limits and (told["seconds"] > LIMIT_S or told["peak_mb"] > LIMIT_MB):
        raise SystemExit(f"more than {LIMIT_S:.0f} s or {LIMIT_MB:.0f} MB")


def judge(folder: Path, resamples: int) -> None:
    """Judge what `make` made, and print what each step took."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    from maskstream.data.dataset import Dataset, Provenance
    from maskstream.data.formats.coco.read import read_coco
    from maskstream.evaluation.evaluate import evaluation_of
    from maskstream.evaluation.predictions.asked import Asked
    from maskstream.evaluation.predictions.open import open_predictions
    from maskstream.evaluation.resampling import intervals

    steps = Steps()
    labels = read_coco(folder / "truth.json", folder)
    provenance = Provenance(name="ellipses", source="", licence="CC0-1.0", licence_url="", importer="benchmark")
    dataset = Dataset(folder, labels.classes, labels.images, {}, (), "", provenance, heading=labels.heading)
    steps.done("read labels")
    answers = open_predictions(folder / "results.json", Asked.of(dataset, labels.images, "all"))
    steps.done("read predictions")
    evaluation = evaluation_of(answers, dataset)
    for record in dataset.images:
        evaluation.add(record)
    steps.done("judge images")
    metrics = evaluation.metrics()
    steps.done("figures")
    rows = sum(len(table.rows) for table in evaluation.tables())
    steps.done("tables")
    evaluation.write_predictions(folder / "out")
    steps.done("write predictions")
    if resamples:
        intervals(evaluation.headline, evaluation.groups(), resamples=resamples)
        steps.done(f"{resamples} resamples")
    print(f"AP {metrics['AP']:.4f}, AP50 {metrics['AP50']:.4f}, {rows} rows of tables; {metrics['evaluator']}")
    print(json.dumps(steps.total()))


class Steps:
    """Prints seconds, processor seconds and peak memory after each step."""

    def __init__(self) -> None:
        self._begin = self._last = time.perf_counter()
        self._last_cpu = self._begin_cpu = time.process_time()
        print(f"{'step':<20} {'seconds':>8} {'CPU s':>8} {'peak MB':>8}")

    def done(self, name: str) -> None:
        now, cpu = time.perf_counter(), time.process_time()
        print(f"{name:<20} {now - self._last:8.1f} {cpu - self._last_cpu:8.1f} {peak_mb():8.0f}", flush=True)
        self._last, self._last_cpu = now, cpu

    def total(self) -> dict[str, float]:
        seconds, cpu = time.perf_counter() - self._begin, time.process_time() - self._begin_cpu
        return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_mb": round(peak_mb())}


def peak_mb() -> float:
    """Of this process so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def make(folder: Path, images: int, objects: int, detections: int, classes: int) -> None:
    """Write `truth.json` and `results.json`."""
    from maskstream.core.masks import to_rle

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, classes + 1)  # a few classes are frequent, most are rare
    class_of = rng.choice(classes, objects, p=shares / shares.sum()) + 1
    image_of = np.sort(rng.integers(1, images + 1, objects))
    # x, y, half axes and angle; COCO's objects have a median side of about 50 pixels
    shapes = np.column_stack([rng.random((objects, 2)) * SIZE_HW[::-1], np.exp(rng.normal(3.2, 0.8, (objects, 2)))])
    angles = rng.random(objects) * 180
    with (folder / "truth.json").open("w") as file:
        categories = [{"id": n, "name": f"class {n}"} for n in range(1, classes + 1)]
        entries = [{"id": n, "file_name": f"{n}.jpg", "height": 480, "width": 640} for n in range(1, images + 1)]
        head = json.dumps({"categories": categories, "images": entries})
        file.write(head[:-1] + ', "annotations": [')
        for n in range(objects):
            mask = ellipse(shapes[n], angles[n])
            entry = {"id": n + 1, "image_id": int(image_of[n]), "category_id": int(class_of[n]), "iscrowd": 0}
            entry |= {"segmentation": to_rle(mask, SIZE_HW), "area": mask.area_px, "bbox": box(mask)}
            file.write((",\n" if n else "\n") + json.dumps(entry))
        file.write("]}")
    with (folder / "results.json").open("w") as file:
        file.write("[")
        for n in range(detections):
            known = int(rng.integers(objects))
            moved = shapes[known] * [1, 1, *np.exp(rng.normal(0, 0.15, 2))] + [*rng.normal(0, 6, 2), 0, 0]
            is_right = rng.random() < 0.6
            class_id = int(class_of[known]) if is_right else int(rng.integers(1, classes + 1))
            score = float(rng.beta(4, 2) if is_right else rng.beta(1, 4))
            entry = {"image_id": int(image_of[known]), "category_id": class_id, "score": round(score, 6)}
            entry["segmentation"] = to_rle(ellipse(moved, angles[known]), SIZE_HW)
            file.write((",\n" if n else "\n") + json.dumps(entry))
        file.write("]\n")


def ellipse(shape: np.ndarray, angle: float):
    """The pixels of an ellipse; one pixel where it lies outside the image."""
    import cv2

    from maskstream.core.masks import CroppedMask, crop

    height, width = SIZE_HW
    x, y = np.clip(shape[:2], 1, (width - 2, height - 2))
    a, b = np.clip(shape[2:], 1, 300)
    reach = int(max(a, b)) + 2
    x0, y0 = max(int(x) - reach, 0), max(int(y) - reach, 0)
    canvas = np.zeros((min(int(y) + reach, height) - y0, min(int(x) + reach, width) - x0), np.uint8)
    cv2.ellipse(canvas, (int(x) - x0, int(y) - y0), (int(a), int(b)), angle, 0, 360, 1, cv2.FILLED)
    mask = crop(canvas > 0)
    return CroppedMask(mask.bitmap, mask.x0 + x0, mask.y0 + y0)


def box(mask) -> list[int]:
    """x, y, width and height."""
    return [mask.x0, mask.y0, mask.bitmap.shape[1], mask.bitmap.shape[0]]


if __name__ == "__main__":
    main()
