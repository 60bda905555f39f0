"""A comparison of models as one HTML page, made of its folder's compare.json alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from maskstream.errors import SourceError
from maskstream.reports import compare_words as words
from maskstream.reports.figure_words import in_words, short_name
from maskstream.reports.forest import ForestRow, forest_svg
from maskstream.reports.page import write_page
from maskstream.reports.words import number, shown

PAGE = "report.html"
COMPARISON = "compare.json"

_FILES = {
    COMPARISON: "everything on this page, for programs",
    "compare.csv": "a row a model: every figure with its interval, size, speed and memory",
    "differences.csv": "a row a model and figure: its difference from the baseline",
}
TABLE_FIGURES = 4
"""Main figures in the table of models, which is to fit beside size, speed and memory."""

_TASKS = {"instance": "finds objects", "semantic": "marks pixels", "classification": "names the image's class"}
_PLACE = {"dataset": "Dataset", "split": "Split", "n_images": "Images judged", "n_in_split": "Images in the split",
          "n_groups": "Groups", "positive_class": "Class of the percentage", "resamples": "Resamples", "seed": "Seed",
          "dataset_sha256": "SHA-256 of the dataset"}  # fmt: skip

Found = Mapping[str, Any]
"""What compare.json holds."""


def write_compare_page(folder: Path) -> Path:
    """Write `report.html` into a comparison's folder, whole or not at all.

    Raises
    ------
    SourceError : the folder holds no comparison, or a broken one.
    OutputError : the page cannot be written.
    """
    path = folder / COMPARISON
    try:
        content = _content(folder, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            path, expected="a comparison", found=repr(error), remedy="write it with: maskstream compare"
        ) from error
    write_page(folder / PAGE, "compare", content, shared=("sortable",))
    return folder / PAGE


def _content(folder: Path, found: Found) -> dict[str, Any]:
    """What the template shows."""
    main = words.main_figures(list(found["figures"]))
    machine = found.get("machine")
    return {
        "title": " / ".join(model["name"] for model in found["models"]),
        "place": f"{found['dataset']}, split {found['split']}",
        "verdict": words.verdict(found),
        "sentences": words.sentences(found),
        "cautions": words.cautions(found),
        "notices": [in_words(text, found["figures"]) for text in found["warnings"]],
        "baseline": found["baseline"],
        "percent": round(100 * found["confidence"]),
        "main": [short_name(key) for key in main[:TABLE_FIGURES]],
        "figures": [(words.title_of(key), forest_svg(words.title_of(key), _rows(found, key), _base(found, key)))
                    for key in main],
        "differences": [(words.title_of(key), _better_side(found["figures"][key]),
                         forest_svg(f"{words.title_of(key)}: difference", gaps, 0.0))
                        for key in main if (gaps := _gaps(found, key))],
        "models": [_model(model, main[:TABLE_FIGURES], found["baseline"]) for model in found["models"]],
        "measured": machine is not None,
        "parameters_known": any("parameters" in model["cost"] for model in found["models"]),
        "names": [model["name"] for model in found["models"]],
        "all_figures": [
            (words.title_of(key), direction, [_cell(model["figures"].get(key)) for model in found["models"]])
            for key, direction in found["figures"].items()
        ],
        "all_differences": [_difference(entry, found["figures"][entry["figure"]]) for entry in found["differences"]],
        "not_shared": [(words.title_of(key), name) for key, name in found["not_shared"].items()],
        "facts": _facts(found),
        "machine": machine,
        "warm_calls": found["warm_calls"],
        "files": [(name, quote(name), text) for name, text in _FILES.items() if (folder / name).exists()],
        "version": found["maskstream"],
    }  # fmt: skip


def _base(found: Found, key: str) -> float | None:
    """The baseline's value; None where it lacks the figure."""
    (model,) = (model for model in found["models"] if model["name"] == found["baseline"])
    return float(model["figures"][key]["value"]) if key in model["figures"] else None


