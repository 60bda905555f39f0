"""What in a labelme document a model made, and what a person did to it since.

`maskstream data preannotate` leaves its stamp under the key `STAMP` in each shape and in the document. labelme keeps
keys that it does not know, in copies of a shape too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from maskstream.data.checked_json import Block
from maskstream.data.formats.labelme.document import Document
from maskstream.data.formats.labelme.shapes import geometry_sha256
from maskstream.errors import DatasetError

STAMP = "maskstream"

PROVENANCE, CORRECTED, PREANNOTATION = "provenance", "corrected", "preannotation"
"""Keys among the attributes: an object's `Origin` and what a person changed of it; an image's model and its counts."""


class Origin(StrEnum):
    """Who made an object."""

    MODEL = "model"
    CORRECTED = "model, corrected by a person"
    PERSON = "person"


class ShapeStamp(Block):
    """What a model said of an object when it wrote the shape.

    Attributes
    ----------
    object : number of the object in its document, from 1.
    part, parts : which of the shapes of that object this is, from 1, and how many there were.
    model, version, sha256 : name, version and manifest's SHA-256 of the model.
    label : class as written.
    score : probability that there is an object.
    probabilities : of each class, given an object.
    shape_sha256 : fingerprint of the shape as written, see `geometry_sha256`.
    """

    object: int
    part: int
    parts: int
    model: str
    version: str
    sha256: str
    label: str
    score: float
    probabilities: dict[str, float]
    shape_sha256: str


class DocumentStamp(Block):
    """Which model looked at the picture, from which score on it wrote objects, and how many these were."""

    model: str
    version: str
    sha256: str
    classes: list[str] = Field(default_factory=list)
    score_threshold: float
    objects: int


_Stamp = TypeVar("_Stamp", bound=Block)


def stamp_of(content: dict[str, Any], kind: type[_Stamp]) -> _Stamp | None:
    """The stamp of a shape or document; None where there is none, or none that can be read."""
    try:
        return kind.model_validate(content[STAMP]) if STAMP in content else None
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class History:
    """What became of a model's objects in one document.

    Attributes
    ----------
    origins : of each group of shapes, who made it.
    changes : of each group of shapes, what a person changed of it: "label", "geometry".
    stamp : the document's own, if any.
    deleted : how many of the model's objects are gone.
    """

    origins: tuple[Origin, ...]
    changes: tuple[tuple[str, ...], ...]
    stamp: DocumentStamp | None
    deleted: int

    @property
    def untouched(self) -> bool:
        """Everything is as the model wrote it."""
        return self.stamp is not None and self.deleted == 0 and set(self.origins) <= {Origin.MODEL}


def history(document: Document, groups: Sequence[Sequence[int]]) -> History | None:
    """Compare a document with what a model wrote; None when none left a stamp.

    Parameters
    ----------
    groups : indices of the shapes of each object.
    """
    stamp = stamp_of(document.content, DocumentStamp)
    written = _written_shapes(document)
    if stamp is None and not written:
        return None
    changes = [_changes(document, group, written) for group in groups]
    found = {entry.object for entry in written.values()}
    return History(
        origins=tuple(map(_origin, changes)),
        changes=tuple(change or () for change in changes),
        stamp=stamp,
        deleted=max(0, stamp.objects - len(found)) if stamp else 0,
    )


def _written_shapes(document: Document) -> dict[int, ShapeStamp]:
    """The stamps, by index, of the shapes that a model wrote.

    Of several with one stamp, which are copies, the one that is still as written counts, else the first.
    """
    written: dict[tuple[int, int], tuple[int, ShapeStamp]] = {}
    for index, shape in enumerate(document.shapes):
        stamp = stamp_of(shape, ShapeStamp)
        if stamp and ((stamp.object, stamp.part) not in written or _keeps_outline(shape, stamp)):
            written[stamp.object, stamp.part] = index, stamp
    return dict(written.values())


def _keeps_outline(shape: dict[str, Any], stamp: ShapeStamp) -> bool:
    try:
        return geometry_sha256(shape) == stamp.shape_sha256
    except DatasetError:  # a mask that cannot be decoded is none that was written
        return False


def _changes(document: Document, group: Sequence[int], written: dict[int, ShapeStamp]) -> tuple[str, ...] | None:
    """What a person changed of an object; None for one that a person drew."""
    stamps = {index: written[index] for index in group if index in written}
    if not stamps:
        return None
    relabelled = any(document.shapes[index]["label"] != stamp.label for index, stamp in stamps.items())
    whole = len(stamps) == len(group) and {(stamp.object, stamp.parts) for stamp in stamps.values()} == {
        (next(iter(stamps.values())).object, len(group))
    }
    redrawn = not (whole and all(_keeps_outline(document.shapes[index], stamp) for index, stamp in stamps.items()))
    return tuple(name for name, changed in {"label": relabelled, "geometry": redrawn}.items() if changed)


def _origin(changes: tuple[str, ...] | None) -> Origin:
    if changes is None:
        return Origin.PERSON
    return Origin.CORRECTED if changes else Origin.MODEL
