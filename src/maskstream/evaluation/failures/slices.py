"""Figures of the images of each kind, with their counts: where a model is good, and where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from maskstream.core.parallel import OnProgress
from maskstream.evaluation.evaluate import Evaluation
from maskstream.evaluation.failures.traits import QUARTILES, Trait, cut, place_of, traits
from maskstream.evaluation.resampling import intervals
from maskstream.evaluation.verdict import ImageRow, Positions, Table, Value

FEW_IMAGES = 10
"""Slices with fewer images are counted, and have no figures: they would say more about chance than about the model."""

RESAMPLES = 200

MAIN_FIGURES = (
    "f1",
    "recall",
    "precision",
    "mean_jaccard",
    "share_below_065",
    "pooled_jaccard",
    "accuracy",
    "balanced_accuracy",
    "auc",
    "sensitivity",
    "specificity",
    "ece",
)
"""Those that are told of a slice, where the task has them and the slice defines them.

AP is not among them: it is a mean over the classes that the slice happens to show, so that slices of one class cannot
be held against those of several.
"""

COLUMNS = ("column", "value", "n_images", "n_groups", "figure", "value_of_figure", "low", "high")
OBJECT_COLUMNS = ("column", "value", "n_objects", "found_share", "mean_best_iou")


def slices(evaluation: Evaluation, *, on_progress: OnProgress | None = None) -> Table:
    """The main figures of every kind of image; `evaluation.failures.traits` says what kinds there are.

    Returns
    -------
    Table `slices`: a row a column, value and figure, with a 95 % bootstrap interval by group, which is empty for a
    single group. A value of fewer than `FEW_IMAGES` images has one row of counts, whose figure is empty.

    Raises
    ------
    SourceError, DatasetError : an image cannot be read.
    """
    groups = evaluation.groups()
    found = traits(evaluation.dataset, evaluation.records)
    pairs = [(trait, kind) for trait in found for kind in trait.kinds]
    rows: list[ImageRow] = []
    for done, (trait, kind) in enumerate(pairs, start=1):
        images = np.array(trait.images(kind), np.int64)
        own_groups = [groups[position] for position in images]
        place: ImageRow = {"column": trait.name, "value": kind}
        place |= {"n_images": len(images), "n_groups": len(set(own_groups))}
        rows += [place | figure for figure in _figures(evaluation, images, own_groups)]
        if on_progress is not None:
            on_progress(done, len(pairs))
    return Table.of("slices", rows, columns=COLUMNS)


def _figures(evaluation: Evaluation, images: Positions, groups: Sequence[str]) -> Iterator[ImageRow]:
    if len(images) < FEW_IMAGES:
        yield {}
        return

    def main(chosen: Positions) -> dict[str, float]:
        headline = evaluation.headline(images[chosen])
        return {key: headline[key] for key in MAIN_FIGURES if key in headline}

    known = intervals(main, groups, resamples=RESAMPLES)
    for figure, value in main(np.arange(len(images))).items():
        interval = known.get(figure)
        bounds: ImageRow = {} if interval is None else {"low": interval.low, "high": interval.high}
        yield {"figure": figure, "value_of_figure": value, **bounds}


def object_slices(objects: Table) -> Table:
    """How many of the true objects of each kind were found, and how well; crowds are left out.

    Parameters
    ----------
    objects : the judge's table of that name, a row a true object.

    Returns
    -------
    Table `object_slices`, by class, size (COCO's ranges, and quarters of these objects) and position.
    """
    rows = [dict(zip(objects.columns, row, strict=True)) for row in objects.rows]
    rows = [row for row in rows if not row["crowd"]]
    by = [
        Trait.of_texts("class", [str(row["class"]) for row in rows]),
        Trait("size", ("small", "medium", "large"), [str(row["size"]) for row in rows]),
        cut("area", [_number(row["area_px"]) for row in rows], QUARTILES, "{:.0f}", " px"),
        Trait.of_texts("position", [_place(row) for row in rows]),
    ]
    return Table.of("object_slices", [row for trait in by for row in _shares(trait, rows)], columns=OBJECT_COLUMNS)


def _shares(trait: Trait, rows: Sequence[Mapping[str, Value]]) -> Iterator[ImageRow]:
    for kind in trait.kinds:
        own = [rows[position] for position in trait.images(kind)]
        if own:
            ious = [float(row["best_iou"] or 0) for row in own]
            yield {
                "column": trait.name,
                "value": kind,
                "n_objects": len(own),
                "found_share": float(np.mean([bool(row["found"]) for row in own])),
                "mean_best_iou": float(np.mean(ious)),
            }


def _place(row: Mapping[str, Value]) -> str | None:
    x, y = _number(row["centre_x"]), _number(row["centre_y"])
    return None if x is None or y is None else place_of(x, y)


def _number(value: Value) -> float | None:
    return None if value is None else float(value)
