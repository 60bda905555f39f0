"""Which images of a dataset are frames of videos, in which order, and when each was seen."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath

import numpy as np

from maskstream.data.records import ImageRecord
from maskstream.data.video_groups import FRAME
from maskstream.errors import DatasetError

FRAME_NUMBER_S = 1 / 25
"""Time from one frame number to the next, where nobody tells the time."""

MOST_STEP_S = 0.5
"""Frames further apart, such as those picked for labelling, are stills rather than a video: nothing can be tracked."""

_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """The labelled frames of one video, two or more, in order.

    Attributes
    ----------
    name : of the video's file, or the images' folder and what their names have in common.
    frames : its images.
    times_s : when each was seen, in seconds.
    stated : the dataset tells the times; otherwise they are `FRAME_NUMBER_S` a frame number.
    """

    name: str
    frames: tuple[ImageRecord, ...]
    times_s: tuple[float, ...]
    stated: bool

    @property
    def step_s(self) -> float:
        """The usual time from one labelled frame to the next: the median."""
        return float(np.median(np.diff(self.times_s)))


def videos_of(records: Sequence[ImageRecord], *, asked: bool = False) -> tuple[Video, ...]:
    """The videos of which two or more of the images are frames.

    Images that `maskstream frames` took say so themselves. Where frame numbers alone tell (`swan/00000.jpg`,
    `swan_12.jpg`), or frames lie more than `MOST_STEP_S` apart, it takes somebody who says that these are videos.

    Parameters
    ----------
    asked : somebody says that the images are frames of videos.

    Raises
    ------
    DatasetError : two images are the same frame, or what an image says of its video is broken.
    """
    stated: defaultdict[str, list[tuple[int, float, ImageRecord]]] = defaultdict(list)
    numbered: defaultdict[str, list[tuple[int, float, ImageRecord]]] = defaultdict(list)
    for record in records:
        if FRAME in record.attributes:
            name, index, time_s = _origin(record)
            stated[name].append((index, time_s, record))
        elif asked and (match := _NUMBERED.fullmatch(PurePosixPath(record.name).with_suffix("").as_posix())):
            number = int(match["number"])
            numbered[match["before"].rstrip("/_-. ") or "images"].append((number, number * FRAME_NUMBER_S, record))
    videos = [
        _video(name, frames, stated=known is stated)
        for known in (stated, numbered)
        for name, frames in known.items()
        if len(frames) > 1
    ]
    return tuple(video for video in videos if asked or video.step_s <= MOST_STEP_S)


def _origin(record: ImageRecord) -> tuple[str, int, float]:
    origin = record.attributes[FRAME]
    try:
        return str(origin["video"]), int(origin["index"]), float(origin["time_s"])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"image {record.name}: attributes.{FRAME}",
            expected="video, index and time_s of the frame",
            found=f"{origin!r}",
            remedy="import the images again with the frames.csv that `maskstream frames` wrote",
        ) from error


def _video(name: str, frames: list[tuple[int, float, ImageRecord]], *, stated: bool) -> Video:
    ordered = sorted(frames, key=lambda frame: frame[0])
    for (index, _, one), (next_index, _, other) in pairwise(ordered):
        if index == next_index:
            raise DatasetError(
                f"video {name}",
                expected="an image for each frame",
                found=f"frame {index} twice ({one.name}, {other.name})",
                remedy="leave one out, or judge without --video",
            )
    return Video(name, tuple(frame[2] for frame in ordered), tuple(frame[1] for frame in ordered), stated)
