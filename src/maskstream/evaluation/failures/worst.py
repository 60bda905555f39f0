"""The images on which a model fails worst, and why."""

from __future__ import annotations

from dataclasses import dataclass

from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.data.records import ImageRecord
from maskstream.evaluation.evaluate import Evaluation
from maskstream.evaluation.failures.reasons import class_reason, object_reason, region_reason
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.evaluation.split import match_classes, truth_of
from maskstream.evaluation.verdict import ImageRow, Metrics, Table

WORST = 12

WRONG = "probability_of_a_wrong_class"


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """One image that a model fails on.

    Attributes
    ----------
    rank : from 1, the worst.
    figure, value : what it was chosen by: the lowest `jaccard`, or the highest `probability_of_a_wrong_class`.
    truth : what the image shows, with the class ids of the answers; of a classifier the name of its class.
    answer : what counts as found, best score first.
    why : in plain words.
    """

    rank: int
    record: ImageRecord
    figure: str
    value: float
    truth: ImageTruth | str
    answer: Detections | Classification
    why: str


def worst(evaluation: Evaluation, metrics: Metrics, images: Table, count: int = WORST) -> list[Failure]:
    """The `count` images with the worst figure of their own, the worst first; each is asked for once more.

    Parameters
    ----------
    metrics : what `Evaluation.metrics` gave; the score threshold is taken from it.
    images : the table of that name of the same evaluation.

    Raises
    ------
    DatasetError, SourceError : an image cannot be read any more.
    """
    rows = [dict(zip(images.columns, row, strict=True)) for row in images.rows]
    # equal figures go by name, so that the choice does not depend on the order of the split
    ranked = sorted((_badness(row), str(row["image"]), position) for position, row in enumerate(rows))[:count]
    return [
        _failure(rank, evaluation, metrics, evaluation.records[position], badness)
        for rank, (badness, _, position) in enumerate(ranked, start=1)
    ]


def _badness(row: ImageRow) -> float:
    """The figure that images are ranked by, the worst lowest."""
    if "jaccard" in row:
        return float(row["jaccard"] or 0)
    return -max(
        float(value or 0)
        for column, value in row.items()
        if column.startswith("probability/") and column != f"probability/{row['truth']}"
    )


def _failure(rank: int, evaluation: Evaluation, metrics: Metrics, record: ImageRecord, badness: float) -> Failure:
    answers = evaluation.answers
    class_ids = match_classes(evaluation.dataset, answers.classes)
    if answers.task == "classification":
        assert record.class_id is not None  # the evaluation refuses others
        answer, name = answers.classification(record), answers.classes[class_ids[record.class_id]]
        return Failure(rank, record, WRONG, -badness, name, answer, class_reason(name, answer))
    threshold = float(metrics["score_threshold"])
    found, truth = answers.detections(record, threshold), truth_of(record, class_ids)
    found = found.select(found.scores >= threshold)
    reason = region_reason(truth, found) if answers.task == "semantic" else object_reason(truth, found)
    return Failure(rank, record, "jaccard", badness, truth, found, reason)
