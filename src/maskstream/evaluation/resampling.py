"""How far a figure is in doubt: 95 % bootstrap intervals over groups, and those of the difference of two models.

Images of one group (a film, a patient, a lesion) are alike, so what is drawn anew is groups, not images: copies of an
image add no certainty. Percentile interval: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993),
chapter 13; of clusters: A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), section 3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.core.parallel import OnProgress
from maskstream.errors import DatasetError
from maskstream.evaluation.direction import better
from maskstream.evaluation.verdict import Metrics, Positions

RESAMPLES = 1000
CONFIDENCE = 0.95

FEW_GROUPS = 20
"""Below so many the percentile interval is known to be too narrow, and a warning says so."""

SHIFT = 0.25
"""Standard deviations of the resamples between their mean and the figure itself, from which a warning says that they
lie to one side of it. A smaller bias can be ignored: Efron and Tibshirani, section 10.3."""

LISTED = 6
"""Figures that a warning names; it counts the others."""

UNDEFINED_SHARE = 0.05
"""Share of the resamples that may leave a figure undefined before a warning says so."""

Headline = Callable[[Positions], dict[str, float]]
"""Figures of a choice of images, by position; what the images do not define is left out."""

Samples = dict[str, NDArray[np.float64]]
"""Each figure in every resample, (resamples,); NaN where a resample does not define it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where 95 % of the resamples lie.

    Attributes
    ----------
    low, high : in the figure's own unit.
    resamples : how many of them defined the figure.
    shift : mean of the resamples minus the figure of all images, in standard deviations of the resamples; 0 where they
        are all the same.
    """

    low: float
    high: float
    resamples: int
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """Figure of A minus figure of B, on the same images.

    Attributes
    ----------
    value : on all images.
    interval : of the difference in resamples drawn alike for both; None for a single group.
    better_share : share of the resamples in which A is better, ties half; None for a single group, or where neither
        more nor less is better.
    """

    value: float
    interval: Interval | None
    better_share: float | None


def intervals(
    headline: Headline,
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Interval]:
    """The interval of each figure of all images.

    Parameters
    ----------
    headline : figures of a choice of images; called once a resample.
    groups : the group of each image, in the order of the images.
    seed : the same draws for the same groups.

    Returns
    -------
    Nothing for a single group: nothing can be drawn anew. A figure that fewer than half of the resamples define has
    no interval either.

    Raises
    ------
    DatasetError : there is no image.
    """
    samples = sample(headline, groups, resamples=resamples, seed=seed, on_progress=on_progress)
    return intervals_of(samples, headline(np.arange(len(groups))))


def sample(
    headline: Headline,
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Samples:
    """Each figure of all images in every resample; parameters, errors and empty result as those of `intervals`."""
    known = headline(np.arange(len(groups)))
    samples = {key: np.full(resamples, np.nan) for key in known}
    if len(set(groups)) == 1:
        return {}
    for row, images in enumerate(draws(groups, resamples, seed)):
        drawn = headline(images)
        for key in known.keys() & drawn.keys():
            samples[key][row] = drawn[key]
        if on_progress is not None:
            on_progress(row + 1, resamples)
    return samples


def intervals_of(samples: Samples, figures: Mapping[str, float]) -> dict[str, Interval]:
    """The 2.5 % and 97.5 % points of each figure, over the resamples that define it, if they are at least half.

    `figures` are those of all images.
    """
    found = {}
    for key, values in samples.items():
        defined = values[~np.isnan(values)]
        if 2 * len(defined) >= len(values):
            low, high = np.quantile(defined, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
            spread = float(defined.std())
            shift = (float(defined.mean()) - figures[key]) / spread if high > low else 0.0
            found[key] = Interval(float(low), float(high), len(defined), shift)
    return found


def paired_differences(
    a: Headline,
    b: Headline,
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> dict[str, Difference]:
    """A minus B in each figure that both have, both judged on the same images; parameters as those of `intervals`."""

    def both(images: Positions) -> dict[str, float]:
        of_a, of_b = a(images), b(images)
        return {f"a {key}": value for key, value in of_a.items()} | {f"b {key}": value for key, value in of_b.items()}

    samples = sample(both, groups, resamples=resamples, seed=seed, on_progress=on_progress)
    of_a, of_b = (
        {key.removeprefix(f"{name} "): values for key, values in samples.items() if key.startswith(f"{name} ")}
        for name in "ab"
    )
    images = np.arange(len(groups))
    return differences_of(a(images), b(images), of_a, of_b)


def differences_of(
    a: Mapping[str, float], b: Mapping[str, float], a_samples: Samples, b_samples: Samples
) -> dict[str, Difference]:
    """A minus B in each figure that both have; the samples are of the same draws, or empty for a single group."""
    shared = [key for key in a if key in b]
    gaps = {key: a_samples[key] - b_samples[key] for key in shared if key in a_samples and key in b_samples}
    values = {key: a[key] - b[key] for key in shared}
    known = intervals_of(gaps, values)
    return {
        key: Difference(value, known.get(key), _better_share(key, gaps[key]) if key in known else None)
        for key, value in values.items()
    }


def interval_metrics(known: Mapping[str, Interval], figures: Sequence[str], groups: Sequence[str]) -> Metrics:
    """What `metrics.json` says of the intervals.

    Parameters
    ----------
    figures : the keys that an interval was asked for.
    groups : the group of each image.

    Returns
    -------
    `KEY_low` and `KEY_high`, `interval_confidence`, `interval_groups` (how many groups stand behind them),
    `interval_warning`: what to mind when reading them, or "none".
    """
    count = len(set(groups))
    bounds = {f"{key}_{side}": getattr(known[key], side) for key in known for side in ("low", "high")}
    notes = "; ".join(warnings_of(known, figures, groups)) or "none"
    return bounds | {"interval_confidence": CONFIDENCE, "interval_groups": count, "interval_warning": notes}


def warnings_of(
    known: Mapping[str, Interval], figures: Sequence[str], groups: Sequence[str], resamples: int | None = None
) -> list[str]:
    """What to mind when reading the intervals, in plain words; `resamples`: None for the most that a figure has."""
    count = len(set(groups))
    if count == 1:
        return ["all images are of one group, so nothing is known of how far the figures are in doubt: no interval"]
    notes = []
    if count < FEW_GROUPS:
        notes.append(f"only {count} groups stand behind the intervals, which are then narrower than they should be")
    if missing := [key for key in figures if key not in known]:
        notes.append(f"no interval where fewer than half of the resamples define the figure: {_listed(missing)}")
    total = resamples or max((interval.resamples for interval in known.values()), default=0)
    enough = (1 - UNDEFINED_SHARE) * total
    if rare := [f"{key} ({i.resamples} of {total})" for key, i in known.items() if i.resamples < enough]:
        notes.append(f"defined in a part of the resamples only: {_listed(rare)}")
    if aside := [key for key, interval in known.items() if abs(interval.shift) > SHIFT]:
        notes.append(f"resamples lie to one side of the figure, so that the interval is shifted: {_listed(aside)}")
    if still := [key for key, interval in known.items() if interval.low == interval.high]:
        notes.append(f"the same in every resample, so that the interval tells nothing: {_listed(still)}")
    return notes


def draws(groups: Sequence[str], resamples: int, seed: int) -> Iterator[Positions]:
    """Positions of the images of each resample: as many groups as there are, drawn with replacement.

    All images of a group are there as often as it was drawn.

    Raises
    ------
    DatasetError : there is no image.
    """
    if not len(groups):
        raise DatasetError(
            "resampling", expected="at least one image", found="none", remedy="choose a split that holds images"
        )
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    by_group = np.argsort(group_of, kind="stable").astype(np.int64)
    sizes = np.bincount(group_of)
    starts = np.cumsum(sizes) - sizes
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = random.integers(len(sizes), size=len(sizes))
        lengths = sizes[drawn]
        # the n-th image of its own group, for every image of the resample
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        yield by_group[np.repeat(starts[drawn], lengths) + within]


def _better_share(figure: str, gaps: NDArray[np.float64]) -> float | None:
    direction = better(figure)
    if direction is None:
        return None
    gaps = gaps[~np.isnan(gaps)]
    wins = gaps > 0 if direction == "higher" else gaps < 0
    return float(np.mean(wins) + np.mean(gaps == 0) / 2)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
