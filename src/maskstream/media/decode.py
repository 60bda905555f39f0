"""Packets of a video stream -> frames with timestamps, and an honest count of those lost on the way."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

NO_PICTURE_BYTES = 8
"""Packets smaller than this say 'as before' (MPEG-4, VP9) and may rightly decode to nothing."""


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame, and what came to nothing since the one before.

    Attributes
    ----------
    frame : as decoded: pixel format, orientation and size of the file.
    time_s : the container's own time in seconds, exact; None where the container stores none.
    end_s : the same for the frame's end.
    lost : frames between the one before and this one that could not be decoded.
    """

    frame: VideoFrame
    time_s: Fraction | None
    end_s: Fraction | None
    lost: int


class Decoder:
    """Decodes one video stream; iterate once, then read `lost` and `broken_by`.

    A decoder reports damage late, in part, or not at all (HEVC drops frames silently). So the timestamps of
    packets are kept until a frame with a later one comes out: those passed over are lost. Where timestamps
    jump back that tells nothing, and from there only damage that is reported counts. AVI stores no
    presentation times; there the decoding times, sorted, serve in their place, and again reports count.

    Attributes
    ----------
    lost : frames after the last one given that could not be decoded.
    broken_by : why reading stopped before the end, or None.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        # slices, not whole frames, are decoded in parallel (PyAV's own choice): damage shows in the same frames
        # on every reading, which a resumed run relies on
        self._container = container
        self._stream = stream
        self._has_pts = container.format.name != "avi"
        self._overtaking = self._has_pts
        self._pending: list[int] = []
        self._doubtful: set[int | None] = set()
        self._last_dts: int | None = None
        self.lost = 0
        self.broken_by: str | None = None

    def __iter__(self) -> Iterator[DecodedFrame]:
        for frame in self._frames():
            stamp = self._stamp(frame)
            if frame.is_corrupt or stamp in self._doubtful:
                self._doubtful.discard(stamp)
                self.lost += 1
                continue
            lost, self.lost = self.lost, 0
            yield DecodedFrame(frame, self._seconds(stamp), self._seconds(stamp, frame.duration or 0), lost)
        if self._overtaking:
            self.lost += len(self._pending)

    def _frames(self) -> Iterator[VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                yield from self._decode(packet)
        except av.FFmpegError as error:
            self.broken_by = error.strerror or str(error)
            yield from self._stream.decode(None)

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        stamp = packet.pts if self._has_pts else packet.dts
        self._watch_order(packet.dts)
        if stamp is not None and self._shows_picture(packet):
            heapq.heappush(self._pending, stamp)
        if packet.is_corrupt and stamp is not None:
            # decoded all the same, since later frames may be built on it
            self._doubtful.add(stamp)
        try:
            return packet.decode()
        except av.FFmpegError:
            self._damage(stamp)
            return []

    def _watch_order(self, dts: int | None) -> None:
        if self._overtaking and dts is not None:
            if self._last_dts is not None and dts < self._last_dts:
                self._overtaking = False
            self._last_dts = dts

    def _shows_picture(self, packet: Packet[VideoStream]) -> bool:
        if packet.size < NO_PICTURE_BYTES or packet.is_discard:
            return False
        # VP8 sends reference frames that are never shown; bit 4 of the frame tag is show_frame (RFC 6386, 9.1)
        return self._stream.codec_context.name != "vp8" or bool(memoryview(packet)[0] & 0x10)

    def _damage(self, stamp: int | None) -> None:
        """Count a packet at once, unless its timestamp will be passed over in due order."""
        if self._overtaking and stamp is not None:
            return
        if stamp in self._pending:
            self._pending.remove(stamp)
            heapq.heapify(self._pending)
        self.lost += 1

    def _stamp(self, frame: VideoFrame) -> int | None:
        """The frame's timestamp; on the way, count the packets that it has overtaken."""
        if not self._has_pts:
            return heapq.heappop(self._pending) if self._pending else None
        stamp = frame.pts
        # the two fields of an interlaced frame may come in a packet each
        counts = self._overtaking and not frame.interlaced_frame
        while stamp is not None and self._pending and self._pending[0] <= stamp:
            overtaken = heapq.heappop(self._pending) < stamp
            self.lost += overtaken and counts
        return stamp

    def _seconds(self, stamp: int | None, more: int = 0) -> Fraction | None:
        if stamp is None or self._stream.time_base is None:
            return None
        return (stamp + more) * self._stream.time_base
