"""Makes a video by moving a virtual camera over a still image, with the exact mask of each frame.

    python benchmarks/virtual_camera.py IMAGE MASK --out FOLDER [--seconds 8] [--still]

A hand-held camera wanders over the still: it shifts, turns, zooms, shakes and now and then loses focus. `film.mp4` is
the video, `truth.jsonl` has a line a frame with the lesion's mask in COCO's compressed RLE.
"""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.media.video_sink import VideoSink

RATE = Fraction(25)
SIZE_HW = (480, 640)


def camera_path(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shift right and down (shares of the view), turn (degrees), log zoom and defocus (pixels): (frames, 5)."""
    time_s = np.arange(frames)[:, None] / float(RATE)
    rates_hz = np.array([[0.13, 0.11, 0.07, 0.09, 0.15]]) * rng.uniform(0.8, 1.2, (1, 5))
    slow = np.sin(2 * np.pi * (time_s * rates_hz + rng.uniform(0, 1, (1, 5))))
    shake = cv2.GaussianBlur(rng.normal(0, 1, (frames, 5)).astype(np.float32), (1, 5), 1.2)
    path = slow * [0.06, 0.05, 12.0, 0.12, 1.0] + shake * [0.008, 0.008, 0.5, 0.004, 0.0]
    path[:, 4] = np.clip(path[:, 4] - 0.75, 0, None) * 8
    return path


def view(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], pose: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The frame that the camera sees from one pose, and the lesion's pixels in it."""
    height, width = SIZE_HW
    fit = max(width / image.shape[1], height / image.shape[0]) * 1.15 * np.exp(pose[3])
    matrix = cv2.getRotationMatrix2D((image.shape[1] / 2, image.shape[0] / 2), pose[2], fit)
    matrix[:, 2] += np.array([width, height]) * (0.5 + pose[:2]) - np.array(image.shape[1::-1]) / 2
    # black around the still, as around a dermoscope's glass: a mirrored border would show lesions that have no truth
    seen = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_AREA)
    lesion = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)
    if pose[4] > 0.3:
        seen = cv2.GaussianBlur(seen, (0, 0), pose[4])
    return np.asarray(seen, np.uint8), np.asarray(lesion >= 128)


def make_film(image_path: Path, mask_path: Path, folder: Path, *, seconds: float, seed: int, still: bool) -> None:
    """Write `film.mp4` and `truth.jsonl`."""
    image = cv2.cvtColor(cv2.imread(str(image_path)), cv2.COLOR_BGR2RGB)
    mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    folder.mkdir(parents=True, exist_ok=True)
    frames = round(seconds * RATE)
    path = np.zeros((frames, 5)) if still else camera_path(frames, np.random.default_rng(seed))
    with VideoSink(folder / "film.mp4", RATE) as film, (folder / "truth.jsonl").open("w") as truth:
        for index, pose in enumerate(path):
            seen, lesion = view(np.asarray(image, np.uint8), np.asarray(mask, np.uint8), pose)
            film.write(seen, index / float(RATE))
            truth.write(json.dumps(masks.to_rle(masks.crop(lesion), SIZE_HW)) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("mask", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--still", action="store_true", help="the camera does not move: every frame is the same")
    given = parser.parse_args()
    make_film(given.image, given.mask, given.out, seconds=given.seconds, seed=given.seed, still=given.still)


if __name__ == "__main__":
    main()
