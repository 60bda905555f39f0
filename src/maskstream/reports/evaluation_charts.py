"""Which curves an evaluation has; drawn on its page and as pictures for print."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maskstream.reports.figure_words import short_name
from maskstream.reports.read_evaluation import FinishedEvaluation, Row, number

LINE_LIMIT = 6
"""Lines in one chart; the table beside the page has the others."""

POINT_LIMIT = 160
"""Points of a line on the page; more than a phone has room for."""

MAIN_FIGURE = {
    "instance": ("f1", "AP50", "AP", "mean_jaccard"),
    "semantic": ("mean_jaccard", "pooled_jaccard"),
    "classification": ("balanced_accuracy", "accuracy", "auc"),
}
"""The figure by which tables of several are shown first, by task."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve, or single points, from left to right.

    Attributes
    ----------
    points : x and y of each.
    more : further values of each point by name; empty texts where there is none.
    low, high : ends of the interval of each point; empty without intervals.
    marks : draw each point.
    """

    name: str
    points: Sequence[tuple[float, float]]
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    marks: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over one axis.

    Attributes
    ----------
    key : file name of its picture.
    about : how to read it, in a sentence.
    diagonal : `equal` where x and y ought to be alike (drawn from 0 to 1), else empty.
    left_out : lines that are not drawn.
    x_limits, y_limits : of the axes; None: what the values need.
    """

    key: str
    title: str
    about: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    diagonal: str = ""
    left_out: int = 0
    x_limits: tuple[float, float] | None = (0.0, 1.0)
    y_limits: tuple[float, float] | None = (0.0, 1.0)
    marker: tuple[float, str] | None = None


def charts(run: FinishedEvaluation) -> list[Chart]:
    """The curves that there is data for."""
    made = [_precision_recall(run), _threshold(run), _roc(run), _reliability(run), _risk_coverage(run)]
    return [chart for chart in made if chart is not None and chart.lines]


def robustness_charts(run: FinishedEvaluation) -> list[Chart]:
    """One chart a corruption: the main figure over its severity."""
    figure = main_figure(run, run.tables["robustness"], "value")
    by_corruption: dict[str, list[Row]] = defaultdict(list)
    clean = None
    for row in run.tables["robustness"]:
        if row.get("figure") != figure or number(row, "value") is None:
            continue
        if row.get("corruption") == "clean" or number(row, "severity") == 0:
            clean = row
        else:
            by_corruption[row["corruption"]].append(row)
    made = []
    for name, rows in by_corruption.items():
        every = [clean, *rows] if clean is not None else rows
        points = [(number(row, "severity") or 0.0, number(row, "value") or 0.0) for row in every]
        more = {"": [row.get("level", "") for row in every], "images": [row.get("n_images", "") for row in every]}
        line = Line(short_name(figure), points, more, marks=True)
        levels = [f"{number(row, 'severity') or 0:g}: {row['level']}" for row in rows if row.get("level")]
        made.append(
            Chart(
                f"robustness_{name}", name.replace("_", " "), "; ".join(levels), "severity", short_name(figure), [line],
                x_limits=(0.0, max(3.0, *(x for x, _ in points))),
            )
        )  # fmt: skip
    return made


def main_figure(run: FinishedEvaluation, rows: Sequence[Row], column: str) -> str:
    """The figure that a table of several is shown by: the first of the task's that has a value in `column`."""
    there = list(dict.fromkeys(row.get("figure", "") for row in rows if number(row, column) is not None))
    wanted = (*MAIN_FIGURE.get(run.image_task, ()), *there)
    return next((figure for figure in wanted if figure in there), "")


def _precision_recall(run: FinishedEvaluation) -> Chart | None:
    objects = run.tables["pr_curve"]
    rows, of = (objects, "score") if objects else (run.tables["class_pr_curve"], "threshold")
    lines, left_out = _by_class(rows, "recall", "precision", of, run)
    about = (
        "How much of what is found is right (precision) as more and more of what is there is found (recall), mask IoU "
        "0.50."
        if objects
        else "How much of what is called a class is one (precision) as more and more of it is called so (recall)."
    )
    return Chart("pr_curve", "Precision over recall", about, "recall", "precision", lines, left_out=left_out)


