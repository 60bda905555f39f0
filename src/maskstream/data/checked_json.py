"""JSON files of a dataset, checked once on reading."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from maskstream.errors import DatasetError


class Block(BaseModel):
    """One JSON object: types are not coerced, NaN is refused, unknown keys are passed over."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


BlockType = TypeVar("BlockType", bound=Block)


def read_json(path: Path, block: type[BlockType]) -> BlockType:
    """Read a JSON file as `block`.

    Raises
    ------
    DatasetError : the file is missing, is no JSON, lacks a key or holds a value of a wrong type; the
        error names the first such place.
    """
    try:
        return block.model_validate_json(read_bytes(path))
    except ValidationError as error:
        raise first_fault(path, error) from error


def read_bytes(path: Path) -> bytes:
    """The bytes of a JSON file.

    Raises
    ------
    DatasetError : the file is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(path, expected="a JSON file", found=reason, remedy="import the dataset again") from error


def mentions(path: Path, *words: bytes) -> bool:
    """Whether all the words stand somewhere in a file: what format it is of, without reading it as JSON."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            return all(text.find(word) >= 0 for word in words)
    except (OSError, ValueError):  # unreadable, or empty
        return False


def first_fault(parent: object, error: ValidationError) -> DatasetError:
    """The first thing that is wrong with a JSON file, or with the entry of one that `parent` names."""
    fault = error.errors(include_url=False)[0]
    others = f" (and {error.error_count() - 1} more faults)" if error.error_count() > 1 else ""
    if fault["type"] == "json_invalid":
        reason = str(fault.get("ctx", {}).get("error", fault["msg"]))
        return DatasetError(parent, expected="JSON", found=reason, remedy="restore or repair the file")
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    separator = "." if str(parent).endswith("]") else ": "
    place = f"{parent}{separator}{key}" if key else str(parent)
    if fault["type"] == "missing":
        return DatasetError(place, expected="this key", found=f"none{others}", remedy="add it")
    found = f"{_short(fault['input'])}{others}"
    return DatasetError(place, expected=_expectation(fault), found=found, remedy="correct the value")


def _expectation(fault: ErrorDetails) -> str:
    minimum = fault.get("ctx", {}).get("min_length")
    if minimum is not None:
        return f"a length of {minimum} or more"
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return re.sub(r" or instance of \w+", "", expected)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
