"""Video files as frames with the container's own timestamps, through FFmpeg's libraries (PyAV)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskstream.core.files import sha256
from maskstream.core.frame import Frame
from maskstream.errors import SourceError
from maskstream.media.base import Source
from maskstream.media.decode import Decoder
from maskstream.media.pixels import UPRIGHT, display_matrix, orient, to_rgb

CUT_OFF = "a recording that was cut off may lack its index: copy or record it again"

PLAYLISTS = frozenset({"concat", "hls"})
"""Formats that only name other files, which a hash of this one would not cover."""

GUESSED_INTERVAL_S = Fraction(1, 25)
"""Seconds between frames where the container tells neither times nor a rate."""


class VideoSource(Source):
    """A video file.

    Time 0 is where the container starts, as in players: a video that begins after its sound has a first
    frame above 0, and the frames of a varying frame rate keep their times. AVI stores no times; there a
    frame's time is its place in the file over the frame rate. Times always increase: one that does
    not is moved behind the frame before, and reported.

    Pixels are converted to 8-bit RGB with the matrix and range that the video states (BT.601 when it
    states none); HDR is not tone-mapped; transparent pixels are laid over white. Quarter turns and
    mirroring of the display matrix are applied; pixels that are not square stay as stored.

    A frame that cannot be decoded, or that the decoder calls corrupt, is left out and counted, and keeps
    its index. Frames that are built on a damaged one are given as decoded. A video that ends before its
    stated length gives the frames there are; the missing ones are estimated and counted.

    Raises
    ------
    SourceError : no video in the file, or none of its frames can be decoded (on opening); the frame size
        changes midway (on reading: areas of different scale must not be mixed).
    """

    kind = "video"

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        with self._open() as container:
            stream = self._stream(container)
            self.frame_rate = stream.average_rate or stream.guessed_rate
            self._start_s = _start_s(container)
            self.duration_s = _duration_s(container, stream)
            self.frame_count = stream.frames or round((self.duration_s or 0.0) / float(self._interval_s)) or None
        first = next(self.frames(), None)
        if first is None:
            raise self._error("frames that can be decoded", "none", "convert or record it again")
        self.size_hw = first.size_hw

    def content_sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        return sha256(self._path)

    def frames(self, start: int = 0, every: int = 1) -> Iterator[Frame]:
        """See `Source.frames`. Frames passed over are decoded, for exactness, but not converted."""
        self._begin(start, every)
        reformatter = VideoReformatter()
        index, time_s, end_s = -1, -1.0, Fraction(0)
        stored_hw: tuple[int, int] | None = None
        with self._open() as container:
            decoder = Decoder(container, self._stream(container))
            for decoded in decoder:
                self._lose(index + 1, decoded.lost)
                index += 1 + decoded.lost
                time_s = self._time_s(decoded.time_s, time_s, index)
                end_s = decoded.end_s or end_s
                stored_hw = self._same_size(decoded.frame, stored_hw, time_s)
                if index >= start and index % every == 0:
                    yield Frame(_image(decoded.frame, reformatter), index, time_s, self.name)
            if index >= 0:
                self._end(decoder, index + 1, end_s)

    def _open(self) -> InputContainer:
        try:
            # "file:" keeps a name such as "a:b.mp4" from being an address; the whitelist keeps what
            # the file says from opening one
            container = av.open(
                f"file:{self._path.absolute()}",
                container_options={"protocol_whitelist": "file"},
                metadata_errors="ignore",
            )
        except av.FFmpegError as error:
            unknown = isinstance(error, av.error.InvalidDataError)
            raise self._error(
                "a video that FFmpeg can read",
                "data of no known kind" if unknown else (error.strerror or str(error)).lower(),
                f"check that it plays; {CUT_OFF}",
            ) from error
        if container.format.name in PLAYLISTS:
            container.close()
            raise self._error("a video", f"a list of videos ({container.format.name})", "give the video itself")
        return container

    def _stream(self, container: InputContainer) -> VideoStream:
        """The first moving video: a cover picture does not count."""
        for stream in container.streams.video:
            if not stream.disposition & Disposition.attached_pic:
                if stream.codec_context is None:
                    raise self._error("a video whose codec FFmpeg knows", "an unknown one", "convert it to MP4")
                return stream
        kinds = sorted({"cover picture" if s.type == "video" else s.type for s in container.streams})
        found = " and ".join(kinds) or "nothing"
        raise self._error("a file with a video stream", found, f"give a video; {CUT_OFF}")

    def _lose(self, first: int, count: int) -> None:
        if count:
            self.damaged += count
            which = f"frame {first}" if count == 1 else f"frames {first} to {first + count - 1}"
            self._warn(f"{self.name}: {which} cannot be decoded, left out")

    def _time_s(self, stamp_s: Fraction | None, before_s: float, index: int) -> float:
        """Seconds since the container's start, later than the frame before."""
        if self._start_s is None:
            self._start_s = stamp_s
        time_s = None if stamp_s is None or self._start_s is None else float(stamp_s - self._start_s)
        if time_s is not None and time_s > before_s:
            return time_s
        if time_s is not None:
            self._warn(f"{self.name}: frame {index} is stamped {time_s:.3f} s, not after the frame before; moved")
        return max(before_s, 0.0) + float(self._interval_s) * (index > 0)

    @property
    def _interval_s(self) -> Fraction:
        return 1 / self.frame_rate if self.frame_rate else GUESSED_INTERVAL_S

    def _same_size(self, frame: VideoFrame, before_hw: tuple[int, int] | None, time_s: float) -> tuple[int, int]:
        size_hw = frame.height, frame.width
        if before_hw is None:
            if display_matrix(frame) is None:
                self._warn(f"{self.name}: is to be shown turned by {frame.rotation} degrees; read as stored")
        elif size_hw != before_hw:
            raise self._error(
                f"frames of {before_hw[1]} x {before_hw[0]} throughout",
                f"{frame.width} x {frame.height} from {time_s:.3f} s on",
                "cut the video in two there",
            )
        return size_hw

    def _end(self, decoder: Decoder, count: int, end_s: Fraction) -> None:
        """Account for frames that are missing after the last of `count` frames, which ends at `end_s`."""
        missing_s = (self.duration_s or 0.0) - float(end_s)
        tolerance_s = max(2.5 * float(self._interval_s), 0.2)
        lost = decoder.lost
        if missing_s > tolerance_s:
            lost = max(lost, round(missing_s / float(self._interval_s)))
            self._warn(f"{self.name}: ends at {float(end_s):.2f} s of {self.duration_s:.2f} s, cut short")
        if decoder.broken_by:
            lost = max(lost, 1)
            self._warn(f"{self.name}: reading stopped at {float(end_s):.2f} s: {decoder.broken_by}")
        self._lose(count, lost)

    def _error(self, expected: str, found: str, remedy: str) -> SourceError:
        return SourceError(self.name, expected=expected, found=found, remedy=remedy)


def _image(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    return orient(to_rgb(frame, reformatter), display_matrix(frame) or UPRIGHT)


def _start_s(container: InputContainer) -> Fraction | None:
    """Where the earliest stream starts; None: with its first frame.

    Sound may start below 0, with a run-up that is not played.
    """
    starts = [
        max(stream.start_time * stream.time_base, Fraction(0 if stream.type == "audio" else -(10**9)))
        for stream in container.streams
        if stream.type in {"video", "audio"} and stream.start_time is not None and stream.time_base is not None
    ]
    return min(starts, default=None)


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    """The length that the file states for its video; Matroska writes it in a tag, AVI counts frames."""
    if container.format.name == "avi" and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    if tag:
        hours, minutes, seconds = tag.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return None
