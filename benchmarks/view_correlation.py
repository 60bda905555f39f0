"""How much of its error a model repeats from one view of a lesion to another, by their fingerprints' distance.

    python benchmarks/view_correlation.py MODEL_FOLDER DATASET_FOLDER [--split val] [--views 16]

Every image of the split is shown to the model in many random views (turned, zoomed, moved, defocused, lit
otherwise), and pairs of views are sorted by how many bits their fingerprints differ in. Half the mean squared
difference of the log odds in a bin (a variogram) is the part of the error that such views do not share. One minus
its ratio to that of views drawn independently, which is the variance of a view, is their correlation. `COPY_BITS`,
`APART_BITS` and `VALIDATION_VIEWS` in `maskstream/tracking/percentages.py` rest on this;
`docs/adr/0004-track-percentages.md` keeps the results.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import logit
from maskstream.core.frame import Frame
from maskstream.data.dataset import Dataset
from maskstream.inference.load import DeployedModel, load_model
from maskstream.tracking.percentages import APART_BITS, COPY_BITS
from maskstream.tracking.views import observe

BIN_BITS = 2


class Look(NamedTuple):
    """What the model says of one view, the view's fingerprint, and whether it was drawn from anywhere."""

    log_odds: float
    fingerprint: int
    far: bool


def random_view(image: NDArray[np.uint8], far: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The image as a hand-held camera may see it: from anywhere, or from near where it was taken."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 360) if far else rng.normal(0, 8)
    zoom = np.exp(rng.uniform(-0.4, 0.2) if far else rng.normal(0, 0.05))
    matrix = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom), np.float64)
    matrix[:, 2] += rng.uniform(-0.06, 0.06, 2) * (width, height)
    seen = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    if rng.random() < 0.3:
        seen = cv2.GaussianBlur(seen, (0, 0), rng.uniform(0.5, 2))
    gain = rng.uniform(0.85, 1.15) if rng.random() < 0.3 else 1.0
    return np.clip(seen * gain + rng.normal(0, 2, seen.shape), 0, 255).astype(np.uint8)


def look(
    model: DeployedModel, image: NDArray[np.uint8], column: int, views: int, rng: np.random.Generator
) -> list[Look]:
    """Calibrated log odds, fingerprint and farness of the best detection in each view that has one; half are far."""
    seen = []
    for index in range(views):
        far = index % 2 == 0
        frame = Frame(random_view(image, far, rng), index, 0.0, "view")
        (found,) = model.segment([frame])
        if len(found):
            log_odds = float(logit(found.probabilities[:1, column].astype(np.float64))[0])
            seen.append(Look(log_odds, int(observe(frame, found.select(np.array([0])))[0].view, 16), far))
    return seen


def pairs(looks: list[Look]) -> NDArray[np.float64]:
    """Of every pair of looks at one lesion: distance in bits, half the squared difference, whether both are far."""
    return np.array(
        [
            ((a.fingerprint ^ b.fingerprint).bit_count(), (a.log_odds - b.log_odds) ** 2 / 2, a.far and b.far)
            for a, b in combinations(looks, 2)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()

    model = load_model(arguments.model, threads=arguments.threads)
    calibration = model.calibration
    if calibration is None:
        parser.error("the model carries no calibration")
    column = list(model.classes).index(calibration.positive)
    rng = np.random.default_rng(arguments.seed)
    records = Dataset.load(arguments.dataset).records(arguments.split)
    looks = [look(model, record.read_image(), column, arguments.views, rng) for record in records]
    report([pairs(seen) for seen in looks if sum(one.far for one in seen) > 1])


def report(by_lesion: list[NDArray[np.float64]]) -> None:
    """Print the correlation by distance beside what `Views.effective` takes it to be."""
    variances = np.array([found[found[:, 2] == 1, 1].mean() for found in by_lesion])
    low, middle, high = np.sqrt(np.quantile(variances, [0.1, 0.5, 0.9]))
    print(f"{len(by_lesion)} lesions, sd between views drawn from anywhere {np.sqrt(variances.mean()):.3f}")
    print(f"by lesion: 10 % below {low:.3f}, half below {middle:.3f}, 90 % below {high:.3f}")
    found = np.concatenate(by_lesion)
    print(f"bits between views drawn from anywhere: median {np.median(found[found[:, 2] == 1, 0]):.0f}")
    print("bits      pairs  correlation  taken to be")
    for start in range(0, 40, BIN_BITS):
        inside = found[(found[:, 0] >= start) & (found[:, 0] < start + BIN_BITS), 1]
        if len(inside) >= 30:
            bits = start + (BIN_BITS - 1) / 2
            taken = float(np.clip((APART_BITS - bits) / (APART_BITS - COPY_BITS), 0, 1))
            name = f"{start:2d}-{start + BIN_BITS - 1:2d}"
            print(f"{name} {len(inside):9d} {1 - inside.mean() / variances.mean():12.2f} {taken:12.2f}")


if __name__ == "__main__":
    main()
