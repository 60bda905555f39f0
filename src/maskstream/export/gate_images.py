"""The images on which an export is held against PyTorch: enough of them, and one without anything to find."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from maskstream.core import masks
from maskstream.core.frame import Frame
from maskstream.data.records import ImageRecord
from maskstream.export.parity import GATE_FRAMES
from maskstream.export.views import any_view
from maskstream.inference.windows import TileSettings, windows

LEAST_STRIP_PX = 16

PLAIN_COLOURS = ((128, 128, 128), (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255))
"""Red, green and blue of the images that are tried last."""


def gate_looks(
    records: Sequence[ImageRecord], count: int = GATE_FRAMES, tiles: TileSettings | None = None
) -> list[Frame]:
    """The first images as they are; where they are fewer than `count`, each again as other views show it.

    Parameters
    ----------
    tiles : with them each look is a window, as the network sees large images.
    """
    if not records:
        return []
    looks = ((record, number, place) for number in itertools.count() for place, record in enumerate(records))
    return [_look(*look, tiles) for look in itertools.islice(looks, count)]


def image_without_objects(records: Sequence[ImageRecord], is_empty: Callable[[Frame], bool]) -> Frame | None:
    """An image in which a model finds nothing; None when it finds something in each one that is tried.

    Tried are the first images as they are, the widest strip of each beside its labelled objects, and plain colours.
    """
    tried = records[:GATE_FRAMES]
    strips = (strip for index, record in enumerate(tried) for strip in _without_objects(record, index))
    return next((frame for frame in itertools.chain(strips, _plain(tried)) if is_empty(frame)), None)


def _look(record: ImageRecord, number: int, place: int, tiles: TileSettings | None) -> Frame:
    """Look `number` at the image at `place`: window after window, then all of them as the next view shows them."""
    image = record.read_image()
    if tiles is not None:
        parts = windows(record.size_hw, tiles)
        part = parts[(place + number) % len(parts)]
        image, number = image[part.slices], number // len(parts)
    seen = any_view(number).of(np.ascontiguousarray(image))
    return Frame(seen, place, 0.0, f"{record.name}, view {number}" if number else record.name)


def _without_objects(record: ImageRecord, index: int) -> list[Frame]:
    """The image itself, and its widest strip left or right of every labelled object, if that is not too narrow."""
    frame = Frame(record.read_image(), index, 0.0, record.name)
    shapes = [annotation.mask(record.size_hw) for annotation in record.annotations]
    columns = np.flatnonzero(masks.union(shapes, record.size_hw).any(axis=0))
    if not len(columns):
        return [frame]
    left, right = frame.image[:, : columns[0]], frame.image[:, columns[-1] + 1 :]
    strip = max(left, right, key=lambda part: part.shape[1])
    if strip.shape[1] < LEAST_STRIP_PX:
        return [frame]
    return [frame, Frame(np.ascontiguousarray(strip), index, 0.0, f"{record.name}, the strip beside its objects")]


def _plain(records: Sequence[ImageRecord]) -> Iterator[Frame]:
    """Images of one colour, the first image's mean before all others."""
    for record in records[:1]:
        image = record.read_image()
        for colour in (tuple(image.mean(axis=(0, 1)).round().astype(int).tolist()), *PLAIN_COLOURS):
            yield Frame(np.full_like(image, colour), 0, 0.0, f"plain background of colour {colour}")
