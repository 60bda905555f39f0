"""labelme's shapes as the objects of an image, and back.

Shapes of one label and one `group_id` are one object, as in labelme's own converters. What this package has no place
for stays under `EXTRA` in the attributes, so that writing a document again loses nothing: of an object its places
among the shapes and these with every key (null where the value follows from the object itself), of an image the
shapes that are no objects and every other key of the document.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from maskstream.core import masks
from maskstream.core.masks import CroppedMask, Rle
from maskstream.data.checked_json import Block, first_fault
from maskstream.data.formats.labelme.document import NO_CLASSES, Document, check_shape, shape_kind
from maskstream.data.formats.labelme.shapes import WITH_AREA, geometry, mask_shape, new_shape
from maskstream.data.records import Annotation, Polygons

EXTRA = "labelme"
"""Key, among the attributes of an image or annotation, of what a labelme document says beyond them."""

IS_CROWD = "iscrowd"
"""Key of a shape that covers a group of objects; labelme keeps keys that it does not know."""

_SAME_PX = 1e-6
"""Corners of circles are computed anew, on other machines too; they differ by far less."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Which shapes of a document make objects.

    Attributes
    ----------
    groups : indices of the shapes of each object, in the order of the first.
    others : index of each shape that makes none, and why: its label or its kind.
    """

    groups: tuple[tuple[int, ...], ...]
    others: tuple[tuple[int, str], ...]


def sort_out(document: Document) -> Objects:
    """Tell the shapes that make objects from the others, and put together those of one object."""
    groups: dict[tuple[str, object], list[int]] = {}
    others = []
    for index, shape in enumerate(document.shapes):
        label, group_id = shape["label"], shape.get("group_id")
        if label in NO_CLASSES:
            others.append((index, label))
        elif shape_kind(shape) not in WITH_AREA:
            others.append((index, shape_kind(shape)))
        else:
            alone = not isinstance(group_id, int | str)
            groups.setdefault((label, (index,) if alone else group_id), []).append(index)
    return Objects(tuple(map(tuple, groups.values())), tuple(others))


def annotation(
    document: Document, indices: Sequence[int], class_ids: Mapping[str, int], size_hw: tuple[int, int]
) -> Annotation:
    """The object that some shapes of a document make.

    Raises
    ------
    DatasetError : a circle without rim, or a mask that cannot be decoded or is larger than the image.
    """
    shapes = [document.shapes[index] for index in indices]
    places = [document.place(index) for index in indices]
    segmentation = _segmentation(shapes, places, size_hw)
    implied = ("label", "points") if _follow_from(segmentation, shapes) else ("label",)
    extra = {"at": list(indices), "shapes": [shape | dict.fromkeys(implied) for shape in shapes]}
    bare = Annotation(class_ids[shapes[0]["label"]], segmentation, (0.0, 0.0, 0.0, 0.0), 0.0, attributes={EXTRA: extra})
    crowd = all(shape.get(IS_CROWD) in (True, 1) for shape in shapes)
    return replace(bare.with_extent(None, None, size_hw), iscrowd=crowd)


class Kept(Block):
    """What is kept of the shapes that an object was read from: their places in the document, and every key."""

    at: list[int] = Field(default_factory=list)
    shapes: list[dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.at) != len(self.shapes):
            raise ValueError("a place for each shape")
        return self


def kept_shapes(annotation: Annotation, place: str) -> Kept:
    """What is kept of labelme's shapes; nothing of an object that did not come from there.

    Raises
    ------
    DatasetError : at `place`; it was altered and makes no sense.
    """
    place = f"{place}.attributes.{EXTRA}"
    try:
        kept = Kept.model_validate(annotation.attributes.get(EXTRA, {}))
    except ValidationError as error:
        raise first_fault(place, error) from error
    for shape in kept.shapes:
        if shape.get("points") is not None:
            check_shape(shape | {"label": "any"}, place)
    return kept


def shapes_of(
    annotation: Annotation, kept: Kept, label: str, size_hw: tuple[int, int], new_groups: Iterator[int]
) -> Iterator[tuple[int | None, dict[str, Any]]]:
    """The shapes of an object, each with its place among those of the document it came from, None for new ones.

    An object that is as it was read from labelme comes back with the same shapes; where its outline changed since, it
    becomes polygons or a mask that keep all else. An object without pixels or points gives none.

    Parameters
    ----------
    new_groups : where to take a `group_id` from, for an object that has become several shapes.

    Raises
    ------
    DatasetError : a circle or mask among what is kept cannot be understood.
    """
    before = [shape | {"label": label} for shape in kept.shapes]
    as_it_was = _restored(before, annotation.segmentation, size_hw) if before else None
    if as_it_was is not None:
        yield from zip(kept.at, as_it_was)
        return
    shapes = _new_shapes(annotation, label)
    group_id = before[0].get("group_id") if before else None
    if group_id is None and len(shapes) > 1:
        group_id = next(new_groups)
    crowd = {IS_CROWD: 1} if annotation.iscrowd else {}
    for position, shape in enumerate(shapes):
        known = position < len(before)
        others = _without(before[position], "label", "points", "shape_type", "mask") if known else {}
        yield kept.at[position] if known else None, shape | crowd | others | {"group_id": group_id}


def _segmentation(shapes: Sequence[dict[str, Any]], places: Sequence[str], size_hw: tuple[int, int]) -> Rle | Polygons:
    """The union of shapes: polygons, or a mask when one of them is."""
    parts = [geometry(shape, size_hw, place) for shape, place in zip(shapes, places)]
    rings = tuple(part for part in parts if not isinstance(part, CroppedMask))
    if len(rings) == len(parts):
        return rings
    bitmaps = [part if isinstance(part, CroppedMask) else masks.from_polygons([part], size_hw) for part in parts]
    return masks.to_rle(bitmaps[0] if len(bitmaps) == 1 else masks.crop(masks.union(bitmaps, size_hw)), size_hw)


def _follow_from(segmentation: Rle | Polygons, shapes: Sequence[dict[str, Any]]) -> bool:
    """Whether the points of shapes are exactly those of the polygons, so that they need not be kept twice."""
    if isinstance(segmentation, dict) or any(shape_kind(shape) != "polygon" for shape in shapes):
        return False
    return all(part.tolist() == shape["points"] for part, shape in zip(segmentation, shapes))


def _restored(
    before: list[dict[str, Any]], segmentation: Rle | Polygons, size_hw: tuple[int, int]
) -> list[dict[str, Any]] | None:
    """The shapes as they were read; None when the object's outline is another by now."""
    if any(shape.get("points") is None for shape in before):
        if isinstance(segmentation, dict) or len(segmentation) != len(before) or not all(map(len, segmentation)):
            return None
        return [shape | {"points": part.tolist()} for shape, part in zip(before, segmentation)]
    then = _segmentation(before, [f"attributes.{EXTRA}"] * len(before), size_hw)
    return before if _same(then, segmentation) else None


def _same(a: Rle | Polygons, b: Rle | Polygons) -> bool:
    if isinstance(a, dict) or isinstance(b, dict):
        return a == b
    return len(a) == len(b) and all(
        len(part) == len(other) and np.allclose(part, other, rtol=0, atol=_SAME_PX) for part, other in zip(a, b)
    )


def _new_shapes(annotation: Annotation, label: str) -> list[dict[str, Any]]:
    """Polygons as polygons, pixels as a mask with its holes, and as a rectangle what is known by its box alone."""
    if isinstance(annotation.segmentation, dict):
        mask = masks.from_rle(annotation.segmentation)
        return [mask_shape(label, mask)] if mask.area_px else []
    if annotation.segmentation:
        return [new_shape(label, "polygon", part) for part in annotation.segmentation if len(part)]
    return [new_shape(label, "rectangle", np.array(annotation.box_xyxy).reshape(2, 2))]


def _without(shape: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in shape.items() if name not in names}
