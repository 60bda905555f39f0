"""A few labelled objects of each class as small pictures, with their masks drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.masks import CroppedMask
from maskstream.core.parallel import ordered_map
from maskstream.data.dataset import Dataset
from maskstream.data.records import Annotation, ImageRecord
from maskstream.data.statistics.collect import DatasetStatistics
from maskstream.draw.overlay import OverlayStyle, draw_overlay
from maskstream.errors import MaskstreamError
from maskstream.reports.pictures import cut_around, jpeg_uri

CLASSES_SHOWN = 20
"""Classes with examples, the most frequent ones; the page names the others."""

EXAMPLES_A_CLASS = 6

_SIDE_PX = 320
_MASKS = OverlayStyle(fill_opacity=0.2, line_px=5, labels=False, boxes=False)
_BOXES = OverlayStyle(fill_opacity=0.0, line_px=5, labels=False)


@dataclass(frozen=True, slots=True)
class Example:
    """One picture of a class.

    Attributes
    ----------
    image : name of the image it is from.
    picture : the part of it around the object, as a `data:` address.
    area_share : area of the object as a share of the image; None for an image that is of the class as a whole.
    """

    image: str
    picture: Markup
    area_share: float | None


@dataclass(frozen=True, slots=True)
class _Choice:
    """What to show: an object of an image, or the image as a whole."""

    record: ImageRecord
    annotation: Annotation | None = None
    area_share: float | None = None


def class_examples(dataset: Dataset, statistics: DatasetStatistics, class_ids: Sequence[int]) -> list[list[Example]]:
    """Examples of each class, small objects first; those whose image cannot be read are left out.

    Each is from another image, of which it is the largest object of the class.
    """
    chosen = [_choose(dataset, statistics, class_id) for class_id in class_ids]
    drawn = ordered_map(_draw, [choice for choices in chosen for choice in choices])
    return [[example for _ in choices if (example := next(drawn)) is not None] for choices in chosen]


def _choose(dataset: Dataset, statistics: DatasetStatistics, class_id: int) -> list[_Choice]:
    """Objects evenly from the smallest to the largest; whole images where the class has no objects."""
    objects, images = statistics.objects, statistics.images
    lost = {*statistics.missing, *statistics.unreadable}
    readable = np.array([record.name not in lost for record in dataset.images], bool)
    rows = np.flatnonzero((objects.class_id == class_id) & ~objects.crowd & readable[objects.image])
    if not rows.size:
        indices = _evenly(np.flatnonzero((images.class_id == class_id) & readable))
        return [_Choice(dataset.images[index]) for index in indices]
    falling = rows[np.argsort(-objects.area_px[rows], kind="stable")]
    _, largest = np.unique(objects.image[falling], return_index=True)
    return [_object_choice(dataset, statistics, row) for row in _evenly(falling[np.sort(largest)[::-1]])]


def _object_choice(dataset: Dataset, statistics: DatasetStatistics, row: int) -> _Choice:
    """The annotation that a row of the objects stands for."""
    objects = statistics.objects
    record = dataset.images[int(objects.image[row])]
    first = int(np.searchsorted(objects.image, objects.image[row]))
    return _Choice(record, record.annotations[row - first], float(objects.area_share[row]))


def _evenly(values: NDArray[np.intp]) -> list[int]:
    """At most `EXAMPLES_A_CLASS` values, evenly from the first to the last."""
    places = np.linspace(0, len(values) - 1, min(len(values), EXAMPLES_A_CLASS))
    return [int(values[place]) for place in np.round(places).astype(int)]


def _draw(choice: _Choice) -> Example | None:
    record, annotation = choice.record, choice.annotation
    try:
        image = record.read_image()
    except MaskstreamError:
        return None
    if annotation is None:
        return Example(record.name, jpeg_uri(image, _SIDE_PX), None)
    size_hw = image.shape[0], image.shape[1]
    window = np.array(annotation.box_xyxy)
    cut = _resized(cut_around(image, window, size_hw))
    shown = [other for other in record.annotations if other.class_id == annotation.class_id and not other.iscrowd]
    pixels = [masks.crop(_resized(cut_around(_pixels(other, size_hw), window, size_hw)) > 127) for other in shown]
    found = _detections(
        annotation.class_id,
        [mask for mask in pixels if mask.area_px],
        (cut.shape[0], cut.shape[1]),
    )
    style = _MASKS if annotation.segmentation else _BOXES
    return Example(record.name, jpeg_uri(draw_overlay(cut, found, style=style), _SIDE_PX), choice.area_share)


def _pixels(annotation: Annotation, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """255 inside the mask, or inside the box where there is no mask, (h, w)."""
    if annotation.segmentation:
        return annotation.mask(size_hw).dense(size_hw).astype(np.uint8) * 255
    pixels = np.zeros(size_hw, np.uint8)
    x1, y1, x2, y2 = np.round(np.clip(annotation.box_xyxy, 0, None)).astype(int)
    pixels[y1:y2, x1:x2] = 255
    return pixels


def _resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The longest side becomes that of an example, so that lines are as wide in all of them."""
    scale = _SIDE_PX / max(image.shape[:2])
    size_wh = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(image), size_wh, interpolation=way), np.uint8)


def _detections(class_id: int, found: list[CroppedMask], size_hw: tuple[int, int]) -> Detections:
    """Labelled objects as what the overlay draws: each is certain, and of one class."""
    classes = tuple(map(str, range(class_id + 1)))
    boxes_xyxy = [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for m in found]
    return Detections(
        boxes_xyxy=np.array(boxes_xyxy, np.float32).reshape(-1, 4),
        masks=tuple(found),
        scores=np.ones(len(found), np.float32),
        probabilities=np.tile(np.eye(len(classes), dtype=np.float32)[class_id], (len(found), 1)),
        track_ids=np.full(len(found), NO_TRACK, np.int64),
        classes=classes,
        size_hw=size_hw,
    )
