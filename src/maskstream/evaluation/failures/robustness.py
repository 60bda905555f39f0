"""How much a model loses when images get worse: its headline figures on the same images, clean and corrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from maskstream.core.parallel import OnProgress
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError
from maskstream.evaluation.evaluate import Evaluation
from maskstream.evaluation.failures.corruptions import CORRUPTIONS, SEVERITIES, Corruption, corrupted
from maskstream.evaluation.resampling import Difference, paired_differences
from maskstream.evaluation.verdict import ImageRow, Table

CLEAN = "clean"
RESAMPLES = 200
COLUMNS = ("corruption", "severity", "level", "figure", "value", "n_images", "drop", "drop_low", "drop_high")


def robustness(
    fresh: Callable[[], Evaluation],
    records: Sequence[ImageRecord],
    *,
    corruptions: Sequence[Corruption] = CORRUPTIONS,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Table:
    """The headline figures of images, clean and under each corruption.

    Parameters
    ----------
    fresh : makes an evaluation that has no image yet. Its answers must be those of a model, which looks at the
        corrupted images; answers from a file know nothing of them.
    records : the images, all of them judged `1 + 3 * len(corruptions)` times.
    seed : of what is drawn by chance in images, and of the resamples.
    on_progress : told how many answers there are, and how many there will be.

    Returns
    -------
    Table `robustness`: a row a corruption, severity and figure, the clean images first with severity 0. `drop` is the
    clean figure less the corrupted one, on the same images; `drop_low` and `drop_high` its 95 % bootstrap interval by
    group, empty for a single group.

    Raises
    ------
    DatasetError, SourceError : there is no image, or one cannot be read or judged.
    """
    if not records:
        raise DatasetError(
            "robustness", expected="at least one image", found="none", remedy="choose a split that holds images"
        )
    total = len(records) * (1 + len(SEVERITIES) * len(corruptions))
    done = 0

    def judged(images: Sequence[ImageRecord]) -> Evaluation:
        nonlocal done
        evaluation = fresh()
        for image in images:
            evaluation.add(image)
            done += 1
            if on_progress is not None:
                on_progress(done, total)
        return evaluation

    clean = judged(records)
    everywhere = np.arange(len(records))
    rows = [
        {**_place(CLEAN, 0, "unchanged", len(records)), "figure": figure, "value": value}
        for figure, value in clean.headline(everywhere).items()
    ]
    for corruption in corruptions:
        for severity in SEVERITIES:
            worse = judged([corrupted(record, corruption, severity, seed) for record in records])
            drops = paired_differences(clean.headline, worse.headline, clean.groups(), resamples=RESAMPLES, seed=seed)
            place = _place(corruption.name, severity, corruption.level(severity), len(records))
            rows += [
                {**place, "figure": figure, "value": value, **_drop(drops.get(figure))}
                for figure, value in worse.headline(everywhere).items()
            ]
    return Table.of("robustness", rows, columns=COLUMNS)


def chosen(records: Sequence[ImageRecord], count: int, seed: int = 0) -> list[ImageRecord]:
    """At most `count` images drawn by chance, in their own order; the same for the same seed and images."""
    if count >= len(records):
        return list(records)
    drawn = np.random.default_rng(seed).choice(len(records), size=count, replace=False)
    return [records[position] for position in sorted(drawn.tolist())]


def _place(name: str, severity: int, level: str, n_images: int) -> ImageRow:
    return {"corruption": name, "severity": severity, "level": level, "n_images": n_images}


def _drop(difference: Difference | None) -> ImageRow:
    """Nothing for a figure that only the corrupted images define."""
    if difference is None:
        return {}
    interval = difference.interval
    bounds: ImageRow = {} if interval is None else {"drop_low": interval.low, "drop_high": interval.high}
    return {"drop": difference.value, **bounds}
