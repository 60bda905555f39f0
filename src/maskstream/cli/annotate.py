"""`maskstream annotate`: start labelme on a folder, with the right labels.

labelme is a program of its own under the GPL-3.0: it is started, never imported.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from maskstream.data.formats.labelme.labels import LABELS, labels_in_use, listed_labels
from maskstream.data.listing import list_folder
from maskstream.errors import DatasetError, MissingDependency

PROGRAM = "labelme"
OLD_FLAGS = ("--nodata", "--autosave")
"""Pictures not embedded, saving without asking: labelme 6 does both by itself, and no longer names these."""

VALIDATE = ("--validate-label", "--validatelabel")
"""The argument's names, new and old."""


def annotate(
    folder: Annotated[Path, typer.Argument(help="Folder of images, with or without labelme JSON.")],
    labels: Annotated[
        str,
        typer.Option(metavar="A,B", help="The labels to choose from.  [default: labels.txt there, else those in use]"),
    ] = "",
) -> None:
    """Start labelme on a folder; corrections are saved beside the images.

    Labels that are given, or listed in labels.txt, are the only ones that labelme then accepts; those that are merely
    in use are offered, and others may be added.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise MissingDependency(
            PROGRAM,
            expected="the program labelme",
            found="none on the PATH",
            remedy="install it with: uv tool install labelme (or: pipx install labelme)",
        )
    listing = list_folder(folder)
    if not listing.images():
        raise DatasetError(folder, expected="images", found="none", remedy="check the path")
    known = _known_arguments(program)
    required = tuple(label.strip() for label in labels.split(",") if label.strip()) or listed_labels(folder)
    command = [program, str(folder.resolve()), *(flag for flag in OLD_FLAGS if flag in known)]
    with tempfile.TemporaryDirectory(prefix="maskstream-annotate-") as scratch:
        file = Path(scratch) / LABELS
        offered = required or labels_in_use(listing)
        if offered:
            file.write_text("".join(f"{label}\n" for label in offered), encoding="utf-8")
            command += ["--labels", str(file)]
        if required:
            command += [next(name for name in VALIDATE if name in known), "exact"]
        code = subprocess.run(command, check=False).returncode
    if code:
        raise typer.Exit(code)


def _known_arguments(program: str) -> str:
    """What labelme says of its arguments, which differ from version to version."""
    answer = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    if answer.returncode:
        reason = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise MissingDependency(
            program, expected="labelme to start", found=reason[0], remedy="see whether `labelme --help` runs by itself"
        )
    return answer.stdout
