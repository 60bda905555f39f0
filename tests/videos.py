"""Small videos for the media tests, written through PyAV."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 25

CODECS = {
    ".mp4": ("libx264", "yuv420p"),
    ".mov": ("libx264", "yuv420p"),
    ".mkv": ("libx264", "yuv420p"),
    ".ts": ("libx264", "yuv420p"),
    ".webm": ("libvpx-vp9", "yuv420p"),
    ".avi": ("mpeg4", "yuv420p"),
    ".gif": ("gif", "rgb8"),
}


def grey(index: int, size_hw: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """An image whose brightness tells its index (8 levels a step)."""
    return np.full((*size_hw, 3), 16 + 8 * index % 224, np.uint8)


def textured(index: int, size_hw: tuple[int, int] = (48, 64)) -> NDArray[np.uint8]:
    """An image of noise that moves, so that every packet carries something."""
    noise = np.random.default_rng(5).integers(0, 255, (*size_hw, 3), dtype=np.uint8)
    return np.roll(noise, index, axis=1)


def write_video(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    *,
    codec: str | None = None,
    times_ms: Sequence[int] | None = None,
    turned: tuple[float, bool, bool] | None = None,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> Path:
    """Write images at 25 frames a second, or at the given times; `turned`: angle, horizontal and vertical flip."""
    default_codec, pixels = CODECS[path.suffix]
    time_base = Fraction(1, 1000) if times_ms else Fraction(1, RATE)
    with av.open(str(path), "w", options=muxer or {}) as film:
        stream = film.add_stream(codec or default_codec, rate=RATE, options={"g": "10", **(options or {})})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = time_base
        if turned:
            stream.set_display_rotation(turned[0], hflip=turned[1], vflip=turned[2])
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = times_ms[index] if times_ms else index, time_base
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    return path


def packets(path: Path) -> list[tuple[bytes, int]]:
    """Content and presentation time of every packet of a film, in the order of the file."""
    with av.open(str(path)) as film:
        return [(bytes(p), p.pts or 0) for p in film.demux(video=0) if p.size]


def replace_packet(path: Path, packet: int, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a film with one packet's content changed in place."""
    content, before = path.read_bytes(), packets(path)[packet][0]
    assert content.count(before) == 1
    changed = path.with_name(f"changed{path.suffix}")
    changed.write_bytes(content.replace(before, change(before)))
    return changed


def damage(path: Path, packet: int) -> Path:
    """A copy of a film with one packet overwritten."""
    return replace_packet(path, packet, lambda before: b"\xff" * len(before))
