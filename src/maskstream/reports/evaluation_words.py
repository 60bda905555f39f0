"""The verdict on a model in plain words, made from its figures by the rules of this file alone.

A claim is supported where the whole 95 % interval of its figure is at least as good as its bar, over at least `FEW`
cases; refuted where the whole interval is worse (without an interval: the figure); and open otherwise. The bars are
conventions, not laws; the page shows them beside the verdict. Nothing here ever says that a model may be trusted with
a patient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskstream.evaluation.direction import better
from maskstream.reports.evaluation_values import shown, with_interval
from maskstream.reports.evaluation_weak import weaknesses
from maskstream.reports.figure_words import short_name
from maskstream.reports.read_evaluation import FinishedEvaluation
from maskstream.reports.words import counted
from maskstream.reports.words import number as grouped

FEW = 30
"""Cases (objects, images of a class) below which nothing is supported."""


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
    hollow_without : key of the claim without which this one is worth nothing, and is not made: who never names a class
        gives no false alarm.
    """

    key: str
    bar: float
    title: str
    says: str
    cases: str = "n_pictures"
    hollow_without: str = ""


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
}

VIDEO_CLAIMS = (
    Claim("JF", 0.75, "Following outlines through a video", "J&F is {}", "n_video_objects"),
    Claim("IDF1", 0.80, "Keeping objects apart through a video", "IDF1 is {}", "n_video_objects"),
)

_NAMED = {
    "recall": Claim(
        "recall",
        0.90,
        "Finding the objects and naming them",
        "it found {} of the true ones as what they are",
        "n_objects",
    ),
    "precision": Claim(
        "precision", 0.90, "Marking only what is there, as what it is", "{} of what it marked is so", "n_objects"
    ),
}
"""The same claims where there are several classes: an object of a wrong one counts as missed, and as invented."""

_RARER = "rarer class"

PERCENTAGE_CLAIMS = (
    Claim("auc", 0.85, "Putting images in order by the percentage of {positive}", "ROC AUC is {}", _RARER),
    Claim("ece", 0.05, "Reading that percentage as a frequency", "it is off by {} on average", _RARER),
    Claim("sensitivity", 0.90, "Catching {positive} at 50 %", "it caught {} of the images that show it", _RARER),
    Claim(
        "specificity",
        0.90,
        "Sparing false alarms at 50 %",
        "it spared {} of the images without it",
        _RARER,
        "sensitivity",
    ),
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
    standings = {
        claim: _standing(run, claim, value) for claim in claims_of(run) if (value := run.figure(claim.key)) is not None
    }
    refuted = {claim.key for claim, standing in standings.items() if standing == "refuted"}
    for claim, standing in standings.items():
        if claim.hollow_without not in refuted:
            said[standing].append(_sentence(run, claim))
    if run.text("positive_class") and run.text("calibration") == "none":
        said["refuted"].append("Reading its percentages as frequencies: the model carries no calibration.")
    said["refuted"] += [*weaknesses(run), *NEVER]
    return Verdict(_lead(run), said["supported"], said["refuted"], said["open"])


def claims_of(run: FinishedEvaluation) -> tuple[Claim, ...]:
    """What is asked of an evaluation."""
    claims = CLAIMS.get(run.image_task, ())
    if run.image_task == "instance" and run.figure("recall") is None:
        claims = (Claim("AP50", 0.80, "Finding and naming the objects", "AP50 is {}", "n_objects"), *claims)
    if run.image_task == "instance" and len(run.classes) > 1:
        claims = tuple(_NAMED.get(claim.key, claim) for claim in claims)
    if run.task == "video":
        claims = (*VIDEO_CLAIMS, *claims)
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
    name = run.text("model") or "the model"
    if run.task == "instance" and None not in (run.figure("recall"), run.figure("precision")):
        return f"{where}, {_found(run, name)}"
    if run.task == "classification" and run.figure("accuracy") is not None:
        return f"{where}, {name} called {with_interval(run, 'accuracy')} what they are."
    key = next((key for key in ("JF", "AP50", "mean_jaccard", "accuracy") if run.figure(key) is not None), None)
    if key is None:
        return f"{where}, {name} was judged."
    words = {"JF": "J&F", "AP50": "an AP50", "mean_jaccard": "a mean Jaccard", "accuracy": "an accuracy"}[key]
    return f"{where}, {name} reached {words} of {with_interval(run, key)}."


def _found(run: FinishedEvaluation, name: str) -> str:
    recall, precision = with_interval(run, "recall"), with_interval(run, "precision")
    if len(run.classes) < 2:
        return f"{name} found {recall} of the true objects; {precision} of what it found were objects."
    true = [row for row in run.tables["objects"] if row.get("crowd", "0") == "0"]
    found = sum(row.get("found") == "1" for row in true)
    how_many = f"{grouped(found)} of {grouped(len(true))} true objects, and " if true else ""
    return (
        f"{name} found {how_many}{recall} of the true objects under the right class; {precision} of what it found was "
        "there and named rightly."
    )
