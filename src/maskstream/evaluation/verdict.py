"""What every judge gives, whatever it judges: figures, the same figures of any choice of its images, and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Metrics = dict[str, float | int | str]
"""Flat keys and plain values, as `metrics.json` holds them."""

Value = str | int | float | None
"""A cell of a table; None where the value is not defined."""

ImageRow = dict[str, Value]
"""What is known of one image, by column."""

Positions = NDArray[np.int64]
"""Images of a judge by their place in the order they were added; one may occur several times, or never."""


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV table: its file's name without the ending, columns, and rows of as many cells."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.name}: every row must have {len(self.columns)} cells")

    @classmethod
    def of(cls, name: str, rows: Sequence[Mapping[str, Value]], columns: Sequence[str] = ()) -> Table:
        """A table of rows by column; columns in the order of their first appearance, `columns` before all others."""
        names = tuple(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
        return cls(name, names, tuple(tuple(row.get(key) for key in names) for row in rows))


class Verdict(Protocol):
    """A judge of the images that it was given."""

    def metrics(self) -> Metrics:
        """All figures of all images. DatasetError: there is no image."""
        ...

    def headline(self, images: Positions) -> dict[str, float]:
        """The headline figures of a choice of images, under the keys of `metrics`; what they do not define is left out.

        Of all images, each once, they are those of `metrics`. Resampling, slices and comparisons are made of this.
        """
        ...

    def image_rows(self) -> list[ImageRow]:
        """What was measured on each image, in the order they were added."""
        ...

    def tables(self) -> list[Table]:
        """Curves, counts and what else is more than one number."""
        ...
