"""What a model will see: augmented samples with their truth, on one sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.classes import Classes
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.files import whole_file
from maskstream.data.dataset import Dataset
from maskstream.draw.labels import draw_plate, fit_plate, place_plates
from maskstream.draw.overlay import Image, OverlayStyle, draw_overlay
from maskstream.draw.palette import Rgb, object_colour
from maskstream.errors import OutputError
from maskstream.reports.contact_sheet import lay_out
from maskstream.training.augment import boxes_of_masks
from maskstream.training.draws import BatchDraws, Draw
from maskstream.training.image_splits import split_records
from maskstream.training.recipe import Recipe
from maskstream.training.sample import UNKNOWN, Sample
from maskstream.training.samples import SampleMaker, items_of
from maskstream.training.tasks.instance import LEAST_OBJECT_PX

CELL_PX = 512
"""Longest side of a sample on the sheet at most; small inputs are magnified without blur, so that their pixels show."""

_STYLE = OverlayStyle(fill_opacity=0.12, line_px=2.5, labels=False)
_TEXT_PX, _LINE_PX = 15, 24
_PAPER: Rgb = (246, 245, 241)
_PLATE: Rgb = (28, 35, 38)


def write_preview(path: Path, recipe: Recipe, dataset: Dataset, count: int) -> None:
    """Write the sheet of `preview` as a PNG file, whole or not at all.

    Raises
    ------
    OutputError : the name is no PNG file's, or the place cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise OutputError(path, expected="the name of a .png file", found=path.name, remedy="let it end with .png")
    _, png = cv2.imencode(".png", cv2.cvtColor(preview(recipe, dataset, count), cv2.COLOR_RGB2BGR))
    with whole_file(path) as temporary:
        temporary.write_bytes(png.tobytes())


def preview(recipe: Recipe, dataset: Dataset, count: int) -> Image:
    """A sheet (h, w, 3) of the first `count` samples that a run learns from, as it draws and changes them.

    Parameters
    ----------
    recipe : with its classes known (`resolve`).
    """
    items, shares = items_of(split_records(recipe.data, dataset)["train"], recipe)
    samples = SampleMaker(items, recipe, dataset)
    draws = BatchDraws([samples.labels(item) for item in items], recipe, shares=shares)
    return lay_out([_cell(samples, draw) for draw in islice(_all_epochs(draws), count)])


def _all_epochs(draws: BatchDraws) -> Iterator[Draw]:
    """The draws of one epoch after the other, without end."""
    while True:
        for batch in draws:
            yield from batch
        draws.epoch += 1


def _cell(samples: SampleMaker, draw: Draw) -> Image:
    """A sample with its objects, and two lines below: where it is from, and what it shows."""
    recipe = samples.recipe
    sample = _learned(samples.sample(draw), recipe)
    image = _resized(sample.image)
    if len(sample.masks):
        image = _with_objects(image, sample, recipe.classes)
    source = "synthetic" if draw.index < 0 else "image" if samples.items[draw.index].window is None else "tile"
    name = samples.name(draw.index).removeprefix("synthetic ")
    lines = [_line(f"{source}: {name}", image.shape[1]), _line(_content(sample, recipe), image.shape[1])]
    return np.concatenate([image, *lines])


def _learned(sample: Sample, recipe: Recipe) -> Sample:
    """The sample with the objects that are part of the truth."""
    least_px = LEAST_OBJECT_PX if recipe.task == "instance" else 1
    learned = np.array([cv2.countNonZero(mask) >= least_px for mask in sample.masks], bool)
    return replace(sample, masks=sample.masks[learned], class_ids=sample.class_ids[learned])


def _content(sample: Sample, recipe: Recipe) -> str:
    """The class of the image as a whole, or its objects by class."""
    if recipe.task == "classification":
        return "no class" if sample.image_class == UNKNOWN else recipe.classes[sample.image_class]
    counts = Counter(recipe.classes[class_id] for class_id in sample.class_ids)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no object"


def _resized(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (h, w) or (h, w, 3) about as large as a cell: whole times larger, or averaged where they are larger."""
    scale = CELL_PX / max(pixels.shape[:2])
    if scale >= 1:
        return pixels.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    size_wh = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def _with_objects(image: Image, sample: Sample, classes: Classes) -> Image:
    """The image with outline and box of each object in the colour of its class, and a name at the largest of each."""
    size_hw = image.shape[0], image.shape[1]
    dense = np.stack([_resized(mask * np.uint8(255)) > 127 for mask in sample.masks])
    boxes_xyxy = boxes_of_masks(dense.view(np.uint8))
    found = Detections(
        boxes_xyxy=boxes_xyxy,
        masks=tuple(masks.crop(mask) for mask in dense),
        scores=np.ones(len(dense), np.float32),
        probabilities=np.eye(len(classes), dtype=np.float32)[sample.class_ids],
        track_ids=np.full(len(dense), NO_TRACK, np.int64),
        classes=classes,
        size_hw=size_hw,
    )
    canvas = draw_overlay(image, found, style=_STYLE)
    largest = {int(sample.class_ids[number]): number for number in np.argsort(found.areas_px, kind="stable")}
    wanted = [(classes[class_id], boxes_xyxy[number]) for class_id, number in largest.items()]
    colours = [object_colour(NO_TRACK, class_id) for class_id in largest]
    for number, plate, place_xyxy in place_plates(wanted, _TEXT_PX, size_hw):
        draw_plate(canvas, plate, place_xyxy, colours[number])
    return canvas


def _line(text: str, width: int) -> Image:
    """A strip with as much of a text as fits, the end of it rather than the start."""
    strip = np.full((_LINE_PX, width, 3), _PAPER, np.uint8)
    shown = text
    while (plate := fit_plate(shown, _TEXT_PX, (_LINE_PX, width))) is None and len(shown) > 1:
        shown = "…" + shown[2:]
    if plate is not None:
        draw_plate(strip, plate, np.array([0, 0, plate.width_px, plate.height_px], np.float32), _PLATE)
    return strip
