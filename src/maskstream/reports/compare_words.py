"""What a comparison says in plain words: names of figures, and sentences that are honest about doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskstream.inference.classical import NAME as CLASSICAL
from maskstream.reports.figure_words import name_of, short_name
from maskstream.reports.words import counted

MAIN = (
    "mean_jaccard", "AP50", "f1", "auc", "balanced_accuracy", "accuracy", "ece", "AP", "pooled_jaccard", "mean_dice",
    "sensitivity", "specificity", "log_loss", "brier",
)  # fmt: skip
"""Figures that are shown first, the most telling one before the others."""

MAIN_COUNT = 6

Model = Mapping[str, Any]
"""An entry of `models` in compare.json."""


def models_with(found: Mapping[str, Any], key: str) -> list[Model]:
    """The models that have a figure."""
    return [model for model in found["models"] if key in model["figures"]]


def title_of(key: str) -> str:
    """A figure's name above a chart or before a row."""
    name = name_of(key)
    return name[:1].upper() + name[1:]


def main_figures(keys: Sequence[str]) -> list[str]:
    """The figures that are shown first; the first of all where none of the usual ones is there."""
    return [key for key in MAIN if key in keys][:MAIN_COUNT] or list(keys[:1])


def value_text(value: float) -> str:
    """`0.857`, and `12.3` from ten on."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def signed(value: float) -> str:
    """`+0.162`, `−0.020`."""
    return f"{value:+.3f}".replace("-", "−")


def span(entry: Mapping[str, Any], *, sign: bool = False) -> str | None:
    """`0.812 to 0.906` of an entry with bounds; None without."""
    if "low" not in entry:
        return None
    text = signed if sign else value_text
    return f"{text(entry['low'])} to {text(entry['high'])}"


def reading(difference: Mapping[str, Any], direction: str) -> str:
    """What a difference is worth: `better`, `worse`, `could be chance`, `no interval`, or `differs`."""
    if "low" not in difference:
        return "no interval"
    if difference["low"] <= 0 <= difference["high"]:
        return "could be chance"
    if direction == "neither":
        return "differs"
    return "better" if (difference["value"] > 0) == (direction == "higher") else "worse"


def verdict(found: Mapping[str, Any]) -> str:
    """The first sentence: who is ahead in the first of the main figures, and whether that could be chance."""
    (key, *_) = main_figures(list(found["figures"]))
    direction = found["figures"][key]
    figure = short_name(key)
    sentence_end = f"on {counted(found['n_images'], 'image')}"
    if direction == "neither":
        return f"{len(found['models'])} models were compared {sentence_end}."
    ordered = sorted(models_with(found, key), key=lambda m: m["figures"][key]["value"], reverse=direction == "higher")
    best = ordered[0]
    ties = [model["name"] for model in ordered if model["figures"][key]["value"] == best["figures"][key]["value"]]
    if len(ties) > 1:
        shared = value_text(best["figures"][key]["value"])
        return f"{' and '.join(ties)} share the best {figure}, {shared}, {sentence_end}."
    told = _with_span(best["figures"][key])
    start = f"{best['name']} has the best {figure}: {told} {sentence_end}"
    return f"{start}; {_against_baseline(found, best, key, direction)}."


def sentences(found: Mapping[str, Any]) -> list[str]:
    """One for each other model: in which of the main figures it differs from the baseline, and where it may not."""
    lines = []
    for model in found["models"]:
        own = {d["figure"]: d for d in found["differences"] if d["model"] == model["name"]}
        if model["name"] == found["baseline"]:
            continue
        if not own:
            lines.append(f"{model['name']} and {found['baseline']} have no figure in common.")
            continue
        by_reading: dict[str, list[str]] = {}
        for key in main_figures(list(own)):
            by_reading.setdefault(reading(own[key], found["figures"][key]), []).append(
                f"{short_name(key)} ({_difference_text(own[key])})"
            )
        parts = [
            f"{words} {', '.join(by_reading[kind])}"
            for kind, words in (
                ("better", "better in"),
                ("worse", "worse in"),
                ("differs", "different in"),
                ("could be chance", "not told apart in"),
                ("no interval", "without an interval in"),
            )
            if kind in by_reading
        ]
        lines.append(f"{model['name']} against {found['baseline']}: {'; '.join(parts)}.")
    return lines


def cautions(found: Mapping[str, Any]) -> list[str]:
    """What the page must not be taken for."""
    percent = round(100 * found["confidence"])
    notes = [
        "An interval says how far a figure could move if other images of the same kind had been drawn "
        f"({percent}\u00a0% bootstrap by group). It knows nothing of another camera, another clinic, or another "
        "training run.",
    ]
    compared = len(found["differences"])
    if compared > 1:
        notes.append(
            f"{compared} differences are shown: where two models are in truth alike, about one interval in "
            f"{round(1 / (1 - found['confidence']))} leaves zero out by chance alone."
        )
    if any(model["name"] == CLASSICAL for model in found["models"]) and "auc" in found["figures"]:
        notes.append(
            f"{CLASSICAL} knows no classes: its percentages are the shares of the classes in the training split, so "
            "its ROC AUC is 0.5 by construction."
        )
    return notes


def _against_baseline(found: Mapping[str, Any], best: Model, key: str, direction: str) -> str:
    """Of the best model: how it stands to the baseline; of a best baseline: how the others stand to it."""
    own = [d for d in found["differences"] if d["figure"] == key]
    if not own:
        return f"{found['baseline']} has no such figure"
    if best["name"] != found["baseline"]:
        (difference,) = (d for d in own if d["model"] == best["name"])
        told = f"its lead over {found['baseline']} ({_difference_text(difference)})"
        return {
            "could be chance": f"{told} could be chance, as the interval includes zero",
            "no interval": f"how far {told} is in doubt is not known",
        }.get(reading(difference, direction), f"{told} is more than chance explains")
    near = [d["model"] for d in own if reading(d, direction) in ("could be chance", "no interval")]
    if not near:
        return "more than chance explains, against every other"
    return f"against {', '.join(near)} this could be chance"


def _with_span(entry: Mapping[str, Any]) -> str:
    bounds = span(entry)
    return value_text(entry["value"]) + (f" ({bounds})" if bounds else "")


def _difference_text(difference: Mapping[str, Any]) -> str:
    bounds = span(difference, sign=True)
    return signed(difference["value"]) + (f", {bounds}" if bounds else "")
