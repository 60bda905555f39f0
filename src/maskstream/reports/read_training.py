"""A training run as its page reads it, whether it has ended or not: recipe, facts, and tables thinned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from maskstream.errors import SourceError
from maskstream.reports.training_tables import SAMPLES, STEPS, VALIDATION, read_rows, whole_lines

POINT_LIMIT = 1000
"""Points of a curve; neighbours are averaged beyond it."""

_PLACE = ("step", "epoch", "stage")

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """A table by its columns.

    Attributes
    ----------
    step, epoch : (n,) of each row.
    values : (n,) by column; NaN where a row has none.
    """

    step: Numbers
    epoch: Numbers
    values: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a run folder tells.

    Attributes
    ----------
    recipe_text, recipe : the resolved recipe as YAML and as plain values.
    facts : `run.json`.
    steps : thinned to `POINT_LIMIT` points, each the mean of neighbouring steps.
    validations : every one of them.
    counts : columns of `validations` that hold whole numbers: counts rather than figures.
    steps_done : number of the last step in the table.
    stages : name of each stage that has begun and the epoch that it began at.
    samples : folders of sample predictions, in the order of their epochs.
    """

    path: Path
    recipe_text: str
    recipe: Mapping[str, Any]
    facts: Mapping[str, Any]
    steps: Series
    validations: Series
    counts: frozenset[str]
    steps_done: int
    stages: Sequence[tuple[str, float]]
    samples: Sequence[Path]

    @property
    def best(self) -> tuple[str, Numbers, int] | None:
        """What chooses the best checkpoint, its value at each validation, and the row of the best one.

        None where the recipe names no metric, or no validation has one.
        """
        rule = self.recipe.get("validation") or {}
        names = tuple(rule.get("best") or ())
        if not names or any(name not in self.validations.values for name in names):
            return None
        score = np.mean([self.validations.values[name] for name in names], axis=0)
        if not np.isfinite(score).any():
            return None
        row = np.nanargmin(score) if rule.get("mode") == "min" else np.nanargmax(score)
        return " and ".join(names), score, int(row)

    @property
    def last_epoch(self) -> float:
        """How far the run has come; 1 before its first step, so that there is an axis."""
        return max([*self.steps.epoch[-1:].tolist(), *self.validations.epoch[-1:].tolist()], default=1.0)

    @property
    def best_epoch(self) -> float | None:
        """Epoch of the best validation."""
        return None if self.best is None else float(self.validations.epoch[self.best[2]])


def read_training(run: Path) -> TrainingRun:
    """Read a run folder.

    Raises
    ------
    SourceError : `recipe.yaml` or `run.json` is missing, or a file is broken.
    """
    recipe_text = _text(run / "recipe.yaml")
    try:
        recipe, facts = yaml.safe_load(recipe_text), json.loads(_text(run / "run.json"))
        steps, steps_done, stages = _read_steps(run / STEPS)
        validations, counts = _read_validations(run / VALIDATION)
    except (ValueError, KeyError, yaml.YAMLError) as error:
        raise SourceError(
            run, expected="the files of a training run", found=str(error), remedy="train again in a new folder"
        ) from error
    samples = tuple(sorted((run / SAMPLES).glob("epoch-*")))
    return TrainingRun(run, recipe_text, recipe, facts, steps, validations, counts, steps_done, stages, samples)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(
            path, expected="a file of a training run", found=str(error.strerror), remedy="name a run folder"
        ) from error


def _read_steps(path: Path) -> tuple[Series, int, list[tuple[str, float]]]:
    head, *rows = list(whole_lines(path)) or [",".join(_PLACE)]
    columns = head.strip().split(",")
    stages: dict[str, float] = {}
    begun = "0"
    for row in rows:
        _, epoch, stage, _ = row.split(",", 3)
        stages.setdefault(stage, float(begun))
        begun = epoch
    numbers = [index for index, name in enumerate(columns) if name != "stage"]
    table = np.loadtxt(rows, delimiter=",", usecols=numbers, ndmin=2) if rows else np.zeros((0, len(numbers)))
    step, epoch, *values = _thinned(table).T
    series = Series(step, epoch, dict(zip(columns[len(_PLACE) :], values, strict=True)))
    return series, int(table[-1, 0]) if rows else 0, list(stages.items())


def _thinned(table: Numbers) -> Numbers:
    """Means of neighbouring rows, so many that `POINT_LIMIT` remain at most."""
    length = max(1, math.ceil(len(table) / POINT_LIMIT))
    starts = np.arange(0, len(table), length)
    if length == 1:
        return table
    counts = np.diff(np.append(starts, len(table)))
    return np.asarray(np.add.reduceat(table, starts) / counts[:, None])


def _read_validations(path: Path) -> tuple[Series, frozenset[str]]:
    rows = list(read_rows(path))
    names = [name for name in (rows[0] if rows else ()) if name not in _PLACE]
    values = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
    texts = {name: [row[name] for row in rows if row[name]] for name in names}
    counts = frozenset(name for name in names if texts[name] and all(text.isdigit() for text in texts[name]))
    step, epoch = (np.array([float(row[name]) for row in rows]) for name in ("step", "epoch"))
    return Series(step, epoch, values), counts
