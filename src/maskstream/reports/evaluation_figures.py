"""The curves and counts of an evaluation as pictures for print: `figures/*.png` at 300 dpi."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskstream.core.files import whole_file
from maskstream.errors import MissingDependency
from maskstream.evaluation.pixels.pixel import JACCARD_THRESHOLD
from maskstream.reports import evaluation_tables as tables
from maskstream.reports.evaluation_charts import Chart, charts, robustness_charts, values_of
from maskstream.reports.figure_words import short_name
from maskstream.reports.read_evaluation import FinishedEvaluation, number, read_evaluation
from maskstream.reports.ticks import nice_ticks, tick_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = "figures"
DPI = 300
_INK, _SOFT, _LINE = "#1c2326", "#566166", "#d9dedd"
_COLOURS = ("#0b5a66", "#b3470a", "#1f5fbf", "#1f7a3d", "#7a3fa0", "#8a6d00")
"""Those of the page's lines."""

_SIDE_INCHES = 3.4
_MOST_SLICES = 25
_LONGEST_NAME = 28

Draw = Callable[["Axes"], None]


def write_figures(folder: Path) -> list[Path]:
    """Draw what the folder of a finished evaluation has data for, each picture whole or not at all.

    `pr_curve`, `threshold`, `roc`, `reliability`, `risk_coverage`, `confusion`, `jaccard` (a histogram over images),
    `slices` (a forest plot) and `robustness` (all corruptions in one picture).

    Raises
    ------
    SourceError : the folder is no evaluation's, or one of its files is broken.
    OutputError : the folder cannot be written.
    MissingDependency : matplotlib is not installed.
    """
    run = read_evaluation(folder)
    return [_write(folder / FOLDER / f"{name}.png", size, draw) for name, size, draw in _figures(run)]


def _figures(run: FinishedEvaluation) -> Iterator[tuple[str, tuple[float, float], Draw]]:
    """Name, width and height in inches, and what draws it."""
    square = (_SIDE_INCHES, _SIDE_INCHES)
    for chart in charts(run):
        yield chart.key, square, _curves(chart)
    if (matrix := tables.confusion(run)) is not None:
        side = max(_SIDE_INCHES, 0.55 * len(matrix[0]) + 1.2)
        yield "confusion", (side, side), _confusion(matrix[0], [[share for _, share in row] for _, row in matrix[1]])
    jaccard = [value for row in run.tables["images"] if (value := number(row, "jaccard")) is not None]
    if jaccard:
        yield "jaccard", square, _histogram(np.array(jaccard))
    if (slices := tables.slices_table(run)) is not None:
        rows = slices[1].rows[:_MOST_SLICES]
        yield "slices", (5.5, 0.24 * len(rows) + 0.9), _forest(rows, slices[0], run.figure(slices[0]))
    if drawn := robustness_charts(run):
        yield "robustness", (_SIDE_INCHES * 1.4, _SIDE_INCHES), _robustness(drawn)


def require_matplotlib() -> None:
    """See that figures can be drawn, before the work that they are to show. MissingDependency: they cannot."""
    try:
        import_module("matplotlib.backends.backend_agg")
    except ImportError as error:
        raise MissingDependency(
            "figures",
            expected="the package matplotlib",
            found="it is not installed",
            remedy="install it with: pip install 'maskstream[evaluate]', or leave them out: --no-figures",
        ) from error


