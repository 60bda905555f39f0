"""YOLO's labels: a line an object, polygons or boxes."""

from __future__ import annotations

from maskstream.data.formats.yolo.read import FORMAT, FORMAT_BOXES

__all__ = ["FORMAT", "FORMAT_BOXES"]
