"""The ways in which a camera may see the same object again: for the scatter of percentages and for the parity gate."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class View:
    """One way in which a camera may see the same object again.

    Attributes
    ----------
    turn_degrees : rotation around the image's centre.
    zoom : above 1 magnifies.
    shift : right and down, in shares of the image's sides.
    mirror : left and right exchanged.
    gain : factor on all colours.
    """

    turn_degrees: float = 0.0
    zoom: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirror: bool = False
    gain: float = 1.0

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The image (h, w, 3) as this view shows it, in the same size; the border is mirrored outwards."""
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.turn_degrees, self.zoom)
        matrix[:, 2] += np.array(self.shift) * (width, height)
        seen = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        seen = seen[:, ::-1] if self.mirror else seen
        return np.clip(np.round(seen * np.float32(self.gain)), 0, 255).astype(np.uint8)


VIEWS = (
    View(),
    View(mirror=True),
    View(turn_degrees=180),
    View(turn_degrees=90),
    View(turn_degrees=-35, zoom=1.1),
    View(zoom=1.25),
    View(zoom=0.85, shift=(0.08, -0.06)),
    View(shift=(-0.1, 0.08), gain=0.85),
    View(turn_degrees=15, gain=1.15),
)
"""The image as it is, and eight others: turned, moved, zoomed and lit as in a hand-held video."""


def any_view(number: int) -> View:
    """View `number`: those of `VIEWS`, then ever others, drawn from the number alone."""
    if number < len(VIEWS):
        return VIEWS[number]
    rng = np.random.default_rng(number)
    shift = (float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.1, 0.1)))
    return View(rng.uniform(-180, 180), rng.uniform(0.8, 1.6), shift, bool(rng.random() < 0.5), rng.uniform(0.8, 1.2))
