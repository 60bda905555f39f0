"""Synthetic dermoscopy clips that need no download: moles under a hand-held camera, with exact truth.

A clip is a function of its seed and of time: `render(index)` gives any frame without those before it, and
a shorter clip is the beginning of a longer one. Random numbers come from NumPy's PCG64 alone.

The truth is exact in this sense: a mole is an implicit shape (a border table in its own coordinates,
`sample_paint.Mole`), the camera is an affine map, and a pixel belongs to the mole when its centre, mapped
back, lies within the border. Where moles overlap the later one lies on top and owns the pixel. Blur, glare,
hair and noise change the picture and not the truth.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, Self
from urllib.parse import parse_qsl

import numpy as np

from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.errors import SourceError
from maskstream.media.sample_paint import Picture
from maskstream.media.sample_scene import Scene, Shown

PREFIX = "sample:"
CLASSES = ("benign", "malignant")
CLASS_OF_KIND = {"nevus": "benign", "keratosis": "benign", "melanoma": "malignant"}
MOST_MOLES = 3

LEAST_VISIBLE = 0.15
"""A mole is in a frame's truth while at least this share of it is visible; a sliver at the edge is not."""

EXAMPLE = "sample:lesions?seed=1&frames=90&size=480x640&moles=2"


class SampleClip:
    """A synthetic clip: a source of Frames that also knows the truth.

    Parameters
    ----------
    seed : 0 or more; everything random follows from it.
    size_hw : height and width of a frame in pixels, each 64 to 4096.
    frame_count : number of frames, at least 1.
    frame_rate : frames per second, 1/1000 to 1000.
    moles : 0 (plain skin) to 3; None lets the seed choose 1 to 3.

    Raises
    ------
    SourceError : a parameter is out of its range.
    """

    live = False
    kind: Literal["video"] = "video"
    damaged = 0

    def __init__(
        self,
        seed: int = 0,
        size_hw: tuple[int, int] = (480, 640),
        frame_count: int = 150,
        frame_rate: Fraction = Fraction(30),
        moles: int | None = None,
    ) -> None:
        _check_range("seed", seed, 0, 2**32 - 1)
        _check_range("size", min(size_hw), 64, 4096)
        _check_range("size", max(size_hw), 64, 4096)
        _check_range("frames", frame_count, 1, 10**8)
        _check_range("rate", frame_rate, Fraction(1, 1000), 1000)
        _check_range("moles", moles or 0, 0, MOST_MOLES)
        self.seed = seed
        self.size_hw = size_hw
        self.frame_count = frame_count
        self.frame_rate = frame_rate
        self.moles = moles
        self.warnings: list[str] = []

    @property
    def name(self) -> str:
        """The address that `parse_sample` turns into this clip."""
        height, width = self.size_hw
        query = f"seed={self.seed}&frames={self.frame_count}&size={height}x{width}&rate={self.frame_rate}"
        return f"{PREFIX}lesions?{query}" + ("" if self.moles is None else f"&moles={self.moles}")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return float(self.frame_count / self.frame_rate)

    def content_sha256(self) -> str:
        """Hash of the parameters, which determine every pixel."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is held open."""

    def __len__(self) -> int:
        return self.frame_count

    def __iter__(self) -> Iterator[Frame]:
        return self.frames()

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """Frames in order, from index `start`."""
        for index in range(start, self.frame_count):
            yield Frame(self.image(index), index, self.time_s(index), self.name)

    def time_s(self, index: int) -> float:
        """Time of a frame in seconds."""
        return float(index / self.frame_rate)

    def image(self, index: int) -> Picture:
        """Frame `index` as RGB uint8 (h, w, 3). IndexError: the clip has no such frame."""
        self._check_index(index)
        grain = np.random.Generator(np.random.PCG64([self.seed, 1, index]))
        return self._scene.picture(self.time_s(index), grain)

    def truth(self, index: int) -> Detections:
        """What frame `index` shows: exact masks, their boxes, classes (one-hot, score 1), track ids 1 to n."""
        shown = [mole for mole in self.shown(index) if mole.visible >= LEAST_VISIBLE]
        class_ids = [CLASSES.index(CLASS_OF_KIND[mole.kind]) for mole in shown]
        return Detections(
            boxes_xyxy=np.array([_box(mole.mask) for mole in shown], np.float32).reshape(-1, 4),
            masks=tuple(mole.mask for mole in shown),
            scores=np.ones(len(shown), np.float32),
            probabilities=np.eye(len(CLASSES), dtype=np.float32)[class_ids].reshape(-1, len(CLASSES)),
            track_ids=np.array([mole.number for mole in shown], np.int64),
            classes=CLASSES,
            size_hw=self.size_hw,
        )

    def shown(self, index: int) -> list[Shown]:
        """Every mole of frame `index`, also those out of view, with kind and visible share."""
        self._check_index(index)
        return self._scene.shown(self.time_s(index))

    def render(self, index: int) -> tuple[Picture, Detections]:
        """The image of frame `index` and its truth."""
        return self.image(index), self.truth(index)

    @cached_property
    def _scene(self) -> Scene:
        return Scene(np.random.Generator(np.random.PCG64([self.seed, 0])), self.size_hw, self.moles)

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.frame_count:
            raise IndexError(f"frame {index} of a sample clip with {self.frame_count} frames")


