"""What COCO's file says beyond images and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FIRST_CATEGORY_ID = 1
"""COCO keeps 0 for the background."""

EXTRA = "coco"
"""Key, among the attributes of an image or annotation, of what the file says and this package has no place for."""


@dataclass(frozen=True, slots=True, eq=False)
class Heading:
    """What COCO's file says beyond images and annotations.

    Attributes
    ----------
    info : the block of that name.
    licenses : the block of that name; an image names its licence by id, under `EXTRA` in its attributes.
    category_ids : id of each class in the file; empty for 1, 2, 3 and so on.
    category_extras : what else the file says of each class (such as its supercategory); empty for nothing.
    """

    info: dict[str, Any] = field(default_factory=dict)
    licenses: tuple[dict[str, Any], ...] = ()
    category_ids: tuple[int, ...] = ()
    category_extras: tuple[dict[str, Any], ...] = ()

    def category_id(self, class_id: int) -> int:
        """The id that stands for a class in the file."""
        return self.category_ids[class_id] if self.category_ids else class_id + FIRST_CATEGORY_ID

    def keeping(self, class_ids: Sequence[int]) -> Heading:
        """The heading when only these classes are kept, in this order; ids that would tell another order go."""
        category_ids = tuple(self.category_ids[i] for i in class_ids) if self.category_ids else ()
        return Heading(
            self.info,
            self.licenses,
            category_ids if list(category_ids) == sorted(category_ids) else (),
            tuple(self.category_extras[i] for i in class_ids) if self.category_extras else (),
        )
