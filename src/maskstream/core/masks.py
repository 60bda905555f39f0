"""Masks cropped to their boxes, and their conversion to dense arrays, COCO RLE and polygons.

A dense (n, h, w) array of many objects on 4K video takes hundreds of megabytes, so a mask is kept as
a small boolean bitmap and the place of its top left pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core import boxes


class Rle(TypedDict):
    """COCO's compressed run-length encoding; `size` is [height, width]."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True, eq=False)
class CroppedMask:
    """A boolean mask kept only inside its box.

    Attributes
    ----------
    bitmap : ndarray of shape (h, w), bool; may be (0, 0) for an empty mask.
    x0, y0 : column and row of the bitmap's top left pixel in the image.
    """

    bitmap: NDArray[np.bool_]
    x0: int
    y0: int

    @property
    def area_px(self) -> int:
        """Number of pixels of the object."""
        return int(np.count_nonzero(self.bitmap))

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices of the bitmap in the image."""
        height, width = self.bitmap.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)

    def dense(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask as a boolean array of the image's size."""
        full = np.zeros(size_hw, bool)
        full[self.slices] = self.bitmap
        return full


EMPTY = CroppedMask(np.zeros((0, 0), bool), 0, 0)

MOST_CHARACTERS = 8
"""Of a run in compressed RLE: 2^39 pixels, more than any image has."""


def crop(mask: NDArray[np.bool_]) -> CroppedMask:
    """Crop a dense boolean mask (h, w) to its tight box."""
    x1, y1, x2, y2 = boxes.from_mask(mask).astype(int)
    return CroppedMask(np.ascontiguousarray(mask[y1:y2, x1:x2]), int(x1), int(y1))


