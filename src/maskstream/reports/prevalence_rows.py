"""What the percentages of an evaluation become where the class is rarer, or more common: rows for the page's table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskstream.evaluation.classes.prevalence import at_prevalence, predictive_values
from maskstream.reports.evaluation_values import share_text
from maskstream.reports.read_evaluation import FinishedEvaluation

PERCENTAGES = (1, 5, 10, 20, 30, 50, 70, 90, 99)
"""Shown percentages whose meaning elsewhere is told."""

PREVALENCES = (0.01, 0.05, 0.20, 0.50)
"""Shares of the class that need no slider, in print as well."""


@dataclass(frozen=True, slots=True)
class Prevalence:
    """What the slider begins with.

    Attributes
    ----------
    positive : the class.
    share : of it where the percentages hold as they are, 0..1, both excluded.
    from_training : whether that is the training set's; else the judged images'.
    calibrated : whether the percentages are; moving others makes them no better.
    rows : a shown percentage, and what it becomes at each of `PREVALENCES`.
    sensitivity, specificity : at 50 %; None where they are not known.
    predictive : of each of `PREVALENCES` and of `share`: the prevalence, PPV and NPV.
    """

    positive: str
    share: float
    from_training: bool
    calibrated: bool
    rows: Sequence[tuple[int, Sequence[str]]]
    sensitivity: float | None
    specificity: float | None
    predictive: Sequence[tuple[str, str, str]]


def prevalence_of(run: FinishedEvaluation) -> Prevalence | None:
    """None without a positive class, or where its share is not known."""
    positive = run.text("positive_class")
    told = run.figure("training_positive_share")
    share = _judged_share(run) if told is None else told
    if not positive or share is None or not 0 < share < 1:
        return None
    rows = [
        (shown, [share_text(float(at_prevalence(shown / 100, share, to))) for to in PREVALENCES])
        for shown in PERCENTAGES
    ]
    sensitivity, specificity = operating_point(run)
    predictive = []
    if sensitivity is not None and specificity is not None:
        for prevalence in (*PREVALENCES, share):
            values = predictive_values(sensitivity, specificity, prevalence)
            predictive.append(
                (share_text(prevalence), *("–" if value is None else share_text(value) for value in values))
            )
    calibrated = run.text("calibration") not in ("", "none")
    return Prevalence(
        positive, share, told is not None, calibrated, rows, sensitivity, specificity, predictive  # type: ignore[arg-type]
    )  # fmt: skip


def operating_point(run: FinishedEvaluation) -> tuple[float | None, float | None]:
    """Sensitivity and specificity at 50 %, as told, or of the two classes of a classifier."""
    sensitivity, specificity = run.figure("sensitivity"), run.figure("specificity")
    if sensitivity is not None and specificity is not None:
        return sensitivity, specificity
    others = [name for name in run.classes if name != run.text("positive_class")]
    if len(others) != 1:
        return None, None
    return run.figure(f"sensitivity/{run.text('positive_class')}"), run.figure(f"sensitivity/{others[0]}")


def _judged_share(run: FinishedEvaluation) -> float | None:
    images, positive = run.count("n_pictures"), run.count("n_positive")
    if positive is None:
        positive = run.count(f"n_pictures/{run.text('positive_class')}")
    return None if not images or positive is None else positive / images
