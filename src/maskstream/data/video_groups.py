"""Images that `maskstream frames` picked belong to their video: it becomes their group, which no split tears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskstream.data.csv_files import Table, read_table
from maskstream.data.frames.folder import TABLE
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError

FRAME = "frame"
"""Key, among the attributes of an image, of the video, frame index, time in seconds and content hash it has."""

COLUMNS = ("video", "file", "frame", "time_s", "sha256", "image")

Origin = dict[str, Any]


def with_video_groups(images: Sequence[ImageRecord]) -> tuple[ImageRecord, ...]:
    """The images, each with its video as group where a `frames.csv` in its folder or above names it.

    A group that the labels gave stays.

    Raises
    ------
    DatasetError : a `frames.csv` is broken.
    """
    tables: dict[Path, dict[Path, Origin]] = {}
    return tuple(_with_group(image, tables) for image in images)


def _with_group(image: ImageRecord, tables: dict[Path, dict[Path, Origin]]) -> ImageRecord:
    origin = _origin(image.path.absolute(), tables)
    if origin is None:
        return image
    return replace(image, group=image.group or origin["video"], attributes=image.attributes | {FRAME: origin})


def _origin(path: Path, tables: dict[Path, dict[Path, Origin]]) -> Origin | None:
    for folder in path.parents:
        if folder not in tables:
            tables[folder] = _read(folder) if (folder / TABLE).is_file() else {}
        if path in tables[folder]:
            return tables[folder][path]
    return None


def _read(folder: Path) -> dict[Path, Origin]:
    """What is known of each picked image, by its path; nothing where another program wrote the file."""
    table = read_table(folder / TABLE)
    places = [table.index(column) for column in COLUMNS]
    found: dict[Path, Origin] = {}
    for line, cells in table.rows() if None not in places else ():
        video, file, frame, time_s, sha256, image = (cells[place] for place in places if place is not None)
        # what was picked from a folder of images names its file: each of those is a scene of its own
        if image and not file:
            found[folder / image] = _checked(table, line, video, frame, time_s) | {"sha256": sha256}
    return found


def _checked(table: Table, line: int, video: str, frame: str, time_s: str) -> Origin:
    try:
        return {"video": video, "index": int(frame), "time_s": float(time_s)}
    except ValueError as error:
        raise DatasetError(
            table.place(line),
            expected="a frame index and a time in seconds",
            found=f"{frame!r} and {time_s!r}",
            remedy="restore the file, or remove it to import without groups",
        ) from error