def _threshold(run: FinishedEvaluation) -> Chart | None:
    rows = run.tables["threshold"]
    lines = []
    for column in ("f1", "precision", "recall"):
        pairs = [(number(row, "score"), number(row, column)) for row in rows]
        known = [(x, y) for x, y in pairs if x is not None and y is not None]
        if known:
            lines.append(Line(short_name(column), known))
    threshold = run.figure("score_threshold")
    marker = None if threshold is None else (threshold, f"the threshold used, {threshold:g}")
    about = "What a higher or lower score threshold would give; all classes together, IoU 0.50."
    return Chart("threshold", "F1 over the score threshold", about, "score", "figure", lines, marker=marker)


def _roc(run: FinishedEvaluation) -> Chart | None:
    lines, left_out = _by_class(run.tables["roc_curve"], "false_positive_rate", "sensitivity", "threshold", run)
    about = "How many images of the class are caught (sensitivity) for how many false alarms among the others."
    return Chart(
        "roc", "ROC curve", about, "false alarms (1 - specificity)", "sensitivity", lines, "guessing", left_out
    )


def _reliability(run: FinishedEvaluation) -> Chart | None:
    lines = []
    for kind in dict.fromkeys(row.get("kind", "") for row in run.tables["reliability"]):
        rows = [row for row in run.tables["reliability"] if row.get("kind") == kind]
        rows = [row for row in rows if None not in (number(row, "mean_probability"), number(row, "share"))]
        points = [(number(row, "mean_probability") or 0.0, number(row, "share") or 0.0) for row in rows]
        low, high = ([number(row, f"share_{end}") for row in rows] for end in ("low", "high"))
        bounds = [low, high] if None not in low + high else [[], []]
        more = {"images": [row.get("n", "") for row in rows]}
        lines.append(Line(kind, points, more, bounds[0], bounds[1], marks=True))  # type: ignore[arg-type]
    about = (
        "Of the images given about so much, so many showed the class; bars are 95 % intervals (Wilson). On the dashed "
        "line percentages come true."
    )
    return Chart("reliability", "Do the percentages come true?", about, "mean percentage", "share", lines, "right")


def _risk_coverage(run: FinishedEvaluation) -> Chart | None:
    rows = [r for r in run.tables["risk_coverage"] if None not in (number(r, "coverage"), number(r, "risk"))]
    points = [(number(row, "coverage") or 0.0, number(row, "risk") or 0.0) for row in rows]
    more = {"images": [row.get("n", "") for row in rows], "sure of": [_short(row, "least_confidence") for row in rows]}
    lines = [_thinned(Line("wrong answers", points, more))] if points else []
    about = (
        "The share of wrong answers when only the images that the model is surest of are kept, the others handed over."
    )
    return Chart("risk_coverage", "Risk and coverage", about, "share of images kept", "wrong", lines, y_limits=None)


def _by_class(rows: Sequence[Row], x: str, y: str, of: str, run: FinishedEvaluation) -> tuple[list[Line], int]:
    """Lines of the classes with most objects, and the number of those left out."""
    by_class: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if None not in (number(row, x), number(row, y)):
            by_class[row.get("class", "")].append(row)
    sizes = {row["class"]: number(row, "n_objects") or number(row, "n_images") or 0 for row in run.tables["classes"]}
    largest = sorted(by_class, key=lambda name: -sizes.get(name, 0))[:LINE_LIMIT]
    return [_class_line(name, by_class[name], x, y, of) for name in largest], len(by_class) - len(largest)


def _class_line(name: str, rows: Sequence[Row], x: str, y: str, of: str) -> Line:
    points = [(number(row, x) or 0.0, number(row, y) or 0.0) for row in rows]
    return _thinned(Line(name, points, {of: [_short(row, of) for row in rows]}))


def _thinned(line: Line) -> Line:
    if len(line.points) <= POINT_LIMIT:
        return line
    last = len(line.points) - 1
    kept = sorted({round(place * last / (POINT_LIMIT - 1)) for place in range(POINT_LIMIT)})
    more = {name: [values[place] for place in kept] for name, values in line.more.items()}
    return Line(line.name, [line.points[place] for place in kept], more, marks=line.marks)


def _short(row: Row, column: str) -> str:
    value = number(row, column)
    return "" if value is None else f"{value:.3g}"


def values_of(lines: Sequence[Line]) -> Iterator[float]:
    """All heights of lines and of their intervals."""
    for line in lines:
        yield from (y for _, y in line.points)
        yield from line.low
        yield from line.high
