"""Which of the attributes of VIA's regions is their class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maskstream.errors import DatasetError

PREFERRED = ("class", "label", "name", "type")
"""Attributes that are taken for the class, the first of them that there is, where regions have several."""

NO_CLASS = "object"
"""Class of regions that state none."""

LONGEST_NAME = 1000

Attributes = Mapping[str, Any]


def class_attribute(regions: Iterable[Attributes], asked: str | None, place: Path) -> str | None:
    """The attribute of regions that is their class: the one asked for, the only one, or a preferred one; None for none.

    Raises
    ------
    DatasetError : regions have several attributes and none stands out, or none has the one asked for.
    """
    names = list(dict.fromkeys(name for attributes in regions for name in attributes))
    if asked is not None and asked not in names:
        raise DatasetError(
            place,
            expected=f"regions with the attribute {asked!r}",
            found=f"the attributes {_listed(names)}",
            remedy="name one of these as the label column",
        )
    if asked is not None or len(names) < 2:
        return asked or next(iter(names), None)
    folded = {name.casefold(): name for name in reversed(names)}
    preferred = [folded[name] for name in PREFERRED if name in folded]
    if not preferred:
        raise DatasetError(
            place,
            expected=f"one attribute of regions, or one named {', '.join(PREFERRED)}",
            found=_listed(names),
            remedy="name the one that is the class as the label column",
        )
    return preferred[0]


def class_name(attributes: Attributes, attribute: str | None, place: str) -> str | None:
    """The class that a region states: a text or number, or the only box that is ticked; None where it states none.

    Raises
    ------
    DatasetError : several boxes are ticked, or the value is of another kind or too long.
    """
    value = attributes.get(attribute) if attribute is not None else None
    if isinstance(value, dict):
        ticked = [name for name, is_on in value.items() if is_on is True]
        if len(ticked) > 1:
            raise DatasetError(
                f"{place}.{attribute}", expected="one class", found=_listed(ticked), remedy="leave one of them ticked"
            )
        value = next(iter(ticked), None)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DatasetError(
            f"{place}.{attribute}", expected="a class name", found=repr(value)[:60], remedy="correct the value"
        )
    if len(str(value)) > LONGEST_NAME:
        raise DatasetError(
            f"{place}.{attribute}",
            expected=f"a class name of at most {LONGEST_NAME} characters",
            found=f"{len(str(value))} characters",
            remedy="name the class, or name the attribute that is the class as the label column",
        )
    return str(value).strip() or None


def stated_classes(settings: Sequence[Mapping[str, Any]], attribute: str | None) -> list[str]:
    """The classes that projects offer for an attribute, also those that no region has."""
    found: dict[str, None] = {}
    for blocks in settings:
        level: Any = blocks
        for key in ("_via_attributes", "region", attribute, "options"):
            level = level.get(key) if isinstance(level, dict) else None
        found |= dict.fromkeys(name for name in level or () if name.strip()) if isinstance(level, dict) else {}
    return list(found)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:8]) + (" and more" if len(names) > 8 else "") or "none"
