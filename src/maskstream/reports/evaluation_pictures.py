"""The pictures of an evaluation that its page holds: the worst images, and what the model looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from maskstream.reports.pictures import jpeg_uri, read_picture
from maskstream.reports.read_evaluation import FinishedEvaluation

WORST_LIMIT = 24
WHY_LIMIT = 24
"""Pictures inside the page; the folders beside it have all."""

SIDE_PX = 1280
"""Longest side inside the page, so that an enlarged picture shows what there is to see."""

_ENDINGS = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that can be enlarged: its file, a title, and what there is to say of it."""

    path: Path
    title: str
    told: str

    def uri(self) -> Markup | None:
        """The picture itself as a `data:` address; None where the file is no picture."""
        image = read_picture(self.path)
        return None if image is None else jpeg_uri(image, SIDE_PX)


def worst_pictures(run: FinishedEvaluation) -> list[Picture]:
    """The worst images in their order, with why they are bad."""
    found = []
    for row in run.tables["worst"]:
        path = _below(run.path, row.get("picture", ""))
        if path is not None:
            rank = row.get("rank", "")
            found.append(Picture(path, f"{rank}. {row.get('image', '')}" if rank else row["image"], row.get("why", "")))
    return found


def why_pictures(run: FinishedEvaluation) -> list[Picture]:
    """Occlusion maps, as their table lists them; without one in the order of their names."""
    if run.tables["why"]:
        rows = [(_below(run.path, row.get("picture", "")), row) for row in run.tables["why"]]
        return [Picture(path, row.get("image", ""), row.get("reading", "")) for path, row in rows if path is not None]
    paths = sorted((run.path / "why").rglob("*")) if (run.path / "why").is_dir() else []
    return [Picture(path, path.stem, "") for path in paths if path.suffix.lower() in _ENDINGS]


def embedded(pictures: Sequence[Picture], most: int) -> Iterator[tuple[Picture, Markup]]:
    """The first pictures with their addresses, one at a time; files that are no pictures are left out."""
    for picture in pictures[:most]:
        if (uri := picture.uri()) is not None:
            yield picture, uri


def _below(folder: Path, name: str) -> Path | None:
    """A file below a folder by its relative name; None for one that leads out of it, or is not there."""
    path = (folder / name).resolve()
    return path if name and path.is_relative_to(folder.resolve()) and path.is_file() else None
