"""One labelled image on its way into a network: pixels and truth, in network pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""Id where the label is not known."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image and what it shows; plain arrays, so that augmentation needs neither PyTorch nor its generators.

    Attributes
    ----------
    image : (H, W, 3) uint8 RGB.
    masks : (n, H, W) uint8, 0 or 1, one an object.
    class_ids : (n,) int64, 0-based.
    label_ids : (n,) int64, ids of the finer labels; `UNKNOWN` where only the class is known.
    content_hw : height and width of the part, from the top left corner, that the image fills; the rest is padding.
    image_class : class of the image as a whole, or `UNKNOWN`.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    class_ids: NDArray[np.int64]
    label_ids: NDArray[np.int64]
    content_hw: tuple[int, int]
    image_class: int = UNKNOWN

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]
