"""The tables of an evaluation as its page shows them: chosen columns, the worst rows first, bounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskstream.evaluation.direction import better
from maskstream.reports.evaluation_charts import main_figure
from maskstream.reports.evaluation_values import evaluator_of, evaluators_of, is_share, shown, span
from maskstream.reports.figure_words import FIGURES, explained_by, head, name_of
from maskstream.reports.read_evaluation import FinishedEvaluation, Row, number
from maskstream.reports.words import number as grouped

ROW_LIMIT = 300
"""Rows of a table on the page; the CSV file beside it has all."""

CLASS_LIMIT = 12
"""Classes of a confusion matrix on the page."""

_COUNT_PREFIX = "n_"


@dataclass(frozen=True, slots=True)
class Cell:
    """Text, the number to sort by, and the ends of its interval."""

    text: str
    value: float | None = None
    is_number: bool = False
    interval: tuple[float, float] | None = None

    @property
    def bar(self) -> tuple[float, float, float] | None:
        """Low, value and high in percent of a bar from 0 to 1; None where they do not fit in one."""
        if self.value is None or self.interval is None:
            return None
        return bar_of(self.value, self.interval)


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table of the page.

    Attributes
    ----------
    file : the CSV file that holds all of it.
    columns : heads.
    rows : cells; the first one names the row.
    total : rows that there are.
    by : who computed its figures.
    """

    file: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    total: int
    by: str

    def is_number(self, column: int) -> bool:
        """Whether any cell of a column holds a number."""
        return any(row[column].value is not None for row in self.rows)


def bar_of(value: float, interval: tuple[float, float]) -> tuple[float, float, float] | None:
    """Low, value and high in percent of a bar from 0 to 1; None where they do not fit in one."""
    ends = (interval[0], value, interval[1])
    return (100 * ends[0], 100 * ends[1], 100 * ends[2]) if all(0 <= end <= 1 for end in ends) else None


def headline(run: FinishedEvaluation) -> list[tuple[str, str, str, tuple[float, float, float] | None]]:
    """Of every known figure of all classes together: key, value, interval, and its place in percent of 0 to 1."""
    rows = []
    for key in FIGURES:
        value, interval = run.figure(key), run.interval(key)
        if value is None:
            continue
        rows.append(
            (
                key,
                shown(key, value),
                span(key, *interval) if interval is not None else "",
                bar_of(value, interval or (value, value)),
            )
        )
    return rows


def classes_table(run: FinishedEvaluation) -> ShownTable | None:
    """Figures of each class."""
    return _plain(run, "classes")


def videos_table(run: FinishedEvaluation) -> ShownTable | None:
    """Figures of each video."""
    return _plain(run, "videos")


def video_objects_table(run: FinishedEvaluation) -> ShownTable | None:
    """Figures of each object of each video."""
    return _plain(run, "video_objects")


def object_slices_table(run: FinishedEvaluation) -> ShownTable | None:
    """How many objects of which kind are found."""
    return _plain(run, "object_slices")


def images_table(run: FinishedEvaluation) -> ShownTable | None:
    """Every image, the worst first."""
    rows = run.tables["images"]
    if not rows:
        return None
    if "jaccard" in rows[0]:
        order = _by(lambda row: number(row, "jaccard"))
        chosen = ("image", "group", "n_truth", "n_found", "n_hit", "jaccard", "dice", "boundary_f", "hausdorff95_px")
        columns = [*chosen, "percentage", "label"]
    else:
        order = _by(lambda row: number(row, f"probability/{row.get('truth', '')}"))
        columns = ["image", "group", "truth", "called", *(c for c in rows[0] if c.startswith("probability/"))]
    columns = [column for column in columns if any(row.get(column) for row in rows)]
    return _table(run, "images", columns, sorted(rows, key=order))


def slices_table(run: FinishedEvaluation) -> tuple[str, ShownTable] | None:
    """Key of the figure, and its value in each slice of the images, the worst first."""
    rows = run.tables["slices"]
    figure = main_figure(run, rows, "value_of_figure")
    rows = [row for row in rows if row.get("figure") == figure]
    if not rows:
        return None
    sign = -1.0 if better(figure) == "lower" else 1.0
    rows = sorted(rows, key=_by(lambda row: _signed(sign, number(row, "value_of_figure"))))
    shown_rows = [
        (
            Cell(row.get("column", "").removeprefix("attribute/").replace("_", " ")),
            Cell(row.get("value", "")),
            _interval_cell(figure, row),
            _cell("n_images", row.get("n_images", "")),
            _cell("n_groups", row.get("n_groups", "")),
        )
        for row in rows[:ROW_LIMIT]
    ]
    return figure, ShownTable(
        "slices.csv",
        ("Column", "Value", head(figure), "Images", "Groups"),
        shown_rows,
        len(rows),
        evaluator_of(run, figure),
    )


