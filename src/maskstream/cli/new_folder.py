"""A name for the folder of a command that was not told one."""

from __future__ import annotations

from pathlib import Path


def new_folder(parent: Path, source: str) -> Path:
    """The first folder below `parent` named after the source that is not there yet: NAME, NAME-2, NAME-3."""
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(source).stem or source).strip("-.") or "run"
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder
