"""What `maskstream frames` leaves on disk, and how it tells whether a run goes on.

frames.json        how the run came about, written first; its result is added last, and says that the run has ended
images/            the picked frames
frames.csv         a row for every frame of every film
unfinished/        scores, thumbnails and candidates of a run that goes on; gone when it has ended
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from maskstream import __version__
from maskstream.core.files import require_unused, write_json
from maskstream.core.segmenter import Segmenter
from maskstream.data.frames.scores import Scores
from maskstream.errors import OutputError
from maskstream.media.base import Source
from maskstream.media.lines import read_lines

FACTS, IMAGES, TABLE, UNFINISHED = "frames.json", "images", "frames.csv", "unfinished"
RESULT = "result"
THUMBNAILS, PICTURES = "thumbnails.bin", "pictures"

APART_BITS = 10
"""Codecs change up to 3 bits, and frames 6 to 9 apart still looked alike on a contact sheet of a sample clip."""


@dataclass(frozen=True, slots=True)
class FrameOptions:
    """What a user decides.

    Attributes
    ----------
    count : frames to pick, 1 or more.
    size_hw : height and width of the pictures; None leaves frames as they are.
    crop : fill the size and cut what is beyond, instead of padding.
    suffix : ".png" or ".jpg".
    every : look at each n-th frame only.
    apart_bits : two picked frames differ in more bits of their hash, 0 to 64.
    """

    count: int
    size_hw: tuple[int, int] | None = None
    crop: bool = False
    suffix: str = ".png"
    every: int = 1
    apart_bits: int = APART_BITS

    def __post_init__(self) -> None:
        if self.count < 1 or self.every < 1 or not 0 <= self.apart_bits <= 64:
            raise ValueError(f"count and every must be 1 or more, apart_bits 0 to 64: {self}")


def gather_facts(videos: Sequence[Source], options: FrameOptions, segmenter: Segmenter | None) -> dict[str, Any]:
    """What decides a run's result; a resumed run must have the same."""
    facts = {
        "videos": [{"name": video.name, "sha256": video.content_sha256()} for video in videos],
        "model": segmenter.name if segmenter else None,
        "model_sha256": getattr(segmenter, "sha256", None),
        **asdict(options),
        "maskstream": __version__,
    }
    # as it will be read back: lists for tuples
    return dict(json.loads(json.dumps(facts)))


def claim(folder: Path, facts: dict[str, Any], *, resume: bool) -> bool:
    """Write the facts into a new folder, or see that the run to resume began with the same ones.

    Returns
    -------
    Whether that run has ended.

    Raises
    ------
    OutputError : the folder is in use, holds another run, or cannot be written.
    """
    known = folder / FACTS
    if not resume:
        require_unused(folder, remedy="go on with --resume, or choose another --out")
        write_json(known, facts)
        return False
    try:
        begun = json.loads(known.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            known, expected="the facts of a run to resume", found=str(error), remedy="start it without --resume"
        ) from error
    differing = [name for name, value in facts.items() if begun.get(name) != value]
    if differing:
        raise OutputError(
            known,
            expected="a run of the same films, model and options",
            found="another " + ", ".join(differing),
            remedy="resume with what the run began with, or choose another --out",
        )
    return RESULT in begun


def image_prefixes(videos: Sequence[Source]) -> list[str]:
    """Start of the name of each film's pictures: its stem, with a number where an earlier film has the same one."""
    taken: set[str] = set()
    prefixes = []
    for video in videos:
        stem = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(video.name).stem or video.name)
        stem = stem.strip("-.") or "video"
        prefix, number = stem, 1
        # some file systems do not tell upper from lower case
        while prefix.casefold() in taken:
            number += 1
            prefix = f"{stem}-{number}"
        taken.add(prefix.casefold())
        prefixes.append(prefix)
    return prefixes


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """The last line of a film's scores."""

    damaged: int
    warnings: tuple[str, ...]

    @classmethod
    def from_line(cls, line: dict[str, Any]) -> VideoEnd | None:
        """The end that a line tells of; None for the line of a frame."""
        return cls(line["damaged"], tuple(line["warnings"])) if line.get("end") else None

    def to_line(self) -> dict[str, Any]:
        """The line as JSON."""
        return {"end": True, "damaged": self.damaged, "warnings": list(self.warnings)}


def scores_path(folder: Path, video: int) -> Path:
    """Where the scores of a film lie while the run goes on: a line a frame, and a last one when the film has ended."""
    return folder / UNFINISHED / f"scores-{video:03d}.jsonl"


def finished_scores(folder: Path, video: int) -> Iterator[Scores]:
    """The frames of a film that this run has finished, in order; none for a new run."""
    for line in _lines(folder, video):
        if not line.get("end"):
            yield Scores.from_line(line)


def video_end(folder: Path, video: int) -> VideoEnd | None:
    """How a film ended; None while it has not."""
    return next((end for line in _lines(folder, video) if (end := VideoEnd.from_line(line))), None)


def _lines(folder: Path, video: int) -> Iterator[dict[str, Any]]:
    path = scores_path(folder, video)
    return read_lines(path) if path.exists() else iter(())


def remove_unfinished(folder: Path) -> None:
    """Drop what only an unfinished run needs."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
