"""labelme's JSON: https://github.com/wkentaro/labelme."""

from __future__ import annotations

from maskstream.data.formats.labelme.read import FORMAT

__all__ = ["FORMAT"]
