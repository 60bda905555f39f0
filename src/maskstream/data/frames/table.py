"""`frames.csv`: a row for every frame of every film, and why it was kept or not.

video               the film or folder, as it was given; all frames of one video belong into one split
file                name of the image file, for a folder of images
frame, time_s       index from 0, and container time in seconds
width, height       of the frame in pixels
sha256              of its RGB bytes, row by row
sharpness           share of the grey steps that one more blur takes away; up to 0.6, below 0.1 is blurred
brightness          mean grey, 0 to 255
black, burnt_out, glare   shares of the pixels: all channels at most 8, any at least 253, all at least 230
quality             0 to 1: sharpness (full from 0.5 on) times the share of pixels that can be read
motion              mean grey difference from the frame before, on 32 x 32 cells; empty for images
hash                64 bits of what it shows, hexadecimal
nearest_kept_bits   in how many bits it differs from the kept frame of any film that is most like it; itself aside
repeat_of           earlier frame of the film that shows the same picture
objects, top_score, uncertainty   what the model says; empty where it was not asked (see `pick`)
faults              all of over-exposed, under-exposed, blurred, glare and repeat that hold, with spaces between
kept                yes or no
reason              why not: the first of the faults; `damaged` (cannot be decoded; no scores); `similar` to a kept
                    frame; `others preferred`
rank                1 for the most valuable kept frame
image               the picture, relative to this file's folder, with forward slashes
scale_x, scale_y, offset_x, offset_y   x in the picture = scale_x * x in the frame + offset_x, and so for y
"""

from __future__ import annotations

import csv
import itertools
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstream.core.files import whole_file
from maskstream.core.quality import HASH_BITS
from maskstream.data.frames.choice import bits_apart
from maskstream.data.frames.faults import FAULTS, VideoColumns, find_faults
from maskstream.data.frames.folder import FrameOptions
from maskstream.data.frames.picture import Fit
from maskstream.data.frames.scores import Scores
from maskstream.errors import DatasetError

COLUMNS = (
    "video", "file", "frame", "time_s", "width", "height", "sha256", "sharpness", "brightness", "black", "burnt_out",
    "glare", "quality", "motion", "hash", "nearest_kept_bits", "repeat_of", "objects", "top_score", "uncertainty",
    "faults", "kept", "reason", "rank", "image", "scale_x", "scale_y", "offset_x", "offset_y",
)  # fmt: skip

DAMAGED, SIMILAR, OTHERS_PREFERRED = "damaged", "similar", "others preferred"
REASONS = (*FAULTS, DAMAGED, SIMILAR, OTHERS_PREFERRED)
"""Why a frame is not kept."""

KEPT = "kept"


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """What is wrong with the n frames of a film.

    Attributes
    ----------
    frames : (n,) their indices, ascending.
    faults : (n,) boolean each, by `FAULTS`.
    median_sharpness : of the film.
    """

    frames: NDArray[np.int64]
    faults: Mapping[str, NDArray[np.bool_]]
    median_sharpness: float

    @classmethod
    def of(cls, video: Iterable[Scores], *, continuous: bool) -> Verdicts:
        """From all scores of a film, of which 32 bytes a frame are held."""
        frames, values = array("q"), array("f")
        for scores in video:
            frames.append(scores.frame)
            values.extend((scores.sharpness, scores.brightness, scores.black, scores.burnt_out, scores.glare))
            values.append(scores.repeat_of is not None)
        sharpness, brightness, black, burnt_out, glare, repeat = np.array(values, np.float32).reshape(-1, 6).T
        columns = VideoColumns(sharpness, brightness, black, burnt_out, glare, repeat > 0)
        median = float(np.median(columns.sharpness)) if len(frames) else 0.0
        return cls(np.array(frames, np.int64), find_faults(columns, continuous=continuous), median)

    def of_frame(self, frame: int) -> list[str]:
        """The faults of one frame."""
        row = int(np.searchsorted(self.frames, frame))
        return [fault for fault, holds in self.faults.items() if holds[row]]


@dataclass(frozen=True, slots=True)
class Pick:
    """A kept frame: its scores, rank from 1, and the picture relative to the table."""

    scores: Scores
    rank: int
    image: str


