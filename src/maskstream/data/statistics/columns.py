"""The images and objects of a dataset as columns of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_CLASS = -1


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """One entry an image, in the dataset's order.

    Attributes
    ----------
    size_hw : (n, 2) int64, height and width in pixels; 0 where the labels do not tell and the file cannot.
    place : (n,) int64, index into `DatasetStatistics.places`.
    class_id : (n,) int64, class of the image as a whole; -1 for none.
    objects, crowds : (n,) int64, how many it holds.
    """

    size_hw: NDArray[np.int64]
    place: NDArray[np.int64]
    class_id: NDArray[np.int64]
    objects: NDArray[np.int64]
    crowds: NDArray[np.int64]

    def distinct_sizes(self) -> list[tuple[tuple[int, int], int]]:
        """Height and width with the number of such images, most frequent first; unknown sizes are not in it."""
        known = self.size_hw[self.size_hw.all(axis=1)]
        sizes, counts = np.unique(known, axis=0, return_counts=True)
        found = [((int(height), int(width)), int(count)) for (height, width), count in zip(sizes, counts, strict=True)]
        return sorted(found, key=lambda entry: -entry[1])


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """One entry an annotation, in the order of images and annotations; crowds are among them.

    Attributes
    ----------
    image : (n,) int64, index of the image.
    class_id : (n,) int64.
    crowd : (n,) bool.
    box_alone : (n,) bool, whether there is no mask.
    boxes_xyxy : (n, 4) float64, pixels.
    area_px : (n,) float64, as the labels state it; that of the box where there is no mask.
    image_hw : (n, 2) float64, size of the image; NaN where it is not known.
    """

    image: NDArray[np.int64]
    class_id: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    box_alone: NDArray[np.bool_]
    boxes_xyxy: NDArray[np.float64]
    area_px: NDArray[np.float64]
    image_hw: NDArray[np.float64]

    @property
    def area_share(self) -> NDArray[np.float64]:
        """Area as a share of the image, (n,); NaN where the image's size is not known."""
        return np.asarray(self.area_px / self.image_hw.prod(axis=1))

    @property
    def equivalent_diameter_px(self) -> NDArray[np.float64]:
        """Diameter of the disc of the same area, (n,): 2 sqrt(A / pi)."""
        return np.asarray(2 * np.sqrt(self.area_px / np.pi))

    @property
    def aspect(self) -> NDArray[np.float64]:
        """Width of the box over its height, (n,); NaN for a box without width or height."""
        width, height = (self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]).T
        proper = (width > 0) & (height > 0)
        return np.asarray(np.divide(width, height, out=np.full(len(width), np.nan), where=proper))

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centre of the box, (n, 2) of x, y as shares of the image's width and height; NaN for an unknown size."""
        return np.asarray((self.boxes_xyxy[:, :2] + self.boxes_xyxy[:, 2:]) / 2 / self.image_hw[:, ::-1])
