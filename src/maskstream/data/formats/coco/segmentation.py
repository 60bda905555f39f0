"""The segmentation of an entry of COCO's JSON: run-length codes, compressed or not, or polygons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from maskstream.core import masks
from maskstream.core.masks import CroppedMask, Rle
from maskstream.data.records import Annotation, Polygons
from maskstream.errors import DatasetError

Given = TypeVar("Given")
Made = TypeVar("Made")


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
    if isinstance(segmentation, Sequence):
        return _polygons(segmentation, place)
    rle = _rle(segmentation, size_hw, place)
    if isinstance(segmentation.counts, str):
        _read(masks.to_runs, rle, place)
    return rle


def read_mask(
    segmentation: RunLengths | Sequence[Sequence[float]], size_hw: tuple[int, int], place: str
) -> CroppedMask:
    """The pixels of a segmentation; parameters and errors as those of `read_segmentation`."""
    if isinstance(segmentation, Sequence):
        return Annotation(0, _polygons(segmentation, place), (0.0, 0.0, 0.0, 0.0), 0.0).mask(size_hw)
    return _read(masks.from_rle, _rle(segmentation, size_hw, place), place)


def _polygons(polygons: Sequence[Sequence[float]], place: str) -> Polygons:
    for index, numbers in enumerate(polygons):
        if len(numbers) % 2:
            raise DatasetError(
                f"{place}[{index}]",
                expected="pairs of x, y",
                found=f"{len(numbers)} numbers",
                remedy="correct the polygon",
            )
    return tuple(np.array(numbers, np.float64).reshape(-1, 2) for numbers in polygons)


def _rle(runs: RunLengths, size_hw: tuple[int, int] | None, place: str) -> Rle:
    """The codes, compressed; not yet decoded where they were."""
    if size_hw is not None and runs.size != size_hw:
        raise DatasetError(
            f"{place}.size",
            expected=f"the image's height and width {list(size_hw)}",
            found=str(list(runs.size)),
            remedy="correct the size",
        )
    if isinstance(runs.counts, str):
        return {"size": list(runs.size), "counts": runs.counts}
    counts = runs.counts
    return _read(lambda size: masks.from_runs(counts, size), runs.size, place)


def _read(read: Callable[[Given], Made], given: Given, place: str) -> Made:
    try:
        return read(given)
    except ValueError as error:
        raise DatasetError(
            f"{place}.counts", expected="runs that fill the image", found=str(error), remedy="restore the mask"
        ) from error
