"""The verdict on a model in plain words, made from its figures by the rules of this file alone.

A claim is supported where the whole 95 % interval of its figure is at least as good as its bar, over at least `FEW`
cases; refuted where the whole interval is worse (without an interval: the figure); and open otherwise. The bars are
conventions, not laws; the page shows them beside the verdict. Nothing here ever says that a model may be trusted with
a patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maskstream.evaluation.direction import better
from maskstream.reports.evaluation_charts import main_figure
from maskstream.reports.evaluation_values import shown, with_interval
from maskstream.reports.figure_words import short_name
from maskstream.reports.read_evaluation import FinishedEvaluation, Row, number
from maskstream.reports.words import counted
from maskstream.reports.words import number as grouped

FEW = 30
"""Cases (objects, images of a class) below which nothing is supported."""

FEW_GROUPS = 20
"""Groups below which bootstrap intervals are known to be too narrow."""

WIDE = 0.2
"""Width of an interval from which it is said to be wide."""

POOR = 0.5
"""Figure of a single class below which the class is named among what the model cannot do."""

FALL = 0.1
"""Part of a figure that is lost under a mild corruption before it is said that the model does not bear it."""

MOST_NAMED = 3
"""Slices, corruptions and classes that the verdict names; the sections below have all."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a figure is asked.

    Attributes
    ----------
    key : of `metrics.json`.
    bar : what the figure must reach, or where less is better stay below.
    title : what somebody might want to use the model for.
    says : what the figure tells, with `{}` for its value and interval.
    cases : key of the number of cases it rests on.
    """

    key: str
    bar: float
    title: str
    says: str
    cases: str = "n_pictures"


CLAIMS = {
    "instance": (
        Claim("recall", 0.90, "Finding the objects", "it found {} of the true ones", "n_objects"),
        Claim("precision", 0.90, "Marking only what is there", "{} of what it marked is a true object", "n_objects"),
        Claim(
            "share_below_065", 0.10, "Drawing outlines", "the outline fails (Jaccard below 0.65) in {} of the images"
        ),
    ),
    "semantic": (
        Claim("mean_jaccard", 0.80, "Drawing regions", "mean Jaccard of an image is {}"),
        Claim(
            "share_below_065", 0.10, "Doing so reliably", "the region fails (Jaccard below 0.65) in {} of the images"
        ),
    ),
    "classification": (
        Claim("balanced_accuracy", 0.90, "Naming the class", "balanced over the classes, {} are called what they are"),
    ),
    "video": (
        Claim("JF", 0.75, "Following outlines", "J&F is {}", "n_frames"),
        Claim("IDF1", 0.80, "Keeping objects apart through a film", "IDF1 is {}", "n_frames"),
    ),
}

_RARER = "rarer class"

PERCENTAGE_CLAIMS = (
    Claim("auc", 0.85, "Putting images in order by the percentage of {positive}", "ROC AUC is {}", _RARER),
    Claim("ece", 0.05, "Reading that percentage as a frequency", "it is off by {} on average", _RARER),
    Claim("sensitivity", 0.90, "Catching {positive} at 50 %", "it caught {} of the images that show it", _RARER),
    Claim("specificity", 0.90, "Sparing false alarms at 50 %", "it spared {} of the images without it", _RARER),
)
"""Asked where there is a positive class."""

NEVER = (
    "Deciding about a person: maskstream is not a medical device, and nothing on this page makes it one.",
    "Images unlike these (another camera, other skin, another kind of object): nothing here was measured on them.",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the figures say: a first sentence, and sentences of three kinds."""

    lead: str
    supported: Sequence[str]
    refuted: Sequence[str]
    left_open: Sequence[str]


def verdict(run: FinishedEvaluation) -> Verdict:
    """Judge an evaluation by the rules of this file."""
    said: dict[str, list[str]] = {"supported": [], "refuted": [], "open": []}
    for claim in claims_of(run):
        if (value := run.figure(claim.key)) is not None:
            said[_standing(run, claim, value)].append(_sentence(run, claim))
    if run.text("positive_class") and run.text("calibration") == "none":
        said["refuted"].append("Reading its percentages as frequencies: the model carries no calibration.")
    said["refuted"] += [*_poor_classes(run), *_poor_slices(run), *_weaknesses(run), *NEVER]
    return Verdict(_lead(run), said["supported"], said["refuted"], said["open"])


