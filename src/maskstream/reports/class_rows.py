"""The classes of a dataset as rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.data.statistics.collect import DatasetStatistics
from maskstream.draw.palette import object_colour


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class as the tables show it.

    Attributes
    ----------
    colour : in which its masks are drawn, `#rrggbb`.
    images : images with at least one object of it.
    objects, crowds : how many there are of it.
    labelled : images that are of the class as a whole.
    share : of all objects (or of all labelled images where no class has objects), 0..1.
    median_share : of its objects' areas, as a share of the image; None where it is not known.
    places : images, objects and labelled images in each place.
    """

    class_id: int
    name: str
    colour: str
    images: int
    objects: int
    crowds: int
    labelled: int
    share: float
    median_share: float | None
    places: tuple[tuple[int, int, int], ...]


def class_rows(statistics: DatasetStatistics) -> list[ClassRow]:
    """The classes, most frequent first."""
    instances, with_objects, labelled = statistics.instances(), statistics.images_with(), statistics.images_of()
    crowds = statistics.instances(crowd=True).sum(axis=1)
    weights = (instances if instances.any() else labelled).sum(axis=1)
    rows = [
        ClassRow(
            class_id=class_id,
            name=name,
            colour="#{:02x}{:02x}{:02x}".format(*object_colour(0, class_id)),
            images=int(with_objects[class_id].sum()),
            objects=int(instances[class_id].sum()),
            crowds=int(crowds[class_id]),
            labelled=int(labelled[class_id].sum()),
            share=float(weights[class_id] / max(weights.sum(), 1)),
            median_share=_median_share(statistics, class_id),
            places=_by_place(with_objects[class_id], instances[class_id], labelled[class_id]),
        )
        for class_id, name in enumerate(statistics.classes)
    ]
    return sorted(rows, key=lambda row: (-row.objects, -row.labelled, row.class_id))


def class_total(statistics: DatasetStatistics) -> ClassRow:
    """All classes together; an image that holds several of them counts once."""
    instances, labelled = statistics.instances().sum(axis=0), statistics.images_of().sum(axis=0)
    images = statistics.images
    with_objects = np.bincount(images.place[images.objects > 0], minlength=len(statistics.places))
    return ClassRow(
        class_id=-1,
        name="total",
        colour="",
        images=int(with_objects.sum()),
        objects=int(instances.sum()),
        crowds=int(images.crowds.sum()),
        labelled=int(labelled.sum()),
        share=1.0,
        median_share=_median_share(statistics, None),
        places=_by_place(with_objects, instances, labelled),
    )


def _by_place(*counts: NDArray[np.int64]) -> tuple[tuple[int, int, int], ...]:
    return tuple((int(a), int(b), int(c)) for a, b, c in zip(*counts, strict=True))


def _median_share(statistics: DatasetStatistics, class_id: int | None) -> float | None:
    """Median area of a class's objects, or of all, as a share of their images."""
    objects = statistics.objects
    chosen = ~objects.crowd & np.isfinite(objects.area_share)
    shares = objects.area_share[chosen if class_id is None else chosen & (objects.class_id == class_id)]
    return float(np.median(shares)) if shares.size else None
