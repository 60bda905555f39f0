"""One line a frame: exact round trip, and a file that is readable whenever the writer dies."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from maskstream.core.detections import Detections
from maskstream.core.masks import crop
from maskstream.errors import OutputError, SourceError
from maskstream.media.lines import JsonLinesSink, detections_to_line, line_to_detections, read_lines

CLASSES = ("benign", "malignant")
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def any_detections(draw: st.DrawFn) -> Detections:
    """Detections with any finite float32, masks of any shape, empty ones included."""
    n = draw(st.integers(0, 3))
    size_hw = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    return Detections(
        boxes_xyxy=draw(stnp.arrays(np.float32, (n, 4), elements=FINITE)),
        masks=tuple(crop(draw(stnp.arrays(bool, size_hw))) for _ in range(n)),
        scores=draw(stnp.arrays(np.float32, n, elements=FINITE)),
        probabilities=draw(stnp.arrays(np.float32, (n, 2), elements=FINITE)),
        track_ids=draw(stnp.arrays(np.int64, n)),
        classes=CLASSES,
        size_hw=size_hw,
    )


def assert_equal(one: Detections, other: Detections) -> None:
    for name in ("boxes_xyxy", "scores", "probabilities", "track_ids"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes(), name
    assert (one.classes, one.size_hw) == (other.classes, other.size_hw)
    np.testing.assert_array_equal(one.dense_masks(), other.dense_masks())
    assert [(m.x0, m.y0) for m in one.masks] == [(m.x0, m.y0) for m in other.masks]


@settings(deadline=None)
@given(any_detections())
def test_round_trip_is_exact_to_the_bit(detections: Detections) -> None:
    line = json.loads(json.dumps(detections_to_line(3, 0.1, "a.mp4", detections)))
    assert_equal(line_to_detections(line, CLASSES), detections)


def two_found() -> Detections:
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    return Detections(
        boxes_xyxy=np.array([[2, 1, 5, 3], [0.1, 0.2, 1.5, 1 / 3]], np.float32),
        masks=(crop(mask), crop(np.zeros((4, 6), bool))),
        scores=np.array([0.93, 0.5], np.float32),
        probabilities=np.array([[0.1, 0.9], [0.75, 0.25]], np.float32),
        track_ids=np.array([1, 2], np.int64),
        classes=CLASSES,
        size_hw=(4, 6),
    )


def test_what_a_line_says() -> None:
    extras = [{"quality": 0.5, "view": "ff00"}, {"quality": 0.25, "view": "00ff"}]
    line = detections_to_line(7, 0.28, "a.mp4", two_found(), extras, {"quality": {"sharpness": 12.5}})
    assert list(line) == ["frame", "time_s", "source", "size_hw", "quality", "detections"]
    assert (line["frame"], line["time_s"], line["source"], line["size_hw"]) == (7, 0.28, "a.mp4", [4, 6])
    assert line["quality"] == {"sharpness": 12.5}
    assert line["detections"][0] == {
        "track_id": 1,
        "class": "malignant",
        "class_id": 1,
        "score": 0.93,
        "probabilities": {"benign": 0.1, "malignant": 0.9},
        "box_xyxy": [2.0, 1.0, 5.0, 3.0],
        "area_px": 6,
        "mask": {"size": [4, 6], "counts": "9220003"},
        "quality": 0.5,
        "view": "ff00",
    }
    assert line["detections"][1]["box_xyxy"] == [0.1, 0.2, 1.5, 0.33333334]
    assert_equal(line_to_detections(line, CLASSES), two_found())


def test_a_frame_with_nothing_found() -> None:
    empty = Detections.empty(CLASSES, (4, 6))
    line = detections_to_line(0, 0.0, "a.mp4", empty)
    assert line["detections"] == []
    assert_equal(line_to_detections(line, CLASSES), empty)


def test_extras_must_be_one_an_object() -> None:
    with pytest.raises(ValueError, match="zip"):
        detections_to_line(0, 0.0, "a.mp4", two_found(), [{"quality": 1.0}])


@pytest.mark.parametrize(
    "change, found",
    [({"detections": [{}]}, "KeyError"), ({"size_hw": 3}, "TypeError"), ({"size_hw": [1, 2, 3]}, "ValueError")],
)
def test_a_line_of_another_kind_is_refused(change: dict[str, Any], found: str) -> None:
    line = {**detections_to_line(7, 0.0, "a.mp4", two_found()), **change}
    with pytest.raises(SourceError, match=f"line of frame 7.*{found}"):
        line_to_detections(line, CLASSES)


def test_a_line_of_another_model_is_refused() -> None:
    with pytest.raises(SourceError, match="classes tank, found KeyError"):
        line_to_detections(detections_to_line(7, 0.0, "a.mp4", two_found()), ("tank",))


class TestJsonLinesSink:
    def test_lines_are_there_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "run" / "detections.jsonl"
        with JsonLinesSink(path) as sink:
            assert list(read_lines(path)) == []
            for frame in range(3):
                sink.write({"frame": frame, "source": "größer"})
                assert len(list(read_lines(path))) == frame + 1
        assert path.read_text(encoding="utf-8").splitlines()[0] == '{"frame": 0, "source": "größer"}'

    def test_without_resume_it_begins_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        path.write_text('{"old": 1}\n')
        with JsonLinesSink(path) as sink:
            sink.write({"frame": 0})
        assert list(read_lines(path)) == [{"frame": 0}]

    # what a killed run left, and how many lines of it are whole
    @pytest.mark.parametrize(
        "left, whole",
        [
            (b"", 0),
            (b'{"frame": 0', 0),
            (b'{"frame": 0}\n', 1),
            (b'{"frame": 0}\n{"fra', 1),
            (b'{"frame": 0}\n{"frame": 1}', 1),
            (b'{"frame": 0}\n{"frame": 1, "long": "' + b"x" * 200_000, 1),
        ],
    )
    def test_resume_drops_a_torn_last_line(self, tmp_path: Path, left: bytes, whole: int) -> None:
        path = tmp_path / "a.jsonl"
        path.write_bytes(left)
        assert len(list(read_lines(path))) == whole
        with JsonLinesSink(path, resume=True) as sink:
            sink.write({"frame": whole})
        assert [line["frame"] for line in read_lines(path)] == list(range(whole + 1))

    def test_resume_of_nothing(self, tmp_path: Path) -> None:
        with JsonLinesSink(tmp_path / "a.jsonl", resume=True) as sink:
            sink.write({"frame": 0})
        assert list(read_lines(tmp_path / "a.jsonl")) == [{"frame": 0}]

    def test_nan_is_no_json(self, tmp_path: Path) -> None:
        with JsonLinesSink(tmp_path / "a.jsonl") as sink, pytest.raises(ValueError, match="not JSON compliant"):
            sink.write({"score": float("nan")})
        assert list(read_lines(tmp_path / "a.jsonl")) == []

    def test_a_place_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(OutputError, match="a file that can be written"):
            JsonLinesSink(tmp_path / "file" / "a.jsonl")

    def test_a_full_disk_keeps_what_was_written(self, tmp_path: Path) -> None:
        path = tmp_path / "a.jsonl"
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        sink = JsonLinesSink(path)
        sink.write({"frame": 0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        try:
            with pytest.raises(OutputError, match="--resume"):
                sink.write({"frame": 1})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            sink.close()
        assert list(read_lines(path)) == [{"frame": 0}]
        assert os.path.getsize(path) == 20, "the torn rest is there, and is not read"  # noqa: PTH202


class TestReadLines:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="No such file"):
            list(read_lines(tmp_path / "a.jsonl"))

    @pytest.mark.parametrize("bad, found", [("{", "broken JSON"), ("3", "found int")])
    def test_a_broken_line_in_the_middle_is_named(self, tmp_path: Path, bad: str, found: str) -> None:
        (tmp_path / "a.jsonl").write_text(f'{{"frame": 0}}\n{bad}\n{{"frame": 2}}\n')
        with pytest.raises(SourceError, match=f"line 2.*{found}"):
            list(read_lines(tmp_path / "a.jsonl"))
