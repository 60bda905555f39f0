"""COCO's result list as text (https://cocodataset.org/#format-results), checked, and its entries by image.

A list of entries with `image_id`, `category_id`, `segmentation` and `score`; `bbox` and `id` may stand beside these,
all else is passed over. Segmentations stay text until their image's turn: a million dense masks would fill any memory.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from maskstream.core.files import sha256
from maskstream.errors import DatasetError
from maskstream.evaluation.predictions.asked import Asked, counted

ABSENT = (b"", b"null", b"[]")


class ResultEntry(msgspec.Struct, gc=False):
    """One entry; what is None or empty may be left out of the file.

    `object_score` is this package's own: the score of the object, of which `score` is the share of one class.
    """

    image_id: int
    category_id: int
    score: float
    segmentation: msgspec.Raw = msgspec.Raw()
    bbox: msgspec.Raw = msgspec.Raw()
    id: int | None = None
    object_score: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ResultsFile:
    """The entries of a file.

    Attributes
    ----------
    path : the file.
    entries : in its order.
    by_image : numbers of the entries of each image, by its id.
    digest : the file's SHA-256.
    """

    path: Path
    entries: Sequence[ResultEntry]
    by_image: dict[int, list[int]]
    digest: str

    def place(self, number: int) -> str:
        """Where an entry is, for an error: "predictions.json: [3]"."""
        return f"{self.path}: [{number}]"


def read_results(path: Path, asked: Asked) -> ResultsFile:
    """Read and check a result list; segmentations are not looked into yet.

    Raises
    ------
    DatasetError : the file is missing, no JSON (NaN is none) or no list; an entry lacks a key or a segmentation, or has
        one of a wrong type; a category or image is unknown; an image is not asked about; a score is not in 0..1; or an
        id comes twice.
    """
    entries = _decode(path, _read(path))
    by_image: defaultdict[int, list[int]] = defaultdict(list)
    numbers_of_ids: dict[int, int] = {}
    for number, entry in enumerate(entries):
        fault = _fault(entry, asked.class_ids, numbers_of_ids)
        if fault:
            raise DatasetError(
                f"{path}: [{number}].{fault.key}", expected=fault.expected, found=fault.found, remedy=fault.remedy
            )
        if entry.id is not None:
            numbers_of_ids[entry.id] = number
        by_image[entry.image_id].append(number)
    names = {record.image_id: record.name for record in asked.dataset.images}
    unknown = [image_id for image_id in by_image if image_id not in names]
    if unknown:
        raise DatasetError(
            f"{path}: image_id",
            expected=f"ids of the {len(names)} images in {asked.dataset.folder / 'annotations.json'}",
            found=counted(unknown),
            remedy="give the ids of that file",
        )
    asked.refuse_others(path, (names[image_id] for image_id in by_image))
    return ResultsFile(path, entries, dict(by_image), sha256(path))


class _Fault(NamedTuple):
    key: str
    expected: str
    found: str
    remedy: str


def _fault(entry: ResultEntry, category_ids: Mapping[int, int], numbers_of_ids: dict[int, int]) -> _Fault | None:
    """What is wrong with an entry by itself."""
    if entry.category_id not in category_ids:
        known = ", ".join(map(str, sorted(category_ids)[:10])) + (", ..." if len(category_ids) > 10 else "")
        expected = f"a category id of the dataset ({known})"
        return _Fault("category_id", expected, str(entry.category_id), "correct the reference")
    if not 0 <= entry.score <= 1:
        return _Fault("score", "a number in 0..1", f"{entry.score:g}", "scale the scores")
    if entry.object_score is not None and not entry.score <= entry.object_score <= 1:
        expected = "a number in 0..1, not below the score of a class"
        return _Fault("object_score", expected, f"{entry.object_score:g}", "correct it, or leave it out")
    if bytes(entry.segmentation) in ABSENT:
        found = "none" if bytes(entry.bbox) in ABSENT else "a bounding box alone"
        remedy = "add the masks: objects are judged by their pixels"
        return _Fault("segmentation", "run-length codes or polygons", found, remedy)
    if entry.id in numbers_of_ids:
        found = f"{entry.id} again, as in [{numbers_of_ids[entry.id]}]"
        return _Fault("id", "each id once", found, "number the entries, or leave ids out")
    return None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(path, expected="a file of predictions", found=reason, remedy="check the path") from error


def _decode(path: Path, text: bytes) -> list[ResultEntry]:
    try:
        return msgspec.json.decode(text, type=list[ResultEntry])
    except msgspec.ValidationError as error:
        if not text.lstrip().startswith(b"["):
            raise DatasetError(
                path,
                expected="COCO's result list: [{image_id, category_id, segmentation, score}, ...]",
                found="a single value or object, as labels are",
                remedy="give the list of results",
            ) from error
        raise _wrong_type(f"{path}: ", str(error)) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _no_json(path, text, error) from error


def decode_value(text: msgspec.Raw, kind: Any, place: str) -> Any:
    """A value of an entry, as `kind`. DatasetError: it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise _wrong_type(place, str(error)) from error


def _wrong_type(place: str, message: str) -> DatasetError:
    """The error for a value of a wrong type, or one that is missing, from msgspec's own words."""
    where = re.search(r" - at `\$(.*)`$", message)
    at = where[1] if where else ""
    what = message[: where.start()] if where else message
    place += at
    missing = re.fullmatch(r"Object missing required field `(.+)`", what)
    if missing:
        return DatasetError(f"{place}.{missing[1]}", expected="this key", found="none", remedy="add it")
    types = re.fullmatch(r"Expected `(.+?)`, got `(.+?)`", what)
    expected, found = (types[1], types[2]) if types else ("a value of another type", what)
    return DatasetError(place, expected=expected, found=found, remedy="correct the value")


def _no_json(path: Path, text: bytes, error: Exception) -> DatasetError:
    """The error for text that is no JSON; Python reads NaN, which many programs write, and so finds where it is."""
    place, found = str(path), str(error)
    constants: list[str] = []

    def read_constant(name: str) -> float:
        constants.append(name)
        return float(name)

    try:
        content = json.loads(text, parse_constant=read_constant)
    except (ValueError, RecursionError) as other:
        found = str(other) or found
    else:
        if constants:
            found = f"{constants[0]}, which JSON does not have"
            place += _first_not_finite(content)
    return DatasetError(place, expected="JSON", found=found, remedy="repair the file, or write it again")


def _first_not_finite(content: Any) -> str:
    """Where the first entry is with such a value of its own, such as ": [3].score"; nothing when it lies deeper."""
    for number, entry in enumerate(content if isinstance(content, list) else []):
        for key, value in entry.items() if isinstance(entry, dict) else ():
            if isinstance(value, float) and not math.isfinite(value):
                return f": [{number}].{key}"
    return ""
