"""Which predictions a path holds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from maskstream.errors import DatasetError
from maskstream.evaluation.answers import Answers
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.class_table import TableAnswers
from maskstream.evaluation.predictions.mask_folder import MaskAnswers, has_masks
from maskstream.evaluation.predictions.results import ResultAnswers
from maskstream.inference.manifest import MANIFEST

Task = Literal["instance", "semantic"]

TABLES = frozenset({".csv", ".tsv"})


def is_predictions(argument: str | Path) -> bool:
    """Whether a path is one of predictions, by its name: a file of theirs, or a folder of pictures and no model."""
    path = Path(argument)
    if path.suffix.lower() in {".json", *TABLES} and not path.is_dir():
        return True
    return path.is_dir() and not (path / MANIFEST).exists() and has_masks(path)


def open_predictions(path: str | Path, asked: Asked, task: Task | None = None) -> Answers:
    """The answers of COCO's results (`.json`), of a table of classes (`.csv`, `.tsv`) or of a folder of masks.

    Parameters
    ----------
    asked : the images they are judged on.
    task : whether objects are judged, or which pixels belong to a class; None: objects, but of masks the pixels.

    Raises
    ------
    DatasetError : the predictions are missing, broken, or not those of these images; see the classes. SourceError: a
        mask is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return MaskAnswers(path, asked, task)
    if path.suffix.lower() in TABLES:
        if task is not None:
            raise DatasetError(
                path, expected="objects or pixels (--task)", found="a table of classes", remedy="leave --task out"
            )
        return TableAnswers(path, asked)
    return ResultAnswers(path, asked, task or "instance")
