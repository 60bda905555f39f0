"""Curves of class probabilities as tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes
from maskstream.evaluation.classes.calibration import reliability_bins
from maskstream.evaluation.classes.classification import of_class
from maskstream.evaluation.classes.coverage import RiskCoverage
from maskstream.evaluation.classes.prevalence import predictive_values
from maskstream.evaluation.classes.ranking import FIXED_LEVELS, Ranking
from maskstream.evaluation.verdict import ImageRow, Table, Value

MOST_POINTS = 400
"""Of one curve; of a longer one evenly spaced points are kept, the first and the last among them."""


def of_rankings(rankings: Mapping[str, Ranking]) -> list[Table]:
    """`roc_curve`, `class_pr_curve` and `operating_points` of classes, each against the rest."""
    return [roc_curve(rankings), class_pr_curve(rankings), operating_points(rankings)]


def roc_curve(rankings: Mapping[str, Ranking]) -> Table:
    """Corners of the ROC curves from (0, 0), which has no threshold, to (1, 1)."""
    rows: list[tuple[Value, ...]] = []
    for name, ranking in rankings.items():
        rows.append((name, 0.0, 0.0, None))
        corners = np.flatnonzero(_is_corner(ranking))
        for place in corners[_thinned(len(corners))]:
            false_positive_rate = ranking.false_positives[place] / ranking.negatives
            sensitivity = ranking.true_positives[place] / ranking.positives
            rows.append((name, float(false_positive_rate), float(sensitivity), float(ranking.thresholds[place])))
    return Table("roc_curve", ("class", "false_positive_rate", "sensitivity", "threshold"), tuple(rows))


def class_pr_curve(rankings: Mapping[str, Ranking]) -> Table:
    """Precision and recall at the thresholds; the curve begins at the highest, before which precision is undefined."""
    rows: list[tuple[Value, ...]] = []
    for name, ranking in rankings.items():
        points = zip(ranking.sensitivity, ranking.precision, ranking.thresholds, strict=True)
        kept = np.array(list(points))[_thinned(len(ranking.thresholds))]
        rows += [(name, *row) for row in kept.tolist()]
    return Table("class_pr_curve", ("class", "recall", "precision", "threshold"), tuple(rows))


def operating_points(rankings: Mapping[str, Ranking]) -> Table:
    """The thresholds behind the figures at `FIXED_LEVELS`, with predictive values at these images' own prevalence."""
    columns = ("class", "fixed", "level", "sensitivity", "specificity", "threshold", "prevalence", "ppv", "npv")
    rows: list[tuple[Value, ...]] = []
    for name, ranking in rankings.items():
        prevalence = ranking.positives / (ranking.positives + ranking.negatives)
        for fixed, at in (("specificity", ranking.at_specificity), ("sensitivity", ranking.at_sensitivity)):
            for level in FIXED_LEVELS:
                point = at(level)
                values = predictive_values(point.sensitivity, point.specificity, prevalence)
                rows.append(
                    (name, fixed, level, point.sensitivity, point.specificity, point.threshold, prevalence, *values)
                )
    return Table("operating_points", columns, tuple(rows))


def each_class(counts: NDArray[np.int64], classes: Classes, rankings: Mapping[str, Ranking]) -> Table:
    """`classes`: figures of each class against the rest. `counts` is a confusion matrix of images."""
    rows: list[ImageRow] = []
    for class_id, name in enumerate(classes):
        row: ImageRow = {"class": name, "n_images": int(counts[class_id].sum()), **of_class(counts, class_id)}
        if name in rankings:
            row |= {"auc": rankings[name].roc_auc(), "pr_auc": rankings[name].pr_auc()}
        rows.append(row)
    return Table.of(
        "classes", rows, ("class", "n_images", "sensitivity", "specificity", "precision", "f1", "auc", "pr_auc")
    )


def confusion(counts: NDArray[np.int64], classes: Classes) -> Table:
    """A confusion matrix (c, c), a row a cell."""
    pairs = [(row, column) for row in range(len(classes)) for column in range(len(classes))]
    rows = tuple((classes[row], classes[column], int(counts[row, column])) for row, column in pairs)
    return Table("confusion", ("truth", "called", "count"), rows)


def reliability(kinds: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> Table:
    """Bins of the reliability diagram of each kind of percentage, see `calibration.reliability_bins`."""
    columns = ("kind", "bin", "n", "mean_probability", "share", "share_low", "share_high")
    rows: list[tuple[Value, ...]] = []
    for kind, (probability, label) in kinds.items():
        for number, at in enumerate(reliability_bins(probability, label), start=1):
            rows.append((kind, number, at.n, at.mean_probability, at.share, at.share_low, at.share_high))
    return Table("reliability", columns, tuple(rows))


def risk_coverage(curve: RiskCoverage) -> Table:
    """Risk among the images that are at least so sure."""
    points = zip(curve.coverage, curve.risk, curve.covered, curve.least_confidence, strict=True)
    every = [(float(share), float(risk), int(n), float(least)) for share, risk, n, least in points]
    rows = tuple(every[place] for place in _thinned(len(every)))
    return Table("risk_coverage", ("coverage", "risk", "n", "least_confidence"), rows)


def _thinned(count: int) -> NDArray[np.int64]:
    """Places of at most `MOST_POINTS` of a curve's points."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.int64))


def _is_corner(ranking: Ranking) -> NDArray[np.bool_]:
    """Whether the ROC curve turns at a threshold; a point on a straight line tells nothing. The last one is kept."""
    across = np.diff(ranking.false_positives, prepend=0)
    up = np.diff(ranking.true_positives, prepend=0)
    turns = across[:-1] * up[1:] != across[1:] * up[:-1]
    return np.append(turns, True)
