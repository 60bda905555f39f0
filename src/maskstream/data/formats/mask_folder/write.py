"""Writes a dataset as images and masks: `images/`, `masks/`, and a file that names the classes.

binary            masks/<image>.png of 0 and 255; of several classes, each in its folder: masks/<class>/<image>.png
index             masks/<image>.png with palette: 0 background, 1 the first class; 255 ignored. classes.txt
class-colour      masks/<image>.png in RGB. label_colors.txt
instance-colour   masks/<image>.png in RGB, a colour for each object. instances.csv names their classes

Where objects overlap, the smaller one hides the larger one; how many pixels that costs is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.files import write_text
from maskstream.core.masks import CroppedMask
from maskstream.core.parallel import ordered_map
from maskstream.data.csv_files import write_table
from maskstream.data.dataset import IMAGES, Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.format import WriteOptions, place_image
from maskstream.data.formats.mask_folder.legend import (
    CLASSES,
    COLOURS,
    INSTANCE_COLUMNS,
    INSTANCES,
    NO_CLASS,
    folder_of,
)
from maskstream.data.formats.mask_folder.pixels import BACKGROUND, IGNORE, MaskKind, Rgb
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError

NAME = "mask_folder"
IGNORED = "ignored"
"""Key, among the attributes of an image, of the pixels that are of no certain class, as RLE."""

MASKS = "masks"


@dataclass(frozen=True, slots=True)
class _Written:
    """What one image's masks could not hold; `legend` are the rows of its objects in `instances.csv`."""

    name: str
    legend: tuple[tuple[str, str, str], ...]
    objects: int
    merged: int
    hidden_px: int
    vanished: int
    without_mask: int


def write(dataset: Dataset, folder: Path, options: WriteOptions) -> Sequence[Finding]:
    """Write images and masks.

    Raises
    ------
    DatasetError : an unknown kind of mask, two images of one stem, classes that the files cannot name, or an
        image that is missing.
    """
    if options.mask_kind not in set(MaskKind):
        raise DatasetError(
            "--mask-kind", expected=", ".join(MaskKind), found=repr(options.mask_kind), remedy="choose one"
        )
    kind = MaskKind(options.mask_kind)
    _check_names(dataset, kind)
    written = list(ordered_map(partial(_write_image, dataset, folder, kind, options.link), dataset.images))
    if kind is MaskKind.CLASS_COLOUR:
        colours = (" ".join(map(str, colour(number))) for number in range(1, len(dataset.classes) + 1))
        lines = [f"{rgb} {name}" for rgb, name in zip(colours, dataset.classes, strict=True)]
        write_text(folder / COLOURS, "".join(f"{line}\n" for line in ["0 0 0 background", *lines]))
    else:
        write_text(folder / CLASSES, "".join(f"{name}\n" for name in dataset.classes))
    if kind is MaskKind.INSTANCE_COLOUR:
        write_table(folder / INSTANCES, INSTANCE_COLUMNS, (row for image in written for row in image.legend))
    return list(_losses(dataset, kind, written))


def colour(number: int) -> Rgb:
    """The colour of a number up to 2^24, each another one; 0 is black. PASCAL VOC's colours, as its tools count them.

    Bit 0, 3, 6 ... of the number are the bits of red, the highest first; so for green from bit 1 and blue from 2.
    """
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (number & 1) << shift
        green |= (number >> 1 & 1) << shift
        blue |= (number >> 2 & 1) << shift
        number >>= 3
    return red, green, blue


def _check_names(dataset: Dataset, kind: MaskKind) -> None:
    """Names that would not come back as they are, or not alone."""
    stems: dict[str, str] = {}
    for record in dataset.images:
        other = stems.setdefault(PurePosixPath(record.name).with_suffix("").as_posix(), record.name)
        if other != record.name:
            raise _unnamable(dataset, "images with stems of their own", f"{other} and {record.name}")
    for name in dataset.classes:
        if not name.strip() or name != name.strip() or "\n" in name or name.lower() in NO_CLASS:
            raise _unnamable(dataset, "names of classes of one line that do not mean background", repr(name))
    if kind is MaskKind.INDEX and len(dataset.classes) >= IGNORE:
        raise _unnamable(dataset, f"at most {IGNORE - 1} classes for masks of 8 bits", str(len(dataset.classes)))
    folders: dict[str, str] = {}
    for name in dataset.classes if kind is MaskKind.BINARY else ():
        other = folders.setdefault(folder_of(name).lower(), name)
        if other != name:
            raise _unnamable(dataset, "classes with folders of their own", f"{other!r} and {name!r}")


def _unnamable(dataset: Dataset, expected: str, found: str) -> DatasetError:
    return DatasetError(dataset.folder, expected=expected, found=found, remedy="rename one, or choose another format")


def _write_image(dataset: Dataset, folder: Path, kind: MaskKind, link: bool, record: ImageRecord) -> _Written:
    place_image(record, folder / IMAGES / record.name, link=link)
    size_hw = record.size_hw
    drawn = [(a.class_id, a.mask(size_hw)) for a in record.annotations]
    # the larger first, so that the smaller lie on top; of equal ones the later
    objects = sorted(((c, mask) for c, mask in drawn if mask.area_px), key=lambda item: -item[1].area_px)
    path = folder / MASKS / PurePosixPath(record.name).with_suffix(".png")
    if kind is MaskKind.BINARY:
        _write_binary(path, folder / MASKS, dataset.classes, objects, size_hw)
        numbers, labels = [], np.zeros(size_hw, np.int32)
    else:
        by_class = [class_id + 1 for class_id, _ in objects]
        numbers = list(range(1, len(objects) + 1)) if kind is MaskKind.INSTANCE_COLOUR else by_class
        labels = _labels(size_hw, objects, numbers)
        _save(path, _picture(kind, labels, record))
    visible = set(np.unique(labels).tolist())
    legend = (
        (record.name, "#{:02x}{:02x}{:02x}".format(*colour(number)), dataset.classes[class_id])
        for number, (class_id, _) in zip(numbers, objects, strict=False)
        if kind is MaskKind.INSTANCE_COLOUR and number in visible
    )
    classes = {class_id for class_id, _ in objects}
    return _Written(
        name=record.name,
        legend=tuple(legend),
        objects=len(objects),
        merged=0 if kind is MaskKind.INSTANCE_COLOUR else len(objects) - len(classes),
        hidden_px=_hidden_px(objects, numbers, labels),
        vanished=len(set(numbers) - visible),
        without_mask=len(drawn) - len(objects),
    )


