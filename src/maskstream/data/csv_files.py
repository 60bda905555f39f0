"""CSV files of labels, read strictly and a row at a time.

UTF-8 (with or without byte order mark) and UTF-16 (with one); commas, semicolons or tabs, as the first line shows;
any line ending; quotes as in RFC 4180. Every error names the file and the line at which a row begins.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

from maskstream.core.files import whole_file
from maskstream.errors import DatasetError

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}

LONGEST_LINE = 1 << 20
"""Characters of the longest line that is read; the longest single cell is `csv.field_size_limit()`, 131 072."""

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Row(NamedTuple):
    """One row: the line it begins at, counted from 1, and its cells, as many as the table has columns."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file whose header was read; its rows are read each time they are asked for.

    Attributes
    ----------
    path : the file.
    columns : names of the columns, without spaces around them; no two are equal.
    delimiter : what separates the cells.
    encoding : of the file.
    has_header : the first row names the columns; if not, it is data.
    skips_spaces : a space after the delimiter is no part of the cell, as the header shows.
    """

    path: Path
    columns: tuple[str, ...]
    delimiter: str
    encoding: str
    has_header: bool
    skips_spaces: bool

    def rows(self) -> Iterator[Row]:
        """The rows, header and blank lines left out.

        Raises
        ------
        DatasetError : a row has more or fewer cells than there are columns, a quote is left open, a line or cell
            is too long, or bytes are no text.
        """
        for number, row in enumerate(_rows(self.path, self.encoding, self.delimiter, self.skips_spaces)):
            if number == 0 and self.has_header:
                continue
            if len(row.cells) != len(self.columns):
                raise DatasetError(
                    self.place(row.line),
                    expected=f"{len(self.columns)} cells ({', '.join(self.columns)}), {DELIMITERS[self.delimiter]} "
                    "between them",
                    found=f"{len(row.cells)}",
                    remedy="correct the row, or put quotes around a cell that holds the delimiter",
                )
            yield row

    def index(self, *names: str) -> int | None:
        """Index of the first of these columns that the table has, whatever its case; None when it has none."""
        folded = [column.casefold() for column in self.columns]
        return next((folded.index(name.casefold()) for name in names if name.casefold() in folded), None)

    def require(self, *names: str) -> int:
        """Index of the first of these columns that the table has, whatever its case.

        Raises
        ------
        DatasetError : it has none of them.
        """
        index = self.index(*names)
        if index is None:
            raise DatasetError(
                self.place(1),
                expected=f"a column {' or '.join(names)}",
                found=f"{', '.join(self.columns)} ({DELIMITERS[self.delimiter]} between them)",
                remedy="correct the header, or name the column",
            )
        return index

    def place(self, line: int, column: str | None = None) -> str:
        """Where something is, for an error: "labels.csv: line 3, label"."""
        return f"{self.path}: line {line}, {column}" if column else f"{self.path}: line {line}"


def read_table(path: Path, *, headerless: Sequence[str] = (), delimiter: str | None = None) -> Table:
    """Read the header of a CSV file.

    Parameters
    ----------
    headerless : names of the columns, for a file that may lack a header: the first row counts as data when it
        holds none of these names and has as many cells.
    delimiter : what separates the cells; by default whichever of comma, semicolon and tab gives the first line
        the most cells.

    Raises
    ------
    DatasetError : the file is missing, empty or no text, two columns have one name, or it is not clear what
        separates the cells.
    """
    encoding = _encoding(path)
    first_line = _first_line(path, encoding)
    delimiter = delimiter or _delimiter(path, first_line)
    skips_spaces = f"{delimiter} " in first_line
    first = next(_rows(path, encoding, delimiter, skips_spaces))
    columns = tuple(cell.strip() for cell in first.cells)
    known = {name.casefold() for name in headerless}
    lacks_header = len(columns) == len(known) and known.isdisjoint(column.casefold() for column in columns)
    if lacks_header:
        columns = tuple(headerless)
    table = Table(path, columns, delimiter, encoding, not lacks_header, skips_spaces)
    repeated = [column for column in columns if columns.count(column) > 1]
    if repeated:
        raise DatasetError(
            table.place(first.line),
            expected="a header of columns with names of their own",
            found=f"{columns.count(repeated[0])} columns named {repeated[0]!r}",
            remedy="rename or remove one",
        )
    return table


def columns_of(path: Path) -> tuple[str, ...]:
    """The columns of a CSV file; none when it cannot be read, for telling one kind of table from another."""
    try:
        return read_table(path).columns
    except DatasetError:
        return ()


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a UTF-8 CSV file with commas, whole or not at all."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        # RFC 4180's line ending: with it the writer puts quotes around carriage returns as well
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _encoding(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return "utf-16" if file.read(2) in UTF16_MARKS else "utf-8-sig"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DatasetError(path, expected="a CSV file", found=reason, remedy="check the path") from error


def _open(path: Path, encoding: str) -> TextIO:
    # what cannot be decoded becomes U+FFFD, which _lines then meets with its line number
    return path.open(encoding=encoding, errors="replace", newline="")


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a file, each once it is known to be text of some length."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        found = None
        if len(line) > LONGEST_LINE:
            found = f"a line of more than {LONGEST_LINE} characters"
        elif "\0" in line:
            found = "a NUL character"
        elif "\ufffd" in line:
            found = "bytes that are none"
        if found:
            raise DatasetError(
                f"{path}: line {number}",
                expected="text in UTF-8, or in UTF-16 with a byte order mark",
                found=found,
                remedy="save the file as CSV UTF-8",
            )
        yield line


def _first_line(path: Path, encoding: str) -> str:
    with _open(path, encoding) as file:
        for line in _lines(path, file):
            if line.strip():
                return line
    raise DatasetError(path, expected="a CSV file with a header", found="an empty file", remedy="restore the file")


def _delimiter(path: Path, first_line: str) -> str:
    cells = {delimiter: len(next(csv.reader([first_line], delimiter=delimiter))) for delimiter in DELIMITERS}
    most = max(cells.values())
    best = [delimiter for delimiter in DELIMITERS if cells[delimiter] == most]
    if most > 1 and len(best) > 1:
        raise DatasetError(
            f"{path}: line 1",
            expected="one kind of delimiter between the names of the columns",
            found=" and ".join(f"{cells[delimiter] - 1} {DELIMITERS[delimiter]}" for delimiter in best),
            remedy="put quotes around the names that hold one",
        )
    return best[0]


def _rows(path: Path, encoding: str, delimiter: str, skips_spaces: bool) -> Iterator[Row]:
    line = 1
    with _open(path, encoding) as file:
        reader = csv.reader(_lines(path, file), delimiter=delimiter, skipinitialspace=skips_spaces, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield Row(line, cells)
                line = reader.line_num + 1
        except csv.Error as error:
            raise DatasetError(
                f"{path}: line {line}",
                expected=f"cells with a {DELIMITERS[delimiter]} between them",
                found=str(error),
                remedy="correct the line; a quote inside a quoted cell is written twice",
            ) from error
