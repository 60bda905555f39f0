"""COCO's results as Detections.

Several entries of one image with the same segmentation (letter by letter), each of another class, with scores that sum
to 1 or less, are one object: the sum is its score, the shares of the sum are its class probabilities. That is how
`predictions.json` is written, where an object that is 0.45 benign and 0.45 malignant competes in both classes; there
`object_score` tells the whole, of which classes that are as good as impossible are left out. Any other entry is an
object of its own, with its score, and with a probability of 1 for its class. Score x probability is always the score of
the entry, so that average precision is that of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.data.formats.coco.blocks import LONGEST_SIDE_PX
from maskstream.data.formats.coco.segmentation import read_mask
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.objects.instance import MAX_DETECTIONS
from maskstream.evaluation.predictions.asked import Asked
from maskstream.evaluation.predictions.results_file import ABSENT, ResultsFile, decode_value, read_results
from maskstream.evaluation.verdict import Metrics

SCORE_THRESHOLD = 0.5
"""Score from which an object counts as found, where nobody says another."""

SUM_TOLERANCE = 1e-5
"""By which rounded probabilities may sum to more than 1."""


class _RunLengths(msgspec.Struct, gc=False):
    size: tuple[int, int]
    counts: str | list[int]


_Segmentation = _RunLengths | list[list[float]]
_Box = tuple[float, float, float, float]


class ResultAnswers:
    """The objects of a result list.

    Parameters
    ----------
    path : the JSON file.
    asked : the images; the file has none but these. Those that it lacks show nothing, and are counted.
    task : whether objects are judged, or which pixels belong to a class.

    Raises
    ------
    DatasetError : see `read_results`; segmentations are checked when their image is asked for.
    """

    calibration: Calibration | None = None
    score_threshold: float = SCORE_THRESHOLD
    score_floor: float = 0.0
    max_detections: int = MAX_DETECTIONS

    def __init__(self, path: Path, asked: Asked, task: Literal["instance", "semantic"] = "instance") -> None:
        self.name = name_of(path)
        self.classes = asked.dataset.classes
        self.task: Literal["instance", "semantic"] = task
        self._class_ids = asked.class_ids
        self._file = read_results(path, asked)
        without = sum(record.image_id not in self._file.by_image for record in asked.records)
        self.facts: Metrics = {
            "model": self.name,
            "predictions": path.name,
            "predictions_sha256": self._file.digest,
            "n_predictions": len(self._file.entries),
            "n_without_answer": without,
        }

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        """The objects of an image, best first.

        Raises
        ------
        DatasetError : a segmentation does not fit the image.
        """
        numbers = self._file.by_image.get(record.image_id, ())
        if not numbers:
            return Detections.empty(self.classes, record.size_hw)
        objects = _objects(self._file, numbers, self._class_ids)
        scores, probabilities = _scores(self._file, objects, self._class_ids, len(self.classes))
        masks, boxes = zip(*(_shape(self._file, numbers[0], record.size_hw) for numbers in objects), strict=True)
        found = Detections(
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            masks=masks,
            scores=scores,
            probabilities=probabilities,
            track_ids=np.zeros(len(objects), np.int64),
            classes=self.classes,
            size_hw=record.size_hw,
        )
        order = np.argsort(-scores, kind="stable")
        return found.select(order[scores[order] >= score_floor])


def name_of(path: Path) -> str:
    """What predictions are called: their file, or the folder of a file that is called `predictions`."""
    return path.resolve().parent.name if path.stem == "predictions" else path.stem


def _objects(file: ResultsFile, numbers: Sequence[int], class_ids: Mapping[int, int]) -> list[list[int]]:
    """Numbers of the entries of each object, in the order of their first ones."""
    together: dict[tuple[bytes, float | None, int], list[int]] = {}
    times: Counter[tuple[bytes, float | None, int]] = Counter()
    for number in numbers:
        entry = file.entries[number]
        text, class_id = bytes(entry.segmentation), class_ids[entry.category_id]
        # a class that comes again with the same segmentation is another object of the same shape
        time = times[text, entry.object_score, class_id]
        times[text, entry.object_score, class_id] += 1
        together.setdefault((text, entry.object_score, time), []).append(number)
    objects = []
    for (_, stated, _), parts in together.items():
        total = sum(file.entries[number].score for number in parts)
        are_shares = total <= (1 if stated is None else stated) + SUM_TOLERANCE
        objects += [parts] if are_shares else [[number] for number in parts]
    return objects


def _scores(
    file: ResultsFile, objects: Sequence[Sequence[int]], class_ids: Mapping[int, int], n_classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores (n,) and class probabilities (n, c) of objects."""
    products = np.zeros((len(objects), n_classes))
    scores = np.zeros(len(objects), np.float32)
    for row, numbers in enumerate(objects):
        entries = [file.entries[number] for number in numbers]
        for entry in entries:
            products[row, class_ids[entry.category_id]] = entry.score
        stated, total = entries[0].object_score, sum(entry.score for entry in entries)
        scores[row] = min(total, 1) if stated is None else stated
        if not scores[row]:
            # a score of 0 has no shares: the class is certain, for what it is worth
            products[row, class_ids[entries[0].category_id]] = 1
    whole = np.where(scores > 0, scores, 1)[:, None]
    return scores, (products / whole).astype(np.float32)


def _shape(
    file: ResultsFile, number: int, size_hw: tuple[int, int]
) -> tuple[CroppedMask, tuple[float, float, float, float]]:
    """Mask and box (x1, y1, x2, y2) of an entry; the mask's own box where the file gives none."""
    entry, place = file.entries[number], file.place(number)
    segmentation = decode_value(entry.segmentation, _Segmentation, f"{place}.segmentation")
    mask = read_mask(segmentation, size_hw, f"{place}.segmentation")
    if bytes(entry.bbox) in ABSENT:
        height, width = mask.bitmap.shape
        return mask, (float(mask.x0), float(mask.y0), float(mask.x0 + width), float(mask.y0 + height))
    x, y, width, height = decode_value(entry.bbox, _Box, f"{place}.bbox")
    if min(width, height) < 0 or max(abs(x), abs(y), width, height) > LONGEST_SIDE_PX:
        raise DatasetError(
            f"{place}.bbox",
            expected="x, y, width and height in pixels",
            found=f"{x:g}, {y:g}, {width:g} and {height:g}",
            remedy="give sizes, not corners",
        )
    return mask, (x, y, x + width, y + height)
