"""What a file of the VGG Image Annotator (VIA) says, checked: JSON of versions 1 and 2, or CSV.

https://www.robots.ox.ac.uk/~vgg/software/via/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError, field_validator

from maskstream.data.checked_json import Block, first_fault, mentions, read_bytes
from maskstream.data.csv_files import Row, Table, columns_of, read_table
from maskstream.errors import DatasetError

METADATA, IDS = "_via_img_metadata", "_via_image_id_list"
CSV_COLUMNS = ("file_attributes", "region_shape_attributes", "region_attributes")
_KEYS = (b'"filename"', b'"regions"')
FILE_NAME_COLUMNS = ("filename", "#filename")
"""VIA 1.0 puts a # before its header."""

LONGEST_KEY = 80
"""Characters of a key that a message shows."""


class _Kept(Block):
    """A JSON object whose other keys are kept, in `model_extra`."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="allow")


class Region(_Kept):
    """A shape drawn in an image, and what was said of it."""

    shape_attributes: dict[str, Any]
    region_attributes: dict[str, Any] = Field(default_factory=dict)


class FileEntry(_Kept):
    """An image and its regions; version 1 has these as an object with numbers for keys."""

    filename: str
    size: int | float | str = -1
    regions: list[Region] = Field(default_factory=list)
    file_attributes: dict[str, Any] = Field(default_factory=dict)

    @field_validator("regions", mode="before")
    @classmethod
    def _as_list(cls, regions: object) -> object:
        return list(regions.values()) if isinstance(regions, dict) else regions


@dataclass(frozen=True, slots=True)
class Document:
    """One file of VIA's.

    Attributes
    ----------
    path : the file.
    entries : its images, each with its place in the file, for messages.
    settings : every other block of a project of version 2.
    """

    path: Path
    entries: tuple[tuple[str, FileEntry], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def looks_like_via(path: Path) -> bool:
    """Whether a JSON file has VIA's keys, or a CSV file its columns."""
    if path.suffix.lower() == ".csv":
        return set(CSV_COLUMNS) <= set(columns_of(path))
    return mentions(path, METADATA.encode()) or mentions(path, *_KEYS)


def read_document(path: Path) -> Document:
    """Read and check a file.

    Raises
    ------
    DatasetError : the file is missing or broken, a key is missing, comes twice or has a value of a wrong type.
    """
    if path.suffix.lower() == ".csv":
        return Document(path, tuple(_csv_entries(read_table(path))))
    content = _json(path, read_bytes(path))
    if not isinstance(content, dict):
        raise DatasetError(path, expected="VIA's JSON", found=f"a {type(content).__name__}", remedy="check the path")
    files = content.get(METADATA, content)
    settings = (
        {key: value for key, value in content.items() if key not in {METADATA, IDS}} if METADATA in content else {}
    )
    if not isinstance(files, dict):
        raise DatasetError(f"{path}: {METADATA}", expected="an object", found=type(files).__name__, remedy="correct it")
    entries = [
        (f"{path}: {key[:LONGEST_KEY]}", _checked(f"{path}: {key[:LONGEST_KEY]}", value))
        for key, value in _in_order(files, content)
    ]
    return Document(path, tuple(entries), settings)


def _in_order(files: Mapping[str, Any], content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The images in the order in which a project of version 2 shows them."""
    ids = content.get(IDS)
    order = {key: index for index, key in enumerate(ids) if isinstance(key, str)} if isinstance(ids, list) else {}
    return sorted(files.items(), key=lambda item: order.get(item[0], len(order)))


def _checked(place: str, value: object) -> FileEntry:
    try:
        return FileEntry.model_validate(value)
    except ValidationError as error:
        raise first_fault(place, error) from error


def _json(place: object, text: str | bytes) -> Any:
    try:
        return json.loads(
            text.decode("utf-8-sig") if isinstance(text, bytes) else text,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_repeats,
        )
    except (ValueError, RecursionError) as error:
        found = "objects too deep in one another" if isinstance(error, RecursionError) else str(error)
        raise DatasetError(place, expected="JSON", found=found[:200], remedy="restore or repair the file") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name}, which JSON does not have")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated[:LONGEST_KEY]!r} twice in one object")
    return found


def _csv_entries(table: Table) -> Iterator[tuple[str, FileEntry]]:
    """The images of a CSV file, which has a row for each region, or one for an image without."""
    rows_of: dict[str, list[Row]] = {}
    name = table.require(*FILE_NAME_COLUMNS)
    for row in table.rows():
        rows_of.setdefault(row.cells[name], []).append(row)
    size = table.index("file_size")
    for file_name, rows in rows_of.items():
        regions = [_csv_region(table, row) for row in rows]
        yield (
            table.place(rows[0].line),
            _checked(
                table.place(rows[0].line),
                {
                    "filename": file_name,
                    "size": -1 if size is None else rows[0].cells[size],
                    "file_attributes": _cell(table, rows[0], "file_attributes"),
                    "regions": [region for region in regions if any(region.values())],
                },
            ),
        )


def _csv_region(table: Table, row: Row) -> dict[str, Any]:
    return {
        "shape_attributes": _cell(table, row, "region_shape_attributes"),
        "region_attributes": _cell(table, row, "region_attributes"),
    }


def _cell(table: Table, row: Row, column: str) -> Any:
    return _json(table.place(row.line, column), row.cells[table.require(column)] or "{}")
