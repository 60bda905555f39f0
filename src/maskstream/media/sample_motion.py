"""How a sample clip moves: the hand that holds the camera, and the moles that drift over the skin.

Both are closed formulas of time, so that any frame can be made without those before it. Lengths are in
units of the frame's width; an affine map is a (2, 3) array that takes points (x, y) counted from pixel
edges, so that the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]
Vector = NDArray[np.float64]


def similarity(scale: float, angle: float, shift: Vector) -> Affine:
    """Turn by `angle` radians, scale, then shift."""
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def chain(first: Affine, then: Affine) -> Affine:
    """The map that does `first`, `then` the other."""
    return then[:, :2] @ first + np.column_stack([np.zeros((2, 2)), then[:, 2]])


def inverse(affine: Affine) -> Affine:
    """The map that undoes another."""
    back = np.linalg.inv(affine[:, :2])
    return np.column_stack([back, -back @ affine[:, 2]])


@dataclass(frozen=True, slots=True, eq=False)
class Waves:
    """A sum of sines over time: `amplitudes` (k,) of `frequencies_hz` (k,) with `phases` (k,) in radians."""

    amplitudes: Vector
    frequencies_hz: Vector
    phases: Vector

    def at(self, time_s: float) -> float:
        """The sum at a time."""
        return float(self.amplitudes @ np.sin(2 * np.pi * self.frequencies_hz * time_s + self.phases))


def random_waves(rng: np.random.Generator, amplitudes: tuple[float, ...], around_hz: tuple[float, ...]) -> Waves:
    """Waves of about these amplitudes and frequencies, each drawn within a third of its value."""
    count = len(amplitudes)
    return Waves(
        np.array(amplitudes) * rng.uniform(0.67, 1.33, count),
        np.array(around_hz) * rng.uniform(0.67, 1.33, count),
        rng.uniform(0, 2 * np.pi, count),
    )


def bump(time_s: float, start_s: float, rise_s: float, hold_s: float, period_s: float) -> float:
    """0, a smooth rise to 1 that begins at `start_s`, a hold, a fall as long as the rise; again every period."""
    since = (time_s - start_s) % period_s
    share = np.clip(min(since / rise_s, (2 * rise_s + hold_s - since) / rise_s), 0, 1)
    return float(share * share * (3 - 2 * share))


class CameraPath:
    """A hand-held camera: slow sway, shake, zoom and rotation, and at times a jerk that loses the view.

    Parameters
    ----------
    unit_px : pixels of one unit of length.
    centre_px : centre of the frame (x, y).
    leaves : whether the camera jerks away, for less than two seconds, and comes back.
    """

    def __init__(self, rng: np.random.Generator, unit_px: float, centre_px: Vector, leaves: bool) -> None:
        self._unit_px = unit_px
        self._centre_px = centre_px
        steadiness = rng.uniform(0.4, 1.2)
        sway, shake, tremor = 0.022 * steadiness, 0.006 * steadiness, 0.0018 * steadiness
        self._x = random_waves(rng, (sway, shake, tremor), (0.25, 1.8, 6.0))
        self._y = random_waves(rng, (sway, shake, tremor), (0.3, 2.1, 6.5))
        self._zoom = random_waves(rng, (0.06, 0.015), (0.12, 0.5))
        self._turn = random_waves(rng, (0.09, 0.012), (0.1, 0.9))
        self._leaves = leaves
        heading = rng.uniform(0, 2 * np.pi)
        self._jerk = rng.uniform(0.45, 0.85) * np.array([np.cos(heading), np.sin(heading)])
        self._jerk_start_s, self._jerk_period_s = rng.uniform(0.6, 1.6), rng.uniform(5, 8)
        self._jerk_rise_s, self._jerk_hold_s = rng.uniform(0.3, 0.5), rng.uniform(0, 0.6)

    def view(self, time_s: float) -> Affine:
        """The map from skin, in units of length around its origin, to frame pixels."""
        scale = self._unit_px * np.exp(self._zoom.at(time_s))
        shift = np.array([self._x.at(time_s), self._y.at(time_s)])
        if self._leaves:
            timing = self._jerk_start_s, self._jerk_rise_s, self._jerk_hold_s, self._jerk_period_s
            shift = shift + self._jerk * bump(time_s, *timing)
        return similarity(scale, self._turn.at(time_s), self._centre_px + shift * self._unit_px)


class MolePaths:
    """Where the moles are on the skin: in a row, drifting; in some clips they pass each other.

    Parameters
    ----------
    radii : radius of each mole in units of length.
    passing : whether neighbours swing past each other, so close that they may touch or overlap a little.
    """

    def __init__(self, rng: np.random.Generator, radii: list[float], passing: bool) -> None:
        self._passing = passing
        self._sizes = radii
        self._angles = rng.uniform(0, 2 * np.pi, len(radii))
        # moles that pass do so one above the other; those that stay lie side by side
        row_angle = rng.normal(0, 0.3) + (np.pi / 2 if passing else 0.0)
        self._along = np.array([np.cos(row_angle), np.sin(row_angle)])
        self._across = np.array([-self._along[1], self._along[0]])
        gaps = rng.uniform(0.8, 1.05, len(radii)) if passing else rng.uniform(1.15, 1.5, len(radii))
        steps = [(a + b) * gap for a, b, gap in zip(radii, radii[1:], gaps, strict=False)]
        self._rows = np.concatenate([[0.0], np.cumsum(steps)])[: len(radii)]
        self._rows = self._rows - (self._rows[:1] + self._rows[-1:]) / 2
        self._spread = rng.uniform(-0.08, 0.08, len(radii))
        self._swing, self._period_s = rng.uniform(0.12, 0.2), rng.uniform(5, 8)
        self._meeting_s = rng.uniform(0.8, 2.2)
        self._drifts = [(random_waves(rng, (0.012,), (0.15,)), random_waves(rng, (0.012,), (0.15,))) for _ in radii]

    def places(self, time_s: float) -> list[Affine]:
        """For each mole, the map from its own coordinates (radius 1) to skin in units of length."""
        pass_by = self._swing * np.sin(2 * np.pi * (time_s - self._meeting_s) / self._period_s)
        placed = []
        for number, radius in enumerate(self._sizes):
            sideways = pass_by * (-1) ** number if self._passing else self._spread[number]
            drift = np.array([wave.at(time_s) for wave in self._drifts[number]])
            centre = self._along * self._rows[number] + self._across * sideways + drift
            placed.append(similarity(radius, self._angles[number], centre))
        return placed
