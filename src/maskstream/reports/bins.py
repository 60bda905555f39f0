"""Values in bins, with the marks of their axis, for charts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MOST_WHOLE_BARS = 24
"""Bars of a chart of whole numbers; beyond them a bar stands for several numbers."""

_NICE_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Bins:
    """Counts in neighbouring bins that a chart draws equally wide.

    Attributes
    ----------
    counts : how many values are in each.
    labels : what each bin holds, in words.
    ticks : marks of the axis, as share of its length and text.
    """

    counts: tuple[int, ...]
    labels: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]


def log_bins(
    values: NDArray[np.float64],
    told: Callable[[float], str],
    *,
    base: float = 10.0,
    per_step: int = 5,
    limits: tuple[float, float] | None = None,
) -> Bins:
    """Values in bins whose edges grow by a factor; what is not above 0, or not finite, is left out.

    Parameters
    ----------
    told : a value as the axis says it.
    base : factor from tick to tick.
    per_step : bins from tick to tick.
    limits : lowest and highest tick; by default the powers of `base` around the values. Values outside count in the
        outermost bins.
    """
    known = values[np.isfinite(values) & (values > 0)]
    low, high = limits or ((known.min(), known.max()) if len(known) else (1.0, base))
    first, last = math.floor(math.log(low, base) + 1e-9), math.ceil(math.log(high, base) - 1e-9)
    last = max(last, first + 1)
    places = np.floor((np.log(known) / math.log(base) - first) * per_step + 1e-9).astype(np.int64)
    total = (last - first) * per_step
    counts = np.bincount(np.clip(places, 0, total - 1), minlength=total)
    edges = [base ** (first + index / per_step) for index in range(total + 1)]
    return Bins(
        counts=tuple(counts.tolist()),
        labels=tuple(f"{told(a)} to {told(b)}" for a, b in itertools.pairwise(edges)),
        ticks=tuple(((power - first) / (last - first), told(base**power)) for power in range(first, last + 1)),
    )


def whole_bins(values: NDArray[np.int64]) -> Bins:
    """Whole numbers from 0 on, each with a bar of its own as long as there are not too many."""
    highest = int(values.max(initial=0))
    width = _nice_width(highest + 1, _MOST_WHOLE_BARS)
    total = highest // width + 1
    counts = np.bincount(values // width, minlength=total)
    starts = range(0, total * width, width)
    every = _nice_width(total, 8)
    marked = range(0, total, every)
    shift = 0.5 if width == 1 else 0.0
    return Bins(
        counts=tuple(counts.tolist()),
        labels=tuple(str(start) if width == 1 else f"{start} to {start + width - 1}" for start in starts),
        ticks=tuple(((index + shift) / total, str(index * width)) for index in marked),
    )


def _nice_width(count: int, most: int) -> int:
    """The smallest of 1, 2, 5, 10, 20 ... that makes at most `most` groups of `count`."""
    power = 1
    while True:
        for step in _NICE_STEPS:
            if math.ceil(count / (step * power)) <= most:
                return step * power
        power *= 10


def thinned(ticks: Sequence[tuple[float, str]], most: int) -> list[tuple[float, str]]:
    """Every so many ticks, so that at most `most` are left."""
    return list(ticks[:: max(1, math.ceil(len(ticks) / most))])
