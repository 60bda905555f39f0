"""labelme's JSON: one document a picture, with its shapes. https://github.com/wkentaro/labelme

Read here are the documents of labelme 3 to 6. What is checked is what this package uses; every other key, and the
exact value of each number, is left as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, Field, ValidationError

from maskstream.data.checked_json import Block, first_fault, mentions, read_bytes
from maskstream.errors import DatasetError

SUFFIX = ".json"
NO_CLASSES = ("__ignore__", "_background_")
"""labelme's names for what is not to be judged and for what is no object; neither is a class."""

DEEPEST = 100
"""Levels of values inside values; readers of JSON refuse to go much deeper."""

LONGEST_LABEL = 1000
FARTHEST_PX = 1e9
"""A point farther away is a broken number, not a place in a picture; its square still is a finite number."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Document:
    """One labelme document, checked.

    Attributes
    ----------
    path : the JSON file.
    name : its path below the source, with forward slashes.
    content : every key as it stands in the file.
    """

    path: Path
    name: str
    content: dict[str, Any]

    @property
    def shapes(self) -> list[dict[str, Any]]:
        """The shapes in their order, each with every key as it stands in the file."""
        shapes: list[dict[str, Any]] = self.content["shapes"]
        return shapes

    def place(self, index: int) -> str:
        """Where a shape stands, for messages."""
        return f"{self.path}: shapes[{index}]"


def shape_kind(shape: dict[str, Any]) -> str:
    """labelme's `shape_type`; in old documents, which lack it, a shape is a polygon."""
    return shape.get("shape_type") or "polygon"


def read_document(path: Path, name: str) -> Document:
    """Read and check one document.

    Raises
    ------
    DatasetError : the file cannot be read, is no JSON (NaN is none), lacks a key or holds a value of a wrong type.
    """
    text = read_bytes(path).removeprefix(_BYTE_ORDER_MARK)
    try:
        content = msgspec.json.decode(text)
        if not isinstance(content, dict):
            raise DatasetError(path, expected="a JSON object", found=type(content).__name__, remedy=_REMEDY)
        _check_depth(path, content)
        _Content.model_validate(content)
    except ValidationError as error:
        raise first_fault(path, error) from error
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise _no_json(path, text, error) from error
    return Document(path, name, content)


def check_shape(shape: dict[str, Any], place: str) -> None:
    """Check one shape as `read_document` checks them.

    Raises
    ------
    DatasetError : at `place`.
    """
    try:
        _Shape.model_validate(shape)
    except ValidationError as error:
        raise first_fault(place, error) from error


def may_be_labelme(path: Path) -> bool:
    """Whether a file has one of labelme's own keys, or is too broken to tell; other programs use JSON as well."""
    try:
        keys = msgspec.json.decode(read_bytes(path).removeprefix(_BYTE_ORDER_MARK), type=_Keys)
    except msgspec.ValidationError:  # JSON, but no object
        return False
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return True
    return any(value is not msgspec.UNSET for value in (keys.shapes, keys.imagePath, keys.imageData))


def is_labelme(path: Path) -> bool:
    """Whether a file has shapes and the path of a picture; one that is broken, whether it seems to."""
    try:
        keys = msgspec.json.decode(read_bytes(path).removeprefix(_BYTE_ORDER_MARK), type=_Keys)
    except (DatasetError, msgspec.MsgspecError, RecursionError, ValueError):
        return mentions(path, b'"shapes"', b'"imagePath"')
    return msgspec.UNSET not in (keys.shapes, keys.imagePath)


def default_name(image_name: str) -> str:
    """The name of the document that labelme looks for beside a picture."""
    return PurePosixPath(image_name).with_suffix(SUFFIX).as_posix()


_REMEDY = "restore the file, or take it away if it is not labelme's"


def _no_json(path: Path, text: bytes, error: Exception) -> DatasetError:
    try:
        _Content.model_validate_json(text)
    except ValidationError as fault:
        return first_fault(path, fault)
    return DatasetError(path, expected="JSON", found=str(error), remedy="restore or repair the file")


def _check_depth(path: Path, value: object, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise DatasetError(path, expected=f"values at most {DEEPEST} levels deep", found="deeper ones", remedy=_REMEDY)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict | list):
            _check_depth(path, inner, depth + 1)


class _Keys(msgspec.Struct):
    """labelme's own keys of a document, not looked into."""

    shapes: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    imagePath: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    imageData: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


def _check_label(label: str) -> str:
    if not 0 < len(label) <= LONGEST_LABEL:
        raise ValueError(f"a label of 1 to {LONGEST_LABEL} characters; not {len(label)}")
    return label


def _check_point(point: list[float]) -> list[float]:
    if len(point) != 2:
        raise ValueError("a pair of x and y")
    if not all(math.fabs(value) <= FARTHEST_PX for value in point):
        raise ValueError(f"pixels, at most {FARTHEST_PX:.0e}")
    return point


_Side = Annotated[int, Field(gt=0)]


class _Shape(Block):
    label: Annotated[str, AfterValidator(_check_label)]
    points: Annotated[list[Annotated[list[float], AfterValidator(_check_point)]], Field(min_length=1)]
    shape_type: str | None = None
    mask: str | None = None


class _Content(Block):
    shapes: list[_Shape]
    imagePath: str  # noqa: N815
    imageData: str | None = None  # noqa: N815
    imageHeight: _Side | None = None  # noqa: N815
    imageWidth: _Side | None = None  # noqa: N815
