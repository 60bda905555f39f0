"""H.264 parts in MP4, and their joining without encoding again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskstream.errors import OutputError

TICKS_PER_S = 90_000
"""Resolution of the timestamps; whole for 24, 25, 30, 50, 60 and the NTSC rates."""

ENCODER_OPTIONS = {
    "preset": "veryfast",
    "crf": "23",
    # without B-frames packets leave in the order of their times, so parts join without touching those
    "bf": "0",
    # a seek in the browser lands at most two seconds of 30 frames away
    "g": "60",
    # with it the same frames can give other bytes, and a resumed video would not be that of an unbroken run
    "x264-params": "no-mbtree=1",
}

MUXER_OPTIONS = {"movie_timescale": str(TICKS_PER_S)}
"""Else the start of a part would be rounded to milliseconds."""


class Part:
    """An MP4 file in memory, while it is being encoded.

    Sides of odd length are padded to even ones by repeating the last row or column.
    """

    def __init__(self, size_hw: tuple[int, ...], rate: Fraction, threads: int) -> None:
        self._size_hw = tuple(side + side % 2 for side in size_hw)
        self._to_yuv = VideoReformatter()
        self._file = io.BytesIO()
        self._container = av.open(self._file, "w", format="mp4", container_options=MUXER_OPTIONS)
        self._stream = self._add_stream(rate, threads)

    def _add_stream(self, rate: Fraction, threads: int) -> VideoStream:
        stream = self._container.add_stream("libx264", rate=rate, options=ENCODER_OPTIONS)
        stream.height, stream.width = self._size_hw
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.time_base = Fraction(1, TICKS_PER_S)
        codec.thread_count = threads
        codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream

    def write(self, image: NDArray[np.uint8], tick: int) -> None:
        """Append an RGB image (h, w, 3) of the part's size, shown from `tick` on."""
        height, width = self._size_hw
        bottom, right = height - image.shape[0], width - image.shape[1]
        if not (bottom in {0, 1} and right in {0, 1}):
            raise ValueError(f"the image is {image.shape[1]} x {image.shape[0]}, those before {width} x {height}")
        if bottom or right:
            image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
        frame = self._to_yuv.reformat(
            VideoFrame.from_ndarray(image),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = tick, Fraction(1, TICKS_PER_S)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> bytes:
        """The finished file."""
        self._container.mux(self._stream.encode())
        self._container.close()
        return self._file.getvalue()


def read_ticks(path: Path) -> list[int]:
    """The times of a part's frames; none when the file is damaged."""
    try:
        with av.open(str(path)) as part:
            return [packet.pts for packet in part.demux(video=0) if packet.pts is not None]
    except (av.FFmpegError, IndexError):
        return []


def join_parts(paths: list[Path], target: Path, rate: Fraction) -> None:
    """Copy the packets of all parts into one file that can be played while it loads.

    A frame lasts until the next one; the last as long as the one before it.
    """
    options = {**MUXER_OPTIONS, "movflags": "faststart"}
    with av.open(str(target), "w", container_options=options) as film:
        stream = _copy_of_stream(paths[0], film)
        duration = round(TICKS_PER_S / rate)
        waiting: Packet[VideoStream] | None = None
        for packet in _packets(paths):
            packet.stream = stream
            if waiting is not None:
                duration = (packet.pts or 0) - (waiting.pts or 0)
                waiting.duration = duration
                film.mux(waiting)
            waiting = packet
        if waiting is not None:
            waiting.duration = duration
            film.mux(waiting)


def _copy_of_stream(path: Path, film: OutputContainer) -> VideoStream:
    with av.open(str(path)) as part:
        return film.add_stream_from_template(part.streams.video[0])


def _packets(paths: list[Path]) -> Iterator[Packet[VideoStream]]:
    """The packets of all parts. OutputError: a part was encoded otherwise than the first."""
    header: bytes | None = None
    for path in paths:
        with av.open(str(path)) as part:
            stream = part.streams.video[0]
            header = header or stream.codec_context.extradata
            if stream.codec_context.extradata != header:
                raise OutputError(
                    path,
                    expected="a part encoded like the first one",
                    found="another encoder or frame size",
                    remedy="run again without --resume",
                )
            yield from (packet for packet in part.demux(stream) if packet.size)
