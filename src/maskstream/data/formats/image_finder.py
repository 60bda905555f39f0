"""Image files by what a table calls them: a path, a file name, or a name without its suffix."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

from maskstream.data.dataset import IMAGES
from maskstream.data.findings import Finding
from maskstream.data.listing import list_folder
from maskstream.data.records import safe_name
from maskstream.errors import DatasetError
from maskstream.media.images import IMAGE_SUFFIXES

SUFFIX_UNSEEN = ".jpg"
"""Suffix that an image gets whose file is not there and whose name has none."""


class ImageFinder:
    """Finds the images of a table.

    Parameters
    ----------
    folder : the table's; its images lie in its `images/`, where there is such a folder, else anywhere below it.
    images : where the images lie instead.

    Attributes
    ----------
    root : the folder that names are relative to. Where no image is found at all, it is where they would be.
    names : every image below the root.
    findings : what could not be listed.
    """

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        self.root = images or (folder / IMAGES if (folder / IMAGES).is_dir() else folder)
        listing = list_folder(self.root)
        self.names = listing.images()
        self.findings: tuple[Finding, ...] = listing.findings
        if not self.names and images is None:
            self.root = folder / IMAGES
        self._known = set(self.names)
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.names:
            path = PurePosixPath(name)
            for called in {path.name, path.stem, path.with_suffix("").as_posix()}:
                self._by_name[called].append(name)

    def name_of(self, called: str, place: str) -> tuple[str, bool]:
        """Name below the root of the image that a table calls so, and whether it is there.

        Raises
        ------
        DatasetError : at `place`, when the name leads out of the root or several files bear it.
        """
        called = PurePosixPath(safe_name(called, place)).as_posix()
        below = called.removeprefix(f"{self.root.name}/")
        for name in (called, below):
            if name in self._known:
                return name, True
        found = self._by_name.get(below, [])
        if len(found) > 1:
            raise DatasetError(
                place,
                expected="the name of one image",
                found=f"{called!r}, which may be {' or '.join(found[:3])}",
                remedy="write it with its suffix and folder, or take the files apart with --images",
            )
        if found:
            return found[0], True
        has_suffix = PurePosixPath(below).suffix.lower() in IMAGE_SUFFIXES
        return below if has_suffix else below + SUFFIX_UNSEEN, False