def claims_of(run: FinishedEvaluation) -> tuple[Claim, ...]:
    """What is asked of an evaluation."""
    claims = CLAIMS.get(run.task, ())
    if run.task == "instance" and run.figure("recall") is None:
        claims = (Claim("AP50", 0.80, "Finding and naming the objects", "AP50 is {}", "n_objects"), *claims)
    if not run.text("positive_class"):
        return claims
    uncalibrated = run.text("calibration") == "none"
    return (*claims, *(claim for claim in PERCENTAGE_CLAIMS if not (uncalibrated and claim.key == "ece")))


def rules(run: FinishedEvaluation) -> list[str]:
    """The bars of the claims, for the reader who asks where the verdict comes from."""
    told = []
    for claim in claims_of(run):
        limit = "at most" if better(claim.key) == "lower" else "at least"
        told.append(f"{short_name(claim.key)}: {limit} {shown(claim.key, claim.bar)}")
    return told


def cautions(run: FinishedEvaluation) -> list[str]:
    """What must be minded when reading, the gravest first."""
    return list(_cautions(run))


def _standing(run: FinishedEvaluation, claim: Claim, value: float) -> str:
    sign = -1.0 if better(claim.key) == "lower" else 1.0
    bar = sign * claim.bar
    interval = run.interval(claim.key)
    worst, best = sorted(sign * end for end in interval) if interval is not None else (-math.inf, sign * value)
    if best < bar:
        return "refuted"
    return "supported" if worst >= bar and (_cases(run, claim) or 0) >= FEW else "open"


def _sentence(run: FinishedEvaluation, claim: Claim) -> str:
    title = claim.title.replace("{positive}", run.text("positive_class"))
    sentence = f"{title}: {claim.says.replace('{}', with_interval(run, claim.key))}"
    cases = _cases(run, claim)
    if cases is not None and cases < FEW:
        return f"{sentence}, with only {grouped(cases)} {'case' if cases == 1 else 'cases'} to show it."
    return f"{sentence}{'' if run.interval(claim.key) else '; no interval was computed'}."


def _cases(run: FinishedEvaluation, claim: Claim) -> int | None:
    """The cases that a figure rests on; of what tells two classes apart those of the rarer one."""
    if claim.cases != _RARER:
        return run.count(claim.cases)
    images, positive = run.count("n_pictures"), run.count("n_positive")
    if positive is None:
        positive = run.count(f"n_pictures/{run.text('positive_class')}")
    if images is None or positive is None:
        return positive
    only = {"sensitivity": positive, "specificity": images - positive}
    return only.get(claim.key, min(positive, images - positive))


def _lead(run: FinishedEvaluation) -> str:
    images = run.count("n_pictures")
    where = f"On {counted(images, 'image')}" if images is not None else "On these images"
    if run.text("split"):
        where += f" of the split {run.text('split')}"
    if run.text("dataset"):
        where += f" of {run.text('dataset')}"
    name = run.text("model") or run.text("predictions") or "the answers"
    if run.task == "instance" and None not in (run.figure("recall"), run.figure("precision")):
        return (
            f"{where}, {name} found {with_interval(run, 'recall')} of the true objects; "
            f"{with_interval(run, 'precision')} of what it found were objects."
        )
    if run.task == "classification" and run.figure("accuracy") is not None:
        return f"{where}, {name} called {with_interval(run, 'accuracy')} what they are."
    key = next((key for key in ("JF", "AP50", "mean_jaccard", "accuracy") if run.figure(key) is not None), None)
    if key is None:
        return f"{where}, {name} was judged."
    words = {"JF": "J&F", "AP50": "an AP50", "mean_jaccard": "a mean Jaccard", "accuracy": "an accuracy"}[key]
    return f"{where}, {name} reached {words} of {with_interval(run, key)}."


def _poor_classes(run: FinishedEvaluation) -> list[str]:
    figure = {"instance": "recall", "semantic": "mean_jaccard", "classification": "sensitivity"}.get(run.task, "")
    known = [(number(row, figure), row) for row in run.tables["classes"]]
    poor = sorted((value, row["class"], _size(row)) for value, row in known if value is not None and value < POOR)
    noun = "image" if run.task == "classification" else "object"
    return [
        f"The class {name}: its {short_name(figure)} is {shown(figure, value)}"
        + (f", over {counted(size, noun)}." if size is not None else ".")
        for value, name, size in poor[:MOST_NAMED]
    ]


