"""What is seen to before the first step, so that no night is lost to what a minute would have shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from maskstream.core.parallel import OnProgress
from maskstream.data.checks.check import check_folder
from maskstream.data.findings import Finding, Severity
from maskstream.errors import DatasetError

Bar = Callable[[str], OnProgress]
"""Makes a progress bar of what it is called."""


def is_first_process() -> bool:
    """Whether this is the first process of a run, not one that it or torchrun has started beside it."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def require_sound(folder: Path, bar: Bar) -> None:
    """See that `maskstream data check` finds no error.

    Raises
    ------
    DatasetError : it does; the first one is told, and how many there are.
    """
    errors: list[Finding] = []
    count = 0

    def on_finding(found: Finding) -> None:
        nonlocal count
        if found.severity is Severity.ERROR:
            count += 1
            errors.extend([found] if not errors else [])

    check_folder(folder, on_finding, on_examine=bar("examining"), on_read=bar("reading"), on_compare=bar("comparing"))
    if errors:
        first = errors[0]
        others = f" (and {count - 1} more errors)" if count > 1 else ""
        raise DatasetError(
            first.place,
            expected=first.expected,
            found=first.found + others,
            remedy=f"see all with: maskstream data check {folder}; safe mends: --fix --out MENDED",
        )
