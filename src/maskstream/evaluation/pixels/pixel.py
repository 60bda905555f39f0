"""How well the pixels of what was found cover the pixels of what is there, for each image.

Definitions: P. Jaccard 1901 and L. R. Dice 1945 on sets of pixels; the thresholded Jaccard and the mean
over images as in task 1 of the ISIC 2018 challenge (N. Codella et al., arXiv:1902.03368).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask

JACCARD_THRESHOLD = 0.65
"""A Jaccard below this counts 0 in the thresholded Jaccard: the ISIC 2018 rule."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixel counts of one image.

    Attributes
    ----------
    common_px : pixels that are both found and true.
    truth_px : true pixels.
    found_px : found pixels.
    image_px : all pixels of the image, at least one.
    """

    common_px: int
    truth_px: int
    found_px: int
    image_px: int

    @property
    def jaccard(self) -> float:
        """Intersection over union, 0..1; 1.0 where there is nothing and nothing was found."""
        union_px = self.truth_px + self.found_px - self.common_px
        return self.common_px / union_px if union_px else 1.0

    @property
    def dice(self) -> float:
        """Twice the intersection over the sum of both areas, 0..1; 1.0 where both are empty."""
        total_px = self.truth_px + self.found_px
        return 2 * self.common_px / total_px if total_px else 1.0

    @property
    def thresholded_jaccard(self) -> float:
        """The Jaccard, or 0.0 where it is below `JACCARD_THRESHOLD`."""
        return self.jaccard if self.jaccard >= JACCARD_THRESHOLD else 0.0

    @property
    def sensitivity(self) -> float | None:
        """Share of the true pixels that were found, 0..1; None where nothing is there."""
        return self.common_px / self.truth_px if self.truth_px else None

    @property
    def specificity(self) -> float | None:
        """Share of the other pixels that were left alone, 0..1; None where the true pixels fill the image."""
        others_px = self.image_px - self.truth_px
        return (others_px - (self.found_px - self.common_px)) / others_px if others_px else None

    @property
    def accuracy(self) -> float:
        """Share of the pixels that are true and found, or neither, 0..1."""
        return (self.image_px - self.truth_px - self.found_px + 2 * self.common_px) / self.image_px


def overlap(truth: Sequence[CroppedMask], found: Sequence[CroppedMask], size_hw: tuple[int, int]) -> Overlap:
    """Compare the union of the true masks with the union of the found ones in an image of `size_hw`.

    An image in which nothing was found has a Jaccard and a Dice of 0 unless nothing is there.
    """
    return overlap_of(masks.union(truth, size_hw), masks.union(found, size_hw))


def overlap_of(truth: NDArray[np.bool_], found: NDArray[np.bool_], image_px: int | None = None) -> Overlap:
    """Compare two masks, (h, w) each, of an image, or of a part of it outside of which both are empty.

    `image_px`: pixels of the whole image; None: of the masks.
    """
    return Overlap(
        common_px=int(np.count_nonzero(truth & found)),
        truth_px=int(np.count_nonzero(truth)),
        found_px=int(np.count_nonzero(found)),
        image_px=truth.size if image_px is None else image_px,
    )
