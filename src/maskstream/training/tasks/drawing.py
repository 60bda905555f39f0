"""A Segmenter's answer drawn on an image, for the page of a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.data.dataset import ImageRecord
from maskstream.draw.overlay import OverlayStyle, draw_overlay

LABELLED_OBJECTS = 12
"""With more objects their labels would hide them."""


def drawn_answer(segmenter: Segmenter, record: ImageRecord) -> NDArray[np.uint8]:
    """The image (h, w, 3) with what the Segmenter finds in it."""
    image = record.read_image()
    (found,) = segmenter.segment([Frame(image, 0, 0.0, record.name)])
    style = (
        OverlayStyle() if len(found) <= LABELLED_OBJECTS else OverlayStyle(fill_opacity=0.4, boxes=False, labels=False)
    )
    return draw_overlay(image, found, style=style)
