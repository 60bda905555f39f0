"""Pictures of the worst images of an evaluation: the image, what is there, and what was found, side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.draw.labels import COMFORTABLE_TEXT_PX, draw_plate, place_plates
from maskstream.draw.overlay import OverlayStyle, draw_overlay
from maskstream.draw.palette import object_colour
from maskstream.draw.panels import side_by_side
from maskstream.errors import OutputError
from maskstream.evaluation.failures.worst import Failure
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.verdict import ImageRow, Table
from maskstream.media.sinks import write_jpeg

Image = NDArray[np.uint8]

FOLDER = "worst"
_TRUTH_STYLE = OverlayStyle(boxes=False, labels=False)
_FOUND_STYLE = OverlayStyle(boxes=False)


def write_worst(failures: Sequence[Failure], folder: Path) -> Table:
    """Write a JPEG picture of each failure into `folder/worst/`.

    Parameters
    ----------
    failures : what `evaluation.failures.worst.worst` gave.
    folder : the run folder of the evaluation.

    Returns
    -------
    Table `worst`: a row an image, its picture as a path below `folder`, and why it is there.

    Raises
    ------
    SourceError, DatasetError : an image cannot be read any more.
    OutputError : the folder cannot be written.
    """
    rows: list[ImageRow] = []
    remove_earlier(folder / FOLDER)
    for failure in failures:
        picture = f"{FOLDER}/{picture_name(failure)}"
        write_jpeg(folder / picture, picture_of(failure))
        rows.append(
            {
                "rank": failure.rank,
                "image": failure.record.name,
                "figure": failure.figure,
                "value": failure.value,
                "picture": picture,
                "why": failure.why,
            }
        )
    return Table.of("worst", rows, columns=("rank", "image", "figure", "value", "picture", "why"))


def picture_name(failure: Failure) -> str:
    """A file name that every file system takes: the rank, then what it can keep of the image's name."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", PurePosixPath(failure.record.name).stem)[:60]
    return f"{failure.rank:03d}-{stem}.jpg"


def remove_earlier(folder: Path) -> None:
    """Remove the pictures of an earlier evaluation, which are known by the form of their names.

    OutputError: they cannot be removed.
    """
    try:
        for path in folder.glob("[0-9][0-9][0-9]-*.jpg"):
            path.unlink()
    except OSError as error:
        raise OutputError(
            folder, expected="a folder that can be written", found=str(error), remedy="choose another folder"
        ) from error


def picture_of(failure: Failure) -> Image:
    """Image, truth and answer side by side; of a classifier's failure the image, with both in its title."""
    image = failure.record.read_image()
    if isinstance(failure.answer, Classification) or isinstance(failure.truth, str):
        return side_by_side([(failure.why, image)])
    found = f"found: {len(failure.answer)}, Jaccard {failure.value:.2f}"
    return side_by_side(
        [
            ("image", image),
            (f"truth: {len(failure.truth.masks)}", _with_truth(image, failure.truth, failure.answer.classes)),
            (found, draw_overlay(image, failure.answer, style=_FOUND_STYLE)),
        ]
    )


def _with_truth(image: Image, truth: ImageTruth, classes: Classes) -> Image:
    """The true objects in the colours of their classes, each with its name where the model knows several classes."""
    shown = _as_detections(truth, classes)
    canvas = draw_overlay(image, shown, style=_TRUTH_STYLE)
    if len(classes) > 1:
        scale = float(np.sqrt(image.shape[0] * image.shape[1] / (480 * 640)))
        text_px = max(COMFORTABLE_TEXT_PX, round(OverlayStyle().text_px * scale))
        wanted = [(detection.class_name, detection.box_xyxy) for detection in shown]
        for index, plate, place_xyxy in place_plates(wanted, text_px, shown.size_hw):
            draw_plate(canvas, plate, place_xyxy, object_colour(NO_TRACK, truth.class_ids[index]))
    return canvas


def _as_detections(truth: ImageTruth, classes: Classes) -> Detections:
    nothing = Detections.empty(classes, truth.size_hw)
    dense = [mask.dense(truth.size_hw) for mask in truth.masks]
    return replace(
        nothing,
        boxes_xyxy=np.array([boxes.from_mask(mask) for mask in dense], np.float32).reshape(-1, 4),
        masks=truth.masks,
        scores=np.ones(len(dense), np.float32),
        probabilities=np.eye(len(classes), dtype=np.float32)[list(truth.class_ids)].reshape(-1, len(classes)),
        track_ids=np.full(len(dense), NO_TRACK, np.int64),
    )
