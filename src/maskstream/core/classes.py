"""Class names and their 0-based ids."""

from __future__ import annotations

from collections.abc import Sequence

Classes = tuple[str, ...]
"""Names in the order of their ids: `classes[class_id]`. Background has no entry."""


def class_id(classes: Sequence[str], name: str) -> int:
    """The 0-based id of a class name.

    Raises
    ------
    KeyError : the name is unknown; the message lists the known ones.
    """
    try:
        return list(classes).index(name)
    except ValueError:
        raise KeyError(f"unknown class {name!r}; known: {', '.join(classes)}") from None