def _size(row: Row) -> int | None:
    size = number(row, "n_objects")
    size = number(row, "n_images") if size is None else size
    return None if size is None else round(size)


def _poor_slices(run: FinishedEvaluation) -> list[str]:
    rows = run.tables["slices"]
    figure = main_figure(run, rows, "value_of_figure")
    overall = run.figure(figure)
    if overall is None:
        return []
    sign = -1.0 if better(figure) == "lower" else 1.0
    worse = []
    for row in rows:
        value, low, high = (number(row, name) for name in ("value_of_figure", "low", "high"))
        if row.get("figure") != figure or value is None or low is None or high is None:
            continue
        if max(sign * low, sign * high) < sign * overall:
            images = round(number(row, "n_images") or 0)
            told = f"{shown(figure, value)} ({shown(figure, low)} to {shown(figure, high)})"
            worse.append(
                (
                    sign * (value - overall),
                    f"Images where {row.get('column', '').removeprefix('attribute/')} is {row.get('value', '')}: "
                    f"{short_name(figure)} {told} over {counted(images, 'image')}, against {shown(figure, overall)} "
                    "over all.",
                )
            )
    return [sentence for _, sentence in sorted(worse)[:MOST_NAMED]]


def _weaknesses(run: FinishedEvaluation) -> list[str]:
    """Corruptions that already cost much in their mildest form."""
    figure = main_figure(run, run.tables["robustness"], "value")
    rows = [row for row in run.tables["robustness"] if row.get("figure") == figure]
    clean = next((number(row, "value") for row in rows if number(row, "severity") == 0), None)
    if not clean or better(figure) != "higher":
        return []
    falls = []
    for row in rows:
        value = number(row, "value")
        surely = number(row, "drop_low")
        if number(row, "severity") != 1 or value is None or (surely is not None and surely <= 0):
            continue
        if value < (1 - FALL) * clean:
            name, level = row.get("corruption", "").replace("_", " "), row.get("level", "")
            falls.append(
                (
                    value,
                    f"Images with {name} ({level}): {short_name(figure)} falls from {shown(figure, clean)} to "
                    f"{shown(figure, value)}.",
                )
            )
    return [sentence for _, sentence in sorted(falls)[:MOST_NAMED]]


def _cautions(run: FinishedEvaluation) -> Iterator[str]:
    for key in sorted(run.metrics):
        if key.startswith(("note", "warning", "leakage")) and run.text(key) not in ("", "none", "0"):
            yield run.text(key)
    split = run.text("split").lower()
    if split.startswith("train"):
        yield "These are images of a training split: if the model learnt from them, every figure here is too good."
    elif split.startswith("val"):
        yield (
            "This is a validation split: the checkpoint, the score threshold and the calibration may have been chosen "
            "on it, so that these figures lean to the good side. A test split tells more."
        )
    images, groups = run.count("n_pictures"), run.count("n_groups")
    if images is not None and images < 100:
        yield f"{counted(images, 'image')} are few: single images move these figures."
    if groups is not None and groups < FEW_GROUPS:
        yield f"The images are of {counted(groups, 'group')} only, so that the intervals are too narrow."
    yield from _doubt(run)
    few = [(key.split("/", 1)[1], run.count(key)) for key in run.metrics if key.startswith("n_objects/")]
    few += [(key.split("/", 1)[1], run.count(key)) for key in run.metrics if key.startswith("n_pictures/")]
    names = [f"{name} ({grouped(count)})" for name, count in few if count is not None and count < FEW]
    if names:
        yield f"Fewer than {FEW} cases of {_listed(names)}: figures of these classes are hardly more than anecdotes."
    if run.undefined:
        names = [short_name(key) for key in run.undefined]
        yield f"Not defined by these images, and so left out: {_listed(names)}."


def _doubt(run: FinishedEvaluation) -> Iterator[str]:
    keys = [claim.key for claim in claims_of(run) if run.figure(claim.key) is not None]
    if keys and all(run.interval(key) is None for key in keys):
        yield "No 95 % intervals were computed: nothing here says how far chance has a hand in the figures."
    wide = [key for key in keys if (span := run.interval(key)) is not None and span[1] - span[0] > WIDE]
    if wide:
        yield f"Wide intervals of {_listed([short_name(key) for key in wide])}: these images do not settle them."


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {grouped(len(names) - most)} more" if len(names) > most else "")
