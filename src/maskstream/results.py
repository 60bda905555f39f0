"""What a run yields for each frame, ready to be read, drawn and plotted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.draw.overlay import DEFAULT_STYLE, OverlayStyle, draw_overlay
from maskstream.errors import MissingDependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTEBOOK_LONG_SIDE_PX = 1280
"""A notebook keeps every picture it shows, so larger ones are shown at this size."""


class Result(NamedTuple):
    """One frame and what was found in it; unpacks as `frame, detections = result`, types included.

    Attributes
    ----------
    frame : the image with its index, time and source.
    detections : the objects in the frame's pixels, with track ids where the run tracks.
    """

    frame: Frame
    detections: Detections

    @property
    def masks(self) -> NDArray[np.bool_]:
        """All masks as one boolean array (n, h, w). Large: n times the frame's pixels."""
        return self.detections.dense_masks()

    def overlay(self, *, style: OverlayStyle = DEFAULT_STYLE) -> NDArray[np.uint8]:
        """The frame with its objects drawn over it: a new (h, w, 3) uint8 RGB image."""
        return draw_overlay(self.frame.image, self.detections, style=style)

    def plot(self, figsize: tuple[float, float] | None = None) -> Axes:
        """Show the overlay in a new matplotlib figure.

        Parameters
        ----------
        figsize : width and height in inches; matplotlib's own size when None.

        Returns
        -------
        The axes, in the frame's pixels, so that more can be drawn on them.

        Raises
        ------
        MissingDependency : matplotlib is not installed.
        """
        try:
            from matplotlib import pyplot
        except ImportError as error:
            raise MissingDependency(
                "Result.plot()",
                expected="matplotlib",
                found="no such package",
                remedy="install it with: pip install 'maskstream[evaluate]'",
            ) from error
        _, axes = pyplot.subplots(figsize=figsize, layout="constrained")
        axes.imshow(self.overlay())
        axes.set_title(f"{self.frame.source}  frame {self.frame.index}  {self.frame.time_s:.2f} s")
        axes.set_axis_off()
        return axes

    def _repr_png_(self) -> bytes:
        """The overlay as a PNG file: how Jupyter shows a result."""
        image = self.overlay()
        shrink = NOTEBOOK_LONG_SIDE_PX / max(image.shape[:2])
        if shrink < 1:
            size_wh = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
            image = np.asarray(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
        _, encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return encoded.tobytes()

    def __repr__(self) -> str:
        names = self.detections.classes
        counts = np.bincount(self.detections.class_ids, minlength=len(names))
        objects = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True) if count)
        return (
            f"Result({self.frame.source} frame {self.frame.index} at {self.frame.time_s:.3f} s: {objects or 'nothing'})"
        )
