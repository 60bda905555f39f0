"""Folders of mask pictures."""

from __future__ import annotations

from maskstream.data.formats.mask_folder.read import FORMAT

__all__ = ["FORMAT"]
