"""Large images as a whole against window by window: time, detections and, on labelled images, average precision.

    python benchmarks/tiles.py SOURCE --model lesions --size 640 [--overlap 0.2] [--out figures.json]
    python benchmarks/tiles.py --data DATASET --split all --model FOLDER --size 640

Both runs use one model folder, whatever tiles its manifest states. Detections are counted from the model's own score
threshold on; AP ranks those down to the floor, with 1000 of a class allowed in an image.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from maskstream.core.classes import Classes
from maskstream.core.files import write_json
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import Dataset
from maskstream.errors import ModelFolderError
from maskstream.evaluation.objects.judge import SCORE_FLOOR, ImageTruth, Judge
from maskstream.evaluation.split import match_classes, truth_of
from maskstream.inference.classifier import ImageClassifier
from maskstream.inference.load import decoder, model_folder
from maskstream.inference.manifest import read_manifest
from maskstream.inference.runtime import OnnxRuntime
from maskstream.inference.tiles import TiledSegmenter, TileSettings, windows
from maskstream.media.sources import open_source

MAX_DETECTIONS = 1000


def load(model: str) -> Segmenter:
    """The model of a folder without tiles."""
    folder = model_folder(model)
    manifest = read_manifest(folder)
    graphs = {role: folder / graph.file for role, graph in manifest.graphs.items()}
    network = decoder(manifest, OnnxRuntime(graphs))
    if isinstance(network, ImageClassifier):
        raise ModelFolderError(
            model, expected="a model that segments", found="a classifier", remedy="name another model folder"
        )
    return network


def images_of(given: argparse.Namespace, classes: Classes) -> Iterator[tuple[Frame, ImageTruth | None]]:
    """The frames to look at, with what they show where that is known."""
    if given.data is None:
        yield from ((frame, None) for frame in open_source(given.source).frames())
        return
    dataset = Dataset.load(given.data)
    class_ids = match_classes(dataset, classes)
    for index, record in enumerate(dataset.records(given.split)):
        yield Frame(record.read_image(), index, 0.0, record.name), truth_of(record, class_ids)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("source", nargs="?", help="image, folder or video")
    images.add_argument("--data", type=Path, help="dataset folder")
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", default="lesions")
    parser.add_argument("--size", type=int, nargs="+", default=[640], help="side of a window, or height and width")
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    network = load(given.model)
    settings = TileSettings(size_hw=(given.size[0], given.size[-1]), overlap=given.overlap)
    ways: dict[str, Segmenter] = {"whole": network, "tiles": TiledSegmenter(network, settings, MAX_DETECTIONS)}
    verdicts = {way: Judge(network.classes, network.score_threshold, max_detections=MAX_DETECTIONS) for way in ways}
    network.segment([Frame(np.zeros((64, 64, 3), np.uint8), 0, 0.0, "warm-up")])
    rows = []
    print("| image | size | windows | whole: found | s | tiles: found | s |\n|---|---|---:|---:|---:|---:|---:|")
    for frame, truth in images_of(given, network.classes):
        height, width = frame.size_hw
        tiles = len(windows(frame.size_hw, settings))
        row: dict[str, Any] = {"image": Path(frame.source).name, "size_hw": [height, width], "windows": tiles}
        for way, segmenter in ways.items():
            started = time.perf_counter()
            (found,) = segmenter.segment([frame], min(SCORE_FLOOR, network.score_threshold))
            row[f"{way}_s"] = round(time.perf_counter() - started, 4)
            row[f"{way}_found"] = int((found.scores >= network.score_threshold).sum())
            if truth:
                verdicts[way].add(truth, found)
        rows.append(row)
        figures = " | ".join(f"{row[f'{way}_found']} | {row[f'{way}_s']:.2f}" for way in ways)
        print(f"| {row['image']} | {height} x {width} | {tiles} | {figures} |", flush=True)
    judged = {way: verdict.metrics() for way, verdict in verdicts.items()} if given.data else {}
    for way, metrics in judged.items():
        print(way, ", ".join(f"{key} {metrics.get(key, 'undefined')}" for key in ("AP50", "box_AP50", "AP", "box_AP")))
    if given.out:
        write_json(given.out, {"settings": settings.model_dump(mode="json"), "images": rows, **judged})


if __name__ == "__main__":
    main()
