"""`maskstream data check`: what is wrong with a dataset, and the safe mends."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console
from rich.table import Table

from maskstream import __version__
from maskstream.cli.progress import progress_bars
from maskstream.data.checks.check import Checked, check_folder
from maskstream.data.checks.fixes import fix
from maskstream.data.checks.tally import Tally
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding, Severity
from maskstream.errors import DatasetError

EXIT_WARNINGS, EXIT_ERRORS = 3, 4
SCHEMA = 1
COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
IN_MEMORY_BYTES = 1 << 24


class FailOn(StrEnum):
    """From which severity on the exit code says so."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


def check(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder; it is not changed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print every finding as JSON instead of text.")] = False,
    mend: Annotated[
        bool, typer.Option("--fix", help="Make the safe mends and write the mended dataset to --out.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Dataset folder to make with --fix; must be new or empty.")] = None,
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit with 3 or 4 for warnings and errors, for errors only, or never.")
    ] = FailOn.WARNING,
) -> None:
    """Say what is wrong with a dataset: each finding with its place, severity and remedy.

    An error spoils training or figures, a warning may, a note is for information.

    Exit code: 0 nothing worse than a note, 3 warnings, 4 errors, 2 no dataset there. With --fix, what was mended
    does not count any more.
    """
    _check_options(dataset, mend, out)
    tally = Tally()
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, "w+", encoding="utf-8", newline="\n") as lines:

        def on_finding(found: Finding) -> None:
            tally.add(found)
            if as_json:
                lines.write(f"{'' if tally.counts.total() == 1 else ','}\n{found.model_dump_json()}")

        with progress_bars("images/s") as bar:
            checked = check_folder(
                dataset,
                on_finding,
                on_examine=bar("examining"),
                on_read=bar("reading"),
                on_compare=bar("comparing"),
            )
        if not as_json:
            _print_text(dataset, tally)
        mended = _mend(dataset, checked, tally, out) if out is not None else None
        if as_json:
            lines.seek(0)
            _print_json(dataset, tally, lines, mended)
    if mended is not None and not as_json:
        _print_mends(mended)
    raise typer.Exit(_exit_code(tally, fail_on, is_mended=mended is not None))


def _check_options(dataset: Path, mend: bool, out: Path | None) -> None:
    if mend != (out is not None):
        raise DatasetError(
            "--fix" if mend else "--out",
            expected="--fix and --out together",
            found="one of them alone",
            remedy="say --fix --out NEW: a dataset is never changed in its place",
        )
    if out is not None and out.resolve().is_relative_to(dataset.resolve()):
        raise DatasetError(
            "--out", expected="a folder outside the dataset", found=str(out), remedy="choose another folder"
        )


def _mend(dataset: Path, checked: Checked | None, tally: Tally, out: Path) -> Dataset:
    if checked is None:
        raise tally.first[Severity.ERROR, "broken-file"][0].error()
    with progress_bars("images/s") as bar:
        return fix(checked).save(out, bar("copying"))


def _exit_code(tally: Tally, fail_on: FailOn, *, is_mended: bool) -> int:
    def counts(severity: Severity) -> bool:
        return bool(tally.unfixed[severity] if is_mended else tally.total(severity))

    if fail_on is not FailOn.NEVER and counts(Severity.ERROR):
        return EXIT_ERRORS
    return EXIT_WARNINGS if fail_on is FailOn.WARNING and counts(Severity.WARNING) else 0


def _print_json(dataset: Path, tally: Tally, lines: IO[str], mended: Dataset | None) -> None:
    """One object: what was checked, the counts, and every finding on a line of its own."""
    heading = {
        "schema": SCHEMA,
        "maskstream": __version__,
        "dataset": str(dataset),
        "counts": {severity.value: tally.total(severity) for severity in Severity},
        "codes": {code: tally.counts[severity, code] for severity, code in tally.ranked()},
        "mended": None if mended is None else {"folder": str(mended.folder), "edits": list(mended.provenance.edits)},
    }
    sys.stdout.write(json.dumps(heading, ensure_ascii=False, indent=2)[:-2] + ',\n  "findings": [')
    shutil.copyfileobj(lines, sys.stdout)
    sys.stdout.write("\n]}\n")


def _print_text(dataset: Path, tally: Tally) -> None:
    """The first findings of each kind, the notes above and the errors below, and a table of all counts."""
    console = Console(soft_wrap=True, highlight=False)
    table = Table(title=f"findings in {dataset}", title_justify="left")
    for column in ("severity", "code", "count", "mended by --fix"):
        table.add_column(column, justify="right" if column == "count" else "left")
    for severity, code in reversed(tally.ranked()):
        first, count = tally.first[severity, code], tally.counts[severity, code]
        console.print(f"[{COLOURS[severity]}]{severity}[/] [bold]{code}[/]: expected", end=" ")
        console.print(first[0].expected, markup=False)
        for found in first:
            console.print(f"  {found.place}: {found.found}", markup=False)
        if count > len(first):
            console.print(f"  and {count - len(first)} more; --json lists all", markup=False)
        console.print(f"  remedy: {first[0].remedy}", markup=False)
    for severity, code in tally.ranked():
        first = tally.first[severity, code]
        table.add_row(
            f"[{COLOURS[severity]}]{severity}[/]", code, str(tally.counts[severity, code]), first[0].fix or ""
        )
    if tally.counts:
        console.print(table)
    totals = {severity: tally.total(severity) for severity in Severity}
    console.print(", ".join(f"{total} {severity}{'' if total == 1 else 's'}" for severity, total in totals.items()))


def _print_mends(mended: Dataset) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for edit in mended.provenance.edits:
        console.print(edit, markup=False)
    console.print(f"mended dataset in {mended.folder}", markup=False)
