"""A small dataset without a fault, and faults to plant in it: what the tests of checks and mends share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskstream.core.masks import CroppedMask
from maskstream.data.checks.check import Checked, check_folder
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.data.findings import Finding, Severity

SIZE_HW = (64, 80)
CLASSES = ("cat", "dog")
SPLITS = {"train": 6, "val": 3, "test": 3}
PROVENANCE = Provenance(name="clean", source="here", licence="CC0-1.0", licence_url="", importer="test")

Json = dict[str, Any]
Plant = Callable[[Path, Json, int], None]
"""Spoils image number n of a folder whose `annotations.json` is given; files are changed in place."""


def picture(seed: int, size_hw: tuple[int, int] = SIZE_HW) -> Image.Image:
    """Blurred patches of colour, unlike those of any other seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(patches).resize(size_hw[::-1], Image.Resampling.BICUBIC)


def clean_dataset(folder: Path, seed: int = 0) -> Path:
    """Twelve images with a polygon of one class and a mask with a hole of the other, in three splits."""
    source = folder.parent / f"{folder.name}-source"
    source.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images = []
    for number in range(sum(SPLITS.values())):
        path = source / f"image {number:02}.png"
        picture(1000 * seed + number).save(path)
        x, y = rng.uniform(4, 20, 2)
        points = np.array([[x, y], [x + 14, y + 3.5], [x + 10, y + 15.5], [x + 3, y + 12]])
        bitmap = np.ones(rng.integers(8, 20, 2), bool)
        bitmap[3:5, 3:5] = False
        annotations = (
            Annotation.from_polygons(0, (points,), SIZE_HW),
            Annotation.from_mask(1, CroppedMask(bitmap, int(rng.integers(45, 58)), int(rng.integers(0, 40))), SIZE_HW),
        )
        images.append(ImageRecord(number + 1, path.name, path, SIZE_HW, annotations, f"film {number}"))
    names = iter([image.name for image in images])
    splits = {split: tuple(next(names) for _ in range(count)) for split, count in SPLITS.items()}
    return Dataset(source, CLASSES, tuple(images), splits, (), "hand", PROVENANCE).save(folder).folder


def checked(folder: Path) -> tuple[list[Finding], Checked]:
    """Everything that is found, and what was checked."""
    findings: list[Finding] = []
    answer = check_folder(folder, findings.append)
    assert answer is not None
    return findings, answer


def plant(folder: Path, *faults: tuple[str, int]) -> None:
    """Spoil a dataset: each fault by its key in `PLANTS` and the number of the image that gets it."""
    for name, number in faults:
        content = json.loads((folder / "annotations.json").read_text())
        PLANTS[name](folder, content, number)
        (folder / "annotations.json").write_text(json.dumps(content))
    dataset = json.loads((folder / "dataset.json").read_text())
    dataset["sha256"] = {}
    (folder / "dataset.json").write_text(json.dumps(dataset))


def tree_hash(folder: Path) -> str:
    """Hash of the names and bytes of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def serious(findings: list[Finding]) -> list[tuple[str, str | None]]:
    """Code and image of the errors and warnings."""
    return [(found.code, found.image) for found in findings if found.severity is not Severity.NOTE]


def name_of(number: int) -> str:
    """Name of an image of the clean dataset."""
    return f"image {number:02}.png"


def other_split(name: str) -> str:
    """A split that does not hold an image of the clean dataset."""
    return "train" if name >= name_of(SPLITS["train"]) else "test"


def _image_path(folder: Path, number: int) -> Path:
    return folder / "images" / name_of(number)


def _entry(content: Json, annotation_id: int) -> Json:
    return next(entry for entry in content["annotations"] if entry["id"] == annotation_id)


def _polygon(content: Json, number: int) -> Json:
    """The entry of the image's first object, the polygon."""
    return _entry(content, 2 * number + 1)


def _mask(content: Json, number: int) -> Json:
    """The entry of the image's second object, the mask."""
    return _entry(content, 2 * number + 2)


def _set_polygon(*parts: list[float], **values: Any) -> Plant:
    """Replaces the polygon; box and area follow from it unless values say otherwise."""

    def spoil(folder: Path, content: Json, number: int) -> None:
        entry = _polygon(content, number)
        entry["segmentation"] = list(parts)
        for key in ("bbox", "area"):
            del entry[key]
        entry.update(values)

    return spoil


