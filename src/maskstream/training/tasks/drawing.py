"""What a Segmenter has found, drawn for the page of a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.data.dataset import ImageRecord
from maskstream.draw.overlay import OverlayStyle, draw_overlay

CROWDED = OverlayStyle(fill_opacity=0.4, boxes=False, labels=False)
LABELLED_OBJECTS = 12
"""With more objects their labels would hide them."""


def drawn_objects(record: ImageRecord, found: Detections, score_threshold: float) -> NDArray[np.uint8]:
    """The image (h, w, 3) with what was found in it from a score on."""
    shown = found.select(found.scores >= score_threshold)
    style = OverlayStyle() if len(shown) <= LABELLED_OBJECTS else CROWDED
    return draw_overlay(record.read_image(), shown, style=style)
