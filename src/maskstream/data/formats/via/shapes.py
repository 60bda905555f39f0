"""VIA's shapes as polygons and boxes, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError

from maskstream.core.polygons import Ring
from maskstream.data.checked_json import Block, first_fault
from maskstream.data.formats.outlines import one_ring
from maskstream.data.records import Annotation
from maskstream.errors import DatasetError

BoxXyxy = tuple[float, float, float, float]

ELLIPSE_ERROR_PX = 0.05
"""How far the edges of the polygon that stands for an ellipse run inside it, at most; its corners lie on it."""

MOST_CORNERS = 10_000

SAME_PX = 1e-6
"""Corners of ellipses are computed anew, on other machines too; they differ by far less."""

POLYGON = "polygon"


FARTHEST_PX = 1e9
"""Larger numbers are no places in an image, and geometry would overflow."""

_Px = Annotated[float, Field(ge=-FARTHEST_PX, le=FARTHEST_PX)]


class _Polygon(Block):
    all_points_x: list[_Px]
    all_points_y: list[_Px]


class _Rect(Block):
    x: _Px
    y: _Px
    width: _Px
    height: _Px


class _Circle(Block):
    cx: _Px
    cy: _Px
    r: _Px


class _Ellipse(Block):
    cx: _Px
    cy: _Px
    rx: _Px
    ry: _Px
    theta: _Px = 0.0


_KINDS: Mapping[str, type[Block]] = {POLYGON: _Polygon, "rect": _Rect, "circle": _Circle, "ellipse": _Ellipse}


def geometry(shape: Mapping[str, Any], place: str) -> Ring | BoxXyxy | None:
    """The ring of a shape, in pixels; the box of a rectangle; None for a shape without an area or of unknown kind.

    Raises
    ------
    DatasetError : a number is missing or none, or there are more of x than of y.
    """
    name = shape.get("name")
    if not isinstance(name, str):
        raise DatasetError(f"{place}.name", expected="the kind of a shape", found=repr(name)[:60], remedy="name it")
    if name not in _KINDS:
        return None
    try:
        checked = _KINDS[name].model_validate(shape)
    except ValidationError as error:
        raise first_fault(place, error) from error
    if isinstance(checked, _Polygon):
        return _ring(checked, place)
    if isinstance(checked, _Rect):
        return checked.x, checked.y, checked.x + checked.width, checked.y + checked.height
    if isinstance(checked, _Circle):
        return _ellipse(_Ellipse(cx=checked.cx, cy=checked.cy, rx=checked.r, ry=checked.r))
    assert isinstance(checked, _Ellipse)
    return _ellipse(checked)


def shape_of(annotation: Annotation, kept: Mapping[str, Any] | None, size_hw: tuple[int, int]) -> dict[str, Any] | None:
    """VIA's shape of an object: the one it had where its outline is still that, else a rectangle or polygon.

    Holes and parts are joined by slits. None for an object without points or pixels.
    """
    if kept is not None and _is_still(annotation, kept):
        return dict(kept)
    if not annotation.segmentation:
        x1, y1, x2, y2 = annotation.box_xyxy
        return {
            "name": "rect",
            "x": _number(x1),
            "y": _number(y1),
            "width": _number(x2 - x1),
            "height": _number(y2 - y1),
        }
    ring = one_ring(annotation, size_hw)
    if not isinstance(annotation.segmentation, dict) and len(annotation.segmentation) == 1:
        ring = annotation.segmentation[0]
    if not len(ring):
        return None
    xs, ys = ([_number(value) for value in axis] for axis in ring.T.tolist())
    return {"name": POLYGON, "all_points_x": xs, "all_points_y": ys}


def _is_still(annotation: Annotation, kept: Mapping[str, Any]) -> bool:
    before, now = geometry(kept, "attributes.via.shape"), annotation.segmentation
    if isinstance(before, tuple):
        return not now and np.allclose(before, annotation.box_xyxy, rtol=0, atol=SAME_PX)
    if before is None or isinstance(now, dict) or len(now) != 1 or len(now[0]) != len(before):
        return False
    return np.allclose(before, now[0], rtol=0, atol=SAME_PX)


def _ring(polygon: _Polygon, place: str) -> Ring:
    if len(polygon.all_points_x) != len(polygon.all_points_y):
        raise DatasetError(
            place,
            expected="as many y as x",
            found=f"{len(polygon.all_points_x)} x and {len(polygon.all_points_y)} y",
            remedy="correct the polygon",
        )
    return np.column_stack([polygon.all_points_x, polygon.all_points_y]).astype(np.float64).reshape(-1, 2)


def _ellipse(ellipse: _Ellipse) -> Ring:
    """The polygon that stands for an ellipse, turned by theta (radians, clockwise on the screen)."""
    largest = max(abs(ellipse.rx), abs(ellipse.ry))
    half_step = math.acos(max(1 - ELLIPSE_ERROR_PX / largest, 0.5)) if largest else math.pi / 3
    angles = np.linspace(0, 2 * math.pi, min(math.ceil(math.pi / half_step), MOST_CORNERS), endpoint=False)
    x, y = ellipse.rx * np.cos(angles), ellipse.ry * np.sin(angles)
    cos, sin = math.cos(ellipse.theta), math.sin(ellipse.theta)
    return np.column_stack([ellipse.cx + x * cos - y * sin, ellipse.cy + x * sin + y * cos])


def _number(value: float) -> int | float:
    """Whole numbers without a decimal point, as VIA writes them."""
    return int(value) if value == int(value) else value
