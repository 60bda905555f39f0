"""The blocks of COCO's annotation JSON, each entry checked by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from maskstream.data.checked_json import Block, BlockType, first_fault, read_bytes, read_json
from maskstream.errors import DatasetError

LONGEST_SIDE_PX = 1_000_000
"""A picture that claims to be longer is a broken file, not a picture."""


def _check_finite(values: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        raise ValueError("finite numbers") from None
    return values


_Attributes = Annotated[dict[str, Any], AfterValidator(_check_finite)]
_Side = Annotated[int, Field(gt=0, le=LONGEST_SIDE_PX)]


class _Entry(Block):
    """An entry whose unknown keys are kept."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="allow")


class Category(_Entry):
    id: int
    name: str = Field(min_length=1)


class Image(_Entry):
    """`group`, `category_id` and `attributes` are maskstream's own."""

    id: int
    file_name: str
    height: _Side | None = None
    width: _Side | None = None
    group: str | None = None
    category_id: int | None = None
    attributes: _Attributes = Field(default_factory=dict)


class RunLengths(Block):
    size: tuple[int, int]
    counts: Annotated[
        Annotated[str, Tag("compressed")] | Annotated[list[int], Tag("runs")],
        Discriminator(lambda counts: "runs" if isinstance(counts, list) else "compressed"),
    ]


class AnnotationEntry(_Entry):
    id: int
    image_id: int
    category_id: int
    segmentation: Annotated[
        Annotated[RunLengths, Tag("rle")] | Annotated[list[list[float]], Tag("polygons")],
        Discriminator(lambda segmentation: "rle" if isinstance(segmentation, (dict, RunLengths)) else "polygons"),
    ] = Field(default_factory=list)
    bbox: tuple[float, float, float, float] | None = None
    area: float | None = Field(None, ge=0)
    iscrowd: int = Field(0, ge=0, le=1)
    attributes: _Attributes = Field(default_factory=dict)


class _Whole(Block):
    """The whole file at once: only to say where one is broken."""

    images: list[Image]
    annotations: list[AnnotationEntry]
    categories: list[Category]
    info: dict[str, Any] = Field(default_factory=dict)
    licenses: list[dict[str, Any]] = Field(default_factory=list)


class Blocks(msgspec.Struct):
    """The file cut into its entries, each still as text: a million of them as objects would fill the memory."""

    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw]
    info: dict[str, Any] = {}
    licenses: list[dict[str, Any]] = []


def read_blocks(path: Path) -> Blocks:
    """Read a COCO file and cut it into its entries.

    Raises
    ------
    DatasetError : the file is missing, is no JSON (NaN is none), or a block is missing or of a wrong type.
    """
    try:
        return msgspec.json.decode(read_bytes(path), type=Blocks)
    except (msgspec.MsgspecError, RecursionError) as error:
        read_json(path, _Whole)
        # pydantic, which names the place, found nothing wrong
        raise DatasetError(path, expected="JSON", found=str(error), remedy="restore or repair the file") from error


def checked_entries(
    path: Path, block: str, entries: list[msgspec.Raw], kind: type[BlockType]
) -> Iterator[tuple[str, BlockType | DatasetError]]:
    """The place of each entry in the file, and the entry itself or what is wrong with it."""
    for index, text in enumerate(entries):
        place = f"{path}: {block}[{index}]"
        try:
            yield place, kind.model_validate_json(bytes(text))
        except ValidationError as error:
            yield place, first_fault(place, error)
