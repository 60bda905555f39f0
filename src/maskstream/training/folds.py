"""Cross-validation: a run a fold, and what the folds say together."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from maskstream.core.files import write_json
from maskstream.data.dataset import Dataset
from maskstream.data.splits.split import FOLD, one_fold
from maskstream.errors import DatasetError
from maskstream.evaluation.verdict import Metrics
from maskstream.training.checkpoint import LAST, RESUME, load_weights
from maskstream.training.preflight import is_first_process
from maskstream.training.recipe import Recipe

RESULT = "folds.json"
DONE = "metrics.json"

RunFold = Callable[[Recipe, Dataset, Path, bool], Path]
"""Trains on a dataset into a run folder, resuming or not."""


def cross_validate(recipe: Recipe, dataset: Dataset, run: Path, run_fold: RunFold) -> dict[str, Any]:
    """Train once a fold, judging the last weights on the fold held out; a broken-off call goes on where it stopped.

    The last weights, not the best: choosing by the images that the figure is about would flatter it.

    Returns
    -------
    For each metric its values by fold, their mean, standard deviation, and the 95 % interval of the mean
    (Student's t over the folds; as the folds' training images overlap, it is rather too narrow). Also in `folds.json`.

    Raises
    ------
    DatasetError : the dataset is not split into folds.
    """
    names = [name for name in dataset.splits if name.startswith(FOLD)]
    if len(names) < 2:
        raise DatasetError(
            dataset.folder,
            expected="two folds or more",
            found=", ".join(dataset.splits) or "no splits",
            remedy="make them with: maskstream data split --folds 5",
        )
    recipe = recipe.model_copy(
        update={"validation": recipe.validation.model_copy(update={"best": (), "patience": None})}
    )
    metrics = [_one(recipe, one_fold(dataset, name), run / name, run_fold) for name in names]
    result = {
        "recipe": recipe.name,
        "folds": names,
        "splits_made_by": dataset.splits_made_by,
        "metrics": summarise(metrics),
    }
    if is_first_process():
        write_json(run / RESULT, result)
    return result


def summarise(metrics: Sequence[Metrics]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation and interval of every figure that all folds have."""
    figures = {}
    for name in metrics[0]:
        values = [value for fold in metrics if isinstance(value := fold.get(name), float)]
        if len(values) < len(metrics):
            continue
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        half = float(stats.t.ppf(0.975, len(values) - 1)) * sd / math.sqrt(len(values))
        figures[name] = {"mean": mean, "sd": sd, "interval_95": [mean - half, mean + half], "folds": values}
    return figures


def _one(recipe: Recipe, dataset: Dataset, run: Path, run_fold: RunFold) -> Metrics:
    """The metrics of a fold; of an earlier call, where it had finished."""
    done = run / DONE
    metrics: Metrics
    if done.is_file():
        metrics = json.loads(done.read_text(encoding="utf-8"))
        return metrics
    run_fold(recipe, dataset, run, (run / RESUME).is_file())
    metrics = load_weights(run / LAST)[1]["metrics"]
    if is_first_process():
        write_json(done, metrics)
    return metrics
