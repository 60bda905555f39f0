"""The segmentation of an entry of COCO's JSON: run-length codes, compressed or not, or polygons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from maskstream.core import masks
from maskstream.core.masks import Rle
from maskstream.data.records import Polygons
from maskstream.errors import DatasetError


class RunLengths(Protocol):
    """Run-length codes as a file gives them: the size, and the runs as COCO's string or as their lengths."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""

    @property
    def counts(self) -> str | list[int]:
        """The runs, column-major, zeros first."""


def read_segmentation(
    segmentation: RunLengths | Sequence[Sequence[float]], size_hw: tuple[int, int] | None, place: str
) -> Rle | Polygons:
    """Check a segmentation, and bring it into the form that `Annotation` keeps.

    Parameters
    ----------
    size_hw : of its image; None where nobody states it.
    place : of the segmentation, for errors.

    Raises
    ------
    DatasetError : the runs are of another size than the image or do not fill it, or a polygon has half a point.
    """
    if not isinstance(segmentation, Sequence):
        return _rle(segmentation, size_hw, place)
    for index, numbers in enumerate(segmentation):
        if len(numbers) % 2:
            raise DatasetError(
                f"{place}[{index}]",
                expected="pairs of x, y",
                found=f"{len(numbers)} numbers",
                remedy="correct the polygon",
            )
    return tuple(np.array(numbers, np.float64).reshape(-1, 2) for numbers in segmentation)


def _rle(rle: RunLengths, size_hw: tuple[int, int] | None, place: str) -> Rle:
    if size_hw is not None and rle.size != size_hw:
        raise DatasetError(
            f"{place}.size",
            expected=f"the image's height and width {list(size_hw)}",
            found=str(list(rle.size)),
            remedy="correct the size",
        )
    try:
        if not isinstance(rle.counts, str):
            return masks.from_runs(rle.counts, rle.size)
        kept: Rle = {"size": list(rle.size), "counts": rle.counts}
        masks.to_runs(kept)
    except ValueError as error:
        raise DatasetError(
            f"{place}.counts", expected="runs that fill the image", found=str(error), remedy="restore the mask"
        ) from error
    return kept
