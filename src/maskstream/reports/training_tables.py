"""The tables of a training run, `steps.csv` and `validation.csv`, as a killed process may have left them.

Their first column is `step`, and rows stand in its order. A last line without its end is one that was being written.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from maskstream.core.files import whole_file

STEPS = "steps.csv"
VALIDATION = "validation.csv"
SAMPLES = "samples"
MEASURED = ("step_s", "data_s", "images_per_s", "memory_mb")
"""Columns of `steps.csv` that differ between runs of one recipe: what the machine did, not what was learned."""


def whole_lines(path: Path) -> Iterator[str]:
    """The lines of a table, its header first, up to one that was cut short; none where there is no such file."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", newline="") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            yield line


def read_rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a table by their columns; none where there is no such file."""
    yield from csv.DictReader(whole_lines(path))


def cut_after(path: Path, step: int) -> None:
    """Drop the rows after a step and a line that was cut short; the table is replaced as a whole.

    Raises
    ------
    OutputError : the table cannot be written.
    """
    if not path.is_file():
        return
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as kept:
        for number, line in enumerate(whole_lines(path)):
            if number and int(line.partition(",")[0]) > step:
                break
            kept.write(line)
