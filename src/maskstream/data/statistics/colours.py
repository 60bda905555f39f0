"""Colours inside the masks of each class, and outside all of them, as histograms of every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.data.records import ImageRecord, size_mismatch

LEVELS = 256
"""Values of a channel."""

_BLOCK_PX = 1 << 24
"""OpenCV counts in float32, which knows every whole number up to here."""


@dataclass(frozen=True, slots=True, eq=False)
class ColourHistogram:
    """How many pixels have each value of red, green and blue.

    Attributes
    ----------
    counts : (3, 256) int64; each channel counts every pixel once.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, LEVELS), np.int64))

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return int(self.counts[0].sum())

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean red, green and blue, (3,), 0..255; NaN without pixels."""
        if not self.pixels:
            return np.full(3, np.nan)
        return np.asarray(self.counts @ np.arange(LEVELS) / self.pixels)

    @property
    def spread(self) -> NDArray[np.float64]:
        """Standard deviation of red, green and blue over the pixels, (3,); NaN without pixels."""
        if not self.pixels:
            return np.full(3, np.nan)
        deviations = np.arange(LEVELS)[None, :] - self.mean[:, None]
        return np.asarray(np.sqrt((self.counts * deviations**2).sum(axis=1) / self.pixels))

    def shares(self, bins: int) -> NDArray[np.float64]:
        """Share of the pixels in each of `bins` equal ranges, (3, bins); `bins` divides 256. 0 without pixels."""
        coarse = self.counts.reshape(3, bins, LEVELS // bins).sum(axis=2)
        return np.asarray(coarse / max(self.pixels, 1))


@dataclass(frozen=True, slots=True, eq=False)
class ImageColours:
    """The colours of one image.

    Attributes
    ----------
    objects : counts (3, 256) inside the masks of each class; a pixel of two objects counts for both. Crowds are not
        in it.
    background : counts outside every object and crowd; None where only the box of an object is known.
    whole : counts of all pixels, for an image that has a class as a whole.
    """

    objects: dict[int, NDArray[np.int64]]
    background: NDArray[np.int64] | None
    whole: NDArray[np.int64] | None

    @classmethod
    def of(cls, record: ImageRecord, image: NDArray[np.uint8]) -> ImageColours:
        """Count the colours of `image` (h, w, 3).

        Raises
        ------
        DatasetError : a mask is of another size than the image.
        """
        size_hw = image.shape[0], image.shape[1]
        objects: dict[int, NDArray[np.int64]] = {}
        covered = np.zeros(size_hw, bool)
        for annotation in record.annotations:
            segmentation = annotation.segmentation
            if isinstance(segmentation, dict) and tuple(segmentation["size"]) != size_hw:
                raise size_mismatch(record.path, expected_hw=tuple(segmentation["size"]), found_hw=size_hw)
            mask = annotation.mask(size_hw)
            covered[mask.slices] |= mask.bitmap
            if not annotation.iscrowd:
                counts = count_colours(image[mask.slices], mask.bitmap)
                objects[annotation.class_id] = objects.get(annotation.class_id, 0) + counts
        boxes_alone = any(not annotation.segmentation for annotation in record.annotations)
        return cls(
            objects=objects,
            background=None if boxes_alone else count_colours(image, ~covered),
            whole=count_colours(image) if record.class_id is not None else None,
        )


def count_colours(image: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Pixels of `image` (h, w, 3), inside `mask` (h, w), with each value of each channel: (3, 256)."""
    counts = np.zeros((3, LEVELS), np.int64)
    height, width = image.shape[:2]
    if not height * width:
        return counts
    rows = max(1, _BLOCK_PX // width)
    for top in range(0, height, rows):
        block = np.ascontiguousarray(image[top : top + rows])
        inside = None if mask is None else np.ascontiguousarray(mask[top : top + rows]).view(np.uint8)
        for channel in range(3):
            found = cv2.calcHist([block], [channel], inside, [LEVELS], [0, LEVELS])
            counts[channel] += found.ravel().astype(np.int64)
    return counts


@dataclass(frozen=True, slots=True, eq=False)
class Colours:
    """The colours of many images.

    Attributes
    ----------
    objects : pixels inside the masks of each class, by class id.
    images : pixels of the images that are of a class as a whole, by class id.
    background : pixels outside every object.
    images_read : how many images were read for it.
    """

    objects: tuple[ColourHistogram, ...]
    images: tuple[ColourHistogram, ...]
    background: ColourHistogram
    images_read: int

    @property
    def of_classes(self) -> tuple[ColourHistogram, ...]:
        """What a class looks like: its objects where any has a mask, else the images of the class."""
        return self.objects if any(histogram.pixels for histogram in self.objects) else self.images


class ColourSums:
    """Adds up the colours of image after image; its size depends on the number of classes alone."""

    def __init__(self, classes: int) -> None:
        self._objects = np.zeros((classes, 3, LEVELS), np.int64)
        self._images = np.zeros((classes, 3, LEVELS), np.int64)
        self._background = np.zeros((3, LEVELS), np.int64)
        self._images_read = 0

    def add(self, record: ImageRecord, colours: ImageColours) -> None:
        """Add one image."""
        for class_id, counts in colours.objects.items():
            self._objects[class_id] += counts
        if colours.background is not None:
            self._background += colours.background
        if colours.whole is not None:
            self._images[record.class_id] += colours.whole
        self._images_read += 1

    def total(self) -> Colours:
        """What was added so far."""
        return Colours(
            tuple(_histograms(self._objects)),
            tuple(_histograms(self._images)),
            ColourHistogram(self._background.copy()),
            self._images_read,
        )


def _histograms(counts: Iterable[NDArray[np.int64]]) -> Iterator[ColourHistogram]:
    return (ColourHistogram(each.copy()) for each in counts)