def _set_mask(**values: Any) -> Plant:
    return lambda folder, content, number: _mask(content, number).update(values)


def _copy_object(**changes: Any) -> Plant:
    def spoil(folder: Path, content: Json, number: int) -> None:
        content["annotations"].append(_mask(content, number) | {"id": 5000 + number} | changes)

    return spoil


def _without_objects(folder: Path, content: Json, number: int) -> None:
    image_id = content["images"][number]["id"]
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] != image_id]


def _on_file(change: Callable[[Path, int], object]) -> Plant:
    return lambda folder, content, number: (change(_image_path(folder, number), number), None)[1]


def _with_orientation(size_hw: tuple[int, int], orientation: int) -> Plant:
    def change(path: Path, number: int) -> None:
        exif = Image.Exif()
        exif[274] = orientation
        picture(700 + number, size_hw).save(path, exif=exif)

    return _on_file(change)


def _truncate(path: Path, number: int) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def _save_as_jpeg(path: Path, number: int) -> None:
    picture(800 + number).save(path, format="JPEG", quality=95)


def _edit_splits(change: Callable[[Json, str], object]) -> Plant:
    def spoil(folder: Path, content: Json, number: int) -> None:
        splits = json.loads((folder / "splits.json").read_text())
        change(splits, name_of(number))
        (folder / "splits.json").write_text(json.dumps(splits))

    return spoil


def _take_out(splits: Json, name: str) -> None:
    splits["splits"] = {split: [n for n in names if n != name] for split, names in splits["splits"].items()}


def _leave_out_silently(splits: Json, name: str) -> None:
    _take_out(splits, name)
    splits["left_out"].append({"image": name, "split": "train", "reason": " "})


def _same_group(folder: Path, content: Json, number: int) -> None:
    """Gives the image the group of one in another split."""
    other = 11 if number < 9 else 0
    content["images"][number]["group"] = content["images"][other]["group"]


def _copy_file(change: Callable[[Image.Image], Image.Image] | None, other: int) -> Plant:
    """Makes the image a copy of another one."""

    def spoil(folder: Path, content: Json, number: int) -> None:
        source, target = _image_path(folder, other), _image_path(folder, number)
        if change is None:
            target.write_bytes(source.read_bytes())
        else:
            change(Image.open(source)).save(target)

    return spoil


def _brighter(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image) * 0.8 + 20).astype(np.uint8))


