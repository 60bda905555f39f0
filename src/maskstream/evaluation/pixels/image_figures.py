"""Pixel and boundary figures of single images, and the same of any choice of them in no time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.evaluation.pixels.boundary import boundary_f, hausdorff95_px
from maskstream.evaluation.pixels.pixel import JACCARD_THRESHOLD, Overlap, overlap_of
from maskstream.evaluation.verdict import ImageRow, Positions

MEANS = (
    "mean_jaccard",
    "thresholded_jaccard",
    "mean_dice",
    "share_below_065",
    "mean_sensitivity",
    "mean_specificity",
    "mean_accuracy",
    "mean_boundary_f",
    "mean_hausdorff95_px",
)
POOLED = ("pooled_jaccard", "pooled_dice", "pooled_sensitivity", "pooled_specificity", "pooled_accuracy")
FIGURES = MEANS + POOLED
"""The figures of `PixelCounts`, in their order."""

_NOT_ALWAYS_DEFINED = ("mean_sensitivity", "mean_specificity", "mean_hausdorff95_px")


@dataclass(frozen=True, slots=True)
class ImageFigures:
    """What was measured on one image.

    Attributes
    ----------
    overlap : counts of its pixels.
    boundary_f : 0..1, see `evaluation.pixels.boundary`.
    hausdorff95_px : in pixels; None where nothing is there or nothing was found.
    """

    overlap: Overlap
    boundary_f: float
    hausdorff95_px: float | None

    def row(self) -> ImageRow:
        """The columns of the table `images`."""
        return {
            "jaccard": self.overlap.jaccard,
            "dice": self.overlap.dice,
            "sensitivity": self.overlap.sensitivity,
            "specificity": self.overlap.specificity,
            "accuracy": self.overlap.accuracy,
            "boundary_f": self.boundary_f,
            "hausdorff95_px": self.hausdorff95_px,
        }


def image_figures(truth: Sequence[CroppedMask], found: Sequence[CroppedMask], size_hw: tuple[int, int]) -> ImageFigures:
    """Compare the union of the true masks with the union of the found ones in an image of `size_hw`.

    Raises
    ------
    MissingDependency : SciPy is not installed.
    """
    return figures_of(masks.union(truth, size_hw), masks.union(found, size_hw))


def figures_of(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> ImageFigures:
    """Compare two masks of one image, (h, w) each. MissingDependency: SciPy is not installed."""
    return ImageFigures(overlap_of(truth, found), boundary_f(truth, found), hausdorff95_px(truth, found))


class PixelCounts:
    """The figures of many images as arrays, ready for any choice of them.

    Means are over images, each counting once; an image that does not define a figure (a sensitivity without a true
    pixel, a specificity without another one, a Hausdorff distance without two outlines) is left out of its mean, and
    `counts` says how many are in it. Pooled figures are of the pixels of all images as if they were one.

    Parameters
    ----------
    empty_images : whether an image in which nothing is there and nothing was found counts in the means, as one that is
        right. Among the images of a class most may be such, and they would flatter a model that never names the class.
    """

    def __init__(self, *, empty_images: bool = True) -> None:
        self._empty_images = empty_images
        self._rows: list[tuple[float, ...]] = []
        self._table: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, image: ImageFigures) -> None:
        """Take the next image."""
        pixels = image.overlap
        values: tuple[float | None, ...] = (
            pixels.jaccard,
            pixels.thresholded_jaccard,
            pixels.dice,
            float(pixels.jaccard < JACCARD_THRESHOLD),
            pixels.sensitivity,
            pixels.specificity,
            pixels.accuracy,
            image.boundary_f,
            image.hausdorff95_px,
        )
        if not self._empty_images and not pixels.truth_px and not pixels.found_px:
            values = (None,) * len(MEANS)
        defined = (float(value is not None) for value in values)
        sizes = (pixels.common_px, pixels.truth_px, pixels.found_px, pixels.image_px)
        self._rows.append((*(value or 0.0 for value in values), *defined, *sizes))
        self._table = None

    def figures(self, images: Positions | None = None, suffix: str = "") -> dict[str, float]:
        """`FIGURES` of a choice of images, with `suffix` behind them; what it does not define is left out.

        Parameters
        ----------
        images : their places in the order they were added, with repeats; None: all, each once.
        """
        sums = self._sums(images)
        values, defined, sizes = sums[: len(MEANS)], sums[len(MEANS) : 2 * len(MEANS)], sums[2 * len(MEANS) :]
        figures = {key: value / n for key, value, n in zip(MEANS, values, defined, strict=True) if n}
        figures |= _pooled(Overlap(*(int(size) for size in sizes)))
        return {f"{key}{suffix}": value for key, value in figures.items()}

    def counts(self, suffix: str = "") -> dict[str, int]:
        """How many of all images are in the means: `n_in_mean` in most, `n_in_KEY` in those that not all define."""
        defined = dict(zip(MEANS, self._sums(None)[len(MEANS) : 2 * len(MEANS)], strict=True))
        counts = {"n_in_mean": defined["mean_jaccard"]}
        counts |= {f"n_in_{key}": defined[key] for key in _NOT_ALWAYS_DEFINED}
        return {f"{key}{suffix}": int(n) for key, n in counts.items()}

    def _sums(self, images: Positions | None) -> list[float]:
        """Each column of the table, added up over the images."""
        if self._table is None:
            self._table = np.array(self._rows, np.float64).reshape(len(self._rows), 2 * len(MEANS) + 4)
        if images is None:
            times = np.ones(len(self._rows))
        else:
            times = np.bincount(images, minlength=len(self._rows)).astype(np.float64)
        sums: list[float] = (times @ self._table).tolist()
        return sums


def _pooled(total: Overlap) -> dict[str, float]:
    """Figures of all pixels; without Jaccard and Dice where none of them is there or found."""
    figures: dict[str, float | None] = {
        "pooled_jaccard": total.jaccard if total.truth_px or total.found_px else None,
        "pooled_dice": total.dice if total.truth_px or total.found_px else None,
        "pooled_sensitivity": total.sensitivity,
        "pooled_specificity": total.specificity,
        "pooled_accuracy": total.accuracy if total.image_px else None,
    }
    return {key: value for key, value in figures.items() if value is not None}
