"""What an evaluation shows to be worse than the rest: classes, slices of the images, and mild corruptions."""

from __future__ import annotations

from maskstream.evaluation.direction import better
from maskstream.reports.evaluation_charts import main_figure
from maskstream.reports.evaluation_values import shown
from maskstream.reports.figure_words import short_name
from maskstream.reports.read_evaluation import FinishedEvaluation, Row, number
from maskstream.reports.words import counted

POOR = 0.5
"""Figure of a single class below which the class is named."""

FALL = 0.1
"""Part of a figure that is lost under a mild corruption from which it is said that the model does not bear it."""

MOST_NAMED = 3
"""Of each kind; the sections of the page have all."""


def weaknesses(run: FinishedEvaluation) -> list[str]:
    """A sentence each: poor classes, slices whose whole interval is worse than all images, and mild corruptions."""
    return [*_poor_classes(run), *_poor_slices(run), *_corruptions(run)]


def _poor_classes(run: FinishedEvaluation) -> list[str]:
    figure = {"instance": "recall", "semantic": "mean_jaccard", "classification": "sensitivity"}.get(run.image_task, "")
    known = [(number(row, figure), row) for row in run.tables["classes"]]
    poor = sorted((value, row["class"], _size(row)) for value, row in known if value is not None and value < POOR)
    noun = "object" if run.image_task == "instance" else "image"
    return [
        f"The class {name}: its {short_name(figure)} is {shown(figure, value)}"
        + (f", over {counted(size, noun)}." if size is not None else ".")
        for value, name, size in poor[:MOST_NAMED]
    ]


def _size(row: Row) -> int | None:
    size = number(row, "n_objects")
    size = number(row, "n_images") if size is None else size
    return None if size is None else round(size)


def _poor_slices(run: FinishedEvaluation) -> list[str]:
    rows = run.tables["slices"]
    figure = main_figure(run, rows, "value_of_figure")
    overall = run.figure(figure)
    if overall is None:
        return []
    sign = -1.0 if better(figure) == "lower" else 1.0
    worse = []
    for row in rows:
        value, low, high = (number(row, name) for name in ("value_of_figure", "low", "high"))
        if row.get("figure") != figure or value is None or low is None or high is None:
            continue
        if max(sign * low, sign * high) < sign * overall:
            images = round(number(row, "n_images") or 0)
            told = f"{shown(figure, value)} ({shown(figure, low)} to {shown(figure, high)})"
            worse.append(
                (
                    sign * (value - overall),
                    f"Images where {row.get('column', '').removeprefix('attribute/')} is {row.get('value', '')}: "
                    f"{short_name(figure)} {told} over {counted(images, 'image')}, against {shown(figure, overall)} "
                    "over all.",
                )
            )
    # a label may stand in two columns, and its slice is the same
    once = {sentence.split(": ", 1)[1]: sentence for _, sentence in sorted(worse, reverse=True)}
    return [*reversed(once.values())][:MOST_NAMED]


def _corruptions(run: FinishedEvaluation) -> list[str]:
    """Corruptions that already cost much in their mildest form."""
    figure = main_figure(run, run.tables["robustness"], "value")
    rows = [row for row in run.tables["robustness"] if row.get("figure") == figure]
    clean = next((number(row, "value") for row in rows if number(row, "severity") == 0), None)
    if not clean or better(figure) != "higher":
        return []
    falls = []
    for row in rows:
        value = number(row, "value")
        surely = number(row, "drop_low")
        if number(row, "severity") != 1 or value is None or (surely is not None and surely <= 0):
            continue
        if value < (1 - FALL) * clean:
            name, level = row.get("corruption", "").replace("_", " "), row.get("level", "")
            falls.append(
                (
                    value,
                    f"Images with {name} ({level}): {short_name(figure)} falls from {shown(figure, clean)} to "
                    f"{shown(figure, value)}.",
                )
            )
    return [sentence for _, sentence in sorted(falls)[:MOST_NAMED]]
