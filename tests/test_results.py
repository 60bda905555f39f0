"""A result as a person meets it: unpacked, printed, shown and plotted."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest
from found_objects import disk, found

from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.draw.overlay import draw_overlay
from maskstream.errors import MissingDependency
from maskstream.results import NOTEBOOK_LONG_SIDE_PX, Result

SIZE_HW = (90, 120)


def result(size_hw=SIZE_HW, objects=2):
    frame = Frame(np.full((*size_hw, 3), 200, np.uint8), index=7, time_s=0.25, source="film.mp4")
    masks = [disk(size_hw, 30, 40, 15), disk(size_hw, 80, 40, 20)]
    detections = found(masks, [0.9, 0.2], [1, 2]) if objects else Detections.empty(("benign", "malignant"), size_hw)
    return Result(frame, detections)


def test_it_unpacks_as_a_pair():
    made = result()
    frame, detections = made
    assert frame is made.frame
    assert detections is made.detections


def test_it_says_what_it_holds():
    assert repr(result()) == "Result(film.mp4 frame 7 at 0.250 s: 1 benign, 1 malignant)"
    assert repr(result(objects=0)) == "Result(film.mp4 frame 7 at 0.250 s: nothing)"


def test_masks_are_dense():
    assert result().masks.shape == (2, *SIZE_HW)
    assert result().masks.sum(axis=(1, 2)).tolist() == result().detections.areas_px.tolist()
    assert result(objects=0).masks.shape == (0, *SIZE_HW)


def test_a_notebook_shows_the_overlay():
    made = result()
    shown = cv2.imdecode(np.frombuffer(made._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(shown[..., ::-1], draw_overlay(made.frame.image, made.detections))
    large = cv2.imdecode(np.frombuffer(result((600, 2560))._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert large.shape == (300, NOTEBOOK_LONG_SIDE_PX, 3)


def test_plot_draws_the_overlay_in_the_frames_pixels():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = result().plot(figsize=(4, 3))
    assert axes.figure.get_size_inches().tolist() == [4, 3]
    assert np.array_equal(axes.images[0].get_array(), result().overlay())
    assert axes.images[0].get_extent() == [-0.5, 119.5, 89.5, -0.5]
    assert axes.get_title() == "film.mp4  frame 7  0.25 s"
    pyplot.close(axes.figure)


def test_plot_without_matplotlib_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependency, match=r"pip install 'maskstream\[evaluate\]'"):
        result().plot()
