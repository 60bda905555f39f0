"""What can be wrong with the file of one image: another size than stated, EXIF, suffix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from maskstream.data.checks.kinds import finding
from maskstream.data.findings import Finding
from maskstream.data.records import ImageRecord
from maskstream.errors import SourceError
from maskstream.media.images import SIDEWAYS, Header, read_header

_JPEG = frozenset({".jpg", ".jpeg", ".jfif"})
SUFFIXES = {
    "JPEG": _JPEG,
    "MPO": _JPEG,
    "BMP": frozenset({".bmp", ".dib"}),
    "DIB": frozenset({".bmp", ".dib"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "PPM": frozenset({".ppm", ".pgm", ".pbm"}),
    "JPEG2000": frozenset({".jp2"}),
}
"""Suffixes of each of Pillow's kinds; of the others it is the kind itself."""

UPRIGHT, ORIENTATIONS = 1, range(1, 9)


def check_image(record: ImageRecord) -> Iterator[Finding]:
    """What is wrong with the file of an image, as far as its header shows it."""
    if not record.has_file:
        if record.stated_size_hw:
            yield finding("image-missing", record.path, "none", image=record.name)
        return
    # reading the pixels later meets the same damage, and tells of it
    with contextlib.suppress(SourceError):
        yield from _header_findings(record, read_header(record.path))


def _header_findings(record: ImageRecord, header: Header) -> Iterator[Finding]:
    suffix = PurePosixPath(record.name).suffix.lower()
    if suffix not in SUFFIXES.get(header.kind, {f".{header.kind.lower()}"}):
        yield finding("wrong-suffix", record.path, f"{header.kind} in a {suffix} file", image=record.name)
    orientation = header.orientation
    if orientation is not None and orientation not in ORIENTATIONS:
        yield finding("exif-invalid", record.path, repr(orientation), image=record.name)
    code, found = _size_fault(record, header) or _turn(record, header)
    if code:
        yield finding(code, record.path, found, image=record.name)


def _size_fault(record: ImageRecord, header: Header) -> tuple[str, str] | None:
    stated_hw, stored_hw = record.stated_size_hw, header.stored_hw
    if stated_hw is None or stated_hw == header.size_hw:
        return None
    sizes = f"{_words(header.size_hw)}, the labels state {_words(stated_hw)}"
    if header.orientation in SIDEWAYS and stated_hw == stored_hw:
        return "exif-not-applied", f"orientation {header.orientation} makes it {sizes}"
    swapped = ": width and height change places" if stated_hw == stored_hw[::-1] else ""
    return "size-mismatch", f"{sizes}{swapped}"


def _turn(record: ImageRecord, header: Header) -> tuple[str, str]:
    """Whether the file is turned by EXIF, and whether the stated size proves that labels took note of it."""
    if header.orientation == UPRIGHT or header.orientation not in ORIENTATIONS:
        return "", ""
    height, width = header.stored_hw
    shown = header.orientation in SIDEWAYS and height != width and record.stated_size_hw is not None
    code = "exif-turned" if shown or not record.annotations else "exif-doubtful"
    return code, f"orientation {header.orientation}"


def _words(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]} wide and {size_hw[0]} high"
