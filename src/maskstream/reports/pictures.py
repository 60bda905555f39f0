"""Pictures as a page needs them: cut from a film or an image, small, and as text."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from maskstream.errors import SourceError

Image = NDArray[np.uint8]

_JPEG_QUALITY = 85
_CHUNK_BYTES = 3 << 18  # a multiple of 3, so that pieces of base64 can be joined
_SEEK_BEYOND_S = 2.0
"""A frame nearer than this ahead is reached by decoding on; jumping goes back to a key frame."""

_SAME_TIME_S = 1e-3


def base64_text(path: Path) -> Iterator[Markup]:
    """A file as base64, piece by piece."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield Markup(base64.b64encode(chunk).decode("ascii"))


def film_frames(path: Path, times_s: Sequence[float]) -> Iterator[Image]:
    """The frames of a film shown at the given times, decoding no more of it than needed.

    Parameters
    ----------
    times_s : seconds, ascending; those past the end give the last frame.

    Yields
    ------
    One frame (h, w, 3), uint8, RGB, a time.

    Raises
    ------
    SourceError : the film cannot be opened or decoded.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frames = container.decode(stream)
            frame = next(frames)
            for time_s in times_s:
                if time_s > frame.time + _SEEK_BEYOND_S:
                    container.seek(int(time_s * av.time_base))
                    frames = container.decode(stream)
                    frame = next(frames)
                while frame.time < time_s - _SAME_TIME_S and (following := next(frames, None)) is not None:
                    frame = following
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    except (av.error.FFmpegError, IndexError, StopIteration) as error:
        found = f"a film that does not decode ({error})" if str(error) else "no frame in it"
        raise SourceError(path, expected="the run's overlay film", found=found, remedy="run again") from error


def read_picture(path: Path) -> Image | None:
    """An image file as (h, w, 3), uint8, RGB; None when it is missing or no image."""
    data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def cut_around(image: Image, box_xyxy: NDArray[np.float64], size_hw: tuple[int, int]) -> Image:
    """The part of an overlay around one object, about 4:3, with room for its label.

    Parameters
    ----------
    image : the overlay, which may be of another size than the frame it was made from.
    box_xyxy : (4,) the object's box in the frame's pixels.
    size_hw : the frame's height and width.
    """
    height, width = image.shape[:2]
    box = box_xyxy * np.tile([width / size_hw[1], height / size_hw[0]], 2)
    centre, size_wh = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    side = max(1.5 * float(max(size_wh)), 0.25 * min(width, height))
    reach = np.minimum([side * 2 / 3, side / 2], [width / 2, height / 2])
    centre = np.clip(centre, reach, np.array([width, height]) - reach)
    x1, y1 = np.floor(centre - reach).astype(int)
    x2, y2 = np.ceil(centre + reach).astype(int)
    return image[max(y1, 0) : y2, max(x1, 0) : x2]


def jpeg_uri(image: Image, longest_px: int) -> Markup:
    """A picture as a `data:` address, made smaller where its longest side exceeds `longest_px`."""
    shrink = longest_px / max(image.shape[:2])
    if shrink < 1:
        size_wh = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
        image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return Markup("data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode("ascii"))