def _rows(found: Found, key: str) -> list[ForestRow]:
    """A row a model that has the figure."""
    rows = []
    for model in words.models_with(found, key):
        entry = model["figures"][key]
        css = "base" if model["name"] == found["baseline"] else "sure"
        rows.append(ForestRow(model["name"], _told(entry), entry["value"], entry.get("low"), entry.get("high"), css))
    return rows


def _gaps(found: Found, key: str) -> list[ForestRow]:
    """A row a model that has the figure, as the baseline has."""
    return [
        ForestRow(
            entry["model"],
            _told(entry, sign=True),
            entry["value"],
            entry.get("low"),
            entry.get("high"),
            "unsure" if words.reading(entry, found["figures"][key]) in ("could be chance", "no interval") else "sure",
        )
        for entry in found["differences"]
        if entry["figure"] == key
    ]


def _told(entry: Found, *, sign: bool = False) -> str:
    bounds = words.span(entry, sign=sign)
    value = (words.signed if sign else words.value_text)(entry["value"])
    return f"{value} ({bounds})" if bounds else value


def _better_side(direction: str) -> str:
    return {"higher": "better to the right", "lower": "better to the left"}.get(direction, "neither side is better")


def _cell(entry: Found | None) -> tuple[float | None, str, str | None]:
    """Value to sort by, its text, and its interval; empty for a figure that is not there."""
    if entry is None:
        return None, "", None
    return entry["value"], words.value_text(entry["value"]), words.span(entry)


def _model(model: Found, main: list[str], baseline: str) -> dict[str, Any]:
    """A row of the table of models."""
    cost = model["cost"]
    facts = [_TASKS[model["task"]]]
    if "model_version" in model["facts"]:
        facts.append(f"version {model['facts']['model_version']}")
    if model["name"] == baseline:
        facts.append("baseline")
    return {
        "name": model["name"],
        "about": ", ".join(facts),
        "cells": [_cell(model["figures"].get(key)) for key in main],
        "size": (cost.get("size_mb"), f"{cost.get('size_mb', 0):.1f}"),
        "parameters": (cost.get("parameters"), number(cost.get("parameters", 0))),
        "ms": (cost.get("ms_per_image"), f"{cost.get('ms_per_image', 0):.3g}"),
        "ms_span": _quartiles(cost),
        "memory": (cost.get("peak_memory_mb"), number(cost.get("peak_memory_mb", 0))),
    }


def _quartiles(cost: Found) -> str | None:
    if "ms_per_image" not in cost:
        return None
    return f"{cost['ms_per_image_quartile_low']:.3g} to {cost['ms_per_image_quartile_high']:.3g}"


def _difference(entry: Found, direction: str) -> dict[str, Any]:
    share = entry.get("better_share")
    return {
        "model": entry["model"],
        "figure": words.title_of(entry["figure"]),
        "value": entry["value"],
        "text": words.signed(entry["value"]),
        "span": words.span(entry, sign=True),
        "share": share,
        "share_text": None if share is None else f"{100 * share:.1f}\u00a0%",
        "reading": words.reading(entry, direction),
    }


def _facts(found: Found) -> list[tuple[str, list[tuple[str, str]]]]:
    """Tables of how this came about."""
    about = [(text, shown(found[key])) for key, text in _PLACE.items() if key in found]
    models = [
        (
            model["name"],
            [
                ("Named as", model["argument"]),
                *((_title(key), shown(value)) for key, value in model["facts"].items()),
                ("Percentages", "calibrated" if model["calibrated"] else "raw"),
            ],
        )
        for model in found["models"]
    ]
    machine = found.get("machine")
    measured = [("Machine", [(_title(key), shown(value)) for key, value in machine.items()])] if machine else []
    return [("Comparison", about), *models, *measured]


def _title(key: str) -> str:
    text = key.replace("_", " ").replace("sha256", "SHA-256")
    return text[:1].upper() + text[1:]
