"""A map of numbers laid over its image: one colour where they are above 0, another where they are below."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.draw.palette import Rgb

Image = NDArray[np.uint8]

ABOVE: Rgb = (213, 94, 0)
BELOW: Rgb = (0, 114, 178)
"""Vermilion and blue of Okabe and Ito, which all kinds of colour vision tell apart."""

HATCH: Rgb = (20, 20, 20)
_MOST_OPAQUE = 0.85
_HATCH_PX = 9


def draw_heat(image: Image, values: NDArray[np.float32], limit: float, hatched: NDArray[np.bool_]) -> Image:
    """The image in grey under the colours of a map: the stronger, the further a value is from 0.

    Parameters
    ----------
    image : (h, w, 3) RGB.
    values : (h, w); NaN leaves a pixel uncoloured.
    limit : value, above 0, from which the colour is full.
    hatched : (h, w), pixels that are drawn with dark stripes instead.
    """
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    known = np.where(np.isnan(values) | hatched, 0, values)
    strength = np.clip(np.abs(known) / limit, 0, 1)[..., None] * _MOST_OPAQUE
    colour = np.where((known > 0)[..., None], np.array(ABOVE, np.float32), np.array(BELOW, np.float32))
    heat = np.round(grey * (1 - strength) + colour * strength).astype(np.uint8)
    rows, columns = np.indices(hatched.shape)
    heat[hatched & ((rows + columns) % _HATCH_PX < _HATCH_PX // 3)] = HATCH
    return heat
