"""`curves.png`: the curves of a training run in one picture, a row or more for each group."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskstream.core.files import whole_file
from maskstream.reports.read_training import TrainingRun
from maskstream.reports.ticks import nice_ticks, tick_text
from maskstream.reports.training_charts import DOT_LIMIT, Chart, Group, epoch_ticks

CURVES = "curves.png"
_COLUMNS = 4
_ROW_INCHES, _COLUMN_INCHES, _HEAD_INCHES = 2.4, 3.5, 0.5
_INK, _SOFT, _LINE = "#1c2326", "#566166", "#d9dedd"
COLOURS = ("#b3470a", "#1f5fbf", "#1f7a3d", "#7a3fa0", "#8a6d00", "#b3261e")
"""Of the lines of validations, one after the other."""

_TRAINING = "#0b5a66"


def write_curves(run: TrainingRun, groups: list[Group]) -> Path:
    """Draw the groups below each other and write the picture, whole or not at all.

    Raises
    ------
    OutputError : it cannot be written.
    """
    heights = [_HEAD_INCHES + _ROW_INCHES * math.ceil(len(group.charts) / _COLUMNS) for group in groups]
    total = max(sum(heights), 1.0)
    figure = Figure(figsize=(_COLUMN_INCHES * _COLUMNS, total), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    top = total
    for group, height in zip(groups, heights, strict=True):
        figure.text(0.012, (top - 0.3) / total, group.title, fontsize=13, fontweight="bold", color=_INK)
        for place, chart in enumerate(group.charts):
            row, column = divmod(place, _COLUMNS)
            bottom = top - _HEAD_INCHES - (row + 1) * _ROW_INCHES + 0.5
            left = (column + 0.15) / _COLUMNS
            axes = figure.add_axes((left, bottom / total, 0.82 / _COLUMNS, (_ROW_INCHES - 0.85) / total))
            _draw(axes, chart, run)
        top -= height
    with whole_file(run.path / CURVES) as temporary:
        figure.savefig(temporary, format="png")
    return run.path / CURVES


def _draw(axes: Axes, chart: Chart, run: TrainingRun) -> None:
    ticks = nice_ticks(*chart.range)
    colours = iter(COLOURS)
    for line in chart.lines:
        if line.kind == "noise":
            axes.plot(line.x, line.y, color=_TRAINING, alpha=0.25, linewidth=0.8)
        elif line.kind == "training":
            axes.plot(line.x, line.y, color=_TRAINING, linewidth=1.8, label=line.name)
        else:
            colour = next(colours)
            (drawn,) = axes.plot(line.x, line.y, color=colour, linewidth=1.6, label=line.name, clip_on=False)
            if line.kind == "validation" and len(line.x) <= DOT_LIMIT:
                drawn.set(marker="o", markersize=3)
                best = line.x == run.best_epoch
                axes.plot(line.x[best], line.y[best], "o", ms=8, mfc="none", color=colour, clip_on=False)
    for _, epoch in run.stages[1:]:
        axes.axvline(epoch, color=_SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_title(chart.title + (f" ({chart.unit.strip()})" if chart.unit else ""), fontsize=10.5, loc="left")
    axes.set_xlim(0, run.last_epoch * 1.02)
    axes.set_ylim(ticks[0], ticks[-1])
    axes.set_yticks(ticks, [tick_text(tick) for tick in ticks])
    axes.set_xticks(ticks := epoch_ticks(run.last_epoch), [tick_text(tick) for tick in ticks])
    axes.set_xlabel("epoch", fontsize=9, color=_SOFT, labelpad=1)
    axes.tick_params(labelsize=8.5, colors=_SOFT, length=3)
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len([line for line in chart.lines if line.kind != "noise"]) > 1:
        axes.legend(fontsize=8, frameon=False, loc="best")
