"""The parts of a report: words, curves, small Markdown, and pictures cut from a film."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from run_folders import line, moving_disk, summary, track, write_tables, write_video

from maskstream.errors import SourceError
from maskstream.media.sinks import ImageSink
from maskstream.reports import words
from maskstream.reports.curves import POINT_LIMIT, Curve, Point, nice_ceiling, svg_path
from maskstream.reports.histories import OverlayNames, read_histories
from maskstream.reports.markdown import to_html
from maskstream.reports.pictures import base64_text, cut_around, film_frames, jpeg_uri, read_picture
from maskstream.reports.read_run import Percentage, read_run


def test_a_short_curve_keeps_every_frame_and_tears_where_the_object_was_gone():
    curve = Curve()
    assert curve.points() == []
    for number in (0, 1, 4):
        curve.add(number, number / 10, 50.0 + number, 100.0)
    assert curve.runs() == [[Point(0.0, 50.0, 100.0), Point(0.1, 51.0, 100.0)], [Point(0.4, 54.0, 100.0)]]
    assert curve.frames_per_point == 1


def test_a_long_curve_keeps_means():
    curve = Curve()
    for number in range(100_000):
        curve.add(number, number / 10, float(number % 2), 7.0)
    points = curve.points()
    assert curve.frames_per_point == 256
    assert len(points) == 391
    assert points[0] == Point(255 / 20, 0.5, 7.0)
    assert len(curve.runs()) == 1


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 5000), max_size=900))
def test_no_curve_grows_beyond_the_limit(numbers):
    curve = Curve()
    for number in sorted(numbers):
        curve.add(number, float(number), 10.0, 3.0)
    points = curve.points()
    assert len(points) <= POINT_LIMIT
    assert [point.time_s for point in points] == sorted(point.time_s for point in points)
    assert {(point.percent, point.area_px) for point in points} <= {(10.0, 3.0)}


def test_paths_are_moves_and_lines():
    assert svg_path([]) == ""
    assert svg_path([[(0, 0), (0.5, 1)], [(1, 0.25)]]) == "M0.0 100.00L500.0 0.00M1000.0 75.00L1000.0 75.00"


@pytest.mark.parametrize(
    "value, ceiling",
    [(0, 1), (0.3, 1), (1, 1), (3, 5), (7.5, 10), (10, 10), (21, 25), (199, 200), (2001, 2500), (9e6, 1e7)],
)
def test_axes_end_on_round_numbers(value, ceiling):
    assert nice_ceiling(value) == ceiling


@pytest.mark.parametrize(
    "time_s, text", [(0, "0:00.0"), (4.94, "0:04.9"), (59.97, "1:00.0"), (754.2, "12:34.2"), (3723, "1:02:03")]
)
def test_clock(time_s, text):
    assert words.clock(time_s) == text


@pytest.mark.parametrize(
    "time_s, text",
    [(0.5, "0.5 seconds"), (59.96, "1 minute"), (61, "1 minute 1 second"), (7200, "120 minutes")],
)
def test_duration(time_s, text):
    assert words.duration(time_s).replace("\xa0", " ") == text


@pytest.mark.parametrize(
    "low, high, text",
    [(None, None, None), (71.2, 94.6, "71 to 95 %"), (0.2, 12, "<1 to 12 %"), (80, 99.9, "80 to >99 %")],
)
def test_interval(low, high, text):
    shown = words.interval(Percentage("malignant", 80.0, low, high))
    assert (shown and shown.replace("\xa0", " ")) == text


def test_numbers_and_facts_on_one_line():
    assert words.number(1234567.4) == "1\u202f234\u202f567"
    assert words.equal_circle_px(np.pi * 25) == pytest.approx(10)
    assert words.shown({"code": "MIT", "data": None, "parts": [1, True]}) == "code: MIT, parts: 1 yes"


@pytest.mark.parametrize(
    "text, html",
    [
        ("", ""),
        ("one\ntwo", "<p>one two</p>"),
        ("a **b** `c<d`", "<p>a <strong>b</strong> <code>c&lt;d</code></p>"),
        ("Not for:\n- x\n  more\n- y", "<p>Not for:</p><ul><li>x more</li><li>y</li></ul>"),
        ("# T\ntext\n\nrest", "<h4>T</h4><p>text</p>\n<p>rest</p>"),
        ("<script>", "<p>&lt;script&gt;</p>"),
    ],
)
def test_small_markdown(text, html):
    assert to_html(text) == html
    assert isinstance(to_html(text), Markup)


@pytest.fixture(scope="module")
def grey_film(tmp_path_factory):
    """150 frames at 30 a second; frame i has the grey level i."""
    path = tmp_path_factory.mktemp("film") / "grey.mp4"
    write_video(path, [np.full((64, 64, 3), index, np.uint8) for index in range(150)])
    return path


def test_film_frames_are_those_shown_at_the_times(grey_film):
    times_s = [0.0, 0.1, 0.1, 1.0, 4.5, 4.6, 99.0]
    levels = [float(image.mean()) for image in film_frames(grey_film, times_s)]
    assert levels == pytest.approx([0, 3, 3, 30, 135, 138, 149], abs=2)
    assert list(film_frames(grey_film, [])) == []


def test_a_film_that_does_not_decode_is_refused(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"text")
    with pytest.raises(SourceError, match="expected the run's overlay film, found a film that does not decode"):
        list(film_frames(tmp_path / "x.mp4", [0.0]))


@pytest.mark.parametrize("box", [(0, 0, 4, 4), (30, 20, 50, 60), (90, 70, 100, 80), (0, 0, 100, 80)])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_cut_holds_the_whole_object(box, scale):
    frame = np.zeros((80, 100, 3), np.uint8)
    x1, y1, x2, y2 = box
    frame[y1:y2, x1:x2] = 255
    overlay = np.kron(frame, np.ones((scale, scale, 1), np.uint8))
    cut = cut_around(overlay, np.array(box, np.float64), (80, 100))
    assert np.count_nonzero(cut) == np.count_nonzero(overlay)
    assert cut.shape[0] <= overlay.shape[0]
    assert cut.shape[1] <= overlay.shape[1]


def test_pictures_as_text(tmp_path):
    data = bytes(range(256)) * 4000
    (tmp_path / "film").write_bytes(data)
    pieces = list(base64_text(tmp_path / "film"))
    assert len(pieces) == 2
    assert "=" not in pieces[0]
    assert jpeg_uri(np.zeros((10, 2000, 3), np.uint8), 500).startswith("data:image/jpeg;base64,/9j/")
    assert read_picture(tmp_path / "missing.jpg") is None
    assert read_picture(tmp_path / "film") is None


def test_overlay_names_are_those_of_the_sink(tmp_path):
    sources = ["a/x.png", "b/X.jpg", "x.jpg", "x-2.jpg", "y.tif", "noext"]
    sink, names = ImageSink(tmp_path / "overlay"), OverlayNames()
    written = [sink.write(source, np.zeros((4, 4, 3), np.uint8)).name for source in sources]
    assert [names.name(source) for source in sources] == written


def test_reading_a_run_takes_a_fraction_of_its_size(tmp_path):
    entry = line(0, 0.0, "x", moving_disk(0))
    lines = ({**entry, "frame": index, "time_s": index / 30} for index in range(2500))
    write_tables(tmp_path, summary(), [track(1, malignant=74)], lines)
    run = read_run(tmp_path)
    tracemalloc.start()
    (history,) = read_histories(run).values()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(history.curve.points()) == 313
    assert peak_bytes < 250_000 < (tmp_path / "detections.jsonl").stat().st_size / 3
