"""Small datasets whose numbers a reader can count: for the tests of statistics and of their page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, LeftOut, Provenance
from maskstream.data.findings import Finding, Severity

SIZE_HW = (10, 20)


def picture(path, pixels=None, size_hw=SIZE_HW, seed=0):
    """A PNG of these pixels, or of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels is None:
        pixels = np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def rectangle(class_id, x, y, width, height, size_hw=SIZE_HW, **attributes):
    return Annotation.from_mask(class_id, CroppedMask(np.ones((height, width), bool), x, y), size_hw, attributes)


def box_alone(class_id, x1, y1, x2, y2):
    return Annotation(class_id, (), (x1, y1, x2, y2), 0.0)


def crowd(class_id, x, y, width, height):
    mask = rectangle(class_id, x, y, width, height)
    return Annotation(class_id, mask.segmentation, mask.box_xyxy, mask.area_px, iscrowd=True)


def dataset(folder: Path, images, classes=("benign", "malignant"), splits=None, left_out=(), **more):
    provenance = {
        "name": "A small set", "source": "by hand", "licence": "CC0-1.0", "licence_url": "https://x.test/cc0",
        "importer": "test", "created": "2026-01-02T03:04:05+00:00", "sha256": {"annotations.json": 64 * "a"},
    }  # fmt: skip
    provenance |= more.pop("provenance", {})
    return Dataset(
        folder=folder,
        classes=classes,
        images=tuple(images),
        splits=splits or {},
        left_out=tuple(LeftOut(image=name, split="train", reason=reason) for name, reason in left_out),
        splits_made_by="hand",
        provenance=Provenance(**provenance),
        **more,
    )


def record(folder: Path, number, annotations=(), size_hw=SIZE_HW, pixels=None, **more):
    name = f"{number}.png"
    path = picture(folder / name, pixels, size_hw, seed=number)
    return ImageRecord(number, name, path, size_hw, tuple(annotations), **more)


def mixed(folder: Path) -> Dataset:
    """Six images: two objects; a crowd and an object; an object; nothing; an object left out; one in no split."""
    images = [
        record(folder, 1, [rectangle(0, 2, 2, 4, 4), rectangle(1, 10, 0, 10, 5)], group="film a"),
        record(folder, 2, [crowd(0, 0, 0, 20, 5), rectangle(0, 5, 6, 2, 4, provenance="model")], group="film a"),
        record(folder, 3, [rectangle(0, 0, 0, 1, 1, provenance="person")], group="film a"),
        record(folder, 4, group="film b"),
        record(folder, 5, [rectangle(1, 0, 0, 20, 10)], group="film c"),
        record(folder, 6, [rectangle(1, 8, 4, 4, 2)]),
    ]
    return dataset(
        folder,
        images,
        splits={"train": ("1.png", "2.png"), "test": ("3.png", "4.png")},
        left_out=[("5.png", "near-duplicate of 1.png")],
        split_rule={"ratios": [0.5, 0.5], "seed": 42},
        split_proof={"near_duplicate_pairs": {"compared": 15, "across splits": 0}, "examples": list("abcdefghij")},
        provenance={
            "findings": (
                Finding(
                    code="mask-without-image", severity=Severity.WARNING, place="masks/x.png", expected="an image",
                    found="none", remedy="put it there",
                ),
            ),
        },
    )  # fmt: skip


def classified(folder: Path) -> Dataset:
    """Images with classes as a whole; the third is not there, and none states its size."""
    red = np.full((*SIZE_HW, 3), (200, 10, 0), np.uint8)
    images = [
        ImageRecord(1, "1.png", picture(folder / "1.png", red), None, class_id=0),
        ImageRecord(2, "2.png", picture(folder / "2.png", size_hw=(5, 4)), None, class_id=1),
        ImageRecord(3, "3.png", folder / "3.png", None, class_id=1),
    ]
    return dataset(folder, images, splits={"train": ("1.png", "3.png"), "test": ("2.png",)})


def nothing(folder: Path) -> Dataset:
    return dataset(folder, [], classes=())


def one_class(folder: Path) -> Dataset:
    """One class, boxes alone, one of them without width."""
    images = [record(folder, 1, [box_alone(0, 2, 2, 8, 5), box_alone(0, 4, 4, 4, 9)])]
    return dataset(folder, images, classes=("oil <b>tank</b> & more",))
