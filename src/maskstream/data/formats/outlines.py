"""The outline of an object as rings, for formats that hold no masks."""

from __future__ import annotations

from maskstream.core import masks
from maskstream.core.polygons import Ring, clip, keyhole, trace
from maskstream.data.records import Annotation


def outline(annotation: Annotation, size_hw: tuple[int, int]) -> list[Ring]:
    """Rings that by the even-odd rule hold what the object holds; none where only its box is known or it is empty.

    Polygons stay as they are; masks, and polygons that overlap one another, are traced along their pixels.
    """
    if not isinstance(annotation.segmentation, dict):
        parts = [part for part in annotation.segmentation if len(part) >= 3]
        if len(parts) < 2 or not _overlap(parts, size_hw):
            return parts
    return [ring for shape in trace(annotation.mask(size_hw)) for ring in shape.rings]


def one_ring(annotation: Annotation, size_hw: tuple[int, int], *, inside: bool = False) -> Ring:
    """The outline as one ring, its parts and holes joined by slits; no point where there is no outline.

    Parameters
    ----------
    inside : cut off what lies outside the image.
    """
    rings = outline(annotation, size_hw)
    return keyhole([clip(ring, size_hw) for ring in rings] if inside else rings)


def _overlap(parts: list[Ring], size_hw: tuple[int, int]) -> bool:
    """Whether a pixel belongs to several parts, which the union keeps and the even-odd rule does not."""
    bitmaps = [masks.from_polygons([part], size_hw) for part in parts]
    return sum(bitmap.area_px for bitmap in bitmaps) != int(masks.union(bitmaps, size_hw).sum())
