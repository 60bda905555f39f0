"""Precision against recall, class by class: the curves that AP50 is the area of."""

from __future__ import annotations

import numpy as np

from maskstream.core.classes import Classes
from maskstream.evaluation.objects.average_precision import AveragePrecision
from maskstream.evaluation.verdict import Table

MOST_POINTS = 400
"""Of a class; the curve of more hits is thinned evenly, and keeps its ends."""


def pr_curves(ranked: AveragePrecision, classes: Classes) -> Table:
    """A row for each hit of each class, best score first: `class`, `recall`, `precision`, `score`.

    At mask IoU 0.50, of all images. The score is detection score x class probability, as in AP, and precision is as it
    is, not made monotone as for AP. A class without a true object or without a hit has no row.
    """
    rows = []
    for class_id, name in enumerate(classes):
        points = np.column_stack(ranked.curve(class_id))
        places = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).round().astype(np.int64))
        rows += [(name, *point) for point in points[places].tolist()]
    return Table("pr_curve", ("class", "recall", "precision", "score"), tuple(rows))
