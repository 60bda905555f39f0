"""The charts of a dataset's objects, each with the sentence that says what it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from maskstream.data.statistics.collect import DatasetStatistics
from maskstream.reports.bins import log_bins, whole_bins
from maskstream.reports.charts import bars_svg, heat_svg
from maskstream.reports.words import counted

_POSITION_FIELDS = 20
_ASPECT_LIMITS = (1 / 8, 8.0)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its heading and what it says in a sentence."""

    title: str
    drawing: Markup
    sentence: str


def object_charts(statistics: DatasetStatistics) -> list[Chart]:
    """Area, diameter, aspect, number an image and position of the objects; none where there are no objects."""
    objects = statistics.objects
    proper = ~objects.crowd
    if not proper.any():
        return []
    share, diameter, aspect = (
        objects.area_share[proper],
        objects.equivalent_diameter_px[proper],
        objects.aspect[proper],
    )
    charts = [
        Chart(
            "Area",
            bars_svg(log_bins(share, percent_told), "Area of the objects", "share of the image", "object"),
            _middle(share, percent_told),
        ),
        Chart(
            "Equivalent diameter",
            bars_svg(log_bins(diameter, _plain), "Diameter of the disc of equal area", "pixels", "object"),
            _middle(diameter, lambda value: f"{_plain(value)} px"),
        ),
        Chart(
            "Aspect of the boxes",
            bars_svg(
                log_bins(aspect, aspect_told, base=2, per_step=3, limits=_ASPECT_LIMITS),
                "Width over height of the boxes",
                "width : height",
                "object",
            ),
            _middle(aspect, aspect_told),
        ),
        Chart(
            "Objects in an image",
            bars_svg(whole_bins(statistics.images.objects), "Objects in an image", "objects", "image"),
            _objects_an_image(statistics.images.objects),
        ),
    ]
    return [*charts, *_positions(statistics)]


def _positions(statistics: DatasetStatistics) -> list[Chart]:
    """Where the centres lie; nothing when no image's size is known."""
    sizes = statistics.images.size_hw[statistics.images.size_hw.all(axis=1)]
    if not sizes.size:
        return []
    counts = statistics.centre_counts(_POSITION_FIELDS)
    aspect = float(np.median(sizes[:, 1] / sizes[:, 0]))
    outside = int((~statistics.objects.crowd).sum() - counts.sum())
    sentence = "Centres of the boxes, every image stretched to one shape; the darker, the more."
    if outside:
        sentence += f" {outside} outside, or in images of unknown size."
    return [Chart("Position", heat_svg(counts, "Where the objects' centres lie", "object", aspect=aspect), sentence)]


def _middle(values: NDArray[np.float64], told: Callable[[float], str]) -> str:
    known = values[np.isfinite(values)]
    if not known.size:
        return "Not known for any object."
    low, median, high = (told(float(value)) for value in np.percentile(known, (25, 50, 75)))
    return f"Median {median}; the middle half from {low} to {high}."


def _objects_an_image(objects: NDArray[np.int64]) -> str:
    without = counted(int((objects == 0).sum()), "image")
    return f"Mean {objects.mean():.1f}, at most {objects.max()}; {without} without any."


def percent_told(share: float) -> str:
    """A share as a percentage with three digits."""
    return f"{_plain(100 * share)}\u00a0%"


def aspect_told(aspect: float) -> str:
    """`2:1` for twice as wide as high, `1:2` for the reverse."""
    return f"{_plain(aspect, 2)}:1" if aspect >= 1 else f"1:{_plain(1 / aspect, 2)}"


def _plain(value: float, digits: int = 3) -> str:
    """So many digits that count, written without a power of ten."""
    return f"{float(f'{value:.{digits}g}'):,.10g}".replace(",", "\u202f")
