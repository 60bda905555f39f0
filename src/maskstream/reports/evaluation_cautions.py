"""What must be minded when reading an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskstream.reports.evaluation_words import FEW, claims_of
from maskstream.reports.figure_words import in_words, short_name
from maskstream.reports.read_evaluation import FinishedEvaluation
from maskstream.reports.words import counted
from maskstream.reports.words import number as grouped

FEW_IMAGES = 100
"""Images below which single ones move the figures."""

FEW_GROUPS = 20
"""Groups below which bootstrap intervals are known to be too narrow."""

WIDE = 0.2
"""Width of an interval from which it is said to be wide."""


def cautions(run: FinishedEvaluation) -> list[str]:
    """What must be minded when reading, the gravest first."""
    return list(_cautions(run))


def _cautions(run: FinishedEvaluation) -> Iterator[str]:
    for key in sorted(run.metrics):
        if key.startswith(("note", "warning", "leakage")) and run.text(key) not in ("", "none", "0"):
            yield run.text(key)
    without = run.count("n_without_answer")
    if without:
        yield f"{counted(without, 'image')} without any answer in the predictions: nothing counts as found there."
    if run.text("classes") == "ignored":
        yield "Classes were ignored: an object under a wrong name counts as found."
    split = run.text("split").lower()
    if split.startswith("train"):
        yield "These are images of a training split: if the model learnt from them, every figure here is too good."
    elif split.startswith("val"):
        yield (
            "This is a validation split: the checkpoint, the score threshold and the calibration may have been chosen "
            "on it, so that these figures lean to the good side. A test split tells more."
        )
    images, groups = run.count("n_pictures"), run.count("n_groups")
    if images is not None and images < FEW_IMAGES:
        yield f"{counted(images, 'image')} are few: single images move these figures."
    told = [run.text(key) for key in ("interval_warning", "video_interval_warning")]
    yield from (f"Intervals: {in_words(text, run.metrics)}." for text in told if text not in ("", "none"))
    if not any(told) and groups is not None and groups < FEW_GROUPS:
        yield f"The images are of {counted(groups, 'group')} only, so that the intervals are too narrow."
    yield from _wide(run)
    few = [(key.split("/", 1)[1], run.count(key)) for key in run.metrics if key.startswith("n_objects/")]
    few += [(key.split("/", 1)[1], run.count(key)) for key in run.metrics if key.startswith("n_pictures/")]
    names = [f"{name} ({grouped(count)})" for name, count in few if count is not None and count < FEW]
    if names:
        yield f"Fewer than {FEW} cases of {_listed(names)}: figures of these classes are hardly more than anecdotes."
    if run.undefined:
        names = [short_name(key) for key in run.undefined]
        yield f"Not defined by these images, and so left out: {_listed(names)}."


def _wide(run: FinishedEvaluation) -> Iterator[str]:
    keys = [claim.key for claim in claims_of(run) if run.figure(claim.key) is not None]
    if keys and all(run.interval(key) is None for key in keys):
        yield "No 95 % intervals were computed: nothing here says how far chance has a hand in the figures."
    wide = [key for key in keys if (span := run.interval(key)) is not None and span[1] - span[0] > WIDE]
    if wide:
        yield f"Wide intervals of {_listed([short_name(key) for key in wide])}: these images do not settle them."


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {grouped(len(names) - most)} more" if len(names) > most else "")
