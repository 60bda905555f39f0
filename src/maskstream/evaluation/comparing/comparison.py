"""Several models on the same images: figures with their intervals, paired differences, and what each costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskstream.core.frame import Frame
from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import Dataset
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.comparing.contestants import Contestant
from maskstream.evaluation.comparing.cost import Cost, measure_peak_memory_mb, measure_speed
from maskstream.evaluation.evaluate import evaluation_of
from maskstream.evaluation.resampling import (
    RESAMPLES,
    Difference,
    Headline,
    Interval,
    differences_of,
    intervals_of,
    sample,
    warnings_of,
)
from maskstream.evaluation.split import match_classes

SPEED_IMAGES, MEMORY_IMAGES = 12, 4
"""Images, evenly spread over those judged, on which speed and memory are measured."""

Bars = Callable[[str], OnProgress]
"""A progress bar for each kind of work."""


@dataclass(frozen=True, slots=True)
class Row:
    """One of those compared.

    Attributes
    ----------
    figures : those of its own that another one has too, on all images.
    intervals : 95 %, where there is one.
    differences : this one minus the baseline; empty for the baseline itself.
    """

    contestant: Contestant
    figures: dict[str, float]
    intervals: dict[str, Interval]
    differences: dict[str, Difference]
    cost: Cost


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of them on the same images.

    Attributes
    ----------
    rows : in the order that they were named.
    baseline : name of the one that the others are compared with.
    figures : keys that at least two have: models of unlike tasks meet in some of them only.
    not_shared : keys that only one has, with its name.
    positive : class whose percentage was judged; None for none.
    group_count : how many groups stand behind the intervals.
    warnings : what to mind when reading.
    """

    rows: tuple[Row, ...]
    baseline: str
    figures: tuple[str, ...]
    not_shared: dict[str, str]
    positive: str | None
    image_count: int
    group_count: int
    resamples: int
    seed: int
    warnings: tuple[str, ...]


def compare(
    contestants: Sequence[Contestant],
    dataset: Dataset,
    records: Sequence[ImageRecord],
    *,
    baseline: str | None = None,
    positive: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    with_cost: bool = True,
    bars: Bars | None = None,
) -> Comparison:
    """Judge all of them on the same images.

    Parameters
    ----------
    contestants : at least two, as `evaluation.comparing.contestants` gives them.
    records : at least one image.
    baseline : name of one of them, or what it was asked for by; default: the first.
    positive : class whose percentage is judged in all of them; default: the first calibrated one's, else the second of
        the first one's two classes, else none.
    resamples, seed : see `evaluation.resampling`.
    with_cost : measure speed and memory.

    Raises
    ------
    DatasetError : no image; classes that one of them does not know; no figure that two have; an unknown baseline.
    """
    bar = bars or (lambda verb: lambda done, total: None)
    names = [one.name for one in contestants]
    by_argument = {one.argument: one.name for one in contestants}
    baseline = names[0] if baseline is None else by_argument.get(baseline, baseline)
    if baseline not in names:
        raise DatasetError(
            f"baseline {baseline!r}", expected=f"one of {', '.join(names)}", found="another name", remedy="name one"
        )
    _refuse_other_classes(contestants, dataset)
    if not records:
        raise DatasetError(
            "compare", expected="at least one image", found="none", remedy="choose a split that holds images"
        )
    positive = _common_positive(contestants) if positive is None else positive
    judged = _judged(contestants, dataset, records, positive, bar)
    headlines = {name: headline for name, (headline, _) in judged.items()}
    groups = next(groups for _, groups in judged.values())
    everything = np.arange(len(records))
    known = {name: headline(everything) for name, headline in headlines.items()}
    shared = _shared_by_two(known)
    meeting = [name for name in names if not known[name].keys().isdisjoint(shared)]
    if len(meeting) < len(names):
        tasks = ", ".join(f"{one.name} ({one.answers.task})" for one in contestants if one.name not in meeting)
        raise DatasetError(
            "compare",
            expected="of each model a figure that another one has too",
            found=f"none of {tasks}",
            remedy="compare models of one task",
        )
    samples = {
        name: sample(
            _only(shared, headline), groups, resamples=resamples, seed=seed, on_progress=bar(f"resampling {name}")
        )
        for name, headline in headlines.items()
    }
    known_shared = {name: {key: figures[key] for key in shared if key in figures} for name, figures in known.items()}
    intervals = {name: intervals_of(drawn, known_shared[name]) for name, drawn in samples.items()}
    costs = _costs(contestants, records, bar) if with_cost else {one.name: one.cost for one in contestants}
    return Comparison(
        rows=tuple(
            Row(
                contestant=one,
                figures=known_shared[one.name],
                intervals=intervals[one.name],
                differences={}
                if one.name == baseline
                else differences_of(
                    known_shared[one.name], known_shared[baseline], samples[one.name], samples[baseline]
                ),
                cost=costs[one.name],
            )
            for one in contestants
        ),
        baseline=baseline,
        figures=shared,
        not_shared=_not_shared(known, shared),
        positive=positive,
        image_count=len(records),
        group_count=len(set(groups)),
        resamples=resamples,
        seed=seed,
        warnings=_warnings(contestants, intervals, known_shared, groups, resamples),
    )


