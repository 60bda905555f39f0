"""How well masks made of boxes fit masks that are known: rectangle, ellipse and GrabCut.

    python benchmarks/box_masks.py --data ../shared/data [--objects 300] [--out box_masks.json]

The boxes are the tight ones of the known masks, so that only the shape is judged and not how well a person drew the
box. Larger sets are thinned out evenly. Of ISIC 2017 the training split alone is used.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.files import write_json
from maskstream.core.masks import CroppedMask
from maskstream.data.box_masks import mask_from_box
from maskstream.data.csv_files import read_table
from maskstream.data.formats.coco.read import read_coco
from maskstream.data.formats.format import BoxShape
from maskstream.data.formats.mask_folder.objects import parts
from maskstream.media.images import read_image

LEAST_AREA_PX = 100
"""Smaller objects say more of rounding than of shape."""

DEVELOPMENT, LARGE = 60, 250
"""The start of GrabCut was chosen on about 60 objects of each set, evenly spread; larger sets leave them out."""

ROUND = ("sports ball", "clock", "pizza", "donut", "orange", "apple", "frisbee", "bowl")
"""Classes of COCO that are round when seen from the front."""

Sample = tuple[NDArray[np.uint8], CroppedMask]
"""An image and one object in it."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Means over the objects of a set.

    Attributes
    ----------
    iou : intersection over union with the known mask.
    spill : share of the made mask that lies outside the known one.
    missed : share of the known mask that the made one lacks.
    found : share of the objects for which a mask was made at all; the other three are of these.
    ms : milliseconds a box, on one thread.
    """

    objects: int
    iou: float
    spill: float
    missed: float
    found: float
    ms: float


def judge(samples: Sequence[Sample], shape: BoxShape) -> Fit:
    """Make a mask of the tight box of every object and compare."""
    rows, seconds, count = [], 0.0, 0
    for image, truth in samples:
        height, width = truth.bitmap.shape
        box = (float(truth.x0), float(truth.y0), float(truth.x0 + width), float(truth.y0 + height))
        start = time.perf_counter()
        made = mask_from_box(box, shape, (image.shape[0], image.shape[1]), image)
        seconds += time.perf_counter() - start
        count += 1
        if made.area_px:
            common = masks.intersection_px(made, truth)
            rows.append((masks.iou(made, truth), 1 - common / made.area_px, 1 - common / truth.area_px))
    iou, spill, missed = np.mean(rows, axis=0).tolist()
    return Fit(count, iou, spill, missed, len(rows) / count, 1000 * seconds / count)


def coco_objects(data: Path, *classes: str) -> Iterator[Sample]:
    """Objects of coco128 that are no crowd, of these classes or of all."""
    content = read_coco(data / "coco128" / "instances.json", data / "coco128" / "images")
    for record in content.images:
        image = record.read_image()
        for annotation in record.annotations:
            if not annotation.iscrowd and (not classes or content.classes[annotation.class_id] in classes):
                yield image, annotation.mask(record.size_hw)


def balloons(data: Path) -> Iterator[Sample]:
    """The polygons of the VIA file."""
    folder = data / "balloon_via"
    for entry in json.loads((folder / "via_region_data.json").read_text()).values():
        image = read_image(folder / entry["filename"])
        regions = entry["regions"]
        for region in regions.values() if isinstance(regions, dict) else regions:
            shape = region["shape_attributes"]
            points = np.column_stack([shape["all_points_x"], shape["all_points_y"]]).astype(float)
            yield image, masks.from_polygons([points], (image.shape[0], image.shape[1]))


def lesions(data: Path) -> Iterator[Sample]:
    """The lesions of the training split of ISIC 2017."""
    folder = data / "isic2017"
    table = read_table(folder / "labels.csv")
    name, split = table.require("image_id"), table.require("split")
    for row in table.rows():
        if row.cells[split] == "train":
            mask = read_image(folder / "masks" / f"{row.cells[name]}.png")[:, :, 0] > 127
            yield read_image(folder / "images" / f"{row.cells[name]}.jpg"), masks.crop(mask)


def lungs(data: Path) -> Iterator[Sample]:
    """Each lung by itself."""
    for path in sorted((data / "lungs_montgomery" / "images").glob("*.png")):
        mask = read_image(path.parents[1] / "masks" / f"{path.stem}_mask.png")[:, :, 0] > 127
        image = read_image(path)
        for part in parts(masks.crop(mask)):
            yield image, part


def discs(data: Path) -> Iterator[Sample]:
    """Bright discs that throw a shadow to their lower right, on noisy ground: tanks as a satellite sees them."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        radius, shift = rng.uniform(8, 40), rng.uniform(0.2, 0.8)
        y, x = np.mgrid[:128, :128] + 0.5
        centre = 64 + rng.uniform(-5, 5, 2)
        disc = np.hypot(x - centre[0], y - centre[1]) < radius
        shadow = np.hypot(x - centre[0] - shift * radius, y - centre[1] - shift * radius) < radius
        level = np.where(disc, rng.uniform(150, 240), np.where(shadow, 40, rng.uniform(90, 140)))
        noisy = cv2.GaussianBlur(level + rng.normal(0, 12, level.shape), (0, 0), 1)
        yield np.repeat(np.clip(noisy, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2), masks.crop(disc)


SETS: dict[str, Callable[[Path], Iterator[Sample]]] = {
    "coco128, all": coco_objects,
    "coco128, round things": lambda data: coco_objects(data, *ROUND),
    "balloons": balloons,
    "ISIC 2017, train": lesions,
    "lungs, each": lungs,
    "discs with shadow, drawn": discs,
}


def thinned(samples: Iterator[Sample], most: int) -> list[Sample]:
    """At most so many of them, evenly spread; neither the tiny ones nor, in large sets, those of the development."""
    kept = [sample for sample in samples if sample[1].area_px >= LEAST_AREA_PX]
    if len(kept) > LARGE:
        seen = set(range(0, len(kept), -(-len(kept) // DEVELOPMENT)))
        kept = [sample for index, sample in enumerate(kept) if index not in seen]
    return kept[:: -(-len(kept) // most)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=300, help="most objects of a set")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    fits: dict[str, dict[str, Fit]] = {}
    print("| set | objects | shape | IoU | spill-over | missed | found | ms a box |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for name, load in SETS.items():
        samples = thinned(load(given.data), given.objects)
        fits[name] = {shape.value: judge(samples, shape) for shape in BoxShape}
        for shape, fit in fits[name].items():
            figures = f"{fit.iou:.3f} | {fit.spill:.1%} | {fit.missed:.1%} | {fit.found:.1%} | {fit.ms:.2f}"
            print(f"| {name} | {fit.objects} | {shape} | {figures} |", flush=True)
    if given.out:
        write_json(given.out, {name: {shape: asdict(fit) for shape, fit in of.items()} for name, of in fits.items()})


if __name__ == "__main__":
    main()
