"""A dataset in numbers: what is in it, how often, how large, where, and in which colours.

Labels are counted in full. Images are opened only for the size that the labels do not state, and, as many as asked
for, for their colours. Memory grows by a few numbers an image and an object; no image outlives its turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.classes import Classes
from maskstream.core.parallel import OnProgress, ordered_map
from maskstream.data.dataset import Dataset
from maskstream.data.formats.labelme.provenance import PROVENANCE
from maskstream.data.records import Annotation, ImageRecord
from maskstream.data.statistics.colours import Colours, ColourSums, ImageColours
from maskstream.data.statistics.columns import NO_CLASS, Images, Objects
from maskstream.errors import MaskstreamError

LEFT_OUT, NO_SPLIT = "left out", "in no split"
"""Where an image is that no split holds: left out for a reason, or just not assigned."""

COLOUR_IMAGES = 2000
"""Images read for colours unless more are asked for, chosen by chance with a fixed seed."""

SMALL_PX, MEDIUM_PX = 32**2, 96**2
"""COCO's bounds of small and medium objects, in pixels of area: https://cocodataset.org/#detection-eval."""


@dataclass(frozen=True, slots=True, eq=False)
class DatasetStatistics:
    """A dataset in numbers.

    Attributes
    ----------
    classes : names, in the order of their ids.
    places : the splits, then `LEFT_OUT` and `NO_SPLIT`.
    images, objects : what is known of each.
    colours : None when none were asked for.
    colour_images : how many images were to be read for colours.
    missing : names of the images that are not there.
    unreadable : why images that are there could not be read or measured, by name.
    group_sizes : images of each group.
    torn_groups : groups with images in more than one split.
    label_makers : annotations by who made them; those that do not tell are not in it.
    """

    classes: Classes
    places: tuple[str, ...]
    images: Images
    objects: Objects
    colours: Colours | None
    colour_images: int
    missing: tuple[str, ...]
    unreadable: Mapping[str, str]
    group_sizes: Mapping[str, int]
    torn_groups: tuple[str, ...]
    label_makers: Mapping[str, int]

    def instances(self, *, crowd: bool = False) -> NDArray[np.int64]:
        """Objects, or crowds, by class and place: (classes, places)."""
        chosen = self.objects.crowd == crowd
        return self._table(self.objects.class_id[chosen], self.images.place[self.objects.image[chosen]])

    def images_with(self) -> NDArray[np.int64]:
        """Images that hold at least one object (no crowd) of a class, by class and place: (classes, places)."""
        chosen = ~self.objects.crowd
        pairs = np.column_stack([self.objects.class_id[chosen], self.objects.image[chosen]])
        class_id, image = np.unique(pairs, axis=0).T
        return self._table(class_id, self.images.place[image])

    def images_of(self) -> NDArray[np.int64]:
        """Images that are of a class as a whole, by class and place: (classes, places)."""
        labelled = self.images.class_id != NO_CLASS
        return self._table(self.images.class_id[labelled], self.images.place[labelled])

    def images_at(self) -> NDArray[np.int64]:
        """Images in each place, (places,)."""
        return np.bincount(self.images.place, minlength=len(self.places))

    def size_classes(self) -> tuple[int, int, int]:
        """Objects that are small, medium and large as COCO has it; crowds are not counted."""
        areas = self.objects.area_px[~self.objects.crowd]
        small, medium = int((areas < SMALL_PX).sum()), int((areas < MEDIUM_PX).sum())
        return small, medium - small, len(areas) - medium

    def centre_counts(self, bins: int) -> NDArray[np.int64]:
        """Objects by where their centre lies: (bins, bins), rows from top to bottom; centres outside are left out."""
        x, y = self.objects.centres[~self.objects.crowd & np.isfinite(self.objects.image_hw[:, 0])].T
        counts, _, _ = np.histogram2d(y, x, bins=bins, range=((0, 1), (0, 1)))
        return np.asarray(counts, np.int64)

    def _table(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        table = np.zeros((len(self.classes), len(self.places)), np.int64)
        np.add.at(table, (rows, columns), 1)
        return table


def collect(
    dataset: Dataset, *, colour_images: int = COLOUR_IMAGES, on_progress: OnProgress | None = None
) -> DatasetStatistics:
    """Count everything in one pass over the images.

    Parameters
    ----------
    colour_images : how many images to read for their colours at most; 0 for none.
    on_progress : told how many images are done.
    """
    records = dataset.images
    there = np.array([record.has_file for record in records], bool)
    chosen = _sample(there, colour_images)
    sums = ColourSums(len(dataset.classes))
    sizes_hw = np.zeros((len(records), 2), np.int64)
    unreadable: dict[str, str] = {}
    for index, seen in enumerate(ordered_map(_look_at, zip(records, there, chosen, strict=True))):
        record = records[index]
        sizes_hw[index] = seen.size_hw or (0, 0)
        if seen.colours is not None:
            sums.add(record, seen.colours)
        if seen.problem is not None:
            unreadable[record.name] = seen.problem
        if on_progress:
            on_progress(index + 1, len(records))
    places, place_of = _places(dataset)
    images = _images(records, place_of, sizes_hw)
    return DatasetStatistics(
        classes=dataset.classes,
        places=places,
        images=images,
        objects=_objects(records, images),
        colours=sums.total() if colour_images else None,
        colour_images=int(chosen.sum()),
        missing=tuple(record.name for record, found in zip(records, there, strict=True) if not found),
        unreadable=unreadable,
        group_sizes=Counter(record.group for record in records if record.group is not None),
        torn_groups=_torn_groups(records, place_of, len(dataset.splits)),
        label_makers=Counter(maker for _, annotation in _annotations(records) if (maker := _maker(annotation))),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one image showed: its size and colours where they could be had, and why not."""

    size_hw: tuple[int, int] | None
    colours: ImageColours | None = None
    problem: str | None = None


def _look_at(task: tuple[ImageRecord, np.bool_, np.bool_]) -> _Seen:
    """Look at an image: whether it is there, and whether its colours are wanted."""
    record, there, with_colours = task
    if not there:
        return _Seen(record.stated_size_hw)
    try:
        if with_colours:
            image = record.read_image()
            return _Seen((image.shape[0], image.shape[1]), ImageColours.of(record, image))
        return _Seen(record.size_hw)
    except MaskstreamError as error:
        return _Seen(record.stated_size_hw, problem=str(error))


def _sample(there: NDArray[np.bool_], wanted: int) -> NDArray[np.bool_]:
    """Which images are among the `wanted` ones of those that are there, (n,); the same ones each time."""
    chosen = np.zeros(len(there), bool)
    chosen[np.random.default_rng(0).permutation(np.flatnonzero(there))[:wanted]] = True
    return chosen


def _places(dataset: Dataset) -> tuple[tuple[str, ...], Mapping[str, int]]:
    """The places, and the index of each image's place by its name."""
    places = (*dataset.splits, LEFT_OUT, NO_SPLIT)
    place_of = dict.fromkeys((record.name for record in dataset.images), len(places) - 1)
    place_of |= {entry.image: len(places) - 2 for entry in dataset.left_out}
    place_of |= {name: index for index, names in enumerate(dataset.splits.values()) for name in names}
    return places, place_of


def _images(records: tuple[ImageRecord, ...], place_of: Mapping[str, int], sizes_hw: NDArray[np.int64]) -> Images:
    crowds = np.array([sum(annotation.iscrowd for annotation in record.annotations) for record in records], np.int64)
    annotations = np.array([len(record.annotations) for record in records], np.int64)
    return Images(
        size_hw=sizes_hw,
        place=np.array([place_of[record.name] for record in records], np.int64),
        class_id=np.array([NO_CLASS if r.class_id is None else r.class_id for r in records], np.int64),
        objects=annotations - crowds,
        crowds=crowds,
    )


def _annotations(records: tuple[ImageRecord, ...]) -> Iterator[tuple[int, Annotation]]:
    """Every annotation with the index of its image."""
    return ((index, annotation) for index, record in enumerate(records) for annotation in record.annotations)


def _objects(records: tuple[ImageRecord, ...], images: Images) -> Objects:
    count = int((images.objects + images.crowds).sum())
    image = np.zeros(count, np.int64)
    class_id = np.zeros(count, np.int64)
    crowd = np.zeros(count, bool)
    box_alone = np.zeros(count, bool)
    boxes_xyxy = np.zeros((count, 4))
    area_px = np.zeros(count)
    for row, (index, annotation) in enumerate(_annotations(records)):
        image[row], class_id[row], crowd[row] = index, annotation.class_id, annotation.iscrowd
        box_alone[row] = not annotation.segmentation
        boxes_xyxy[row], area_px[row] = annotation.box_xyxy, annotation.area_px
    box_px = np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None).prod(axis=1)
    image_hw = images.size_hw[image].astype(np.float64)
    image_hw[image_hw == 0] = np.nan
    return Objects(
        image=image,
        class_id=class_id,
        crowd=crowd,
        box_alone=box_alone,
        boxes_xyxy=boxes_xyxy,
        area_px=np.where(box_alone, box_px, area_px),
        image_hw=image_hw,
    )


def _torn_groups(records: tuple[ImageRecord, ...], place_of: Mapping[str, int], splits: int) -> tuple[str, ...]:
    """Groups with images in more than one split; where an image is left out, nothing leaks."""
    first: dict[str, int] = {}
    torn = {}
    for record in records:
        place = place_of[record.name]
        if record.group is not None and place < splits and first.setdefault(record.group, place) != place:
            torn[record.group] = True
    return tuple(torn)


def _maker(annotation: Annotation) -> str | None:
    """Who made an annotation, where it tells."""
    told = annotation.attributes.get(PROVENANCE)
    return told if isinstance(told, str) else None
