"""What use does to images, in three severities each, with the truth moved along: what a model is tried on.

After D. Hendrycks and T. Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
ICLR 2019, but every level is a physical setting that can be measured and met again. Severity 0 changes nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.degrade import blurred, compressed, noisy, with_hue
from maskstream.data.records import ImageRecord
from maskstream.evaluation.failures.shown import ShownRecord, shown_as
from maskstream.evaluation.failures.turned import turned_image, turned_record

Image = NDArray[np.uint8]

SEVERITIES = (1, 2, 3)

_LEVELS = np.arange(256) / 255
_LIGHT = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
"""Light of each of 256 levels, 0..1: the transfer function of sRGB, IEC 61966-2-1."""


@dataclass(frozen=True, slots=True)
class Corruption:
    """One way in which images get worse.

    Attributes
    ----------
    name : as tables name it.
    levels : the physical setting of severities 1, 2 and 3.
    unit : what the setting is in plain words, with `{}` in its place.
    change : an image, a setting and a source of chance to the changed image.
    """

    name: str
    levels: tuple[float, float, float]
    unit: str
    change: Callable[[Image, float, np.random.Generator], Image]

    def level(self, severity: int) -> str:
        """The setting of a severity in plain words; that of severity 0 is "unchanged"."""
        return self.unit.format(f"{self.levels[severity - 1]:g}") if severity else "unchanged"

    def apply(self, image: Image, severity: int, rng: np.random.Generator) -> Image:
        """An image (h, w, 3) at a severity from 0 to 3; severity 0 gives it back as it is.

        ValueError: there is no such severity.
        """
        if severity not in (0, *SEVERITIES):
            raise ValueError(f"severity is {severity}, expected 0 to {SEVERITIES[-1]}")
        return self.change(image, self.levels[severity - 1], rng) if severity else image


def exposed(image: Image, stops: float) -> Image:
    """The image as if so many stops more light had fallen on it; what gets too bright is cut off at white."""
    light = np.clip(_LIGHT * 2.0**stops, 0, 1)
    level = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(cv2.LUT(image, np.round(255 * level).astype(np.uint8)), np.uint8)


def coarsened(image: Image, factor: float) -> Image:
    """The image as a camera of `factor` times fewer pixels a side would see it, brought back to its size."""
    height, width = image.shape[:2]
    small_wh = max(1, round(width / factor)), max(1, round(height / factor))
    small = cv2.resize(image, small_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _hue_either_way(image: Image, degrees: float, rng: np.random.Generator) -> Image:
    return with_hue(image, float(rng.choice([-1, 1])) * degrees / 360)


CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("blur", (1, 2, 4), "Gaussian, standard deviation {} px", lambda image, px, rng: blurred(image, px)),
    Corruption("noise", (5, 12, 25), "normal, standard deviation {} of 255", noisy),
    Corruption("jpeg", (50, 25, 10), "quality {} of 100", lambda image, quality, rng: compressed(image, int(quality))),
    Corruption("darker", (-0.5, -1, -2), "{} stops", lambda image, stops, rng: exposed(image, stops)),
    Corruption("brighter", (0.33, 0.67, 1), "+{} stops", lambda image, stops, rng: exposed(image, stops)),
    Corruption("hue", (5, 10, 20), "{} degrees, either way by chance", _hue_either_way),
    Corruption(
        "rotation", (15, 45, 90), "{} degrees clockwise", lambda image, degrees, rng: turned_image(image, degrees)
    ),
    Corruption(
        "resolution", (2, 4, 8), "1/{} of the pixels a side", lambda image, factor, rng: coarsened(image, factor)
    ),
)


def corrupted(record: ImageRecord, corruption: Corruption, severity: int, seed: int = 0) -> ShownRecord:
    """A labelled image at a severity of a corruption; only rotation moves what is labelled.

    The same seed, corruption, severity and name give the same image, whatever was read before.

    SourceError: no size is stated, and the file is missing or no image.
    """

    def read() -> Image:
        chance = np.random.default_rng([seed, zlib.crc32(f"{corruption.name} {record.name}".encode())])
        return corruption.apply(record.read_image(), severity, chance)

    turns = corruption.name == "rotation" and severity
    return shown_as(turned_record(record, corruption.levels[severity - 1]) if turns else record, read)