def parse_sample(address: str) -> SampleClip:
    """The clip of an address such as "sample:lesions?seed=1&frames=90&size=480x640&rate=30000/1001&moles=2".

    Every key may be left out; `size` is height x width, `rate` frames per second as a fraction.

    Raises
    ------
    SourceError : the name or a key is unknown, a key is given twice, a value is no number or out of range.
    """
    name, _, query = address.removeprefix(PREFIX).partition("?")
    if not address.startswith(PREFIX) or name != "lesions":
        raise _refused(
            address, "sample:lesions, the one sample there is", repr(address), f"write for example {EXAMPLE}"
        )
    arguments: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in KEYS:
            raise _refused(address, f"keys among {', '.join(KEYS)}", repr(key), f"write for example {EXAMPLE}")
        argument, pattern, convert = KEYS[key]
        if argument in arguments:
            raise _refused(address, "each key once", f"{key!r} twice", "leave one of them out")
        if not re.fullmatch(pattern, value):
            raise _refused(address, f"{key} written like {EXAMPLES[key]}", repr(value), f"write for example {EXAMPLE}")
        arguments[argument] = convert(value)
    return SampleClip(**arguments)


def _size(text: str) -> tuple[int, int]:
    height, width = text.split("x")
    return int(height), int(width)


KEYS: dict[str, tuple[str, str, Any]] = {
    "seed": ("seed", r"\d{1,12}", int),
    "frames": ("frame_count", r"\d{1,12}", int),
    "size": ("size_hw", r"\d{1,6}x\d{1,6}", _size),
    "rate": ("frame_rate", r"\d{1,9}(\.\d{1,6}|/0*[1-9]\d{0,8})?", Fraction),
    "moles": ("moles", r"\d{1,3}", int),
}
EXAMPLES = {"seed": "7", "frames": "90", "size": "480x640 (height x width)", "rate": "30 or 30000/1001", "moles": "2"}


def _box(mask: CroppedMask) -> tuple[int, int, int, int]:
    height, width = mask.bitmap.shape
    return mask.x0, mask.y0, mask.x0 + width, mask.y0 + height


def _check_range(name: str, value: Fraction | int, low: Fraction | int, high: int) -> None:
    if not low <= value <= high:
        raise _refused(name, f"{low} to {high}", str(value), "choose a value within the range")


def _refused(place: str, expected: str, found: str, remedy: str) -> SourceError:
    return SourceError(place, expected=expected, found=found, remedy=remedy)
