"""The gate of a float32 export: on real images, ONNX Runtime must answer as PyTorch does.

Both go through the same decoder, so that a difference is the graphs'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.errors import ExportRefused
from maskstream.inference.classifier import ImageClassifier
from maskstream.inference.regions import RegionSegmenter, label_map

GATE_FRAMES = 50
"""Images that the gate looks at, at least."""

PROBABILITY_TOLERANCE = 1e-3
AGREEING_SHARE = 0.999
"""Of an image's pixels, how many must have the same class."""

REMEDY = "nothing was written; report it, or export with another PyTorch or ONNX Runtime version"


@dataclass(frozen=True, slots=True)
class RegionParity:
    """The largest differences of a semantic model that were seen, all within the tolerances.

    Attributes
    ----------
    frames : images that were compared.
    empty_frames : those of them where the model finds nothing at its own threshold.
    probability : largest difference of a class probability of a pixel.
    agreeing : smallest share of an image's pixels that have the same class.
    """

    frames: int
    empty_frames: int
    probability: float
    agreeing: float

    def __str__(self) -> str:
        return (
            f"{self.frames} images, {self.empty_frames} of them without a region: probabilities within "
            f"{self.probability:.2g}, the same class for at least {100 * self.agreeing:.2f} % of the pixels"
        )


@dataclass(frozen=True, slots=True)
class ClassParity:
    """The largest difference of a class probability that was seen, within the tolerance, and of how many images."""

    frames: int
    probability: float

    def __str__(self) -> str:
        return f"{self.frames} images: class probabilities within {self.probability:.2g}"


def check_regions(reference: RegionSegmenter, deployed: RegionSegmenter, frames: Sequence[Frame]) -> RegionParity:
    """Compare pixel by pixel: probabilities within 1e-3, and the same class for at least 99.9 % of an image's pixels.

    Raises
    ------
    ExportRefused : a difference is too large, or there are fewer than 50 frames.
    """
    require_frames(frames)
    empty = check_empty(frames, reference, deployed)
    differences, shares = zip(*(_compare_pixels(frame, reference, deployed) for frame in frames), strict=True)
    return RegionParity(len(frames), empty, max(differences), min(shares))


def check_classes(reference: ImageClassifier, deployed: ImageClassifier, frames: Sequence[Frame]) -> ClassParity:
    """Compare image by image: class probabilities within 1e-3.

    Raises
    ------
    ExportRefused : a difference is too large, or there are fewer than 50 frames.
    """
    require_frames(frames)
    return ClassParity(len(frames), max(_compare_classes(frame, reference, deployed) for frame in frames))


def require_frames(frames: Sequence[Frame]) -> None:
    """See that there are enough images.

    Raises
    ------
    ExportRefused : there are fewer than 50.
    """
    if len(frames) < GATE_FRAMES:
        raise ExportRefused(
            "the images of the parity gate",
            expected=f"at least {GATE_FRAMES}",
            found=str(len(frames)),
            remedy="nothing was written; use a dataset with images to validate on",
        )


def check_empty(frames: Sequence[Frame], reference: Segmenter, deployed: Segmenter) -> int:
    """Number of frames in which neither side finds anything.

    Raises
    ------
    ExportRefused : `deployed` finds something where `reference` does not.
    """
    empty = [frame for frame in frames if not len(reference.segment([frame])[0])]
    for frame in empty:
        (found,) = deployed.segment([frame])
        if len(found):
            raise refusal(frame, "nothing found, as by PyTorch", f"{len(found)} objects")
    return len(empty)


def refusal(frame: Frame, expected: str, found: str) -> ExportRefused:
    """The error for an image on which both sides differ."""
    return ExportRefused(frame.source, expected=expected, found=found, remedy=REMEDY)


def _compare_pixels(frame: Frame, reference: RegionSegmenter, deployed: RegionSegmenter) -> tuple[float, float]:
    """Largest difference of a probability, and share of the pixels of the same class."""
    expected, found = reference.probabilities(frame), deployed.probabilities(frame)
    difference = float(np.abs(expected - found).max())
    maps = (label_map(answer, reference.settings.pixel_threshold) for answer in (expected, found))
    agreeing = float(np.mean(np.equal(*maps)))
    if not difference <= PROBABILITY_TOLERANCE:
        raise refusal(frame, f"probabilities within {PROBABILITY_TOLERANCE} of PyTorch's", f"{difference:.3g} apart")
    if agreeing < AGREEING_SHARE:
        wanted = f"PyTorch's class for at least {100 * AGREEING_SHARE:g} % of the pixels"
        raise refusal(frame, wanted, f"{100 * agreeing:.2f} %")
    return difference, agreeing


def _compare_classes(frame: Frame, reference: ImageClassifier, deployed: ImageClassifier) -> float:
    (expected,), (found,) = reference.classify([frame]), deployed.classify([frame])
    difference = float(np.abs(expected.probabilities - found.probabilities).max())
    if not difference <= PROBABILITY_TOLERANCE:
        wanted = f"class probabilities within {PROBABILITY_TOLERANCE} of PyTorch's"
        raise refusal(frame, wanted, f"{difference:.3g} apart")
    return difference
