"""Which curves a training run has, grouped as a reader asks for them; drawn as a picture and on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from maskstream.reports.read_training import Numbers, Series, TrainingRun
from maskstream.reports.ticks import nice_ticks

SMOOTHED_OVER = 30
"""The mean that is drawn over noisy steps reaches over this part of all points."""

LINE_LIMIT = 6
"""Lines in one chart; further classes stand in the table alone."""

METRIC_CHARTS = 12
"""Charts of metrics; further ones stand in the table alone."""

DOT_LIMIT = 60
"""Validations beyond which their points are not marked."""

_BY_CLASS = " by class"

Kind = Literal["noise", "training", "validation", "waiting"]


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: `noise` of single steps, `training` smoothed, `validation` with its points, `waiting` for data."""

    name: str
    kind: Kind
    x: Numbers
    y: Numbers


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one axis; `from_zero` where 0 means something, `unit` behind its numbers."""

    title: str
    lines: tuple[Line, ...]
    from_zero: bool = True
    unit: str = ""

    @property
    def range(self) -> tuple[float, float]:
        """Lowest and highest value that is worth showing: what leaves it as a rare peak of single steps is cut."""
        drawn = [np.percentile(line.y, [1, 99]) if line.kind == "noise" else line.y for line in self.lines]
        values = np.concatenate(drawn)
        return (0.0 if self.from_zero else float(values.min())), float(values.max())


@dataclass(frozen=True, slots=True)
class Group:
    """Charts that belong together."""

    title: str
    charts: tuple[Chart, ...]


def chart_groups(run: TrainingRun) -> list[Group]:
    """Losses, metrics, learning rate, and time and memory; groups without any values are left out."""
    groups = {
        "Losses": _losses(run),
        "Metrics on the validation images": _metrics(run),
        "Learning rate, time and memory": _machine(run),
    }
    return [Group(title, tuple(charts)) for title, charts in groups.items() if charts]


def _losses(run: TrainingRun) -> list[Chart]:
    names = [name for name in run.steps.values if _is_loss(name)]
    charts = []
    for name in names:
        lines = (*_noisy_lines(run.steps, name), *_validation_lines(run.validations, {"validation": name}))
        charts.append(Chart("total loss" if name == "loss" else name.removeprefix("loss_"), lines))
    return [chart for chart in charts if chart.lines]


def _metrics(run: TrainingRun) -> list[Chart]:
    """What chooses the best checkpoint first; figures of the classes in one chart a figure, where there are several."""
    chosen: Sequence[str] = (run.recipe.get("validation") or {}).get("best") or ()
    figures = [name for name in run.validations.values if is_figure(run, name)]
    figures.sort(key=lambda name: name not in chosen)
    charts: dict[str, dict[str, str]] = {}
    for name in figures:
        title, slash, class_name = name.partition("/")
        charts.setdefault(title + _BY_CLASS if slash else title, {})[class_name or title] = name
    # the figure of a model's only class is the figure itself
    made = [
        Chart(title, tuple(_validation_lines(run.validations, dict(list(names.items())[:LINE_LIMIT]))), from_zero=False)
        for title, names in charts.items()
        if len(names) > 1 or title.removesuffix(_BY_CLASS) not in charts or title in names
    ]
    return [chart for chart in made if chart.lines][:METRIC_CHARTS]


def is_figure(run: TrainingRun, name: str) -> bool:
    """Whether a column of the validations is neither a loss nor a count nor a threshold."""
    return not (_is_loss(name) or name in run.counts or name.endswith("threshold"))


def _machine(run: TrainingRun) -> list[Chart]:
    steps = run.steps
    if not len(steps.step):
        return []
    rate = Line("learning rate", "training", steps.epoch, steps.values["learning_rate"])
    step_ms, data_ms = (smoothed(1000 * steps.values[name]) for name in ("step_s", "data_s"))
    times = (
        Line("whole step", "training", steps.epoch, step_ms),
        Line("waiting for data", "waiting", steps.epoch, data_ms),
    )
    memory = Line("peak memory", "training", steps.epoch, steps.values["memory_mb"])
    return [
        Chart("learning rate", (rate,)),
        Chart("time of a step", times, unit=" ms"),
        Chart("images per second", tuple(_noisy_lines(steps, "images_per_s"))),
        Chart("peak memory", (memory,), unit=" MB"),
    ]


def _is_loss(name: str) -> bool:
    return name == "loss" or name.startswith("loss_")


def _noisy_lines(series: Series, name: str) -> Iterator[Line]:
    known = np.isfinite(series.values[name])
    if known.any():
        x, y = series.epoch[known], series.values[name][known]
        yield Line("single steps", "noise", x, y)
        yield Line("training", "training", x, smoothed(y))


def _validation_lines(series: Series, names: dict[str, str]) -> Iterator[Line]:
    for shown, name in names.items():
        values = series.values.get(name)
        if values is not None and (known := np.isfinite(values)).any():
            yield Line(shown, "validation", series.epoch[known], values[known])


def smoothed(values: Numbers) -> Numbers:
    """Running mean over a window that is cut off at both ends, (n,) to (n,)."""
    window = np.ones(min(len(values), 2 * (len(values) // SMOOTHED_OVER // 2) + 1))
    counts = np.convolve(np.ones(len(values)), window, "same")
    return np.asarray(np.convolve(values, window, "same") / counts)


def epoch_ticks(last_epoch: float) -> list[float]:
    """Epochs from 0 on, whole ones where there are several."""
    ticks = nice_ticks(0, last_epoch, 5, factors=(1, 2, 5, 10))
    return [tick for tick in ticks if tick <= last_epoch * (1 + 1e-6)]
