"""Which picture a labelme document is about.

A document names its picture by a path from its own folder (`imagePath`) and may carry it as well (`imageData`).
Only files that lie below the source, or below the folder of images that the user gives, are ever opened: a path or a
link that leads elsewhere names nothing.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import shutil
import tempfile
import weakref
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from PIL import Image

from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.labelme.document import Document
from maskstream.data.listing import Listing
from maskstream.errors import DatasetError, OutputError
from maskstream.media.images import read_size_hw

_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "TIFF": ".tif", "WEBP": ".webp", "PPM": ".ppm"}


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture of a document.

    Attributes
    ----------
    name : path in the dataset, with forward slashes.
    path : the file.
    size_hw : height and width in pixels.
    embedded : the document carries exactly this file.
    findings : what is odd about it.
    """

    name: str
    path: Path
    size_hw: tuple[int, int]
    embedded: bool = False
    findings: tuple[Finding, ...] = ()


class PictureFinder:
    """Finds the pictures of documents among the files of the source.

    Parameters
    ----------
    source : what lies below the source.
    images : what lies in the folder of images that the user gave, if any; it is searched first.
    """

    def __init__(self, source: Listing, images: Listing | None) -> None:
        self._places = [_Place(images, given=True)] if images else []
        self._places.append(_Place(source, given=False))
        self._scratch = _Scratch()

    def find(self, document: Document) -> Picture | Finding:
        """The picture of a document, or the finding that there is none.

        The file that `imagePath` names comes first; else one of that name, or of the document's, beside the
        document; else the embedded picture. Of a file and an embedded picture of another size, the latter is taken:
        it is what labelme shows, so the labels fit it.

        Raises
        ------
        DatasetError : `imagePath` leads out of the source and there is no other picture; or `imageData` is none.
        SourceError : the file is damaged.
        """
        data = _embedded(document)
        file = self._file(document)
        if data is None:
            return file or self._missing(document)
        if file and file.path.read_bytes() == data:
            return replace(file, embedded=True)
        carried = self._carried(document, data)
        if file is None:
            return carried
        if file.size_hw == carried.size_hw:
            return replace(file, findings=(*file.findings, _two_pictures(document, "the file is used", Severity.NOTE)))
        odd = _two_pictures(document, f"of another size than the file {file.name}, which is left out", Severity.WARNING)
        return replace(carried, findings=(*file.findings, odd))

    def _file(self, document: Document) -> Picture | None:
        for place in self._places:
            name = place.find(document)
            if name is not None:
                path = place.listing.folder / name
                return Picture(name, path, read_size_hw(path), findings=place.findings(document, name))
        return None

    def _carried(self, document: Document, data: bytes) -> Picture:
        """The embedded picture, in a temporary file."""
        path = self._scratch.write(f"{document.name}.picture", data)
        try:
            with Image.open(path) as picture:
                suffix = _SUFFIXES.get(picture.format or "", f".{(picture.format or 'bin').lower()}")
            size_hw = read_size_hw(path)
        except Exception as error:  # Pillow meets damage with a dozen kinds of exception
            raise _broken(document, "bytes that are no picture") from error
        name = PurePosixPath(document.name).with_suffix(suffix).as_posix()
        findings = (_outside(document, Severity.WARNING, "the embedded picture is used"),) if _out(document) else ()
        return Picture(name, path, size_hw, embedded=True, findings=findings)

    def _missing(self, document: Document) -> Finding:
        linked = any(name in place.names for place in self._places for name in place.candidates(document))
        if linked or _out(document):
            raise _outside(document, Severity.ERROR, "put the picture there, or give its folder with --images").error()
        return Finding(
            code="missing-image",
            severity=Severity.ERROR,
            place=f"{document.path}: imagePath",
            expected="the path of a picture from here",
            found=f"{document.content['imagePath'][:200]!r}, which is none",
            remedy="put the picture there, or give its folder with --images; the labels are left out",
        )


class _Place:
    """A folder whose pictures may be the ones that documents name."""

    def __init__(self, listing: Listing, *, given: bool) -> None:
        self.listing = listing
        self.names = frozenset(listing.images())
        self._given = given
        self._root = listing.folder.resolve()
        self._by_stem: defaultdict[str, list[str]] = defaultdict(list)
        for name in self.names:
            self._by_stem[PurePosixPath(name).with_suffix("").as_posix()].append(name)

    def candidates(self, document: Document) -> Iterator[str]:
        """Names that the picture may have, the likeliest first."""
        folder = posixpath.dirname(document.name)
        path = _image_path(document)
        yield posixpath.normpath(posixpath.join(folder, path))
        yield posixpath.join(folder, posixpath.basename(path))
        if self._given:
            yield posixpath.normpath(path)
            yield posixpath.basename(path)
        same_stem = self._by_stem[PurePosixPath(document.name).with_suffix("").as_posix()]
        if len(same_stem) == 1:
            yield same_stem[0]

    def find(self, document: Document) -> str | None:
        for name in self.candidates(document):
            if name in self.names and (self.listing.folder / name).resolve().is_relative_to(self._root):
                return name
        return None

    def findings(self, document: Document, name: str) -> tuple[Finding, ...]:
        """What to tell of a picture that does not lie where the document says."""
        if self._given or name == next(self.candidates(document)):
            return ()
        return (_outside(document, Severity.WARNING, f"{name} is used"),)


class _HeldPath(type(Path())):  # type: ignore[misc]
    """A path that keeps the temporary folder of its file alive."""

    scratch: _Scratch


class _Scratch:
    """A private temporary folder for embedded pictures, removed when no path into it is left, or at exit."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="maskstream-labelme-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def write(self, name: str, content: bytes) -> Path:
        """Write a file; it exists at least as long as the path given back."""
        path = _HeldPath(self._folder / name)
        path.scratch = self
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise OutputError(
                path, expected="room for a temporary file", found=error.strerror or str(error), remedy="set TMPDIR"
            ) from error
        return path


def _image_path(document: Document) -> str:
    """`imagePath` with forward slashes, as labelme takes it on every system."""
    return PureWindowsPath(document.content["imagePath"]).as_posix()


def _out(document: Document) -> bool:
    """Whether `imagePath` leads out of the source."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(document.name), _image_path(document)))
    return path.startswith(("../", "/")) or path == ".." or bool(PureWindowsPath(_image_path(document)).drive)


def _embedded(document: Document) -> bytes | None:
    text = document.content.get("imageData")
    if not text:
        return None
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError) as error:
        raise _broken(document, "text that is no base64") from error


def _broken(document: Document, found: str) -> DatasetError:
    return DatasetError(
        f"{document.path}: imageData",
        expected="a picture in base64, or null",
        found=found,
        remedy="set it to null, with the picture beside the file",
    )


def _outside(document: Document, severity: Severity, remedy: str) -> Finding:
    where = "leads out of the source" if _out(document) else "names none"
    return Finding(
        code="image-path",
        severity=severity,
        place=f"{document.path}: imagePath",
        expected="the path of a picture of the source",
        found=f"{document.content['imagePath'][:200]!r}, which {where}",
        remedy=remedy,
    )


def _two_pictures(document: Document, found: str, severity: Severity) -> Finding:
    return Finding(
        code="two-images",
        severity=severity,
        place=f"{document.path}: imageData",
        expected="the same picture as in the file",
        found=f"another one, {found}",
        remedy="see that the labels fit",
    )
