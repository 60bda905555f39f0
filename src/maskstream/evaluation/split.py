"""From a dataset's images to truth and answer, as the judges take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from maskstream.core.classes import Classes
from maskstream.core.classification import Classification, Classifier
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import ANNOTATIONS, Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.objects.instance import Entry, ImageTruth

NOWHERE = -1
"""The id of a class that the model does not know, and does not need to."""


def segment_records(
    records: Iterable[ImageRecord], model: Segmenter, class_ids: Sequence[int], score_floor: float
) -> Iterator[tuple[ImageTruth, Detections]]:
    """Truth and detections of each image in turn; detections down to `score_floor`, as AP wants them.

    `class_ids` is what `match_classes` gives.

    Raises
    ------
    DatasetError : an image cannot be read.
    """
    for index, record in enumerate(records):
        frame = Frame(record.read_image(), index=index, time_s=0.0, source=str(record.path))
        (found,) = model.segment([frame], score_floor)
        yield truth_of(record, class_ids), found


def classify_records(
    records: Iterable[ImageRecord], model: Classifier, class_ids: Sequence[int]
) -> Iterator[tuple[ImageRecord, int, Classification]]:
    """Each image with the model's id of its class and the model's answer.

    `class_ids` is what `match_classes` gives.

    Raises
    ------
    DatasetError : an image cannot be read, or has no class as a whole.
    """
    for index, record in enumerate(records):
        class_id = class_of(record, class_ids)
        frame = Frame(record.read_image(), index=index, time_s=0.0, source=str(record.path))
        (answer,) = model.classify([frame])
        yield record, class_id, answer


def class_of(record: ImageRecord, class_ids: Sequence[int]) -> int:
    """The model's id for the class of an image as a whole. DatasetError: it has none."""
    if record.class_id is None:
        raise DatasetError(
            record.path,
            expected="an image with a class as a whole",
            found="none",
            remedy="judge a classifier on a dataset of classified images",
        )
    return class_ids[record.class_id]


def truth_of(record: ImageRecord, class_ids: Sequence[int]) -> ImageTruth:
    """What a labelled image shows; `class_ids[i]` is the model's id for the dataset's class `i`."""
    return ImageTruth(
        image_id=record.image_id,
        masks=tuple(annotation.mask(record.size_hw) for annotation in record.annotations),
        class_ids=tuple(class_ids[annotation.class_id] for annotation in record.annotations),
        size_hw=record.size_hw,
        crowds=tuple(annotation.iscrowd for annotation in record.annotations),
        boxes_xyxy=np.array([a.box_xyxy for a in record.annotations], np.float32).reshape(-1, 4),
        areas_px=np.array([a.area_px for a in record.annotations], np.float64),
        name=record.name,
    )


def match_classes(dataset: Dataset, classes: Classes) -> tuple[int, ...]:
    """For each class of the dataset the model's id of the same name; `NOWHERE` for one that no image shows.

    Raises
    ------
    DatasetError : the dataset shows a class that the model does not know.
    """
    unknown = [name for name in dataset.shown_classes() if name not in classes]
    if unknown:
        raise DatasetError(
            f"{dataset.folder / ANNOTATIONS}: categories",
            expected=f"classes that the model knows ({', '.join(classes)})",
            found=", ".join(unknown),
            remedy="rename the categories or choose another model",
        )
    return tuple(classes.index(name) if name in classes else NOWHERE for name in dataset.classes)


def coco_results(results: Iterable[Entry], dataset: Dataset, classes: Classes) -> Iterator[Entry]:
    """Results with the category ids of the dataset's own `annotations.json`, fit for any COCO tool.

    Results of a class that the dataset does not have are left out: no id stands for it.
    """
    ids_by_name = {name: dataset.heading.category_id(class_id) for class_id, name in enumerate(dataset.classes)}
    category_ids = {class_id: ids_by_name[name] for class_id, name in enumerate(classes) if name in ids_by_name}
    keys = ("image_id", "category_id", "segmentation", "score", "object_score")
    for entry in results:
        if entry["category_id"] in category_ids:
            known = entry | {"category_id": category_ids[entry["category_id"]]}
            yield {key: known[key] for key in keys if key in known}
