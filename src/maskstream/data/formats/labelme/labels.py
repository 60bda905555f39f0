"""The labels of a folder of labelme documents: those that `labels.txt` lists, and those in use."""

from __future__ import annotations

from pathlib import Path

from maskstream.core.classes import Classes
from maskstream.data.formats.labelme.document import NO_CLASSES, SUFFIX, may_be_labelme, read_document
from maskstream.data.formats.labelme.provenance import DocumentStamp, stamp_of
from maskstream.data.listing import Listing
from maskstream.errors import DatasetError

LABELS = "labels.txt"
"""A file that lists the labels, one a line, as `labelme --labels` takes it."""


def listed_labels(folder: Path) -> tuple[str, ...]:
    """The labels that `labels.txt` lists; none where there is no such file.

    Raises
    ------
    DatasetError : it cannot be read.
    """
    path = folder / LABELS
    if not path.is_file():
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(path, expected="a text file", found=str(error), remedy="save it as UTF-8") from error
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


def write_labels(folder: Path, classes: Classes) -> None:
    """List the classes for `labelme --labels`, and before them the label of what is not to be judged.

    Nothing is written when a class has a name that such a file cannot hold.
    """
    lines = (NO_CLASSES[0], *classes)
    if all(line.strip().splitlines() == [line] for line in lines):
        (folder / LABELS).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def labels_in_use(listing: Listing) -> tuple[str, ...]:
    """The classes of models that annotated beforehand, and then every other label, whether of an object or not.

    Raises
    ------
    DatasetError : a document is broken.
    """
    of_models: list[str] = []
    used: set[str] = set()
    for name in listing.with_suffix(SUFFIX):
        path = listing.folder / name
        if may_be_labelme(path):
            document = read_document(path, name)
            stamp = stamp_of(document.content, DocumentStamp)
            of_models += stamp.classes if stamp else ()
            used.update(shape["label"] for shape in document.shapes)
    return tuple(dict.fromkeys([*of_models, *sorted(used)]))
