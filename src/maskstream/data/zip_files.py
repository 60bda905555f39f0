"""Zip files, unpacked without trust: a hostile one is refused whole, before it writes outside or fills the disk."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from maskstream.core.files import whole_folder
from maskstream.core.parallel import OnProgress
from maskstream.data.records import safe_name
from maskstream.errors import DatasetError, OutputError

ENCRYPTED = 0x1
UTF8_NAME = 0x800
MACOS_EXTRAS = "__MACOSX"
BLOCK_BYTES = 1 << 20

# fmt: off
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError,
    OverflowError,
)
# fmt: on
"""What Python's reader says of files that are damaged, or packed in ways it does not know."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a zip file may hold.

    Attributes
    ----------
    files : their number.
    size_bytes : of all files, unpacked.
    ratio : of unpacked to packed size, over the whole file; masks and tables shrink a hundredfold, bombs more.
    ratio_from_bytes : unpacked size up to which any ratio does no harm.
    """

    files: int = 1_000_000
    size_bytes: int = 500 * 2**30
    ratio: float = 200.0
    ratio_from_bytes: int = 2**30


def unpack(path: Path, folder: Path, *, limits: Limits | None = None, on_progress: OnProgress | None = None) -> Path:
    """Unpack a zip file into a new folder, which appears whole or not at all.

    Parameters
    ----------
    on_progress : told how many files are done.

    Returns
    -------
    `folder`.

    Raises
    ------
    DatasetError : no zip file, a damaged or encrypted one, or one that holds links, devices, names that lead out
        of the folder, names that are equal but for case, or more than the limits allow.
    OutputError : `folder` is in use, or the disk has no room.
    """
    with _damage(path), zipfile.ZipFile(path) as archive:
        entries = _checked(path, archive, limits or Limits())
        with whole_folder(folder) as temporary:
            _check_room(temporary, sum(info.file_size for _, info in entries))
            for done, (name, info) in enumerate(entries, start=1):
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as file:
                    for block in _blocks(f"{path}: {name}", archive, info):
                        file.write(block)
                if on_progress:
                    on_progress(done, len(entries))
    return folder


@contextmanager
def _damage(place: object) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise DatasetError(
            place,
            expected="a zip file that can be read",
            found=str(error).lower() or type(error).__name__,
            remedy="download or make it again, or unpack it with another program and give the folder",
        ) from error


def _blocks(place: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The bytes of a file; never more than its entry states, as Python's reader sees to that."""
    with _damage(place):
        packed = archive.open(info)
    with packed:
        while True:
            with _damage(place):
                block = packed.read(BLOCK_BYTES)
            if not block:
                return
            yield block


def _checked(path: Path, archive: zipfile.ZipFile, limits: Limits) -> list[tuple[str, zipfile.ZipInfo]]:
    """The files of an archive with their names, once all are known to be safe."""
    infos = archive.infolist()
    if len(infos) > limits.files:
        raise _refused(path, f"at most {limits.files} files", f"{len(infos)}")
    entries = [(_safe_name(path, info), info) for info in infos if not _is_folder(info)]
    entries = [(name, info) for name, info in entries if PurePosixPath(name).parts[0] != MACOS_EXTRAS]
    _check_distinct(path, [name for name, _ in entries])
    size = sum(info.file_size for _, info in entries)
    if size > limits.size_bytes:
        raise _refused(path, f"at most {limits.size_bytes} bytes unpacked", f"{size}")
    ratio = size / max(path.stat().st_size, 1)
    if size > limits.ratio_from_bytes and ratio > limits.ratio:
        raise _refused(path, f"files that are at most {limits.ratio:g} times the zip file", f"{ratio:.0f} times")
    return entries


def _safe_name(path: Path, info: zipfile.ZipInfo) -> str:
    name = _name(info)
    place = f"{path}: {name!r}"
    if stat.S_IFMT(info.external_attr >> 16) not in {0, stat.S_IFREG}:
        raise _refused(place, "files and folders", "a link or device")
    if info.flag_bits & ENCRYPTED:
        raise _refused(place, "a file that is not encrypted", "one that is")
    try:
        return PurePosixPath(safe_name(name, place)).as_posix()
    except DatasetError as error:
        raise _refused(place, "a name inside the folder it is unpacked to", "one that leads elsewhere") from error


def _name(info: zipfile.ZipInfo) -> str:
    """The name of an entry: UTF-8 also where the flag for it is missing, / also where Windows wrote backslashes."""
    name = info.orig_filename
    if not info.flag_bits & UTF8_NAME:
        # where the bytes are no UTF-8, it is cp437, as the standard says
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return _name(info).endswith("/")


def _check_distinct(path: Path, names: Sequence[str]) -> None:
    """No two files of one name, on systems to which A is a as well; no file where another needs a folder."""
    first: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in first:
            raise _refused(path, "names that differ in more than case", f"{first[key]!r} and {name!r}")
        first[key] = name
    for key, name in first.items():
        for parent in PurePosixPath(key).parents:
            if parent.as_posix() in first:
                raise _refused(path, "files and folders apart", f"{first[parent.as_posix()]!r} and {name!r}")


def _check_room(folder: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if size_bytes > free:
        raise OutputError(
            folder.parent,
            expected=f"room for {size_bytes} bytes",
            found=f"{free}",
            remedy="free space, or unpack it elsewhere and give the folder",
        )


def _refused(place: object, expected: str, found: str) -> DatasetError:
    remedy = "if you trust it, unpack it with another program and give the folder"
    return DatasetError(place, expected=expected, found=found, remedy=remedy)
