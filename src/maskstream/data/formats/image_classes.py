"""Classes of images as a whole, as classification needs them: what datasets of every kind can say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from maskstream.core.classes import Classes
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError


def class_of(record: ImageRecord) -> int | None:
    """Class id of an image as a whole: as stated, else that of its objects when all have the same."""
    if record.class_id is not None:
        return record.class_id
    of_objects = {annotation.class_id for annotation in record.annotations}
    return of_objects.pop() if len(of_objects) == 1 else None


def labelled_images(dataset: Dataset, tell: Callable[[Finding], None]) -> Iterator[tuple[ImageRecord, str]]:
    """The images that have a class as a whole, each with its name; `tell` learns what is left out.

    Raises
    ------
    DatasetError : no image has a class.
    """
    classless = [record.name for record in dataset.images if class_of(record) is None]
    objects = sum(len(record.annotations) for record in dataset.images)
    if len(classless) == len(dataset.images):
        raise DatasetError(
            dataset.folder,
            expected="images with a class as a whole, or with objects of one class",
            found="none",
            remedy="export to a format that holds objects, such as coco",
        )
    if classless:
        tell(_left_out("image-without-class", f"{len(classless)} images without one, such as {classless[0]}",
                       "label them, or export to a format that holds objects"))  # fmt: skip
    if objects:
        tell(_left_out("objects-left-out", f"{objects} objects with masks or boxes, which it cannot hold",
                       "export to coco to keep them"))  # fmt: skip
    for record in dataset.images:
        class_id = class_of(record)
        if class_id is not None:
            yield record, dataset.classes[class_id]


def chosen_classes(classes: Classes, chosen: Classes, place: object) -> Classes:
    """The classes to keep: those chosen, in that order, or all.

    Raises
    ------
    DatasetError : a chosen one is not there.
    """
    unknown = [name for name in chosen if name not in classes]
    if unknown:
        raise DatasetError(
            place, expected=f"classes among {', '.join(classes)}", found=", ".join(unknown), remedy="correct --classes"
        )
    return chosen or classes


def _left_out(code: str, found: str, remedy: str) -> Finding:
    return Finding(
        code=code,
        severity=Severity.WARNING,
        place="images",
        expected="one class for each image as a whole",
        found=found,
        remedy=remedy,
    )
