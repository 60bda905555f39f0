"""A finished evaluation as its page and its pictures read it: `metrics.json` and the tables beside it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstream.errors import SourceError

METRICS = "metrics.json"

TABLES = (
    *("images", "objects", "classes", "pr_curve", "threshold", "confusion", "roc_curve", "class_pr_curve"),
    *("operating_points", "reliability", "risk_coverage", "slices", "object_slices", "robustness", "worst"),
    *("why", "videos", "video_objects"),
)
"""Those that the page knows; each may be missing."""

Row = Mapping[str, str]
"""Cells by column; empty where the value is not defined."""

Metric = float | int | str


@dataclass(frozen=True, slots=True)
class FinishedEvaluation:
    """What an evaluation's folder tells.

    Attributes
    ----------
    metrics : flat keys and plain values.
    tables : rows by the table's name; a table that is not there has none.
    """

    path: Path
    metrics: Mapping[str, Metric]
    tables: Mapping[str, Sequence[Row]]

    @property
    def task(self) -> str:
        """`video`, `classification`, `semantic` or `instance`, as told or by what was measured."""
        told = self.metrics.get("task")
        if isinstance(told, str):
            return told
        return "video" if self.tables["videos"] else self.image_task

    @property
    def image_task(self) -> str:
        """What is judged in each image: of a video's frames `instance` or `semantic`, else the task."""
        told = self.metrics.get("task")
        if isinstance(told, str) and told != "video":
            return told
        if "log_loss" in self.metrics or "accuracy" in self.metrics:
            return "classification"
        return "instance" if "score_floor" in self.metrics or "AP" in self.metrics else "semantic"

    def figure(self, key: str) -> float | None:
        """A number of the metrics; None where it is not there."""
        value = self.metrics.get(key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def interval(self, key: str) -> tuple[float, float] | None:
        """Both ends of a figure's 95 % interval; None where there is none."""
        low, high = self.figure(f"{key}_low"), self.figure(f"{key}_high")
        return None if low is None or high is None else (low, high)

    def count(self, key: str) -> int | None:
        """A whole number of the metrics; None where it is not there."""
        value = self.figure(key)
        return None if value is None else round(value)

    def text(self, key: str) -> str:
        """A text of the metrics; empty where it is not there."""
        return str(self.metrics.get(key, ""))

    @property
    def undefined(self) -> list[str]:
        """Figures that these images do not define."""
        told = self.text("undefined")
        return [] if told in ("", "none") else told.split(", ")

    @property
    def classes(self) -> list[str]:
        """Names of the classes, from whatever names them; empty where nothing does."""
        if self.tables["classes"]:
            return [row["class"] for row in self.tables["classes"]]
        prefixes = ("n_objects/", "n_pictures/", "n_in_mean/")
        return list(dict.fromkeys(key.split("/", 1)[1] for key in self.metrics if key.startswith(prefixes)))


def read_evaluation(folder: Path) -> FinishedEvaluation:
    """Read a folder that `maskstream evaluate` wrote.

    Raises
    ------
    SourceError : `metrics.json` is missing or broken, or a table is no CSV.
    """
    path = folder / METRICS
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(metrics, dict):
            raise ValueError(f"a {type(metrics).__name__}")
    except (OSError, ValueError) as error:
        raise SourceError(
            path, expected="the figures of an evaluation", found=str(error), remedy="run maskstream evaluate first"
        ) from error
    return FinishedEvaluation(folder, metrics, {name: _rows(folder / f"{name}.csv") for name in TABLES})


def number(row: Row, column: str) -> float | None:
    """A cell as a number; None where the table has no such column, or the cell holds no finite number."""
    try:
        value = float(row.get(column) or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _rows(path: Path) -> list[Row]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                {column: cell for column, cell in row.items() if isinstance(column, str) and isinstance(cell, str)}
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            path, expected="a table of an evaluation", found=str(error), remedy="evaluate again"
        ) from error
