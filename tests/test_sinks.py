"""The overlay video, its pictures and the tables: whole, at the right times, and the same after a kill."""

from __future__ import annotations

import itertools
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from videos import grey, textured

from maskstream.errors import OutputError
from maskstream.media.sinks import ImageSink, VideoSink, read_lines, write_csv
from maskstream.media.sources import open_source

TICKS = 90_000


def times(count: int) -> list[float]:
    """Irregular times from 0 on, in seconds."""
    steps = np.random.default_rng(2).uniform(0.005, 0.2, count)
    return [0.0, *np.cumsum(steps)[: count - 1].tolist()]


def written(path: Path) -> list[tuple[int, int]]:
    """Time and duration of each frame of a video in ticks, by its packets."""
    with av.open(str(path)) as film:
        assert film.streams.video[0].time_base == Fraction(1, TICKS)
        return [(p.pts or 0, p.duration or 0) for p in film.demux(video=0) if p.size]


def write_all(sink: VideoSink, count: int, start: int = 0) -> None:
    for index, time_s in itertools.islice(enumerate(times(count)), start, None):
        sink.write(textured(index), time_s)


@contextmanager
def small_disk(limit_bytes: int) -> Iterator[None]:
    """No file may grow beyond the limit, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestVideo:
    def test_times_of_a_varying_frame_rate_are_kept(self, tmp_path: Path) -> None:
        with VideoSink(tmp_path / "overlay.mp4", Fraction(10), part_frames=4) as sink:
            write_all(sink, 10)
        assert sink.frame_count == 10
        found = written(tmp_path / "overlay.mp4")
        expected = [round(time_s * TICKS) for time_s in times(10)]
        assert [tick for tick, _ in found] == expected
        gaps = np.diff(expected).tolist()
        assert [duration for _, duration in found] == [*gaps, gaps[-1]]
        assert [entry.name for entry in tmp_path.iterdir()] == ["overlay.mp4"]
        source = open_source(tmp_path / "overlay.mp4")
        assert [frame.time_s for frame in source] == [tick / TICKS for tick in expected]
        assert (source.damaged, source.warnings) == (0, [])

    def test_it_plays_in_a_browser_and_while_it_loads(self, tmp_path: Path) -> None:
        with VideoSink(tmp_path / "overlay.mp4", Fraction(25)) as sink:
            write_all(sink, 3)
        with av.open(str(tmp_path / "overlay.mp4")) as film:
            codec = film.streams.video[0].codec_context
            assert (codec.name, codec.pix_fmt, codec.profile) == ("h264", "yuv420p", "High")
            # BT.709, limited range
            assert (codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc) == (1, 1, 1, 1)
        content = (tmp_path / "overlay.mp4").read_bytes()
        assert 0 < content.find(b"moov") < content.find(b"mdat")

    @pytest.mark.parametrize("colour", [(255, 0, 0), (0, 200, 0), (0, 0, 255), (200, 150, 120), (0, 0, 0)])
    def test_colours_come_back(self, tmp_path: Path, colour: tuple[int, int, int]) -> None:
        image = np.full((32, 32, 3), colour, np.uint8)
        with VideoSink(tmp_path / "overlay.mp4", Fraction(25)) as sink:
            sink.write(image, 0.0)
        [frame] = open_source(tmp_path / "overlay.mp4")
        np.testing.assert_allclose(frame.image, image, atol=4)

    @pytest.mark.parametrize("size_hw, padded_hw", [((48, 64), (48, 64)), ((47, 63), (48, 64)), ((1, 1), (2, 2))])
    def test_odd_sizes_are_padded(self, tmp_path: Path, size_hw: tuple[int, int], padded_hw: tuple[int, int]) -> None:
        with VideoSink(tmp_path / "overlay.mp4", Fraction(25)) as sink:
            sink.write(grey(9, size_hw), 0.0)
        [frame] = open_source(tmp_path / "overlay.mp4")
        assert frame.size_hw == padded_hw
        np.testing.assert_allclose(frame.image, grey(9, padded_hw), atol=4)

    @pytest.mark.parametrize("rate, duration", [(Fraction(30000, 1001), 3003), (None, 3600)])
    def test_a_single_frame_lasts_one_frame(self, tmp_path: Path, rate: Fraction | None, duration: int) -> None:
        with VideoSink(tmp_path / "overlay.mp4", rate) as sink:
            sink.write(grey(0), 0.5)
        assert written(tmp_path / "overlay.mp4") == [(45_000, duration)]

    def test_no_frame_no_video(self, tmp_path: Path) -> None:
        with VideoSink(tmp_path / "overlay.mp4", Fraction(25)):
            pass
        assert list(tmp_path.iterdir()) == []

    def test_equal_times_are_moved_a_tick_apart(self, tmp_path: Path) -> None:
        with VideoSink(tmp_path / "overlay.mp4", Fraction(25)) as sink:
            for time_s in (0.0, 0.0, 0.0, 1.0):
                sink.write(grey(0), time_s)
        assert [tick for tick, _ in written(tmp_path / "overlay.mp4")] == [0, 1, 2, 90_000]

    def test_another_size_is_refused(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "overlay.mp4", Fraction(25))
        sink.write(grey(0), 0.0)
        with pytest.raises(ValueError, match="the image is 32 x 32, those before 64 x 48"):
            sink.write(grey(1, (32, 32)), 0.1)

    def test_the_frames_are_the_ones_given(self, tmp_path: Path) -> None:
        images: list[NDArray[np.uint8]] = [grey(index) for index in range(9)]
        with VideoSink(tmp_path / "overlay.mp4", Fraction(25), part_frames=2) as sink:
            for index, image in enumerate(images):
                sink.write(image, index / 25)
        for frame, image in zip(open_source(tmp_path / "overlay.mp4"), images, strict=True):
            np.testing.assert_allclose(frame.image, image, atol=4)


class TestResume:
    # frames drawn before the kill, lines finished then, frames kept of parts of four
    @pytest.mark.parametrize("drawn, lines, kept", [(0, 0, 0), (3, 3, 0), (4, 4, 4), (9, 10, 8), (9, 7, 4), (9, 0, 0)])
    def test_the_joined_video_equals_an_unbroken_one(self, tmp_path: Path, drawn: int, lines: int, kept: int) -> None:
        with VideoSink(tmp_path / "unbroken.mp4", Fraction(10), part_frames=4) as sink:
            write_all(sink, 11)
        killed = VideoSink(tmp_path / "killed.mp4", Fraction(10), part_frames=4)
        write_all(killed, drawn)
        del killed
        with VideoSink(tmp_path / "killed.mp4", Fraction(10), part_frames=4, keep_frames=lines) as sink:
            assert sink.frame_count == kept
            write_all(sink, 11, start=kept)
        assert sink.frame_count == 11
        assert written(tmp_path / "killed.mp4") == written(tmp_path / "unbroken.mp4")
        assert (tmp_path / "killed.mp4").read_bytes() == (tmp_path / "unbroken.mp4").read_bytes()
        assert not (tmp_path / "killed.parts").exists()

    def test_kill_9_leaves_every_line_and_the_whole_parts(self, tmp_path: Path) -> None:
        program = (
            "import os, signal, sys; from fractions import Fraction; from pathlib import Path; import numpy as np\n"
            "from maskstream.media.sinks import JsonLinesSink, VideoSink\n"
            "folder = Path(sys.argv[1])\n"
            "lines = JsonLinesSink(folder / 'detections.jsonl')\n"
            "video = VideoSink(folder / 'overlay.mp4', Fraction(25), part_frames=4)\n"
            "for index in range(10):\n"
            "    lines.write({'frame': index})\n"
            "    video.write(np.zeros((32, 32, 3), np.uint8), index / 25)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=120)
        assert ended.returncode == -signal.SIGKILL
        assert [line["frame"] for line in read_lines(tmp_path / "detections.jsonl")] == list(range(10))
        sink = VideoSink(tmp_path / "overlay.mp4", Fraction(25), part_frames=4, keep_frames=10)
        assert sink.frame_count == 8

    def test_a_damaged_part_and_those_after_it_do_not_count(self, tmp_path: Path) -> None:
        path = tmp_path / "overlay.mp4"
        write_all(VideoSink(path, Fraction(25), part_frames=2), 8)
        (tmp_path / "overlay.parts" / "000001.mp4").write_bytes(b"torn")
        (tmp_path / "overlay.parts" / ".000004-x.mp4").write_bytes(b"left over")
        sink = VideoSink(path, Fraction(25), part_frames=2, keep_frames=8)
        assert sink.frame_count == 2
        assert [entry.name for entry in (tmp_path / "overlay.parts").iterdir()] == ["000000.mp4"]

    def test_an_error_of_the_run_leaves_a_video_and_the_parts(self, tmp_path: Path) -> None:
        path = tmp_path / "overlay.mp4"

        def broken_run() -> None:
            with VideoSink(path, Fraction(10), part_frames=4) as sink:
                write_all(sink, 6)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            broken_run()
        assert len(written(path)) == 6
        with VideoSink(path, Fraction(10), part_frames=4, keep_frames=6) as sink:
            assert sink.frame_count == 4
            write_all(sink, 11, start=4)
        assert [tick for tick, _ in written(path)] == [round(time_s * TICKS) for time_s in times(11)]

    def test_parts_of_another_size_cannot_be_joined(self, tmp_path: Path) -> None:
        path = tmp_path / "overlay.mp4"
        write_all(VideoSink(path, Fraction(25), part_frames=2), 2)
        sink = VideoSink(path, Fraction(25), part_frames=2, keep_frames=2)
        sink.write(grey(0, (32, 32)), 9.0)
        with pytest.raises(OutputError, match="without --resume"):
            sink.close()


class TestNoPlace:
    def test_a_folder_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        sink = VideoSink(tmp_path / "file" / "overlay.mp4", Fraction(25), part_frames=1)
        with pytest.raises(OutputError):
            sink.write(grey(0), 0.0)

    def test_a_full_disk_keeps_the_parts_before(self, tmp_path: Path) -> None:
        path = tmp_path / "overlay.mp4"
        sink = VideoSink(path, Fraction(25), part_frames=2)
        write_all(sink, 2)
        with small_disk(100), pytest.raises(OutputError, match="free space"):
            write_all(sink, 4, start=2)
        assert [entry.name for entry in (tmp_path / "overlay.parts").iterdir()] == ["000000.mp4"]

    def test_a_disk_that_is_full_when_joining_keeps_the_parts(self, tmp_path: Path) -> None:
        path = tmp_path / "overlay.mp4"
        sink = VideoSink(path, Fraction(25), part_frames=2)
        write_all(sink, 4)
        with small_disk(2000), pytest.raises(OutputError, match=r"overlay.*free space"):
            sink.close()
        assert sorted(entry.name for entry in (tmp_path / "overlay.parts").iterdir()) == ["000000.mp4", "000001.mp4"]
        assert not path.exists()
        sink.close()
        assert len(written(path)) == 4

    def test_a_size_that_the_encoder_refuses(self, tmp_path: Path) -> None:
        sink = VideoSink(tmp_path / "overlay.mp4", Fraction(25))
        with pytest.raises(OutputError):
            sink.write(grey(0, (2, 20_000)), 0.0)


class TestImages:
    def test_names_follow_the_source_and_are_unique(self, tmp_path: Path) -> None:
        sources = ["x/a.png", "x/a.jpg", "y/A.png", "x/a-2.png", "größer.tif"]
        expected = ["a.jpg", "a-2.jpg", "A-3.jpg", "a-2-2.jpg", "größer.jpg"]
        with ImageSink(tmp_path / "overlay") as sink:
            paths = [sink.write(source, grey(3)) for source in sources]
        assert [path.name for path in paths] == expected
        assert sorted(entry.name for entry in (tmp_path / "overlay").iterdir()) == sorted(expected)
        resumed = ImageSink(tmp_path / "overlay", earlier=sources[:3])
        assert resumed.write(sources[3], grey(3)).name == expected[3]

    def test_colours_are_rgb(self, tmp_path: Path) -> None:
        image = np.full((16, 16, 3), (250, 120, 10), np.uint8)
        path = ImageSink(tmp_path).write("a.png", image)
        np.testing.assert_allclose(next(iter(open_source(path))).image, image, atol=4)

    def test_no_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(OutputError, match="a place that can be written"):
            ImageSink(tmp_path / "file").write("a.png", grey(0))
        with pytest.raises(OutputError, match="65500"):
            ImageSink(tmp_path).write("wide.png", grey(0, (1, 70_000)))


class TestCsv:
    def test_a_table(self, tmp_path: Path) -> None:
        rows = [{"track": 1, "percent": 0.1, "note": 'a "b", c'}, {"track": 2, "percent": None, "note": "größer"}]
        write_csv(tmp_path / "tracks.csv", rows, ["track", "percent", "note"])
        expected = 'track,percent,note\n1,0.1,"a ""b"", c"\n2,,größer\n'
        assert (tmp_path / "tracks.csv").read_text(encoding="utf-8") == expected

    def test_no_rows(self, tmp_path: Path) -> None:
        write_csv(tmp_path / "tracks.csv", [], ["track"])
        assert (tmp_path / "tracks.csv").read_text() == "track\n"

    def test_it_is_written_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "tracks.csv"
        path.write_text("old\n")
        with pytest.raises(ValueError, match="other"):
            write_csv(path, [{"track": 1}, {"other": 2}], ["track"])
        with small_disk(10), pytest.raises(OutputError):
            write_csv(path, [{"track": index} for index in range(99)], ["track"])
        assert path.read_text() == "old\n"
        assert list(tmp_path.iterdir()) == [path]
