"""labelme's shapes as polygons and masks, and back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskstream.core import masks
from maskstream.core.masks import CroppedMask
from maskstream.data.formats.labelme.document import shape_kind
from maskstream.errors import DatasetError

Ring = NDArray[np.float64]

WITH_AREA = ("polygon", "rectangle", "oriented_rectangle", "circle", "mask")
WITHOUT_AREA = ("line", "linestrip", "point", "points")

CIRCLE_ERROR_PX = 0.05
"""How far the edges of the polygon that stands for a circle run inside it, at most; its corners lie on the circle."""

MOST_CORNERS = 10_000
"""They keep `CIRCLE_ERROR_PX` up to a radius of a million pixels."""


def geometry(shape: dict[str, Any], size_hw: tuple[int, int], place: str) -> Ring | CroppedMask:
    """A shape with an area: its ring (k, 2) of x, y in pixels, or its mask cut to an image of `size_hw`.

    Raises
    ------
    DatasetError : a circle without rim, or a mask that cannot be decoded or is larger than the image.
    """
    kind = shape_kind(shape)
    points = np.array(shape["points"], np.float64)
    if kind == "mask":
        return _placed(mask_pixels(shape, size_hw, place), points[0], size_hw)
    if kind == "rectangle":
        # two corners in any order; some programs write all four
        (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
        return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    if kind == "circle":
        if len(points) != 2:
            raise _fault(f"{place}.points", "a centre and a point on the rim", f"{len(points)} points")
        return circle(points[0], points[1])
    return points


def circle(centre: Ring, rim: Ring) -> Ring:
    """The polygon (k, 2) that stands for a circle; see `CIRCLE_ERROR_PX`."""
    radius = math.dist(centre, rim)
    half_step = math.acos(max(1 - CIRCLE_ERROR_PX / radius, 0.5)) if radius else math.pi / 3
    corners = min(math.ceil(math.pi / half_step), MOST_CORNERS)
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False)
    return np.asarray(centre + radius * np.column_stack([np.cos(angles), np.sin(angles)]))


def mask_pixels(shape: dict[str, Any], largest_hw: tuple[int, int] | None, place: str) -> NDArray[np.bool_]:
    """The bitmap (h, w) that a shape of the kind "mask" carries as a PNG.

    Raises
    ------
    DatasetError : it cannot be decoded, is no grey picture, or is larger than `largest_hw`.
    """
    place = f"{place}.mask"
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape.get("mask") or ""))) as picture:
            size_hw = picture.height, picture.width
            if largest_hw and (size_hw[0] > largest_hw[0] or size_hw[1] > largest_hw[1]):
                raise _fault(
                    place,
                    f"a mask within the picture's {largest_hw[0]} x {largest_hw[1]} pixels (height x width)",
                    f"{size_hw[0]} x {size_hw[1]}",
                )
            pixels = np.asarray(picture)
    except DatasetError:
        raise
    # Pillow meets damage with many kinds of exception; binascii.Error is the base64's
    except Exception as error:
        found = "none" if not shape.get("mask") else _reason(error)
        raise _fault(place, "a PNG in base64", found) from error
    if pixels.ndim != 2:
        raise _fault(place, "a grey PNG", f"one with {pixels.shape[2]} channels")
    return pixels.astype(bool)


def _reason(error: Exception) -> str:
    if isinstance(error, binascii.Error):
        return "text that is no base64"
    return "bytes that are no picture" if isinstance(error, OSError) else str(error) or type(error).__name__


def _placed(bitmap: NDArray[np.bool_], top_left: Ring, size_hw: tuple[int, int]) -> CroppedMask:
    """The mask with its top left pixel where labelme puts it (fractions cut off), cut to the image."""
    x0, y0 = (int(value) for value in top_left)
    inside = masks.crop(bitmap[max(-y0, 0) : max(size_hw[0] - y0, 0), max(-x0, 0) : max(size_hw[1] - x0, 0)])
    if not inside.area_px:
        return masks.EMPTY
    return CroppedMask(inside.bitmap, inside.x0 + max(x0, 0), inside.y0 + max(y0, 0))


def new_shape(label: str, kind: str, points: Ring, group_id: int | None = None) -> dict[str, Any]:
    """A shape with the keys that labelme itself writes."""
    return {
        "label": label,
        "points": points.tolist(),
        "group_id": group_id,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
    }


def mask_shape(label: str, mask: CroppedMask) -> dict[str, Any]:
    """A mask that is not empty as a shape; the box that labelme gives it ends on its last row and column."""
    with io.BytesIO() as file:
        Image.fromarray(mask.bitmap.astype(np.uint8)).save(file, "PNG")
        text = base64.b64encode(file.getvalue()).decode()
    height, width = mask.bitmap.shape
    corners = np.array([[mask.x0, mask.y0], [mask.x0 + width - 1, mask.y0 + height - 1]], np.float64)
    return new_shape(label, "mask", corners) | {"mask": text}


def geometry_sha256(shape: dict[str, Any]) -> str:
    """SHA-256 of what a shape covers: its kind, its points and the pixels of its mask.

    It stays the same when labelme saves the shape again, which packs masks anew and writes 5 as 5.0.

    Raises
    ------
    DatasetError : the mask cannot be decoded.
    """
    points = [[float(x), float(y)] for x, y in shape["points"]]
    digest = hashlib.sha256(json.dumps([shape_kind(shape), points]).encode())
    if shape_kind(shape) == "mask":
        pixels = mask_pixels(shape, None, "shape")
        digest.update(f"{pixels.shape}".encode() + np.packbits(pixels).tobytes())
    return digest.hexdigest()


def _fault(place: str, expected: str, found: str) -> DatasetError:
    return DatasetError(place, expected=expected, found=found, remedy="correct the shape in labelme, or remove it")
