"""Flicker: how much area and percentage of an object change from one frame to the next.

Of an object that stands still under a still camera every change is noise. What moves changes by itself, which is why
the same figure of the true masks stands beside that of the found ones. A steady change, such as a slow zoom, counts
for nothing: what is measured is the spread of the changes and not their size.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

LEAST_CHANGES = 5
"""Fewer changes from frame to frame tell nothing of their spread."""

_WITHIN_ONE_SD = 0.682689492
"""Share of a normal distribution that lies within one standard deviation of its mean."""


def robust_sd(values: Sequence[float]) -> float | None:
    """Half the width of the middle 68.27 % of the values: of normal noise its standard deviation.

    A sixth of the values at either end, such as a cut or the frames in which the object enters, do not change it. None
    of fewer than `LEAST_CHANGES` values.
    """
    if len(values) < LEAST_CHANGES:
        return None
    low, high = np.quantile(np.asarray(values, np.float64), [0.5 - _WITHIN_ONE_SD / 2, 0.5 + _WITHIN_ONE_SD / 2])
    return float(high - low) / 2


@dataclass(slots=True)
class Jitter:
    """The changes of one object between neighbouring frames in both of which it was found, 8 bytes each.

    Attributes
    ----------
    areas, true_areas : change of the logarithm of the area, found and true: 0.01 is a growth by 1 %.
    probabilities : change of the probability of the object's true class.
    """

    areas: array[float] = field(default_factory=lambda: array("d"))
    true_areas: array[float] = field(default_factory=lambda: array("d"))
    probabilities: array[float] = field(default_factory=lambda: array("d"))
    _last: tuple[int, float, float, float] | None = None

    def add(self, frame: int, area_px: int, true_area_px: int, probability: float) -> None:
        """Count a frame, by its place in the video, in which the object was found; both areas are above 0."""
        now = frame, math.log(area_px), math.log(true_area_px), probability
        if self._last is not None and self._last[0] == frame - 1:
            for changes, value, before in zip(
                (self.areas, self.true_areas, self.probabilities), now[1:], self._last[1:], strict=True
            ):
                changes.append(value - before)
        self._last = now
