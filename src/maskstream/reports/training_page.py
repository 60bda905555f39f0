"""A training run as one HTML page, written anew while the run goes on, and its curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from maskstream import __version__
from maskstream.reports import words
from maskstream.reports.curves_picture import CURVES, write_curves
from maskstream.reports.line_chart import colour_class, line_svg, values_json
from maskstream.reports.page import write_page
from maskstream.reports.pictures import base64_text
from maskstream.reports.read_training import TrainingRun, read_training
from maskstream.reports.training_charts import Chart, Group, chart_groups, is_figure

PAGE = "report.html"
SAMPLE_EPOCHS = 6
"""Epochs whose sample predictions are shown; evenly spread, the first and the last among them."""

SAMPLE_IMAGES = 8

_FILES = {
    CURVES: "the curves of this page as a picture",
    "recipe.yaml": "the recipe, resolved",
    "run.json": "what the run began with",
    "steps.csv": "losses, learning rate, times and memory, a row a step",
    "validation.csv": "losses and metrics, a row a validation",
    "train.log": "what was said, with the time of day",
    "tensorboard": "the same for TensorBoard: tensorboard --logdir with this folder",
    "samples": "the sample predictions of every validated epoch",
}


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One image with the model's answers: epoch and picture, in the order of time."""

    name: str
    pictures: tuple[tuple[str, Markup], ...]


def write_training_page(run: Path) -> Path:
    """Write `report.html` and `curves.png` into a run folder, each whole or not at all.

    Both are of bounded size however long the run: curves are thinned, samples chosen.

    Raises
    ------
    SourceError : the folder is no training run, or one of its files is broken.
    OutputError : the folder cannot be written.
    """
    read = read_training(run)
    groups = chart_groups(read)
    write_curves(read, groups)
    write_page(run / PAGE, "training_page", _content(read, groups), shared=("curves",))
    return run / PAGE


def _content(run: TrainingRun, groups: Sequence[Group]) -> dict[str, Any]:
    """What the template shows."""
    return {
        "title": str(run.recipe.get("name", run.path.name)),
        "about": run.recipe.get("about") or "",
        "verdict": verdict(run),
        "figures": _figures(run),
        "groups": [(group.title, [_drawn(run, chart) for chart in group.charts]) for group in groups],
        "stages": run.stages,
        "has_best": run.best is not None,
        "metrics": _metric_rows(run),
        "best_place": epoch_text(run.best_epoch) if run.best_epoch is not None else None,
        "samples": _sample_rows(run.samples),
        "recipe_text": run.recipe_text,
        "facts": _fact_groups(run.facts),
        "files": [(name, quote(name), text) for name, text in _FILES.items() if (run.path / name).exists()],
        "epoch_text": epoch_text,
        "words": words,
        "version": __version__,
    }


def verdict(run: TrainingRun) -> str:
    """The first sentence: the best metric and its epoch, or how far the run has come without one."""
    if not run.steps_done:
        return "The run has not finished its first step."
    total = run.facts.get("total_steps")
    done = f"step {words.number(run.steps_done)}" + (f" of {words.number(total)}" if total else "")
    if run.best is None:
        chosen = (run.recipe.get("validation") or {}).get("best")
        why = "no validation yet" if chosen else "no metric is chosen by, so the latest checkpoint counts as the best"
        return f"The run is at {done}, epoch {epoch_text(run.last_epoch)}; {why}."
    name, score, row = run.best
    count = int(np.isfinite(score).sum())
    among = "the only validation so far" if count == 1 else f"the best of {words.number(count)} validations"
    name = f"The mean of {name}" if " and " in name else name
    return f"{name} is {score[row]:.4g} after epoch {epoch_text(run.validations.epoch[row])}, {among} up to {done}."


def epoch_text(epoch: float) -> str:
    """`7`, and `7.25` within an epoch."""
    return f"{epoch:.0f}" if float(epoch).is_integer() else f"{epoch:.2f}"


def _figures(run: TrainingRun) -> list[tuple[str, str]]:
    """The large numbers of the first card."""
    if not len(run.steps.step):
        return []
    values = run.steps.values
    step_s, data_s = values["step_s"].mean(), values["data_s"].mean()
    best = [(run.best[0], f"{run.best[1][run.best[2]]:.4g}")] if run.best else []
    return [
        *best,
        ("Epochs", epoch_text(run.last_epoch)),
        ("Last training loss", f"{values['loss'][-1]:.4g}"),
        ("Images a second", f"{values['images_per_s'].mean():.3g}"),
        ("A step", f"{step_s:.3g}\u00a0s" if step_s >= 1 else f"{1000 * step_s:.3g}\u00a0ms"),
        ("Of it waiting for data", words.percent(100 * data_s / step_s)),
        ("Peak memory", f"{words.number(values['memory_mb'].max())}\u00a0MB"),
    ]


def _drawn(run: TrainingRun, chart: Chart) -> dict[str, Any]:
    lines = [
        (line.name, colour_class(chart, number), f"{line.y[-1]:.4g}{chart.unit}")
        for number, line in enumerate(chart.lines)
        if line.kind != "noise"
    ]
    return {
        "title": chart.title,
        "unit": chart.unit,
        "svg": line_svg(chart, run.last_epoch, [epoch for _, epoch in run.stages[1:]], run.best_epoch),
        "told": values_json(chart),
        "lines": lines,
    }


def _metric_rows(run: TrainingRun) -> list[tuple[str, str, str]]:
    """Name, value at the best validation and at the last one."""
    if not len(run.validations.step):
        return []
    row = run.best[2] if run.best else -1

    def text(name: str, value: float) -> str:
        if np.isnan(value):
            return "–"
        return words.number(value) if name in run.counts else f"{value:.4g}"

    names = sorted(run.validations.values, key=lambda name: not is_figure(run, name))
    return [(name, text(name, (v := run.validations.values[name])[row]), text(name, v[-1])) for name in names]


def _sample_rows(folders: Sequence[Path]) -> list[SampleRow]:
    """The images of the latest epoch, each with its predictions at some of the epochs."""
    if not folders:
        return []
    places = np.unique(np.linspace(0, len(folders) - 1, SAMPLE_EPOCHS).round().astype(int))
    chosen = [folders[place] for place in places]
    names = sorted(path.name for path in chosen[-1].glob("*.jpg"))[:SAMPLE_IMAGES]
    return [SampleRow(Path(name).stem, tuple(_pictures(chosen, name))) for name in names]


def _pictures(folders: Sequence[Path], name: str) -> list[tuple[str, Markup]]:
    return [
        (epoch_text(float(folder.name.removeprefix("epoch-"))), Markup("").join(base64_text(folder / name)))
        for folder in folders
        if (folder / name).is_file()
    ]


def _fact_groups(facts: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """`run.json` as tables: plain values first, then each block under its name."""
    plain = [(_title(name), words.shown(value)) for name, value in facts.items() if not isinstance(value, Mapping)]
    blocks = [
        (_title(name), [(_title(key), words.shown(entry)) for key, entry in block.items()])
        for name, block in facts.items()
        if isinstance(block, Mapping)
    ]
    return [("Run", plain), *blocks]


def _title(key: str) -> str:
    text = key.replace("_", " ").replace("sha256", "SHA-256")
    return text if text == "maskstream" else text[:1].upper() + text[1:]