def _labels(
    size_hw: tuple[int, int], objects: Sequence[tuple[int, CroppedMask]], numbers: Sequence[int]
) -> NDArray[np.int32]:
    """Each pixel the number of the last object that holds it; 0 where none does."""
    labels = np.zeros(size_hw, np.int32)
    for number, (_, mask) in zip(numbers, objects, strict=True):
        labels[mask.slices][mask.bitmap] = number
    return labels


def _hidden_px(objects: Sequence[tuple[int, CroppedMask]], numbers: Sequence[int], labels: NDArray[np.int32]) -> int:
    """Pixels that an object has and its number has not, counted for each number once."""
    by_number: dict[int, list[CroppedMask]] = {}
    for number, (_, mask) in zip(numbers, objects, strict=False):
        by_number.setdefault(number, []).append(mask)
    hidden = 0
    for number, same in by_number.items():
        held = masks.union(same, labels.shape) if len(same) > 1 else same[0].dense((labels.shape[0], labels.shape[1]))
        hidden += int(np.count_nonzero(held & (labels != number)))
    return hidden


def _picture(kind: MaskKind, labels: NDArray[np.int32], record: ImageRecord) -> Image.Image:
    if kind is MaskKind.INDEX:
        ignored = record.attributes.get(NAME, {}).get(IGNORED)
        if ignored is not None:
            unsure = masks.from_rle(ignored).dense(record.size_hw)
            labels = np.where(unsure & (labels == BACKGROUND), IGNORE, labels)
        picture = Image.fromarray(labels.astype(np.uint8))
        picture.putpalette([channel for index in range(256) for channel in colour(index)])
        return picture
    table = np.array([colour(number) for number in range(int(labels.max(initial=0)) + 1)], np.uint8)
    return Image.fromarray(table[labels])


def _write_binary(
    path: Path, folder: Path, classes: Classes, objects: Sequence[tuple[int, CroppedMask]], size_hw: tuple[int, int]
) -> None:
    """One mask of an only class, even an empty one; of several classes one for each in the image."""
    inner = path.relative_to(folder)
    shown = range(len(classes)) if len(classes) == 1 else sorted({class_id for class_id, _ in objects})
    for class_id in shown:
        place = path if len(classes) == 1 else folder / folder_of(classes[class_id]) / inner
        pixels = masks.union([mask for other, mask in objects if other == class_id], size_hw)
        _save(place, Image.fromarray(pixels.astype(np.uint8) * 255))


def _save(path: Path, picture: Image.Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def _losses(dataset: Dataset, kind: MaskKind, written: Sequence[_Written]) -> Iterator[Finding]:
    """What the masks do not say that the dataset does."""
    yield from _pixel_losses(written)
    merged = sum(image.merged for image in written)
    if merged:
        yield _note(
            "merged-objects",
            "objects that can be told apart",
            f"{merged} of {sum(image.objects for image in written)} objects merged with others of their class",
            "choose the kind instance-colour to keep them apart",
        )
    without = sum(image.without_mask for image in written)
    if without:
        yield _note(
            "object-without-mask",
            "a mask of each object",
            f"{without} objects that are a box alone, or empty",
            "give boxes a shape when importing them, such as --box-shape ellipse",
        )
    images, objects = dataset.images, [a for image in dataset.images for a in image.annotations]
    unsaid: Mapping[str, int] = {
        "groups": sum(image.group is not None for image in images),
        "classes of whole images": sum(image.class_id is not None for image in images),
        "marks of crowds": sum(annotation.iscrowd for annotation in objects),
        "attributes of objects": sum(bool(annotation.attributes) for annotation in objects),
        "pixels to ignore": 0 if kind is MaskKind.INDEX else sum(NAME in image.attributes for image in images),
    }
    kept_out = [f"{what} ({count})" for what, count in unsaid.items() if count]
    if kept_out:
        yield _note(
            "not-in-masks", "only what masks can say", ", ".join(kept_out), "keep the dataset; it holds all of them"
        )


def _pixel_losses(written: Sequence[_Written]) -> Iterator[Finding]:
    lossy = [image for image in written if image.hidden_px]
    if not lossy:
        return
    worst = max(lossy, key=lambda image: image.hidden_px)
    vanished = sum(image.vanished for image in written)
    yield Finding(
        code="hidden-pixels",
        severity=Severity.WARNING,
        place=MASKS,
        expected="one object at each pixel",
        found=f"{sum(image.hidden_px for image in lossy)} pixels hidden by other objects in {len(lossy)} images, most "
        f"({worst.hidden_px}) in {worst.name}; {vanished} objects or classes of an image hidden wholly",
        remedy="choose a format that holds overlapping objects, such as coco, where these pixels matter",
    )


def _note(code: str, expected: str, found: str, remedy: str) -> Finding:
    return Finding(code=code, severity=Severity.NOTE, place=MASKS, expected=expected, found=found, remedy=remedy)
