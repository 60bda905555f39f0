"""How well the pixels of what was found cover the pixels of what is there, for each image.

Definitions: P. Jaccard 1901 and L. R. Dice 1945 on sets of pixels; the thresholded Jaccard and the mean
over images as in task 1 of the ISIC 2018 challenge (N. Codella et al., arXiv:1902.03368).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

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
    """

    common_px: int
    truth_px: int
    found_px: int

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


def overlap(truth: Sequence[CroppedMask], found: Sequence[CroppedMask], size_hw: tuple[int, int]) -> Overlap:
    """Compare the union of the true masks with the union of the found ones in an image of `size_hw`.

    An image in which nothing was found has a Jaccard and a Dice of 0 unless nothing is there.
    """
    truth_mask = masks.union(truth, size_hw)
    found_mask = masks.union(found, size_hw)
    return Overlap(
        common_px=int(np.count_nonzero(truth_mask & found_mask)),
        truth_px=int(np.count_nonzero(truth_mask)),
        found_px=int(np.count_nonzero(found_mask)),
    )


def pixel_metrics(overlaps: Iterable[Overlap]) -> dict[str, float]:
    """`mean_jaccard`, `thresholded_jaccard` and `mean_dice`: means over images, each image counting once.

    Raises
    ------
    ValueError : there is no image.
    """
    rows = [(image.jaccard, image.thresholded_jaccard, image.dice) for image in overlaps]
    if not rows:
        raise ValueError("pixel metrics need at least one image")
    jaccard, thresholded, dice = np.mean(rows, axis=0).tolist()
    return {"mean_jaccard": jaccard, "thresholded_jaccard": thresholded, "mean_dice": dice}
