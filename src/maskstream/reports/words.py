"""Numbers as a reader wants them, and the sentences at the top of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from maskstream.draw.labels import percent_text
from maskstream.reports.read_run import FinishedRun, Percentage

_NO_BREAK = "\u00a0"
_THIN = "\u202f"


def percent(value: float) -> str:
    """`87 %` of 87.3, with a space that does not break."""
    return percent_text(value / 100).replace(" ", _NO_BREAK)


def interval(percentage: Percentage) -> str | None:
    """`71 to 95 %`; None where no interval is known."""
    if percentage.low is None or percentage.high is None:
        return None
    return f"{percent_text(percentage.low / 100).removesuffix(' %')} to {percent(percentage.high)}"


def number(value: float) -> str:
    """`12 345` with thin spaces between thousands."""
    return f"{round(value):,}".replace(",", _THIN)


def counted(count: int, noun: str) -> str:
    """`1 frame`, `2 frames`, with a space that does not break."""
    return f"{number(count)}{_NO_BREAK}{noun}{'' if count == 1 else 's'}"


def clock(time_s: float) -> str:
    """`0:04.9`, and `1:02:03` from an hour on."""
    tenths = round(time_s * 10)
    if tenths >= 36_000:
        seconds = tenths // 10
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{tenths // 600}:{tenths // 10 % 60:02}.{tenths % 10}"


def duration(time_s: float) -> str:
    """A length of time in words: `5.0 seconds`, `12 minutes 5 seconds`."""
    if round(time_s, 1) < 60:
        return f"{time_s:.1f} seconds"
    minutes, seconds = divmod(round(time_s), 60)
    return counted(minutes, "minute") + (f" {counted(seconds, 'second')}" if seconds else "")


def equal_circle_px(area_px: float) -> float:
    """Diameter of the circle of an area: 2 sqrt(A / pi)."""
    return 2 * math.sqrt(area_px / math.pi)


def shown(value: Any) -> str:
    """A value of the summary on one line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {shown(entry)}" for key, entry in value.items() if entry is not None)
    if isinstance(value, list | tuple):
        return " ".join(shown(entry) for entry in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def seen_material(run: FinishedRun) -> str:
    """What was looked at: `5.0 seconds of film (150 frames)` or `12 pictures`."""
    frames = int(run.summary.get("frames") or 0)
    if not run.is_video:
        return counted(frames, "picture")
    length_s = run.summary.get("duration_s")
    return f"{duration(length_s)} of film ({counted(frames, 'frame')})" if length_s else counted(frames, "frame")


def verdict(run: FinishedRun) -> str:
    """The first sentence: how many objects, and of which class the model finds them to be."""
    total = sum(run.tracks_per_class.values())
    if not total:
        return f"No object was found in {seen_material(run)}."
    sentence = f"{counted(total, 'object')} {'was' if total == 1 else 'were'} found in {seen_material(run)}"
    if len(run.tracks[0].percentages) < 2:
        return f"{sentence}."
    classes = sorted(run.tracks_per_class.items(), key=lambda item: -item[1])
    if total == 1:
        return f"{sentence}; it is most likely {classes[0][0]}."
    return f"{sentence}: {', '.join(f'{number(count)} most likely {name}' for name, count in classes)}."


def meaning(run: FinishedRun) -> str:
    """What the percentages on the page mean."""
    if not run.tracks:
        return (
            "Nothing reached the score from which the model counts something as an object. Blur, glare, distance or a "
            "kind of picture that it has not learnt from can be the reason."
        )
    best = run.headline(run.tracks[0])
    if best is None:
        return "This model knows one class, so it gives no percentage: each object has the score it was found with."
    name = run.positive_class or best.name
    if not run.model.get("calibrated"):
        return (
            f"This model carries no calibration. Its percentages put objects in an order, but {percent(best.percent)} "
            f"does not mean that so many of such objects are {name}, and no interval can be given."
        )
    return f"{_calibrated(best, name)}{_doubt(best, film=run.is_video)}"


def _calibrated(best: Percentage, name: str) -> str:
    if best.percent > 99:
        share = "nearly all are"
    elif best.percent < 1:
        share = "hardly any is"
    else:
        share = f"about {round(best.percent)} in 100 are"
    return (
        f"The percentage is calibrated: of the objects that the model gives {percent(best.percent)}, {share} {name}, "
        "among pictures like those it was calibrated on."
    )


def _doubt(best: Percentage, *, film: bool) -> str:
    known = interval(best)
    if known is None:
        return ""
    sentence = f" The 95{_NO_BREAK}% interval ({known}) says how far that estimate itself is in doubt."
    copies = " Frames of one film are near copies of each other, so a longer look at the same view does not narrow it."
    return sentence + copies if film else sentence


def caution(run: FinishedRun) -> str:
    """What the page must not be taken for."""
    if not run.tracks:
        return (
            "That nothing was found does not mean that nothing is there. This is not a diagnosis, and maskstream is "
            "not a medical device."
        )
    return (
        "This is not a diagnosis, and maskstream is not a medical device. A low percentage rules nothing out, an "
        "object that the model missed has no percentage at all, and on pictures unlike those it learnt from (another "
        "camera, other skin, another kind of object) it can be wrong while the interval stays narrow."
    )
