"""Boxes in the cells of a CSV row, in the forms that are in use."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskstream.data.csv_files import Row, Table, columns_of
from maskstream.errors import DatasetError

SIZED = (("x", "y", "width", "height"), ("x", "y", "w", "h"))
CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), ("x0", "y0", "x1", "y1"))
BOUNDS = ("bounds", "bbox", "box")
"""Columns of a box: corner and size, two corners, or both corners in one cell."""

HEADERLESS = (("image_id", "x", "y", "width", "height", "class_id"), ("image_id", "class", "bounds"))
"""What tables without a header hold; how many cells they have tells them apart."""

BoxXyxy = tuple[float, float, float, float]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class BoxCells:
    """Where a table keeps its boxes.

    Attributes
    ----------
    table : the table.
    columns : indices of the four columns of a box, or of the one that holds both corners.
    are_sizes : the last two of four are width and height.
    """

    table: Table
    columns: tuple[int, ...]
    are_sizes: bool

    @classmethod
    def of(cls, table: Table) -> BoxCells:
        """The columns of a table.

        Raises
        ------
        DatasetError : it has none for boxes.
        """
        for names in (*SIZED, *CORNERS):
            indices = [table.index(name) for name in names]
            found = tuple(index for index in indices if index is not None)
            if len(found) == len(names):
                return cls(table, found, names in SIZED)
        bounds = table.index(*BOUNDS)
        if bounds is None:
            raise DatasetError(
                table.place(1),
                expected="columns x, y, width and height, or bounds, or xmin, ymin, xmax and ymax",
                found=", ".join(table.columns),
                remedy="correct the header",
            )
        return cls(table, (bounds,), False)

    def box(self, row: Row) -> BoxXyxy | None:
        """The box of a row, degenerate or not; None where its cells are empty: the image shows nothing.

        Raises
        ------
        DatasetError : a cell is no finite number, or the bounds are not four numbers in parentheses.
        """
        cells = [row.cells[index].strip() for index in self.columns]
        if not any(cells):
            return None
        if len(self.columns) == 1:
            x0, y0, x1, y1 = self._bounds(row, cells[0])
            return x0, y0, x1, y1
        numbers = [self._number(row, index, cell) for index, cell in zip(self.columns, cells, strict=True)]
        x, y, third, fourth = numbers
        return (x, y, x + third, y + fourth) if self.are_sizes else (x, y, third, fourth)

    def _bounds(self, row: Row, cell: str) -> Sequence[float]:
        inside = cell[1:-1].split(",") if cell.startswith("(") and cell.endswith(")") else []
        if len(inside) != 4:
            raise DatasetError(
                self.table.place(row.line, self.table.columns[self.columns[0]]),
                expected='the corners of a box, such as "(278, 485, 349, 551)"',
                found=repr(cell),
                remedy="correct the row",
            )
        return [self._number(row, self.columns[0], part.strip()) for part in inside]

    def _number(self, row: Row, index: int, text: str) -> float:
        if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
            raise DatasetError(
                self.table.place(row.line, self.table.columns[index]),
                expected="a finite number with a decimal point",
                found=repr(text),
                remedy="correct the row",
            )
        return float(text)


def headerless_columns(path: Path) -> tuple[str, ...]:
    """Columns of a table without a header, as its first row shows: numbers where a box would be; else none."""
    first = columns_of(path)
    for columns in HEADERLESS:
        if len(first) == len(columns):
            # a name in place of the last number would make it another form: path,x1,y1,x2,y2,name
            numbers = first[1:] if "x" in columns else tuple(first[2].strip("()").split(","))
            if len(numbers) >= 4 and all(_NUMBER.fullmatch(cell.strip()) for cell in numbers):
                return columns
    return ()
