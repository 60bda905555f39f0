"""How a run came about, as named facts in groups, and what its reader must mind."""

from __future__ import annotations

from typing import Any

from maskstream.reports import words
from maskstream.reports.read_run import FinishedRun

Fact = tuple[str, str]


def notices(run: FinishedRun) -> list[str]:
    """The warnings of the run, damaged frames first."""
    warnings = [str(warning) for warning in run.summary.get("warnings") or []]
    damaged = int(run.summary.get("frames_damaged") or 0)
    if not damaged:
        return warnings
    noun = "frame" if run.is_video else "picture"
    return [f"{words.counted(damaged, noun)} could not be decoded; nothing is known about what they show.", *warnings]


def fact_groups(run: FinishedRun) -> list[tuple[str, list[Fact]]]:
    """Groups of named facts; what the summary does not hold is left out."""
    groups = {"Source": _source(run), "Model": _model(run), "Run": _run(run), "Time": _time(run)}
    known = {
        title: [(name, words.shown(value)) for name, value in rows if value is not None]
        for title, rows in groups.items()
    }
    return [(title, rows) for title, rows in known.items() if rows]


def _source(run: FinishedRun) -> list[tuple[str, Any]]:
    summary = run.summary
    size_hw, duration_s = summary.get("size_hw"), summary.get("duration_s")
    return [
        ("Name", summary.get("source")),
        ("SHA-256", summary.get("source_sha256")),
        ("Size", f"{size_hw[1]} x {size_hw[0]} pixels" if size_hw else None),
        ("Length", words.clock(duration_s) if duration_s else None),
        ("Frames" if run.is_video else "Pictures", summary.get("frames")),
        ("Damaged", summary.get("frames_damaged")),
    ]


def _model(run: FinishedRun) -> list[tuple[str, Any]]:
    model = run.model
    return [
        ("Name", model.get("name")),
        ("Version", model.get("version")),
        ("SHA-256", model.get("sha256")),
        ("Calibrated", model.get("calibrated")),
        ("Positive class", model.get("positive_class")),
        ("Licence", model.get("licence")),
    ]


def _run(run: FinishedRun) -> list[tuple[str, Any]]:
    summary = run.summary
    return [
        ("maskstream", summary.get("maskstream_version")),
        ("Made", summary.get("created")),
        ("Arguments", summary.get("arguments")),
    ]


def _time(run: FinishedRun) -> list[tuple[str, Any]]:
    stages = run.summary.get("stages") or {}
    return [(str(name).removesuffix("_s").capitalize(), f"{float(value):.2f} s") for name, value in stages.items()]
