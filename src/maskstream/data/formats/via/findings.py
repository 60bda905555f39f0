"""What reading VIA's files meets and tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maskstream.data.findings import Finding, Severity
from maskstream.errors import DatasetError

LISTED = 3
"""Names that a message gives as examples."""


def twice(place: str, name: str, first: str) -> DatasetError:
    return DatasetError(
        place,
        expected="each image once",
        found=f"{name!r} again, as in {first}",
        remedy="remove one entry; where several files describe one folder, import the file that counts",
    )


def no_image(place: str, name: str) -> Finding:
    return Finding(
        code="label-without-image",
        severity=Severity.WARNING,
        place=place,
        expected=f"the image {name}",
        found="none",
        remedy="put the image back, or remove the entry",
    )


def not_labelled(root: Path, names: Sequence[str]) -> Finding:
    return Finding(
        code="image-without-label",
        severity=Severity.WARNING,
        place=str(root),
        expected="images that the file names",
        found=f"{len(names)} others, left out, such as {', '.join(names[:LISTED])}",
        remedy="add them in VIA, even those without an object",
    )


def no_area(path: Path, counts: Mapping[str, int]) -> Finding:
    return Finding(
        code="shape-without-area",
        severity=Severity.NOTE,
        place=str(path),
        expected="polygons, rectangles, circles and ellipses",
        found=", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())),
        remedy="they are kept for writing VIA's format again and are no objects here",
    )


def no_class(path: Path, count: int, attribute: str, default: str) -> Finding:
    return Finding(
        code="region-without-class",
        severity=Severity.WARNING,
        place=str(path),
        expected=f"the attribute {attribute!r} of each region",
        found=f"none for {count}, which are of the class {default!r}",
        remedy="complete them in VIA, or leave the class out with --classes",
    )
