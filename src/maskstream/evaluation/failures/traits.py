"""What kind of image an image is, a column a trait: what figures are sliced by."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from maskstream.core.parallel import ordered_map
from maskstream.data.dataset import Dataset
from maskstream.data.records import Annotation, ImageRecord
from maskstream.media.images import read_colour_square

MOST_VALUES = 12
"""A text column with more values than this is a name rather than a kind, and is left out."""

QUARTILES, TERTILES = 4, 3

CENTRE_REACH = 0.25
"""An object is in the centre when its own centre is nearer to the image's than this share of the side, both ways."""

GREY = 0.03
"""Saturation below which a mean colour has no hue worth the name."""

_COLOUR_SIDE_PX = 64
"""Images are shrunk to this many pixels a side before their mean colour is taken."""

Column = list[str | None]
"""The value of each image; None where it has none."""


@dataclass(frozen=True, slots=True)
class Trait:
    """What kind each image is of, in one respect.

    Attributes
    ----------
    name : as tables name it.
    kinds : the values that there are, from low to high; of texts the most frequent first.
    column : the value of each image.
    """

    name: str
    kinds: tuple[str, ...]
    column: Column

    @classmethod
    def of_texts(cls, name: str, column: Column) -> Trait:
        """A trait whose values have no order."""
        counts = Counter(value for value in column if value is not None)
        return cls(name, tuple(sorted(counts, key=lambda value: (-counts[value], value))), column)

    def images(self, kind: str) -> list[int]:
        """Positions of the images of a kind."""
        return [position for position, value in enumerate(self.column) if value == kind]


def traits(dataset: Dataset, records: Sequence[ImageRecord]) -> list[Trait]:
    """The kinds of images in every respect, each value as text that says what it means.

    - `label`: the classes that the image shows, or its class as a whole.
    - `objects`: how many there are, crowds not counted.
    - `largest object`: its share of the image, in quarters of these images.
    - `position of the largest object`: touching the border, in the centre, or between.
    - `images in the group`: how many of these images are of its group, where there are groups.
    - `brightness`, `hue`: of the image's mean colour, in thirds of these images; grey has no hue.
    - `attribute/<key>`: numbers in quarters; texts with more than `MOST_VALUES` values are names, and left out.

    What is the same everywhere is left out as well.

    Raises
    ------
    SourceError, DatasetError : an image cannot be read.
    """
    largest = [_largest(record) for record in records]
    shares = [None if a is None else a.area_px / _pixels(r) for r, a in zip(records, largest, strict=True)]
    sizes = Counter(record.group for record in records)
    hsv = list(ordered_map(_mean_hsv, records))
    found = [
        Trait.of_texts("label", [_label(dataset, record) for record in records]),
        cut("objects", [float(_objects(record)) for record in records], QUARTILES, "{:g}"),
        cut("largest object", [None if s is None else 100 * s for s in shares], QUARTILES, "{:.2g} %", " of the image"),
        Trait.of_texts(
            "position of the largest object",
            [None if a is None else _position(a, r.size_hw) for r, a in zip(records, largest, strict=True)],
        ),
        cut(
            "images in the group",
            [float(sizes[record.group]) if record.group else None for record in records],
            QUARTILES,
            "{:g}",
        ),
        cut("brightness", [value for _, _, value in hsv], TERTILES, "{:.0f}", " of 255"),
        cut(
            "hue",
            [_red_at_0(hue) if saturation >= GREY else None for hue, saturation, _ in hsv],
            TERTILES,
            "{:.0f}",
            " degrees",
        ),
        *_attributes(records),
    ]
    return [trait for trait in found if len(trait.kinds) > 1]


def _attributes(records: Sequence[ImageRecord]) -> Iterator[Trait]:
    for key in dict.fromkeys(key for record in records for key in record.attributes):
        values = [record.attributes.get(key) for record in records]
        known = [value for value in values if value is not None]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
            yield cut(f"attribute/{key}", [None if v is None else float(v) for v in values], QUARTILES, "{:g}")
        elif all(isinstance(value, str | bool) for value in known) and len(set(known)) <= MOST_VALUES:
            yield Trait.of_texts(f"attribute/{key}", [None if v is None or v == "" else str(v) for v in values])


def cut(name: str, values: Sequence[float | None], parts: int, text: str, unit: str = "") -> Trait:
    """A trait of numbers: the numbers themselves where there are few, else the part of all of them that each is in.

    The parts hold about as many images each; equal numbers stay together, so that there may be fewer parts.

    Parameters
    ----------
    text : how a number is shown, a format string.
    unit : what follows the last number.
    """
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    known = numbers[np.isfinite(numbers)]
    distinct = np.unique(known)
    if len(distinct) <= parts:
        edges, kinds = distinct, [f"{text.format(value)}{unit}" for value in distinct]
    else:
        inner = np.quantile(known, np.linspace(0, 1, parts + 1)[1:-1], method="inverted_cdf")
        # an edge at the greatest number would leave nothing above; edges that read alike are one
        by_text = {text.format(edge): edge for edge in np.minimum(inner, distinct[-2])}
        edges, shown = np.array(list(by_text.values())), list(by_text)
        between = (f"above {low}, up to {high}{unit}" for low, high in itertools.pairwise(shown))
        kinds = [f"up to {shown[0]}{unit}", *between, f"above {shown[-1]}{unit}"]
    column = [kinds[int(np.searchsorted(edges, n))] if np.isfinite(n) else None for n in numbers]
    return Trait(name, tuple(dict.fromkeys(kinds)), column)


def _label(dataset: Dataset, record: ImageRecord) -> str:
    if record.class_id is not None and not record.annotations:
        return dataset.classes[record.class_id]
    shown = sorted({annotation.class_id for annotation in record.annotations})
    return " and ".join(dataset.classes[class_id] for class_id in shown) or "nothing"


def _objects(record: ImageRecord) -> int:
    return sum(not annotation.iscrowd for annotation in record.annotations)


def _largest(record: ImageRecord) -> Annotation | None:
    return max((a for a in record.annotations if not a.iscrowd), key=lambda a: a.area_px, default=None)


def _pixels(record: ImageRecord) -> int:
    return record.size_hw[0] * record.size_hw[1]


def _position(annotation: Annotation, size_hw: tuple[int, int]) -> str:
    x1, y1, x2, y2 = annotation.box_xyxy
    height, width = size_hw
    if x1 < 1 or y1 < 1 or x2 > width - 1 or y2 > height - 1:
        return "touching the border"
    return place_of((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)


def place_of(x: float, y: float) -> str:
    """Where a centre lies, from its place as shares of width and height."""
    return "in the centre" if max(abs(x - 0.5), abs(y - 0.5)) <= CENTRE_REACH else "between centre and border"


def _mean_hsv(record: ImageRecord) -> tuple[float, float, float]:
    """Hue in degrees, saturation 0..1 and value 0..255 of the image's mean colour."""
    small = read_colour_square(record.path, _COLOUR_SIDE_PX)
    mean = np.array([[cv2.mean(small)[:3]]], np.float32)
    hue, saturation, value = cv2.cvtColor(mean, cv2.COLOR_RGB2HSV)[0, 0].tolist()
    return hue, saturation, value


def _red_at_0(hue: float) -> float:
    """Degrees from -180 to 180, so that reds on both sides of 0 stay together."""
    return (hue + 180) % 360 - 180
