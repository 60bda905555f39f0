"""Each true object and what was found of it, each found one that is none, and who is taken for whom.

Of the objects above the score threshold, whatever their class: an object may be found and called wrong. Matched as in
`evaluation.objects.matching` at IoU 0.50, all classes together; crowds are neither found nor missed, and what lies in
one is no false alarm.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.evaluation.objects.instance import SIZES_PX
from maskstream.evaluation.objects.matching import AT_HALF, NONE, match
from maskstream.evaluation.objects.object_store import StoredImage
from maskstream.evaluation.objects.shapes import Ious
from maskstream.evaluation.verdict import ImageRow, Table, Value

BACKGROUND = "background"
"""What an object is that is not there, or was not found."""

OBJECT_COLUMNS = (
    *("image", "class", "area_px", "size", "centre_x", "centre_y", "crowd"),
    *("best_iou", "found", "found_as", "score", "probability"),
)

_Row = tuple[Value, ...]


class TrueObjects:
    """Takes images one at a time."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._rows: list[_Row] = []
        self._confused: Counter[tuple[str, str]] = Counter()
        self._counts: list[ImageRow] = []

    def add(self, name: str, image: StoredImage, above: Detections, ious: Ious) -> None:
        """Take one image.

        Parameters
        ----------
        name : what the table calls it.
        above : the objects that count as found.
        ious : (found, true) of their masks.
        """
        order = np.argsort(-above.scores, kind="stable")
        above, ious = above.select(order), ious[order]
        matches = match(ious, image.crowds)
        finders = {column: row for row, column in enumerate(matches.partners.tolist()) if column != NONE}
        called = [self._classes[class_id] for class_id in above.class_ids.tolist()]
        best_ious = ious.max(axis=0, initial=0.0).tolist()
        for column, (class_id, crowd) in enumerate(zip(image.truth_class_ids.tolist(), image.crowds, strict=True)):
            finder, own = finders.get(column), self._classes[class_id]
            found: _Row = (None,) * 5
            if not crowd:
                self._confused[own, BACKGROUND if finder is None else called[finder]] += 1
                found = (best_ious[column], 0, None, None, None)
            if finder is not None:
                probability = float(above.probabilities[finder, class_id])
                found = (best_ious[column], 1, called[finder], float(above.scores[finder]), probability)
            self._rows.append((name, own, *_place(image, column), int(crowd), *found))
        alone = np.flatnonzero((matches.partners == NONE) & (matches.ignored & AT_HALF == 0))
        self._confused.update((BACKGROUND, called[row]) for row in alone.tolist())
        n_truth = int(np.count_nonzero(~image.crowds))
        self._counts.append({"n_truth": n_truth, "n_found": len(above), "n_hit": len(finders)})

    def image_rows(self) -> list[ImageRow]:
        """`n_truth` (crowds are not counted), `n_found` (above the threshold) and `n_hit`, which match a true one."""
        return self._counts

    def objects(self) -> Table:
        """A row a true object.

        `centre_x` and `centre_y` are of its box, 0..1 of the image; `best_iou` is with the found object of any class
        that fits best; `found` is 1 where it was matched, with the class (`found_as`), the score and the probability of
        the true class of what was matched. A crowd has none of these.
        """
        return Table("objects", OBJECT_COLUMNS, tuple(self._rows))

    def confusion(self) -> Table:
        """How many true objects of a class (`truth`) were `called` what; pairs that do not occur are not listed.

        `background` is the truth of false alarms, and what a missed object is called.
        """
        names = (*self._classes, BACKGROUND)
        rows = tuple((a, b, self._confused[a, b]) for a in names for b in names if (a, b) in self._confused)
        return Table("confusion", ("truth", "called", "count"), rows)


def size_of(area_px: float) -> str:
    """COCO's `small`, `medium` or `large`; on an edge the larger one."""
    return next(size for size, (least_px, _) in reversed(SIZES_PX.items()) if area_px >= least_px)


def _place(image: StoredImage, column: int) -> _Row:
    """Columns `area_px` to `centre_y` of a true object."""
    height, width = image.truth.size_hw
    x, y, box_width, box_height = image.truth.boxes_xywh[column].tolist()
    area_px = float(image.truth.areas_px[column])
    return area_px, size_of(area_px), (x + box_width / 2) / width, (y + box_height / 2) / height
