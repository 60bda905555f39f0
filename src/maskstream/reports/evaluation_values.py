"""Figures of an evaluation as text."""

from __future__ import annotations

from collections.abc import Iterable

from maskstream.reports.read_evaluation import FinishedEvaluation
from maskstream.reports.words import percent

_NO_BREAK = "\u00a0"

SHARES = (
    *("recall", "precision", "share_below_065", "sensitivity", "specificity", "accuracy", "balanced_accuracy"),
    *("frame_class_accuracy", "track_class_accuracy", "found_share"),
)
"""Figures that are shares of something counted, and so read as percentages."""


_POINTS = ("ece", "percentage_jitter", "tracking_gain")
"""Figures that are differences of percentages."""


def is_share(key: str) -> bool:
    """Whether a figure is told as a percentage."""
    return key.partition("/")[0] in SHARES or key.startswith(("sensitivity_at_", "specificity_at_"))


def shown(key: str, value: float) -> str:
    """`93 %` of a share, `0.931` of another figure, `12.4` of pixels."""
    if is_share(key):
        return percent(100 * value)
    if key.endswith("_px"):
        return f"{value:.1f}"
    return f"{100 * value:.1f}{_NO_BREAK}points" if key.startswith(_POINTS) else f"{value:.3f}"


def share_text(value: float) -> str:
    """A share as a percentage with a digit where it tells something, `19.5 %` and `50 %`; never a false 0 or 100."""
    if 0 < value < 0.0005:
        return f"<0.1{_NO_BREAK}%"
    if 0.9995 <= value < 1:
        return f">99.9{_NO_BREAK}%"
    return f"{100 * value:.1f}".removesuffix(".0") + f"{_NO_BREAK}%"


def span(key: str, low: float, high: float) -> str:
    """`90 to 95 %`: both ends of an interval, the unit once."""
    first, last = shown(key, low), shown(key, high)
    unit = last.partition(_NO_BREAK)[2]
    return f"{first.removesuffix(_NO_BREAK + unit) if unit else first} to {last}"


def evaluator_of(run: FinishedEvaluation, key: str = "") -> str:
    """Who computed a figure, and its version: AP and AR are left to COCO's code, all else is maskstream's own."""
    if key.removeprefix("box_").startswith(("AP", "AR")) or not run.text("maskstream"):
        return run.text("evaluator")
    return f"maskstream {run.text('maskstream')}"


def evaluators_of(run: FinishedEvaluation, columns: Iterable[str]) -> str:
    """Who computed the columns of a table."""
    others = dict.fromkeys(by for column in columns if (by := evaluator_of(run, column)) != evaluator_of(run))
    if not others:
        return evaluator_of(run)
    return f"AP and AR by {', '.join(others)}, all else by {evaluator_of(run)}"


def with_interval(run: FinishedEvaluation, key: str) -> str:
    """`93 % (90 to 95 %)`, without what is in brackets where there is no interval."""
    value = run.figure(key)
    assert value is not None
    interval = run.interval(key)
    return shown(key, value) + (f" ({span(key, *interval)})" if interval is not None else "")