PLANTS: dict[str, Plant] = {
    # the key is the code, and after a colon which of several ways it is planted
    "broken-entry": _set_mask(bbox="here"),
    "broken-entry:NaN": _set_mask(bbox=[1.0, 2.0, None, 3.0]),
    "repeated-id": lambda folder, content, number: _mask(content, number).update(id=_polygon(content, number)["id"]),
    "unknown-class": _set_mask(category_id=77),
    "unknown-image": _set_mask(image_id=7777),
    "broken-mask": _set_mask(segmentation={"size": list(SIZE_HW), "counts": [10, 5]}),
    "image-missing": _on_file(lambda path, number: path.unlink()),
    "unreadable-image": _on_file(_truncate),
    "unreadable-image:empty": _on_file(lambda path, number: path.write_bytes(b"")),
    "unreadable-image:text": _on_file(lambda path, number: path.write_text("an image")),
    "size-mismatch": _on_file(lambda path, number: picture(900 + number, (60, 80)).save(path)),
    "size-mismatch:swapped": _on_file(lambda path, number: picture(900 + number, (80, 64)).save(path)),
    "exif-not-applied": _with_orientation(SIZE_HW, 6),
    "exif-doubtful": _with_orientation(SIZE_HW, 3),
    "exif-turned": _with_orientation(SIZE_HW[::-1], 8),
    "exif-invalid": _with_orientation(SIZE_HW, 9),
    "wrong-suffix": _on_file(_save_as_jpeg),
    "short-polygon": _set_polygon([10.0, 10.0, 30.0, 20.0]),
    "short-polygon:part": _set_polygon([10.0, 10.0, 30.0, 10.0, 30.0, 30.0], [1.0, 2.0, 3.0, 4.0]),
    "short-polygon:none": _set_polygon([], bbox=[1, 2, 3, 4]),
    "flat-polygon": _set_polygon([10.0, 10.0, 30.0, 20.0, 50.0, 30.0]),
    "flat-polygon:part": _set_polygon([10.0, 10.0, 30.0, 10.0, 30.0, 30.0], [1.0, 2.0, 3.0, 4.0, 1.0, 2.0]),
    "self-crossing": _set_polygon([10.0, 10.0, 30.0, 30.0, 30.0, 10.0, 10.0, 30.0]),
    "self-crossing:loop": _set_polygon([10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 20.0, 5.0, 10.0, 30.0]),
    "slight-crossing": _set_polygon([10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0, 10.2, 9.9, 10.4, 9.9, 10.1, 10.3]),
    "outside-image": _set_polygon([100.0, 10.0, 130.0, 10.0, 130.0, 30.0]),
    "outside-image:box": _set_polygon(bbox=[100, 10, 30, 20], area=600),
    "beyond-edge": _set_polygon([-10.0, 10.0, 30.0, 10.0, 30.0, 80.0, 5.0, 30.0, -12.0, 40.0]),
    "beyond-edge:box": _set_mask(bbox=[60.0, 10.0, 40.0, 20.0]),
    "degenerate-box": _set_mask(bbox=[50.0, 3.0, 0.0, 20.0]),
    "degenerate-box:negative": _set_mask(bbox=[50.0, 3.0, 10.0, -20.0]),
    "degenerate-box:only": _set_polygon(bbox=[50.0, 3.0, 10.0, 0.0], area=0),
    "degenerate-box:polygon": _set_polygon([10.0, 10.0, 30.0, 10.0, 30.0, 10.0]),
    "box-mismatch": _set_mask(bbox=[20.0, 10.0, 20.0, 20.0]),
    "area-mismatch": _set_mask(area=2000.0),
    "empty-mask": _set_mask(segmentation={"size": list(SIZE_HW), "counts": [SIZE_HW[0] * SIZE_HW[1]]}),
    "empty-mask:thin": _set_polygon([10.0, 10.0, 30.0, 10.1, 10.0, 10.2]),
    "full-mask": _set_mask(
        segmentation={"size": list(SIZE_HW), "counts": [0, SIZE_HW[0] * SIZE_HW[1]]},
        bbox=[0, 0, SIZE_HW[1], SIZE_HW[0]],
        area=SIZE_HW[0] * SIZE_HW[1],
    ),
    "tiny-object": _set_polygon([10.0, 10.0, 13.0, 10.0, 13.0, 14.0, 10.0, 14.0]),
    "repeated-object": _copy_object(),
    "near-repeated-object": _copy_object(attributes={"seen": "twice"}),
    "two-classes-one-object": _copy_object(category_id=1),
    "some-boxes-only": _set_polygon(bbox=[10, 10, 20, 20], area=400),
    "image-without-label": _without_objects,
    "stray-image": lambda folder, content, number: picture(600).save(folder / "images" / "stray.png"),
    "stray-file": lambda folder, content, number: (folder / "images" / "Thumbs.db").write_text("x") and None,
    "image-in-no-split": _edit_splits(_take_out),
    "left-out-without-reason": _edit_splits(_leave_out_silently),
    "unknown-split-name": _edit_splits(lambda splits, name: splits["splits"]["val"].append("nobody.png")),
    "repeated-split-name": _edit_splits(
        lambda splits, name: [s.append(name) for s in splits["splits"].values() if name in s]
    ),
    "image-in-two-splits": _edit_splits(lambda splits, name: splits["splits"][other_split(name)].append(name)),
    "group-across-splits": _same_group,
}
"""Faults of one image or object."""

COPIES: dict[str, tuple[Plant, str]] = {
    "the same bytes": (_copy_file(None, 11), "duplicate-across-splits"),
    "smaller": (_copy_file(lambda image: image.resize((60, 48)), 11), "near-duplicate-across-splits"),
    "brighter": (_copy_file(_brighter, 11), "near-duplicate-across-splits"),
    "mirrored": (
        _copy_file(lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 11),
        "near-duplicate-across-splits",
    ),
    "the same bytes in one split": (_copy_file(None, 5), "duplicate-image"),
    "brighter in one split": (_copy_file(_brighter, 5), "near-duplicate-image"),
}
"""Ways in which image 2, of the training split, is made a copy of one of the test split, or of its own."""
