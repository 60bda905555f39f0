"""Which way a figure is better."""

from __future__ import annotations

from typing import Literal

Direction = Literal["higher", "lower"]

_LOWER = (
    "ece", "aurc", "brier", "log_loss", "share_below", "hausdorff", "area_jitter", "percentage_jitter", "id_switches",
    "misses", "false_positives",
)  # fmt: skip
_NEITHER = ("calibration_slope", "calibration_intercept", "best_f1_score", "true_area_jitter", "n_")
_PREFIXES = ("mean_", "pooled_", "box_")


def better(figure: str) -> Direction | None:
    """Whether more or less of a figure is better; None where it has a value to hit, or counts something.

    The figure goes by its key in `metrics.json`: what follows a slash (a class) makes no difference, nor do `mean_`,
    `pooled_` and `box_` before it.
    """
    name = figure.partition("/")[0]
    if name.startswith(_NEITHER):
        return None
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return "lower" if name.startswith(_LOWER) else "higher"
