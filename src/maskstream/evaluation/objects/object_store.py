"""What a judge of objects keeps of each image, and the same as entries in COCO's form."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.evaluation.objects.arrays import joined
from maskstream.evaluation.objects.instance import ClassEntries, Compared, Entry, ImageTruth
from maskstream.evaluation.objects.shapes import Ious, Shapes, ious

RANKED_FLOOR = 0.01
"""Score x class probability below which an object does not compete in a class, unless it is among its most probable."""

ALWAYS_RANKED = 3
"""In so many of its most probable classes an object competes whatever its score."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """In which classes the objects of an image compete, and with which score; m pairs of object and class.

    Attributes
    ----------
    rows : (m,) int32, the object.
    class_ids : (m,) int32.
    scores : (m,) float64, detection score x class probability.
    """

    rows: NDArray[np.int32]
    class_ids: NDArray[np.int32]
    scores: NDArray[np.float64]


def ranked(found: Detections) -> Ranked:
    """An object that is 0.45 benign and 0.45 malignant competes in both classes.

    Of many classes most are as good as impossible, and 36 000 objects in each of 80 classes would fill the memory: what
    is below `RANKED_FLOOR` is left out, except for an object's `ALWAYS_RANKED` most probable classes. With as few
    classes as that nothing is left out. With more, AP is a little lower than it would be with every pair: by 0.002 for
    a model of 80 classes with an AP of 0.11; torchvision's own models leave out what is below 0.05. An object does
    not compete in a class of probability 0, so that predictions from a file stay as they are.
    """
    products = found.scores[:, None].astype(np.float64) * found.probabilities.astype(np.float64)
    kept = products >= RANKED_FLOOR
    best = np.argsort(-found.probabilities, axis=1, kind="stable")[:, :ALWAYS_RANKED]
    np.put_along_axis(kept, best, True, axis=1)
    rows, class_ids = np.nonzero(kept & (found.probabilities > 0))
    return Ranked(rows.astype(np.int32), class_ids.astype(np.int32), products[rows, class_ids])


@dataclass(frozen=True, slots=True, eq=False)
class StoredImage:
    """The objects of an image: true ones with classes and crowd flags, found ones with what they compete in."""

    truth: Shapes
    truth_class_ids: NDArray[np.int32]
    crowds: NDArray[np.bool_]
    found: Shapes
    found_scores: NDArray[np.float32]
    ranked: Ranked

    @classmethod
    def of(cls, truth: ImageTruth, found: Detections) -> StoredImage:
        """Encode truth and detections of an image."""
        return cls(
            truth=Shapes.of_truth(truth),
            truth_class_ids=np.array(truth.class_ids, np.int32),
            crowds=np.array(truth.crowds or (False,) * len(truth.masks), bool),
            found=Shapes.of_found(truth.image_id, found),
            found_scores=found.scores,
            ranked=ranked(found),
        )

    def ious(self, of: Compared) -> Ious:
        """Of each found object with each true one."""
        return ious(self.found, self.truth, self.crowds, of)


class ObjectStore:
    """Images in the order they were added."""

    def __init__(self, n_classes: int) -> None:
        self.images: list[StoredImage] = []
        self._n_classes = n_classes
        self._index: tuple[_ByClass, _ByClass] | None = None

    def add(self, image: StoredImage) -> None:
        """Keep an image."""
        self.images.append(image)
        self._index = None

    def entries(self, class_id: int, of: Compared) -> ClassEntries:
        """What `instance.coco_figures` asks for; nothing of a class without a true object.

        As in COCO, the area of a found object is that of its box where boxes are compared.
        """
        if self._index is None:
            self._index = (
                _ByClass.of([image.truth_class_ids for image in self.images], self._n_classes),
                _ByClass.of([image.ranked.class_ids for image in self.images], self._n_classes),
            )
        truths, results = (list(by_class.pairs(class_id)) for by_class in self._index)
        if not truths:
            return ClassEntries([], [], [])
        numbers = sorted({number for number, _ in (*truths, *results)})
        return ClassEntries(
            [_image(self.images[number]) for number in numbers],
            [_truth(self.images[number], row, of) for number, row in truths],
            [_result(self.images[number], place, of) for number, place in results],
        )

    def objects_per_class(self) -> list[int]:
        """How many true objects there are of each class; crowds are not counted."""
        true = joined([image.truth_class_ids[~image.crowds] for image in self.images], np.int64)
        counts: list[int] = np.bincount(true, minlength=self._n_classes).tolist()
        return counts

    def crowds(self) -> int:
        """How many crowds there are."""
        return sum(int(np.count_nonzero(image.crowds)) for image in self.images)

    def results(self) -> Iterator[Entry]:
        """All found objects in COCO's result form, an entry for each object and class; `category_id` is 0-based.

        `object_score` is the detection score, of which `score` is the share of the class.
        """
        for image in self.images:
            ranked = image.ranked
            for row, class_id, score in zip(ranked.rows.tolist(), ranked.class_ids, ranked.scores, strict=True):
                yield {
                    "image_id": image.found.image_id,
                    "category_id": int(class_id),
                    "segmentation": image.found.rle(row),
                    "score": float(score),
                    "object_score": float(image.found_scores[row]),
                }


@dataclass(frozen=True, slots=True, eq=False)
class _ByClass:
    """Objects sorted by class, and in each in the order they came: number of the image, place in it; (n,) each."""

    numbers: NDArray[np.int64]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, class_ids: list[NDArray[np.int32]], n_classes: int) -> _ByClass:
        lengths = np.array([len(part) for part in class_ids], np.int64)
        numbers = np.repeat(np.arange(len(class_ids)), lengths)
        places = np.arange(len(numbers)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        every = joined(class_ids, np.int64)
        order = np.argsort(every, kind="stable")
        return cls(numbers[order], places[order], np.searchsorted(every[order], np.arange(n_classes + 1)))

    def pairs(self, class_id: int) -> Iterator[tuple[int, int]]:
        own = slice(self.starts[class_id], self.starts[class_id + 1])
        return zip(self.numbers[own].tolist(), self.places[own].tolist(), strict=True)


def _image(image: StoredImage) -> Entry:
    height, width = image.truth.size_hw
    return {"id": image.truth.image_id, "height": height, "width": width}


def _truth(image: StoredImage, row: int, of: Compared) -> Entry:
    kind = {"category_id": int(image.truth_class_ids[row]), "iscrowd": int(image.crowds[row])}
    return image.truth.entry(row, of) | kind


def _result(image: StoredImage, place: int, of: Compared) -> Entry:
    ranked = image.ranked
    entry = image.found.entry(int(ranked.rows[place]), of)
    if of == "box":
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]
    return entry | {"category_id": int(ranked.class_ids[place]), "iscrowd": 0, "score": float(ranked.scores[place])}
