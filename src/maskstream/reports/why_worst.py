"""What the percentages of the worst images rest on: a map of each, and a table that puts them into words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes
from maskstream.core.classification import Classification
from maskstream.core.detections import Detection, Detections
from maskstream.core.parallel import OnProgress
from maskstream.data.records import ImageRecord
from maskstream.evaluation.answers import Answers, ClassAnswers, ObjectAnswers
from maskstream.evaluation.failures.occlusion import Occlusion, occlude_image, occlude_object
from maskstream.evaluation.failures.shown import shown_as
from maskstream.evaluation.failures.worst import Failure
from maskstream.evaluation.verdict import ImageRow, Table
from maskstream.media.sinks import write_jpeg
from maskstream.reports.why_pictures import reading, why_picture
from maskstream.reports.worst_pictures import picture_name, remove_earlier

Image = NDArray[np.uint8]

FOLDER = "why"
COLUMNS = ("rank", "image", "picture", "class", "probability", "lowest", "highest", "runs", "reading")

FOLLOW_DOWN_TO = 0.5
"""An object is followed down to this share of the score that it has, or of the threshold where that is lower."""

_NOTHING_FOUND = "Nothing was found in this image, so there is no percentage that could rest on anything."


def write_why(
    failures: Sequence[Failure],
    answers: Answers,
    folder: Path,
    *,
    positive: str | None = None,
    on_progress: OnProgress | None = None,
) -> Table:
    """Write an occlusion map of each failure into `folder/why/`; it takes 50 to 120 runs of the model each.

    Parameters
    ----------
    answers : those of a model, which looks at the changed images; answers from a file know nothing of them.
    folder : the run folder of the evaluation.
    positive : class whose percentage is looked at; None: the calibrated one, else what the image or its best-scored
        object is called.

    Returns
    -------
    Table `why`: a row a failure, its picture as a path below `folder`, and how to read it. An image in which nothing
    was found has no picture.

    Raises
    ------
    SourceError, DatasetError : an image cannot be read any more.
    OutputError : the folder cannot be written.
    """
    if positive is None and answers.calibration is not None:
        positive = answers.calibration.positive
    rows: list[ImageRow] = []
    remove_earlier(folder / FOLDER)
    for done, failure in enumerate(failures, start=1):
        row: ImageRow = {"rank": failure.rank, "image": failure.record.name, "reading": _NOTHING_FOUND}
        if (made := _made(failure, answers, positive)) is not None:
            occlusion, picture = made
            name = f"{FOLDER}/{picture_name(failure)}"
            write_jpeg(folder / name, picture)
            row |= {"picture": name, **row_of(occlusion)}
        rows.append(row)
        if on_progress is not None:
            on_progress(done, len(failures))
    return Table.of("why", rows, columns=COLUMNS)


def row_of(occlusion: Occlusion) -> ImageRow:
    """What a map says, in numbers and in words."""
    return {
        "class": occlusion.name,
        "probability": occlusion.probability,
        "lowest": occlusion.lowest,
        "highest": occlusion.highest,
        "runs": occlusion.runs,
        "reading": reading(occlusion),
    }


def asked_class(classes: Classes, positive: str | None, called: str) -> str | None:
    """The class whose percentage is looked at; None for a model of one class, whose score is."""
    if len(classes) < 2:
        return None
    return positive or called


def _made(failure: Failure, answers: Answers, positive: str | None) -> tuple[Occlusion, Image] | None:
    """The map and its picture; None where nothing was found."""
    image = failure.record.read_image()
    if isinstance(failure.answer, Classification):
        assert answers.task == "classification"
        occlusion = _of_image(failure, answers, image, positive or failure.answer.class_name)
        return occlusion, why_picture(image, occlusion, failure.why)
    if not len(failure.answer):
        return None
    assert answers.task != "classification"
    best = next(iter(failure.answer))
    occlusion = _of_object(failure, answers, image, best, asked_class(answers.classes, positive, best.class_name))
    return occlusion, why_picture(image, occlusion, failure.record.name, best.mask)


def _of_object(
    failure: Failure, answers: ObjectAnswers, image: Image, target: Detection, name: str | None
) -> Occlusion:
    floor = FOLLOW_DOWN_TO * min(answers.score_threshold, target.score)

    def find(images: Sequence[Image]) -> list[Detections]:
        return [answers.detections(_showing(failure.record, each), floor) for each in images]

    return occlude_object(find, image, target, name)


def _of_image(failure: Failure, answers: ClassAnswers, image: Image, name: str) -> Occlusion:
    def ask(images: Sequence[Image]) -> list[float]:
        return [answers.classification(_showing(failure.record, each)).probability_of(name) for each in images]

    return occlude_image(ask, image, name)


def _showing(record: ImageRecord, image: Image) -> ImageRecord:
    return shown_as(record, lambda: image)
