"""The sentences of a classification's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskstream.reports.read_run import FinishedRun
from maskstream.reports.words import counted, duration, number, percent

NAMED_CLASSES = 5
"""Classes that a sentence names; more make it a list."""


def verdict(run: FinishedRun) -> str:
    """The first sentence: the class of the image or video, or how many images are of which."""
    sources = run.summary["sources"]
    if not sources:
        return "No frame could be classified."
    if len(sources) > 1:
        called = sorted(run.summary["called"].items(), key=lambda item: -item[1])
        shares = [f"{number(count)} most likely {name}" for name, count in called[:NAMED_CLASSES] if count]
        if others := sum(count for _, count in called[NAMED_CLASSES:]):
            shares.append(f"{number(others)} something else")
        return f"{counted(len(sources), 'image')}: {', '.join(shares)}."
    sentence = f"Most likely {sources[0]['class']}: {percent(100 * _best(sources[0]))}"
    return f"{sentence} on average over {seen(run)}." if run.is_video else f"{sentence}."


def seen(run: FinishedRun) -> str:
    """What was looked at of a video: `150 frames of 5.0 seconds of video`."""
    length_s = run.summary.get("duration_s")
    frames = counted(run.summary["frames"], "frame")
    return f"{frames} of {duration(length_s)} of video" if length_s else frames


def meaning(run: FinishedRun) -> str:
    """What the percentages on the page mean."""
    return _single(run) + (_averaged(run) if run.is_video else "")


def caution(run: FinishedRun) -> str:
    """What the page must not be taken for."""
    classes = list(run.summary["called"])
    names = f" ({', '.join(classes)})" if len(classes) <= NAMED_CLASSES else ""
    return (
        "This is not a diagnosis, and maskstream is not a medical device. The model answers with one of its "
        f"{len(classes)} classes{names} whatever an image shows, also where it shows none of them. On images unlike "
        "those it learnt from (another camera, other light, another kind of object) it can be wrong with a high "
        "percentage."
    )


def _single(run: FinishedRun) -> str:
    name = run.positive_class
    if not run.model.get("calibrated") or name is None:
        return (
            "Not calibrated: this model carries no calibration. Its percentages put images in an order, but 80\u00a0% "
            "does not mean that 80 of 100 such images are what it says, and no interval can be given."
        )
    return (
        f"The percentage of {name} is calibrated: of the images that the model gives 80\u00a0%, about 80 in 100 are "
        f"{name}, among images like those it was calibrated on."
    )


def _averaged(run: FinishedRun) -> str:
    sentence = (
        " That of the video is the plain mean over its frames. Frames of one video are alike, so more of them do not "
        "make it more certain, and no interval is claimed."
    )
    single = " The calibration is that of single images; how well a mean keeps to it was not measured."
    return sentence + single if run.model.get("calibrated") else sentence


def _best(source: Mapping[str, Any]) -> float:
    return float(source["probabilities"][source["class"]])