def union(masks: Sequence[CroppedMask], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels that belong to any of the masks, as a dense boolean array of `size_hw`."""
    full = np.zeros(size_hw, bool)
    for mask in masks:
        full[mask.slices] |= mask.bitmap
    return full


def intersection_px(a: CroppedMask, b: CroppedMask) -> int:
    """Number of pixels that both masks hold."""
    top, left = max(a.y0, b.y0), max(a.x0, b.x0)
    bottom = min(a.y0 + a.bitmap.shape[0], b.y0 + b.bitmap.shape[0])
    right = min(a.x0 + a.bitmap.shape[1], b.x0 + b.bitmap.shape[1])
    if bottom <= top or right <= left:
        return 0
    part_a = a.bitmap[top - a.y0 : bottom - a.y0, left - a.x0 : right - a.x0]
    part_b = b.bitmap[top - b.y0 : bottom - b.y0, left - b.x0 : right - b.x0]
    return int(np.count_nonzero(part_a & part_b))


def iou(a: CroppedMask, b: CroppedMask) -> float:
    """Intersection over union of two masks; 0.0 when both are empty."""
    common = intersection_px(a, b)
    total = a.area_px + b.area_px - common
    return common / total if total else 0.0


def to_rle(mask: CroppedMask, size_hw: tuple[int, int]) -> Rle:
    """Encode as COCO's compressed RLE: column-major runs, zeros first.

    Source of the format: `rleToString` in cocoapi's `common/maskApi.c`.
    """
    height, width = size_hw
    padded = np.zeros((mask.bitmap.shape[1], mask.bitmap.shape[0] + 2), np.int8)
    padded[:, 1:-1] = mask.bitmap.T
    steps = np.diff(padded, axis=1)
    columns, rises = np.nonzero(steps == 1)
    _, falls = np.nonzero(steps == -1)
    offsets = (columns + mask.x0) * height + mask.y0
    starts, ends = offsets + rises, offsets + falls
    # a run that reaches the bottom of the image goes on at the top of the next column
    joined = starts[1:] == ends[:-1]
    starts = np.delete(starts, np.flatnonzero(joined) + 1)
    ends = np.delete(ends, np.flatnonzero(joined))
    edges = np.column_stack([starts, ends]).ravel()
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    return {"size": [height, width], "counts": _compress(counts.tolist())}


def from_rle(rle: Rle) -> CroppedMask:
    """Decode COCO's compressed RLE.

    Raises
    ------
    ValueError : the runs do not add up to the size.
    """
    height, _ = rle["size"]
    edges = np.cumsum(_runs(rle))
    starts, ends = edges[:-1:2], edges[1::2]
    filled = ends > starts
    starts, ends = starts[filled], ends[filled]
    if not len(starts):
        return EMPTY
    # only the columns that hold the object are made dense
    x0, x1 = int(starts[0]) // height, (int(ends[-1]) - 1) // height + 1
    steps = np.concatenate([[x0 * height], np.column_stack([starts, ends]).ravel(), [x1 * height]])
    window = np.repeat(np.arange(len(steps) - 1) % 2 == 1, np.diff(steps)).reshape(x1 - x0, height)
    rows = np.flatnonzero(window.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return CroppedMask(np.ascontiguousarray(window[:, y0:y1].T), x0, y0)


def to_runs(rle: Rle) -> list[int]:
    """Lengths of the column-major runs, zeros first: COCO's uncompressed RLE.

    Raises
    ------
    ValueError : the runs do not add up to the size.
    """
    runs: list[int] = _runs(rle).tolist()
    return runs


def from_runs(runs: Sequence[int], size_hw: tuple[int, int]) -> Rle:
    """Compress the runs of `to_runs`.

    Raises
    ------
    ValueError : the runs do not add up to the size.
    """
    height, width = size_hw
    _check_runs(min(runs, default=0), sum(runs), height, width)
    return {"size": [height, width], "counts": _compress(runs)}


def _runs(rle: Rle) -> NDArray[np.int64]:
    """Lengths of the runs, checked."""
    height, width = rle["size"]
    runs = _decompress(rle["counts"])
    _check_runs(int(runs.min(initial=0)), int(runs.sum()), height, width)
    return runs


def _check_runs(shortest: int, total: int, height: int, width: int) -> None:
    if shortest < 0:
        raise ValueError("an RLE run of negative length")
    if total != height * width:
        raise ValueError(f"RLE runs add up to {total}, expected {height} x {width}")


def _compress(counts: Sequence[int]) -> str:
    characters = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            characters.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(characters)


def _decompress(text: str) -> NDArray[np.int64]:
    codes = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int64) - 48
    if len(codes) and not 0 <= codes.min() <= codes.max() < 64:
        raise ValueError("an RLE with a character that stands for no run")
    ends = np.flatnonzero(codes < 0x20)
    if not len(ends):
        return np.zeros(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= MOST_CHARACTERS:
        raise ValueError("an RLE with a run longer than any image")
    codes = codes[: ends[-1] + 1]
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((codes & 0x1F) << (5 * place), starts)
    values -= np.where(codes[ends] & 0x10, 1 << (5 * (ends - starts + 1)), 0)
    # from the fourth on a run is stored as its difference from the one before the last
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def from_polygons(polygons: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> CroppedMask:
    """Rasterise polygons, each (k, 2) of x, y in pixels; overlaps follow the even-odd rule (holes).

    A pixel belongs to the object when its centre lies inside. OpenCV's `fillPoly` is no help here: it
    paints every pixel that the outline touches, which makes a disc of 40 pixels 6 % too large.
    """
    rings = [polygon for polygon in polygons if len(polygon) >= 3]
    if not rings:
        return EMPTY
    times, x0, y0 = _winding(rings, size_hw)
    inside = crop(times % 2 == 1)
    return CroppedMask(inside.bitmap, inside.x0 + x0, inside.y0 + y0) if inside.bitmap.size else EMPTY


def overlapped_px(ring: NDArray[np.float64], size_hw: tuple[int, int]) -> int:
    """Pixels of an image that a ring (k, 2) of three points or more runs around twice, or the other way round.

    None of a ring that does not cross itself; of a bow tie those of the smaller wing.
    """
    times, _, _ = _winding([ring], size_hw)
    return int(min(np.count_nonzero((times != 0) & (times != way)) for way in (1, -1)))


def _winding(rings: Sequence[NDArray[np.float64]], size_hw: tuple[int, int]) -> tuple[NDArray[np.int32], int, int]:
    """How often rings run around each pixel's centre, one way less the other; left column and top row of the array."""
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    limit_xy = size_hw[::-1]
    x0, y0 = np.clip(np.floor(starts.min(axis=0)), 0, limit_xy).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(starts.max(axis=0)), 0, limit_xy).astype(int).tolist()
    rows, crossings_x, edges = _row_crossings(starts - (x0, y0), ends - (x0, y0), y1 - y0)
    columns = np.clip(np.ceil(crossings_x - 0.5), 0, x1 - x0).astype(np.intp)
    steps = np.zeros((y1 - y0, x1 - x0 + 1), np.int32)
    np.add.at(steps, (rows, columns), np.where(ends[edges, 1] > starts[edges, 1], np.int32(1), np.int32(-1)))
    return np.cumsum(steps, axis=1, dtype=np.int32)[:, :-1], x0, y0


def _row_crossings(
    starts: NDArray[np.float64], ends: NDArray[np.float64], height: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.intp]]:
    """Where edges (n, 2) cross the centre lines of the rows 0..height-1: the row, the x and the edge of each crossing.

    An edge owns its upper end and not its lower one, so that a closed ring crosses every line an even
    number of times.
    """
    lower, upper = np.minimum(starts[:, 1], ends[:, 1]), np.maximum(starts[:, 1], ends[:, 1])
    first = np.clip(np.ceil(lower - 0.5), 0, height).astype(np.intp)
    counts = np.clip(np.ceil(upper - 0.5), 0, height).astype(np.intp) - first
    edges = np.repeat(np.arange(len(starts)), counts)
    rows = np.arange(len(edges)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    start, step = starts[edges], (ends - starts)[edges]
    return rows, start[:, 0] + (rows + 0.5 - start[:, 1]) / step[:, 1] * step[:, 0], edges


def to_contours(mask: CroppedMask) -> list[NDArray[np.int32]]:
    """Outlines for drawing, holes included: each (k, 2) of x, y pixel centres in the image."""
    if mask.bitmap.size == 0:
        return []
    found, _ = cv2.findContours(
        mask.bitmap.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(mask.x0, mask.y0)
    )
    return [contour[:, 0, :].astype(np.int32) for contour in found]
