"""What is wrong with a frame: judged when the film has ended, against the film itself.

A film has its own sharpness and light: a soft lens, a white background. So most limits are relative, to the median of
the 45 frames before and after (`_around`), or of the whole film; the absolute ones only catch what nobody can use.
The limits were chosen on street and animal films (a road, walkers, DAVIS's libby, goat and cows) and sample clips 1 to
3 with faults planted, encoded by x264; `benchmarks/frame_selection.py` measures on others.

Known limits: a scene of fewer than 45 frames that is much softer or brighter than those around it is taken for a fault;
a film that is blurred throughout, but not beyond `BLURRED`, is sharp by its own measure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OVER_EXPOSED, UNDER_EXPOSED, BLURRED_FRAME, UNDER_GLARE, REPEAT = (
    "over-exposed", "under-exposed", "blurred", "glare", "repeat",
)  # fmt: skip
FAULTS = (OVER_EXPOSED, UNDER_EXPOSED, BLURRED_FRAME, UNDER_GLARE, REPEAT)
"""In the order in which one of them is given as the reason."""

NEIGHBOURS = 45
"""Frames before and after that a frame is compared with: 1.5 seconds at 30 frames a second."""

BLURRED = 0.08
"""Sharpness below which everything is blurred: what a blur of 2.3 pixels leaves of an edge at 640 pixels across."""

BLURRED_BY_NEIGHBOURS, BLURRED_BY_VIDEO = 0.6, 0.5
"""Shares of the median sharpness of the neighbours, and of the film."""

BURNT_OUT_RISE, BRIGHTNESS_RISE, BRIGHTNESS_JUMP = 0.03, 20.0, 50.0
"""Over its neighbours: more burnt-out pixels (share) with a brighter mean (grey levels), or a jump of the mean, make an
over-exposed frame."""

BRIGHTNESS_LEFT = 0.5
"""Under-exposed: less than this share of the neighbours' mean grey."""

LOST_OVER_VIDEO, LOST = 0.25, 0.75
"""Share of burnt-out (or black) pixels, over the film's median and in all, that nobody needs to compare."""

GLARE_OVER_VIDEO = 0.1
"""Share of pixels under glare, over the film's median."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoColumns:
    """The scores of a film's n frames, in order: float32 (n,) each, `repeat` boolean. 21 bytes a frame."""

    sharpness: NDArray[np.float32]
    brightness: NDArray[np.float32]
    black: NDArray[np.float32]
    burnt_out: NDArray[np.float32]
    glare: NDArray[np.float32]
    repeat: NDArray[np.bool_]


def find_faults(video: VideoColumns, *, continuous: bool) -> dict[str, NDArray[np.bool_]]:
    """Which frames have which fault, (n,) each, in the order of `FAULTS`; a frame may have several.

    Parameters
    ----------
    continuous : frames follow each other in time; else, for a folder of images, the film is the only measure.
    """
    if not len(video.sharpness):
        return {fault: np.zeros(0, bool) for fault in FAULTS}
    over = _beyond(video.burnt_out) | (video.burnt_out > LOST)
    under = _beyond(video.black) | (video.black > LOST)
    blurred = (video.sharpness < BLURRED) | (video.sharpness < BLURRED_BY_VIDEO * np.median(video.sharpness))
    if continuous:
        brightness = _around(video.brightness)
        rise = video.brightness - brightness
        over |= (rise > BRIGHTNESS_RISE) & (video.burnt_out - _around(video.burnt_out) > BURNT_OUT_RISE)
        over |= rise > BRIGHTNESS_JUMP
        under |= video.brightness < BRIGHTNESS_LEFT * brightness
        blurred |= video.sharpness < BLURRED_BY_NEIGHBOURS * _around(video.sharpness)
    glare = (video.glare - np.median(video.glare) > GLARE_OVER_VIDEO) & ~over
    return dict(zip(FAULTS, (over, under, blurred, glare, video.repeat), strict=True))


def _beyond(share: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.asarray(share - np.median(share) > LOST_OVER_VIDEO)


def _around(values: NDArray[np.float32], block: int = 4096) -> NDArray[np.float32]:
    """Median of each value and its `NEIGHBOURS` on both sides (n,); at the ends the film is mirrored."""
    reach = min(NEIGHBOURS, len(values) - 1)
    padded = np.pad(values, reach, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    # block by block, as the median copies its windows
    medians = [np.median(windows[start : start + block], axis=1) for start in range(0, len(values), block)]
    return np.concatenate(medians).astype(np.float32)
