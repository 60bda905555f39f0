"""From many frames of one object to one percentage a class, with a 95 % interval that does not count copies.

Frames of a film are not independent looks at an object: most repeat the one before. So frames are gathered into
views by their fingerprints (`views.py`), the calibrated log odds are averaged over views, and the interval counts
how many independent looks those views amount to. `docs/adr/0004-track-percentages.md` gives the reasons and the
measurements, `docs/percentages.md` the same in plain words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration, logit, sigmoid
from maskstream.core.classes import Classes, class_id

COPY_BITS = 4
"""Fingerprints that differ in at most so many bits are copies: codecs and a box that jitters by 1 % turn 0 to 4."""

APART_BITS = 24
"""Views that differ in so many bits err independently; between that and copies they share a part of their error."""

MOST_VIEWS = 64
"""Views kept of a track; what comes later joins the nearest. By then the scatter between views counts for little."""

VALIDATION_VIEWS = 4
"""Degrees of freedom of the validation split's scatter as a guess at one object's: objects differ about that much."""

LEAST_WEIGHT = 1e-6
"""Weight of a frame of quality 0: next to any other it counts for nothing, but alone it is still an answer."""

_NORMAL_95 = 1.959964


@dataclass(frozen=True, slots=True)
class Percentage:
    """A class's share in 0..100 and its 95 % interval; without a calibration there is no interval."""

    percent: float
    low: float | None
    high: float | None


@dataclass(slots=True)
class _View:
    """Frames that are copies of each other. The sums run over its frames, each weighted with quality x score."""

    fingerprint: int
    best_weight: float
    weight: float
    log_odds: float
    probabilities: NDArray[np.float64]


class Views:
    """The views of one object, gathered frame by frame; memory and time a frame are bounded.

    The same frames in the same order give the same numbers to the last bit, however they were cut into runs.
    """

    def __init__(self, classes: Classes, calibration: Calibration | None) -> None:
        self._classes = classes
        self._calibration = calibration
        self._positive = class_id(classes, calibration.positive) if calibration else None
        self._views: list[_View] = []

    def __len__(self) -> int:
        return len(self._views)

    def add(self, fingerprint: int, weight: float, probabilities: NDArray[np.float32]) -> None:
        """Count one frame: its 64-bit fingerprint, quality x score, and (calibrated) class probabilities (c,)."""
        weight = max(weight, LEAST_WEIGHT)
        exact = probabilities.astype(np.float64)
        log_odds = 0.0 if self._positive is None else float(logit(exact[self._positive]))
        view = self._view_of(fingerprint)
        view.best_weight = max(view.best_weight, weight)
        view.weight += weight
        view.log_odds += weight * log_odds
        view.probabilities += weight * exact

    def _view_of(self, fingerprint: int) -> _View:
        """The nearest view, or a new one where none is near enough."""
        distances = [(view.fingerprint ^ fingerprint).bit_count() for view in self._views]
        if distances and (min(distances) <= COPY_BITS or len(distances) == MOST_VIEWS):
            return self._views[distances.index(min(distances))]
        self._views.append(_View(fingerprint, 0.0, 0.0, 0.0, np.zeros(len(self._classes))))
        return self._views[-1]

    @property
    def effective(self) -> float:
        """How many independent looks the views amount to, from 1 to their number; 0 when there are none.

        Kish's (sum w)^2 / sum w^2 with the views' shared errors in it: (sum w)^2 / sum_ij w_i r_ij w_j, where r
        falls from 1 for copies to 0 at `APART_BITS`. So a slow drift, whose neighbours differ little, counts little.
        """
        if not self._views:
            return 0.0
        weights = self._weights()
        fingerprints = np.array([view.fingerprint for view in self._views], np.uint64)
        distances = np.bitwise_count(fingerprints[:, None] ^ fingerprints[None])
        shared = np.clip((APART_BITS - distances.astype(np.float64)) / (APART_BITS - COPY_BITS), 0.0, 1.0)
        return max(1.0, float(weights.sum() ** 2 / (weights @ shared @ weights)))

    def percentages(self) -> dict[str, Percentage]:
        """The share of each class over all views; needs at least one frame.

        The calibrated class has the interval; the others divide what it leaves, in proportion to their weighted
        mean probabilities. Without a calibration the shares are the plain weighted means, without intervals.
        """
        probabilities = np.average(self._means("probabilities"), axis=0, weights=self._weights())
        if self._calibration is None or self._positive is None:
            return {name: Percentage(100.0 * float(p), None, None) for name, p in zip(self._classes, probabilities)}
        middle, low, high = sigmoid(self._log_odds_interval(self._calibration))
        others = np.delete(probabilities, self._positive)
        total = others.sum()
        shares = others / total if total > 0 else np.full(len(others), 1.0 / max(len(others), 1))
        found = [_percentage(share * (1 - middle), share * (1 - high), share * (1 - low)) for share in shares]
        found.insert(self._positive, _percentage(middle, low, high))
        return dict(zip(self._classes, found, strict=True))

    def _log_odds_interval(self, calibration: Calibration) -> NDArray[np.float64]:
        """Mean calibrated log odds over the views, and the ends of its 95 % interval, shape (3,)."""
        weights, log_odds = self._weights(), self._means("log_odds")
        looks = self.effective
        mean = float(np.average(log_odds, weights=weights))
        scatter = float(np.average((log_odds - mean) ** 2, weights=weights))
        own = replace(calibration, view_sd=_pooled_sd(calibration.view_sd, scatter, looks))
        half_width = _NORMAL_95 * float(np.sqrt(own.log_odds_variance(mean, looks)))
        return np.array([mean, mean - half_width, mean + half_width])

    def _weights(self) -> NDArray[np.float64]:
        # the best frame's, not the sum: looking longer at one view does not make it more of a view
        return np.array([view.best_weight for view in self._views])

    def _means(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(view, name) / view.weight for view in self._views])


def _pooled_sd(view_sd: float, scatter: float, looks: float) -> float:
    """Standard deviation between views: the validation split's, or more where this object's own views disagree more.

    `scatter` is the weighted variance of the views about their mean; its expectation is the true variance times
    (1 - 1/looks), so it brings looks - 1 degrees of freedom to the validation's.
    """
    pooled = (VALIDATION_VIEWS * view_sd**2 + looks * scatter) / (VALIDATION_VIEWS + looks - 1)
    return float(np.sqrt(max(view_sd**2, pooled)))


def _percentage(share: float, low: float, high: float) -> Percentage:
    return Percentage(100.0 * float(share), 100.0 * float(low), 100.0 * float(high))
