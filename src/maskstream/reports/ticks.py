"""Round numbers for the axes of charts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def nice_ticks(low: float, high: float, count: int = 4, factors: Sequence[float] = (1, 2, 2.5, 5, 10)) -> list[float]:
    """Round numbers that enclose a range, their step one of the factors times a power of ten; at most `count` + 2."""
    if high <= low:
        low, high = min(low, 0.0), max(high, float(not low))
    rough = (high - low) / count
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in factors if factor * power >= rough * (1 - 1e-9))
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return [round(float(number * step), 12) for number in np.arange(first, last + 1)]


def tick_text(value: float) -> str:
    """A short number: `0.25`, `1500`, `2.5e-4` where zeros would hide it."""
    if value and abs(value) < 1e-3:
        digits, exponent = f"{value:.3e}".split("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