def _write(path: Path, size_inches: tuple[float, float], draw: Draw) -> Path:
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inches, dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.tick_params(labelsize=7.5, colors=_SOFT, length=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    draw(axes)
    with whole_file(path) as temporary, warnings.catch_warnings():
        # a class may be named in a script that matplotlib's own font does not have
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(temporary, format="png")
    return path


def _curves(chart: Chart) -> Draw:
    def draw(axes: Axes) -> None:
        if chart.diagonal:
            axes.plot([0, 1], [0, 1], color=_SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
        if chart.marker is not None:
            axes.axvline(chart.marker[0], color=_SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
        for colour, line in zip(_COLOURS, chart.lines, strict=False):
            x, y = np.array(line.points).T
            marker = "o" if line.marks else ""
            axes.plot(x, y, color=colour, linewidth=1.3, marker=marker, markersize=3, label=_text(line.name))
            if line.low:
                axes.vlines(x, line.low, line.high, color=colour, linewidth=0.8, alpha=0.7)
        ticks = nice_ticks(*(chart.y_limits or (0.0, max(values_of(chart.lines)))))
        axes.set_ylim(ticks[0], ticks[-1])
        axes.set_yticks(ticks, [tick_text(tick) for tick in ticks])
        if chart.x_limits is not None:
            axes.set_xlim(*chart.x_limits)
        _dress(axes, chart.title, chart.x_title, chart.y_title)
        if len(chart.lines) > 1:
            axes.legend(fontsize=7, frameon=False, loc="best")

    return draw


def _robustness(drawn: list[Chart]) -> Draw:
    def draw(axes: Axes) -> None:
        for place, chart in enumerate(drawn):
            x, y = np.array(chart.lines[0].points).T
            colour = _COLOURS[place % len(_COLOURS)]
            style = ("-", "--", ":")[place // len(_COLOURS) % 3]
            axes.plot(x, y, style, color=colour, linewidth=1.3, marker="o", markersize=3, label=_text(chart.title))
        severities = sorted({x for chart in drawn for x, _ in chart.lines[0].points})
        axes.set_xticks(severities, [tick_text(severity) for severity in severities])
        axes.set_ylim(bottom=0)
        _dress(axes, "When images get worse", "severity", drawn[0].y_title)
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))

    return draw


def _confusion(names: list[str], shares: list[list[float]]) -> Draw:
    def draw(axes: Axes) -> None:
        axes.imshow(np.array(shares), cmap="GnBu", vmin=0, vmax=1)
        for row, values in enumerate(shares):
            for column, share in enumerate(values):
                ink = "white" if share > 0.6 else _INK
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=7, color=ink)
        shown = [_text(name) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), shown)
        axes.set_title("Taken for what (% of the row)", fontsize=9, loc="left", color=_INK)
        axes.set_xlabel("called", fontsize=8, color=_SOFT)
        axes.set_ylabel("is", fontsize=8, color=_SOFT)

    return draw


def _histogram(jaccard: np.ndarray) -> Draw:
    def draw(axes: Axes) -> None:
        axes.hist(jaccard, bins=[edge / 40 for edge in range(41)], color=_COLOURS[0])
        axes.axvline(JACCARD_THRESHOLD, color=_SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        below = int((jaccard < JACCARD_THRESHOLD).sum())
        title = f"Jaccard of images: {below} of {len(jaccard)} below {JACCARD_THRESHOLD:g}"
        _dress(axes, title, "Jaccard", "images")

    return draw


def _forest(rows: Sequence[Sequence[tables.Cell]], figure: str, overall: float | None) -> Draw:
    def draw(axes: Axes) -> None:
        labels = []
        for place, row in enumerate(rows):
            column, value, cell, images, _ = row
            labels.append(f"{_text(column.text)}: {_text(value.text)} ({images.text})")
            if cell.value is None:
                continue
            if cell.interval is not None:
                axes.hlines(place, *cell.interval, color=_COLOURS[0], linewidth=1.1)
            axes.plot(cell.value, place, "s", color=_COLOURS[0], markersize=3.5)
        if overall is not None:
            axes.axvline(overall, color=_SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        _dress(axes, "Slices of the images, 95 % intervals; dashed: all", short_name(figure), "")

    return draw


def _dress(axes: Axes, title: str, x_title: str, y_title: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", color=_INK)
    axes.set_xlabel(x_title, fontsize=8, color=_SOFT)
    axes.set_ylabel(y_title, fontsize=8, color=_SOFT)
    axes.grid(color=_LINE, linewidth=0.6)


def _text(name: str) -> str:
    """A name that matplotlib takes for no formula, and that leaves room for the drawing."""
    short = name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
    return short.replace("$", r"\$")