def confusion(run: FinishedEvaluation) -> tuple[list[str], list[tuple[str, list[tuple[int, float]]]], int] | None:
    """Names, a row a true class (count and its share of the row by called class), and the classes left out."""
    counts: dict[tuple[str, str], int] = {}
    for row in run.tables["confusion"]:
        counts[row.get("truth", ""), row.get("called", "")] = round(number(row, "count") or 0)
    if not counts:
        return None
    names = list(dict.fromkeys(name for pair in counts for name in pair if name != "background"))
    wrong = {name: sum(n for pair, n in counts.items() if name in pair and pair[0] != pair[1]) for name in names}
    kept = sorted(sorted(names, key=lambda name: -wrong[name])[:CLASS_LIMIT], key=names.index)
    if any("background" in pair for pair in counts):
        kept.append("background")
    rows = []
    for truth in kept:
        in_row = [counts.get((truth, called), 0) for called in kept]
        total = sum(n for (true, _), n in counts.items() if true == truth)
        rows.append((truth, [(n, n / total if total else 0.0) for n in in_row]))
    return kept, rows, len(names) - len(kept) + ("background" in kept)


def definitions(run: FinishedEvaluation) -> list[tuple[str, str, str]]:
    """Key, name and meaning of every figure that the page shows."""
    there = {key.partition("/")[0] for key in run.metrics}
    for name in ("classes", "videos", "video_objects"):
        there |= {column for row in run.tables[name][:1] for column in row}
    there = {explained_by(key) for key in there}
    return [(key, words.name, words.meaning) for key, words in FIGURES.items() if key in there]


def other_figures(run: FinishedEvaluation) -> list[tuple[str, str, str]]:
    """Every further number of the metrics: key, name and value; figures of classes among them."""
    ends = ("_low", "_high")
    return [
        (key, name_of(key), f"{value:.4g}" if isinstance(value, float) else grouped(value))
        for key, value in run.metrics.items()
        if isinstance(value, int | float) and key not in FIGURES and not (key.endswith(ends) and run.interval(key[:-4]))
    ]


def _plain(run: FinishedEvaluation, name: str) -> ShownTable | None:
    rows = run.tables[name]
    if not rows:
        return None
    columns = [column for column in rows[0] if any(row.get(column) for row in rows)]
    return _table(run, name, columns, rows)


def _table(run: FinishedEvaluation, name: str, columns: Sequence[str], rows: Sequence[Row]) -> ShownTable:
    heads = [_head(column) for column in columns]
    cells = [tuple(_cell(column, row.get(column, "")) for column in columns) for row in rows[:ROW_LIMIT]]
    return ShownTable(f"{name}.csv", heads, cells, len(rows), evaluators_of(run, columns))


def _head(column: str) -> str:
    if column.startswith("probability/"):
        return column.removeprefix("probability/")
    return head(column.removeprefix(_COUNT_PREFIX))


_NAMES = {"class", "image", "group", "video", "object", "truth", "called", "column", "value", "found_as", "size"}
"""Columns of names, even where these look like numbers."""


def _cell(column: str, text: str) -> Cell:
    if column in _NAMES:
        return Cell(text)
    value = number({column: text}, column)
    if value is None:
        return Cell(text or "–", is_number=not text)
    if column.startswith(_COUNT_PREFIX) or column in ("frames", "label"):
        return Cell(grouped(value), value, True)
    if column == "percentage" or column.startswith("probability/") or is_share(column):
        return Cell(f"{100 * value:.1f}\u00a0%", value, True)
    return Cell(shown(column, value) if column != "ece" else f"{value:.3f}", value, True)


def _interval_cell(figure: str, row: Row) -> Cell:
    value, low, high = (number(row, name) for name in ("value_of_figure", "low", "high"))
    if value is None:
        return Cell("–", None, True)
    if low is None or high is None:
        return Cell(shown(figure, value), value, True)
    return Cell(f"{shown(figure, value)} ({span(figure, low, high)})", value, True, (low, high))


def _by(value: Callable[[Row], float | None]) -> Callable[[Row], tuple[bool, float]]:
    """Sort by a value, the smallest first, rows without one at the end."""

    def key(row: Row) -> tuple[bool, float]:
        found = value(row)
        return found is None, found or 0.0

    return key


def _signed(sign: float, value: float | None) -> float | None:
    return None if value is None else sign * value
