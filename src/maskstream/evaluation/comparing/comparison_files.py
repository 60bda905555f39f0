"""A comparison as `compare.json`, and as the tables `compare.csv` and `differences.csv`."""

from __future__ import annotations

from typing import Any

from maskstream.evaluation.comparing.comparison import Comparison, Row
from maskstream.evaluation.comparing.cost import WARM_CALLS, Cost
from maskstream.evaluation.direction import better
from maskstream.evaluation.resampling import CONFIDENCE, Interval
from maskstream.evaluation.verdict import Table, Value


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Everything; what is not known or not defined is left out."""
    return {
        "n_images": comparison.image_count,
        "n_groups": comparison.group_count,
        "baseline": comparison.baseline,
        **_known(positive_class=comparison.positive),
        "confidence": CONFIDENCE,
        "resamples": comparison.resamples,
        "seed": comparison.seed,
        "figures": {key: better(key) or "neither" for key in comparison.figures},
        "not_shared": comparison.not_shared,
        "warnings": list(comparison.warnings),
        "warm_calls": WARM_CALLS,
        "models": [_model(row) for row in comparison.rows],
        "differences": [
            {
                "model": row.contestant.name,
                "baseline": comparison.baseline,
                "figure": key,
                "value": difference.value,
                **_bounds(difference.interval),
                **_known(better_share=difference.better_share),
            }
            for row in comparison.rows
            for key, difference in row.differences.items()
        ],
    }


def comparison_tables(comparison: Comparison) -> list[Table]:
    """`compare`, a row a model, and `differences`, a row a model and figure; empty cells where nothing is known."""
    return [
        Table.of("compare", [_row(row, comparison.figures) for row in comparison.rows]),
        Table.of(
            "differences",
            [
                {
                    "model": row.contestant.name,
                    "baseline": comparison.baseline,
                    "figure": key,
                    "better": better(key) or "neither",
                    "difference": difference.value,
                    "low": difference.interval.low if difference.interval else None,
                    "high": difference.interval.high if difference.interval else None,
                    "better_share": difference.better_share,
                }
                for row in comparison.rows
                for key, difference in row.differences.items()
            ],
            columns=("model", "baseline", "figure", "better", "difference", "low", "high", "better_share"),
        ),
    ]


def _model(row: Row) -> dict[str, Any]:
    one = row.contestant
    return {
        "name": one.name,
        "argument": one.argument,
        "task": one.answers.task,
        "facts": dict(one.answers.facts),
        "calibrated": one.answers.calibration is not None,
        "figures": {key: {"value": value, **_bounds(row.intervals.get(key))} for key, value in row.figures.items()},
        "cost": _known(**_cost(row.cost)),
    }


def _row(row: Row, figures: tuple[str, ...]) -> dict[str, Value]:
    one = row.contestant
    cells: dict[str, Value] = {"model": one.name, "task": one.answers.task}
    cells["version"] = one.answers.facts.get("model_version")
    for key in figures:
        interval = row.intervals.get(key)
        cells |= {
            key: row.figures.get(key),
            f"{key}_low": interval.low if interval else None,
            f"{key}_high": interval.high if interval else None,
        }
    return cells | _cost(row.cost)


def _cost(cost: Cost) -> dict[str, Value]:
    speed = cost.speed
    return {
        "size_mb": cost.size_mb,
        "parameters": cost.parameters,
        "ms_per_image": speed.median_ms if speed else None,
        "ms_per_image_quartile_low": speed.low_ms if speed else None,
        "ms_per_image_quartile_high": speed.high_ms if speed else None,
        "timed_calls": speed.calls if speed else None,
        "peak_memory_mb": cost.peak_memory_mb,
    }


def _bounds(interval: Interval | None) -> dict[str, float | int]:
    if interval is None:
        return {}
    return {"low": interval.low, "high": interval.high, "resamples": interval.resamples}


def _known(**values: Value) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
