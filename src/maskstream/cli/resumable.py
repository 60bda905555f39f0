"""What commands share whose runs can be broken off and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from maskstream.cli.new_folder import new_folder
from maskstream.errors import OutputError

EXIT_INTERRUPTED = 130
"""As shells give for a program that Ctrl-C ended."""


def run_folder(out: Path | None, runs: Path, source: str, *, resume: bool) -> Path:
    """The folder of a run: the one that was named, else a new one below `runs`. OutputError: nothing to go on with."""
    if resume and out is None:
        raise OutputError(
            "--resume", expected="--out with the run to go on with", found="no --out", remedy="name the run folder"
        )
    return out or new_folder(runs, source)


@contextmanager
def interruptible(folder: Path, console: Console) -> Iterator[None]:
    """Ctrl-C ends the command, which says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        again = f"the same command with --out {folder} --resume goes on"
        console.print(f"stopped; what is finished is kept, and {again}", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
