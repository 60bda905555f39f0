"""Images a few rows at a time: decimals of all their pixels at once would leave the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator

_ROWS = 32


def strips(height: int) -> Iterator[slice]:
    """Slices of rows that cover an image from top to bottom."""
    return (slice(top, top + _ROWS) for top in range(0, height, _ROWS))
