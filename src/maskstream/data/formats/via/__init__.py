"""VGG Image Annotator's projects."""

from __future__ import annotations

from maskstream.data.formats.via.read import FORMAT

__all__ = ["FORMAT"]