def write_table(
    path: Path,
    videos: Sequence[tuple[str, Iterable[Scores | int]]],
    verdicts: Sequence[Verdicts],
    picks: Sequence[Pick],
    options: FrameOptions,
) -> list[Counter[str]]:
    """Write `frames.csv`, whole or not at all.

    Parameters
    ----------
    films : name of each film, and its frames in order: scores, or the index of one that is damaged.

    Returns
    -------
    For each film how many frames were kept, under `KEPT`, and dropped for each of `REASONS`.

    Raises
    ------
    OutputError : the place cannot be written.
    """
    by_frame = {(pick.scores.video, pick.scores.frame): pick for pick in picks}
    kept_hashes = np.array([pick.scores.hash_bits for pick in picks], np.uint64)
    counts = []
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for (name, frames), video_verdicts in zip(videos, verdicts, strict=True):
            count: Counter[str] = Counter()
            for block in _blocks(frames):
                nearest = _nearest_bits(block, kept_hashes, by_frame)
                for frame, bits in zip(block, nearest, strict=True):
                    row = {**_row(frame, bits, video_verdicts, by_frame, options), "video": name}
                    count[row["reason"] or KEPT] += 1
                    writer.writerow(row)
            counts.append(count)
    return counts


def _blocks(frames: Iterable[Scores | int], length: int = 1024) -> Iterator[list[Scores | int]]:
    iterator = iter(frames)
    while block := list(itertools.islice(iterator, length)):
        yield block


def _nearest_bits(
    block: list[Scores | int], kept_hashes: NDArray[np.uint64], by_frame: Mapping[tuple[int, int], Pick]
) -> list[int | None]:
    """Of each frame the distance to the nearest kept one, itself aside; None where there is no other."""
    hashes = np.array([0 if isinstance(frame, int) else frame.hash_bits for frame in block], np.uint64)
    apart = bits_apart(hashes, kept_hashes)
    for row, frame in enumerate(block):
        own = None if isinstance(frame, int) else by_frame.get((frame.video, frame.frame))
        if own:
            apart[row, own.rank - 1] = HASH_BITS + 1
    least = apart.min(axis=1, initial=HASH_BITS + 1).tolist()
    return [
        None if bits > HASH_BITS or isinstance(frame, int) else bits for frame, bits in zip(block, least, strict=True)
    ]


def _row(
    frame: Scores | int,
    nearest_bits: int | None,
    verdicts: Verdicts,
    by_frame: Mapping[tuple[int, int], Pick],
    options: FrameOptions,
) -> dict[str, Any]:
    if isinstance(frame, int):
        return {"frame": frame, "kept": "no", "reason": DAMAGED}
    height, width = frame.size_hw
    row: dict[str, Any] = {name: value for name, value in frame.to_line().items() if name in COLUMNS}
    faults = verdicts.of_frame(frame.frame)
    row |= {"width": width, "height": height, "nearest_kept_bits": nearest_bits, "faults": " ".join(faults)}
    pick = by_frame.get((frame.video, frame.frame))
    if pick is None:
        similar = nearest_bits is not None and nearest_bits <= options.apart_bits
        return row | {"kept": "no", "reason": (faults or [SIMILAR if similar else OTHERS_PREFERRED])[0]}
    fit = Fit.of(frame.size_hw, options.size_hw, crop=options.crop)
    row |= {"kept": "yes", "reason": "", "rank": pick.rank, "image": pick.image}
    row |= dict(zip(("scale_x", "scale_y"), fit.scale_xy, strict=True))
    return row | dict(zip(("offset_x", "offset_y"), fit.offset_xy, strict=True))


def read_kept(path: Path) -> list[dict[str, str]]:
    """The rows of the kept frames, best first.

    Raises
    ------
    DatasetError : the table is missing or lacks a column.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kept"] == "yes"]
            return sorted(rows, key=lambda row: int(row["rank"]))
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(
            path,
            expected="the table of `maskstream frames`",
            found=f"{type(error).__name__}: {error}",
            remedy="run it again",
        ) from error
