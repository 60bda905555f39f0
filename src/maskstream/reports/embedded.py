"""What a page holds of a run's overlay: the film, the pictures, and a picture cut around each object."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from maskstream.errors import SourceError
from maskstream.reports import pictures
from maskstream.reports.histories import BestView, History
from maskstream.reports.read_run import FinishedRun

FILM_LIMIT_BYTES = 48 * 1024 * 1024
"""A larger film stays beside the page, which then says so: browsers take long to open such a page."""

PICTURE_LIMIT = 60
"""Overlay pictures inside the page; the others are linked."""

LINK_LIMIT = 500
"""Links to further pictures; beyond them the page gives their number."""

FULL_SIDE_PX = 960
"""Longest side of a whole picture inside the page."""

CUT_SIDE_PX = 480
"""Longest side of a picture cut around one object."""


@dataclass(frozen=True, slots=True)
class Film:
    """The overlay film, inside the page or beside it."""

    path: Path
    size_bytes: int

    @classmethod
    def of(cls, run: FinishedRun) -> Film | None:
        """The film of a run; None for a run of single images, or when there is no film."""
        path = run.path / "overlay.mp4"
        return cls(path, path.stat().st_size) if run.is_video and path.is_file() else None

    @property
    def inside(self) -> bool:
        """Whether the page holds the film itself."""
        return self.size_bytes <= FILM_LIMIT_BYTES

    @property
    def megabytes(self) -> int:
        """Its size as a reader wants it."""
        return max(1, round(self.size_bytes / 1e6))

    def text(self) -> Iterator[Markup]:
        """The film as base64, piece by piece."""
        return pictures.base64_text(self.path)


@dataclass(frozen=True, slots=True)
class Gallery:
    """The overlay pictures of a run of single images."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, run: FinishedRun) -> Gallery | None:
        """The pictures of a run; None for a film."""
        return None if run.is_video else cls(tuple(sorted((run.path / "overlay").glob("*.jpg"))))

    def inside(self) -> Iterator[tuple[str, str, Markup]]:
        """Name, address of the full picture, and the small picture itself, one at a time."""
        for path in self.paths[:PICTURE_LIMIT]:
            image = pictures.read_picture(path)
            if image is not None:
                yield path.stem, _address(path), pictures.jpeg_uri(image, FULL_SIDE_PX)

    def links(self) -> list[tuple[str, str]]:
        """Name and address of the pictures beside the page."""
        return [(path.stem, _address(path)) for path in self.paths[PICTURE_LIMIT : PICTURE_LIMIT + LINK_LIMIT]]

    @property
    def beside(self) -> int:
        """How many pictures are not inside the page."""
        return max(0, len(self.paths) - PICTURE_LIMIT)

    @property
    def unlisted(self) -> int:
        """How many pictures are neither shown nor linked."""
        return max(0, self.beside - LINK_LIMIT)


def _address(path: Path) -> str:
    return f"overlay/{quote(path.name)}"


class Cuts(NamedTuple):
    """Addresses of the pictures of objects by track id, of the film's poster, and what went wrong."""

    by_track: Mapping[int, Markup]
    poster: Markup | None = None
    failure: str | None = None


def cut_pictures(run: FinishedRun, histories: Mapping[int, History], film: Film | None) -> Cuts:
    """A picture of each track in its best frame."""
    if not run.is_video:
        return Cuts(_from_pictures(run, histories))
    if film is None:
        return Cuts({})
    try:
        return Cuts(_from_film(run, histories, film), _poster(run, film))
    except SourceError as error:
        return Cuts({}, failure=f"The overlay film could not be read, so the objects have no pictures: {error.found}.")


def _from_film(run: FinishedRun, histories: Mapping[int, History], film: Film) -> dict[int, Markup]:
    ordered = sorted(run.tracks, key=lambda track: track.best_time_s)
    frames = pictures.film_frames(film.path, [track.best_time_s for track in ordered])
    cuts = {}
    for track, image in zip(ordered, frames, strict=True):
        best = histories[track.track_id].best
        if best is not None:
            cuts[track.track_id] = pictures.jpeg_uri(
                pictures.cut_around(image, best.box_xyxy, best.size_hw), CUT_SIDE_PX
            )
    return cuts


def _poster(run: FinishedRun, film: Film) -> Markup:
    """The first object's best frame, or the film's first frame."""
    (image,) = pictures.film_frames(film.path, [run.tracks[0].best_time_s if run.tracks else 0.0])
    return pictures.jpeg_uri(image, FULL_SIDE_PX)


def _from_pictures(run: FinishedRun, histories: Mapping[int, History]) -> dict[int, Markup]:
    """Each overlay is read once, however many objects it shows."""
    wanted = [(best, track_id) for track_id, history in histories.items() if (best := history.best) is not None]
    cuts = {}
    for name, group in itertools.groupby(sorted(wanted, key=_overlay_name), key=_overlay_name):
        image = pictures.read_picture(run.path / "overlay" / name)
        for best, track_id in group:
            if image is not None:
                cut = pictures.cut_around(image, best.box_xyxy, best.size_hw)
                cuts[track_id] = pictures.jpeg_uri(cut, CUT_SIDE_PX)
    return cuts


def _overlay_name(wanted: tuple[BestView, int]) -> str:
    return wanted[0].overlay_name