def spread(records: Sequence[ImageRecord], count: int) -> tuple[ImageRecord, ...]:
    """So many images, evenly from the first to the last; all where there are no more."""
    if count >= len(records):
        return tuple(records)
    return tuple(records[place] for place in np.linspace(0, len(records) - 1, count).round().astype(int))


def with_class(record: ImageRecord, dataset: Dataset) -> ImageRecord:
    """The image with a class as a whole: its own, else the one that all its objects have.

    Raises
    ------
    DatasetError : it has none: no object, or objects of several classes.
    """
    shown = {annotation.class_id for annotation in record.annotations}
    if record.class_id is not None or len(shown) == 1:
        return record if record.class_id is not None else replace(record, class_id=shown.pop())
    raise DatasetError(
        record.path,
        expected="an image with a class as a whole, or with objects of one class",
        found=f"objects of {', '.join(dataset.classes[i] for i in sorted(shown))}" if shown else "neither",
        remedy="compare models that find objects on these images, or leave the classifier out",
    )


def _refuse_other_classes(contestants: Sequence[Contestant], dataset: Dataset) -> None:
    for one in contestants:
        try:
            match_classes(dataset, one.answers.classes)
        except DatasetError as error:
            raise DatasetError(
                f"{one.name} on {error.place}", expected=error.expected, found=error.found, remedy=error.remedy
            ) from None


def _judged(
    contestants: Sequence[Contestant],
    dataset: Dataset,
    records: Sequence[ImageRecord],
    positive: str | None,
    bar: Bars,
) -> dict[str, tuple[Headline, list[str]]]:
    """Headline figures and groups by name."""
    has_objects = any(record.annotations for record in records)
    judged: dict[str, tuple[Headline, list[str]]] = {}
    for one in contestants:
        evaluation = evaluation_of(one.answers, dataset, positive=positive)
        if one.answers.task != "classification" and not has_objects:
            raise DatasetError(
                dataset.folder,
                expected=f"images with labelled objects, which {one.name} is to find",
                found="none",
                remedy="compare classifiers alone on these images",
            )
        on_progress = bar(f"judging {one.name}")
        for done, record in enumerate(records, start=1):
            evaluation.add(with_class(record, dataset) if one.answers.task == "classification" else record)
            on_progress(done, len(records))
        judged[one.name] = evaluation.headline, evaluation.groups()
    return judged


def _only(keys: Sequence[str], headline: Headline) -> Headline:
    return lambda images: {key: value for key, value in headline(images).items() if key in keys}


def _common_positive(contestants: Sequence[Contestant]) -> str | None:
    """One class for all of them, so that none is judged by another's percentage."""
    for one in contestants:
        if one.answers.calibration is not None:
            return one.answers.calibration.positive
    classes = contestants[0].answers.classes
    return classes[1] if len(classes) == 2 else None


def _shared_by_two(known: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Keys of at least two, in the order in which they first appear."""
    counts = Counter(key for figures in known.values() for key in figures)
    return tuple(key for key, count in counts.items() if count > 1)


def _not_shared(known: Mapping[str, Mapping[str, float]], shared: Sequence[str]) -> dict[str, str]:
    return {key: name for name, figures in known.items() for key in figures if key not in shared}


def _warnings(
    contestants: Sequence[Contestant],
    intervals: Mapping[str, Mapping[str, Interval]],
    figures: Mapping[str, Mapping[str, float]],
    groups: Sequence[str],
    resamples: int,
) -> tuple[str, ...]:
    """Those of the intervals, each once with the names that it concerns, and those of comparing unlike models."""
    by_text: dict[str, list[str]] = {}
    for name, known in intervals.items():
        for text in warnings_of(known, list(figures[name]), groups, resamples):
            by_text.setdefault(text, []).append(name)
    everybody = len(intervals)
    notes = [text if len(names) == everybody else f"{', '.join(names)}: {text}" for text, names in by_text.items()]
    tasks = {one.answers.task for one in contestants}
    if len(tasks) > 1 and "classification" in tasks:
        notes.append(
            "models that find objects have a percentage only where they find something: their calibration figures "
            "are of those images, a classifier's are of all"
        )
    return tuple(notes)


def _costs(contestants: Sequence[Contestant], records: Sequence[ImageRecord], bar: Bars) -> dict[str, Cost]:
    """Speed and memory of those that can be run; the others keep what is known."""
    running = [one for one in contestants if one.run is not None]
    frames = [
        Frame(record.read_image(), index, 0.0, str(record.path))
        for index, record in enumerate(spread(records, SPEED_IMAGES))
    ]
    speeds = measure_speed({one.name: one.run for one in running if one.run}, frames, bar("timing"))
    images: list[Path] = [record.path for record in spread(records, MEMORY_IMAGES)]
    costs = {one.name: one.cost for one in contestants}
    on_progress = bar("measuring memory")
    for done, one in enumerate(running, start=1):
        memory = measure_peak_memory_mb(one.argument, images)
        costs[one.name] = replace(one.cost, speed=speeds[one.name], peak_memory_mb=memory)
        on_progress(done, len(running))
    return costs
