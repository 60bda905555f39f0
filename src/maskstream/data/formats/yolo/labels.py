"""The lines of YOLO's label files: `class x1 y1 x2 y2 ...` for a polygon, `class cx cy w h` for a box.

Coordinates are shares of the image's width and height. https://docs.ultralytics.com/datasets/segment/
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskstream.core.polygons import Ring
from maskstream.data.records import Annotation
from maskstream.errors import DatasetError

BOX_ONLY = {"yolo": {"box_only": True}}
"""Attributes of an object of which the label file states no outline."""

OUTSIDE = 0.01
"""Share of the image by which a coordinate may lie outside; more is no rounding but another unit, such as pixels."""

DECIMALS = 12
"""Of the coordinates written: exact to 1e-6 pixels for images of up to two million pixels a side."""

PIXEL_DECIMALS = 6
"""Of the coordinates read, in pixels: takes away what the division by the image's size has added, so that an edge
through the centres of pixels stays there."""

BOX_NUMBERS, FEWEST_POLYGON_NUMBERS = 4, 6


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """One line of a label file.

    Attributes
    ----------
    place : file and line, for messages.
    class_number : as the file has it.
    coordinates : shares of width and height by turns: centre, width and height of a box, or points of a polygon.
    """

    place: str
    class_number: int
    coordinates: NDArray[np.float64]


def read_labels(path: Path) -> list[Label]:
    """The objects of a label file, blank lines passed over.

    Raises
    ------
    DatasetError : the file cannot be read or is no text, or a line is no box and no polygon.
    """
    lines = _text(path).splitlines()
    return [_label(f"{path}: line {number}", line) for number, line in enumerate(lines, start=1) if line.strip()]


def looks_like_labels(path: Path) -> bool:
    """Whether a text file is empty or begins with a label, as far as its form goes."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline(1 << 20).split()
            return len(first) not in {1, 2, 3, 4} and not _numbers(first)[1]
    except (OSError, UnicodeDecodeError):
        return False


def annotation(label: Label, class_id: int, size_hw: tuple[int, int]) -> Annotation:
    """The object of a label in an image of `size_hw`; without polygon where there is only a box."""
    pairs = label.coordinates.reshape(-1, 2)
    if len(label.coordinates) > BOX_NUMBERS:
        return Annotation.from_polygons(class_id, (_pixels(pairs, size_hw),), size_hw)
    centre, size = pairs
    (x1, y1), (x2, y2) = _pixels(np.array([centre - size / 2, centre + size / 2]), size_hw).tolist()
    return Annotation(class_id, (), (x1, y1, x2, y2), (x2 - x1) * (y2 - y1), attributes=dict(BOX_ONLY))


def _pixels(shares: Ring, size_hw: tuple[int, int]) -> Ring:
    return np.asarray(np.round(shares * size_hw[::-1], PIXEL_DECIMALS))


def polygon_line(class_id: int, ring: Ring, size_hw: tuple[int, int]) -> str:
    """The line of a polygon of three points or more, in pixels."""
    return _line(class_id, (ring / size_hw[::-1]).ravel())


def box_line(class_id: int, box_xyxy: tuple[float, float, float, float], size_hw: tuple[int, int]) -> str:
    """The line of a box, in pixels."""
    first, last = np.array(box_xyxy).reshape(2, 2) / size_hw[::-1]
    return _line(class_id, np.concatenate([(first + last) / 2, last - first]))


def _line(class_id: int, numbers: NDArray[np.float64]) -> str:
    return " ".join([str(class_id), *(f"{number:.{DECIMALS}f}".rstrip("0").rstrip(".") for number in numbers.tolist())])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "an error") if isinstance(error, OSError) else "bytes that are none"
        raise DatasetError(path, expected="text in UTF-8", found=reason.lower(), remedy="restore the file") from error


def _label(place: str, line: str) -> Label:
    words = line.split()
    numbers, strange = _numbers(words)
    if strange:
        raise DatasetError(place, expected="numbers", found=repr(strange[:40]), remedy="correct the line")
    if numbers[0] < 0 or numbers[0] != int(numbers[0]):
        raise DatasetError(
            place, expected="a class id of 0 or more, a whole number", found=words[0], remedy="correct the class"
        )
    coordinates = np.array(numbers[1:])
    is_polygon = len(coordinates) >= FEWEST_POLYGON_NUMBERS and len(coordinates) % 2 == 0
    if not is_polygon and len(coordinates) != BOX_NUMBERS:
        raise DatasetError(
            place,
            expected="5 numbers (class and box), or an odd number of 7 or more (class and polygon)",
            found=str(len(numbers)),
            remedy="complete the line; a score at its end must go",
        )
    _check_range(place, coordinates)
    return Label(place, int(numbers[0]), coordinates)


def _numbers(words: list[str]) -> tuple[list[float], str | None]:
    """The words as finite numbers, and the first that is none."""
    numbers: list[float] = []
    for word in words:
        try:
            number = float(word)
        except ValueError:
            return numbers, word
        if not math.isfinite(number) or "_" in word:
            return numbers, word
        numbers.append(number)
    return numbers, None


def _check_range(place: str, coordinates: NDArray[np.float64]) -> None:
    outside = (coordinates < -OUTSIDE) | (coordinates > 1 + OUTSIDE)
    if outside.any():
        raise DatasetError(
            place,
            expected="coordinates as shares of the image, 0 to 1",
            found=f"{coordinates[outside][0]:g}",
            remedy="divide x by the image's width and y by its height",
        )
    if len(coordinates) == BOX_NUMBERS and coordinates[2:].min() < 0:
        raise DatasetError(
            place,
            expected="a box's width and height of 0 or more",
            found=f"{coordinates[2:].min():g}",
            remedy="correct the line",
        )
