"""The files of a folder and everything below it, in natural order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maskstream.data.findings import Finding, Severity
from maskstream.errors import DatasetError
from maskstream.media.images import IMAGE_SUFFIXES
from maskstream.media.sources import natural_key

_IMAGE_ENDINGS = tuple(IMAGE_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a folder.

    Attributes
    ----------
    folder : the folder itself.
    names : paths of the files below it, with forward slashes, in natural order (2.png before 10.png); hidden
        files and folders (those with a leading dot, and macOS's `__MACOSX`) are left out.
    findings : what could not be listed: folders without permission, links that lead in a circle or nowhere.
    """

    folder: Path
    names: tuple[str, ...]
    findings: tuple[Finding, ...] = ()

    def images(self) -> tuple[str, ...]:
        """Names of the files that are images by their suffix."""
        return tuple(name for name in self.names if name.lower().endswith(_IMAGE_ENDINGS))

    def with_suffix(self, suffix: str) -> tuple[str, ...]:
        """Names of the files with this suffix, whatever its case."""
        return tuple(name for name in self.names if name.lower().endswith(suffix))


def list_folder(folder: Path) -> Listing:
    """List a folder. Links to folders are followed, each real folder once.

    Raises
    ------
    DatasetError : the folder is missing or cannot be listed.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DatasetError(folder, expected="a folder", found=found, remedy="check the path")
    findings: list[Finding] = []
    names = sorted(_walk(folder, findings), key=lambda name: natural_key(Path(name)))
    return Listing(folder, tuple(names), tuple(findings))


def _walk(top: Path, findings: list[Finding]) -> Iterator[str]:
    seen = {top.resolve()}
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            findings.append(_unlisted(folder, error.strerror or str(error), "check its permissions"))
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            kind = _kind(entry)
            if kind == "file":
                yield path.relative_to(top).as_posix()
            elif kind == "nothing":
                findings.append(_unlisted(path, "a link that leads nowhere or in a circle", "remove the link"))
            elif kind == "folder" and path.resolve() in seen:
                findings.append(_unlisted(path, "a link to a folder that is listed already", "remove the link"))
            elif kind == "folder":
                seen.add(path.resolve())
                waiting.append(path)


def _kind(entry: os.DirEntry[str]) -> Literal["file", "folder", "nothing", "device"]:
    try:
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "folder"
    except OSError:  # a link to itself
        return "nothing"
    return "nothing" if entry.is_symlink() else "device"


def _unlisted(path: Path, found: str, remedy: str) -> Finding:
    return Finding(
        code="unlisted-folder",
        severity=Severity.WARNING,
        place=str(path),
        expected="a file or folder that can be read",
        found=found,
        remedy=remedy,
    )
