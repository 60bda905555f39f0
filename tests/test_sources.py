"""Everything that frames are read from: order, times, colours, orientation, and what happens to bad input."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image
from videos import damage, grey, packets, replace_packet, textured, write_video

from maskstream.errors import SourceError
from maskstream.media.base import MAX_WARNINGS
from maskstream.media.images import read_image
from maskstream.media.sources import open_source

GREYS = [grey(index) for index in range(12)]


def indices(path: Path | str) -> list[int]:
    return [frame.index for frame in open_source(path)]


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def rgb(path: Path) -> Path:
    return save(path, Image.new("RGB", (6, 4), (10, 200, 30)))


class TestVideo:
    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"])
    def test_every_container_gives_its_frames_times_and_colours(self, tmp_path: Path, suffix: str) -> None:
        with open_source(write_video(tmp_path / f"film{suffix}", GREYS)) as source:
            frames = list(source)
        assert [frame.index for frame in frames] == list(range(12))
        np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(12) / 25, atol=5e-4)
        brightness = [frame.image.mean() for frame in frames]
        # 8-bit palettes of GIF have few greys; the others lose a few levels to the encoder
        np.testing.assert_allclose(brightness, [image.mean() for image in GREYS], atol=25 if suffix == ".gif" else 4)
        assert {frame.image.dtype for frame in frames} == {np.dtype(np.uint8)}
        assert (source.kind, source.live, source.size_hw, source.frame_count) == ("video", False, (48, 64), 12)
        assert source.frame_rate == 25
        assert source.duration_s == pytest.approx(0.48, abs=1e-3)
        assert (source.damaged, source.warnings) == (0, [])

    def test_times_of_a_varying_frame_rate_are_the_containers(self, tmp_path: Path) -> None:
        times_ms = [0, 40, 60, 300, 301, 900]
        path = write_video(tmp_path / "vfr.mkv", GREYS[:6], times_ms=times_ms)
        assert [frame.time_s for frame in open_source(path)] == [ms / 1000 for ms in times_ms]

    def test_avi_frames_are_timed_by_their_place_although_packets_are_not_in_order(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "b_frames.avi", [textured(i) for i in range(12)], options={"bf": "2"})
        stamps = [stamp for _, stamp in packets(path)]
        assert stamps != sorted(stamps)
        frames = list(open_source(path))
        assert [frame.time_s for frame in frames] == [index / 25 for index in range(12)]

    def test_a_late_start_without_sound_is_time_zero(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "late.mkv", GREYS[:3], times_ms=[500, 540, 580])
        assert [frame.time_s for frame in open_source(path)] == pytest.approx([0, 0.04, 0.08])

    def test_video_that_starts_after_its_sound_keeps_the_distance(self, tmp_path: Path) -> None:
        path = tmp_path / "sound.mkv"
        with av.open(str(path), "w") as film:
            sound, picture = film.add_stream("pcm_s16le", rate=8000), film.add_stream("libx264", rate=25)
            picture.height, picture.width, picture.pix_fmt = 48, 64, "yuv420p"
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            silence.sample_rate, silence.pts = 8000, 0
            film.mux(sound.encode(silence))
            for index in range(3):
                frame = av.VideoFrame.from_ndarray(GREYS[index])
                frame.pts, frame.time_base = index + 5, Fraction(1, 25)
                film.mux(picture.encode(frame))
            film.mux(picture.encode())
        assert [frame.time_s for frame in open_source(path)] == pytest.approx([0.2, 0.24, 0.28])

    # counter-clockwise angle as the file states it, then the flips; expected with NumPy on the stored image
    @pytest.mark.parametrize(
        "turned, expected",
        [
            ((0, False, False), lambda stored: stored),
            ((90, False, False), lambda stored: np.rot90(stored)),
            ((180, False, False), lambda stored: stored[::-1, ::-1]),
            ((-90, False, False), lambda stored: np.rot90(stored, -1)),
            ((0, True, False), lambda stored: stored[:, ::-1]),
            ((0, False, True), lambda stored: stored[::-1]),
            ((90, True, False), lambda stored: np.rot90(stored)[:, ::-1]),
            ((90, False, True), lambda stored: np.rot90(stored)[::-1]),
        ],
    )
    def test_rotation_metadata_is_applied(self, tmp_path: Path, turned, expected) -> None:  # type: ignore[no-untyped-def]
        stored = np.zeros((48, 64, 3), np.uint8)
        stored[:24, :32], stored[:24, 32:], stored[24:, :32] = 80, 160, 240
        source = open_source(write_video(tmp_path / "turned.mp4", [stored] * 2, turned=turned))
        frame = next(iter(source))
        np.testing.assert_allclose(frame.image, expected(stored), atol=12)
        assert source.size_hw == frame.size_hw

    def test_a_rotation_that_is_no_quarter_turn_is_reported(self, tmp_path: Path) -> None:
        source = open_source(write_video(tmp_path / "askew.mp4", GREYS[:2], turned=(30, False, False)))
        assert source.size_hw == (48, 64)
        assert len(source.warnings) == 1
        assert "turned by" in source.warnings[0]

    def test_transparent_video_lies_over_white(self, tmp_path: Path) -> None:
        half = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
        half.paste((255, 0, 0, 255), (0, 0, 32, 48))
        path = save(tmp_path / "clear.gif", half, save_all=True, append_images=[half.transpose(1)], duration=100)
        frame = next(iter(open_source(path)))
        assert frame.image[10, 10].tolist() == [255, 0, 0]
        assert frame.image[10, 50].tolist() == [255, 255, 255]

    def test_it_can_be_read_again(self, tmp_path: Path) -> None:
        source = open_source(write_video(tmp_path / "film.mp4", GREYS))
        assert [frame.index for frame in source] == [frame.index for frame in source]

    def test_leaving_early_closes_the_file(self, tmp_path: Path) -> None:
        frames = open_source(write_video(tmp_path / "film.mp4", GREYS)).frames()
        assert next(frames).index == 0
        frames.close()  # type: ignore[attr-defined]

    def test_real_films(self, shared_data: Path) -> None:
        source = open_source(shared_data / "video" / "video.avi")
        # all frames are decoded, two of them converted
        *_, last = source.frames(every=373)
        assert (last.index, last.time_s, source.damaged) == (373, pytest.approx(373 / 30), 0)
        for name, count in {"car-detection.mp4": 377, "skin_wrist.mp4": 894, "video.avi": 374}.items():
            assert open_source(shared_data / "video" / name).frame_count == count


class TestResume:
    @pytest.mark.parametrize("start, every", [(0, 1), (7, 1), (0, 3), (4, 3), (11, 1), (12, 1), (99, 5)])
    def test_frames_from_the_middle_equal_those_of_an_unbroken_reading(
        self, tmp_path: Path, start: int, every: int
    ) -> None:
        film = write_video(tmp_path / "film.mp4", [textured(i) for i in range(12)])
        clip = "sample:lesions?seed=3&frames=12&size=64x96"
        folder = tmp_path / "images"
        folder.mkdir()
        for index in range(12):
            Image.fromarray(grey(index)).save(folder / f"{index}.png")
        for place in (film, damage(film, 5), clip, folder):
            source = open_source(place)
            unbroken = [frame for frame in source if frame.index >= start and frame.index % every == 0]
            resumed = list(source.frames(start, every))
            assert [(f.index, f.time_s, f.source) for f in resumed] == [(f.index, f.time_s, f.source) for f in unbroken]
            for one, other in zip(resumed, unbroken, strict=True):
                np.testing.assert_array_equal(one.image, other.image)

    @pytest.mark.parametrize("start, every", [(-1, 1), (0, 0)])
    def test_senseless_places_are_refused(self, tmp_path: Path, start: int, every: int) -> None:
        with pytest.raises(ValueError, match="start must be at least 0"):
            next(open_source(rgb(tmp_path / "a.png")).frames(start, every))


class TestDamagedVideo:
    @pytest.mark.parametrize(
        "suffix, codec, lost",
        [(".mp4", "libx264", 1), (".avi", "mpeg4", 1), (".avi", "mjpeg", 1), (".mov", "libx265", None)],
    )
    def test_a_damaged_frame_is_counted_and_the_others_keep_index_and_time(
        self, tmp_path: Path, suffix: str, codec: str, lost: int | None, capfd: pytest.CaptureFixture[str]
    ) -> None:
        options = {"x265-params": "log-level=none"} if codec == "libx265" else {"strict": "unofficial"}
        whole = write_video(tmp_path / f"film{suffix}", [textured(i) for i in range(30)], codec=codec, options=options)
        source = open_source(damage(whole, packet=15))
        capfd.readouterr()
        frames = list(source)
        left_out = sorted(set(range(30)) - {frame.index for frame in frames})
        assert source.damaged == len(left_out) > 0
        assert lost in {None, len(left_out)}
        assert all(abs(place - 15) < 8 for place in left_out)
        assert frames[-1].index == 29
        assert [frame.time_s for frame in frames] == pytest.approx([frame.index / 25 for frame in frames])
        assert len(source.warnings) == 1
        assert f"{left_out[0]}" in source.warnings[0]
        assert capfd.readouterr() == ("", ""), "FFmpeg's own messages are not shown"

    @pytest.mark.parametrize(
        "suffix, muxer", [(".mkv", {}), (".webm", {}), (".avi", {}), (".mp4", {"movflags": "faststart"})]
    )
    def test_a_truncated_video_gives_what_there_is(self, tmp_path: Path, suffix: str, muxer: dict[str, str]) -> None:
        images = [textured(i, (96, 128)) for i in range(40)]
        whole = write_video(tmp_path / f"film{suffix}", images, muxer=muxer)
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
        source = open_source(cut)
        count = sum(1 for _ in source)
        assert 5 < count < 40
        assert source.damaged == 40 - count
        assert any("cut short" in warning for warning in source.warnings)

    def test_a_frame_that_vp8_never_shows_is_no_damage(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "film.webm", [textured(i) for i in range(12)], codec="libvpx")
        source = open_source(replace_packet(path, 5, lambda packet: bytes([packet[0] & ~0x10]) + packet[1:]))
        assert sum(1 for _ in source) == 11
        assert source.damaged == 0

    def test_a_change_of_frame_size_is_an_error_after_the_frames_before_it(self, tmp_path: Path) -> None:
        path = tmp_path / "changing.mkv"
        with av.open(str(path), "w") as film:
            stream = film.add_stream("mjpeg", rate=25)
            other = av.CodecContext.create("mjpeg", "w")
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
            other.height, other.width, other.pix_fmt, other.time_base = 32, 40, "yuvj420p", Fraction(1, 25)
            for index in range(10):
                frame = av.VideoFrame.from_ndarray(grey(index, (48, 64) if index < 5 else (32, 40)))
                frame.pts, frame.time_base = index, Fraction(1, 25)
                for packet in (stream if index < 5 else other).encode(frame):
                    packet.stream = stream
                    film.mux(packet)
        seen = []
        with pytest.raises(SourceError, match=r"expected frames of 64 x 48 throughout, found 40 x 32 from 0\.200 s on"):
            seen.extend(frame.index for frame in open_source(path))
        assert seen == [0, 1, 2, 3, 4]

    def test_times_that_go_back_are_moved_and_reported(self, tmp_path: Path) -> None:
        one = write_video(tmp_path / "one.ts", GREYS[:5])
        joined = tmp_path / "joined.ts"
        joined.write_bytes(one.read_bytes() * 2)
        source = open_source(joined)
        times = [frame.time_s for frame in source]
        # the packet at the seam is marked as damaged
        assert (len(times), source.damaged) == (9, 1)
        assert np.diff(times).min() > 0
        assert any("not after the frame before" in warning for warning in source.warnings)

    def test_the_list_of_warnings_is_bounded(self, tmp_path: Path) -> None:
        for index in range(MAX_WARNINGS + 10):
            (tmp_path / f"{index}.jpg").write_bytes(b"no image")
        rgb(tmp_path / "zzz.png")
        source = open_source(tmp_path)
        assert [frame.index for frame in source] == [MAX_WARNINGS + 10]
        assert source.damaged == MAX_WARNINGS + 10
        assert len(source.warnings) == MAX_WARNINGS + 1
        assert source.warnings[-1] == "further warnings are left out"

    def test_a_film_that_kills_other_readers(self, shared_data: Path) -> None:
        assert indices(shared_data / "video" / "hostile" / "raw_dib_48x48.avi") == list(range(51))


class TestBadInput:
    @pytest.mark.parametrize(
        "name, content, found",
        [
            ("zero.mp4", b"", "an empty file"),
            ("zero.jpg", b"", "an empty file"),
            ("text.mp4", b"dear diary\n" * 99, "data of no known kind"),
            ("text.png", b"dear diary\n" * 99, "no image of a known format"),
            ("list.mp4", b"ffconcat version 1.0\nfile other.mp4\n", "a list of videos|no such file"),
            ("net.mp4", b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n", "data of no known kind"),
        ],
    )
    def test_files_that_are_not_what_they_seem(self, tmp_path: Path, name: str, content: bytes, found: str) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=found) as caught:
            open_source(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_list_of_videos_is_refused(self, tmp_path: Path) -> None:
        write_video(tmp_path / "film.mp4", GREYS)
        (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile film.mp4\n")
        with pytest.raises(SourceError, match="a list of videos"):
            open_source(tmp_path / "list.mp4")

    def test_a_recording_without_its_index(self, tmp_path: Path) -> None:
        film = write_video(tmp_path / "film.mp4", GREYS)
        film.write_bytes(film.read_bytes()[: film.stat().st_size // 3])
        with pytest.raises(SourceError, match="cut off"):
            open_source(film)

    @pytest.mark.parametrize("cover, found", [(False, "audio"), (True, "audio and cover picture")])
    def test_sound_alone_or_with_a_cover_picture(self, tmp_path: Path, cover: bool, found: str) -> None:
        path = tmp_path / "sound.mp4"
        with av.open(str(path), "w") as film:
            stream = film.add_stream("aac", rate=8000)
            if cover:
                picture = film.add_stream("mjpeg", rate=25)
                picture.height, picture.width, picture.pix_fmt = 48, 64, "yuvj420p"
                picture.disposition = Disposition.attached_pic
                film.mux(picture.encode(av.VideoFrame.from_ndarray(GREYS[0])))
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 8000
            film.mux(stream.encode(silence))
            film.mux(stream.encode())
        with pytest.raises(SourceError, match=f"expected a file with a video stream, found {found};"):
            open_source(path)

    @pytest.mark.parametrize(
        "source, found",
        [
            ("no/such/film.mp4", "no such file"),
            ("no/such/*.jpg", "found no file"),
            ("x" * 5000, "no such file"),
            ("0", "number of a camera"),
            ("rtsp://camera/1", "address on a network"),
            ("https://example.org/film.mp4", "address on a network"),
            ("sample:nothing", "sample"),
        ],
    )
    def test_places_where_nothing_is(self, source: str, found: str) -> None:
        with pytest.raises(SourceError, match=found):
            open_source(source)

    def test_folders_without_images(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="found no file"):
            open_source(tmp_path)
        (tmp_path / "film.mp4").write_bytes(b"x")
        with pytest.raises(SourceError, match="1 other files and no image"):
            open_source(tmp_path)

    def test_a_corrupt_image_alone_is_an_error_on_opening(self, tmp_path: Path) -> None:
        path = save(tmp_path / "cut.jpg", Image.fromarray(textured(0)))
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(SourceError, match="truncated"):
            open_source(path)

    def test_a_corrupt_image_among_others_is_counted(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            save(tmp_path / name, Image.fromarray(textured(0)))
        (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:-500])
        source = open_source(tmp_path)
        assert [frame.index for frame in source] == [0, 2]
        assert source.damaged == 1
        assert len(source.warnings) == 1
        assert "b.jpg" in source.warnings[0]

    def test_only_corrupt_images_are_an_error(self, tmp_path: Path) -> None:
        for name in ("a.jpg", "b.jpg"):
            (tmp_path / name).write_bytes(b"x")
        with pytest.raises(SourceError, match="2 damaged of 2"):
            list(open_source(tmp_path))


class TestImages:
    def test_a_single_image(self, tmp_path: Path) -> None:
        source = open_source(str(rgb(tmp_path / "a.png")))
        [frame] = source
        assert (frame.index, frame.time_s, frame.source) == (0, 0.0, str(tmp_path / "a.png"))
        assert frame.image[0, 0].tolist() == [10, 200, 30]
        assert (source.kind, source.size_hw, source.frame_count, source.frame_rate) == ("images", (4, 6), 1, None)

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
    def test_exif_orientation_is_applied_once(self, tmp_path: Path, suffix: str, orientation: int) -> None:
        upright = np.zeros((16, 32, 3), np.uint8)
        upright[:8, :16], upright[:8, 16:], upright[8:, :16] = 80, 160, 240
        # how a camera stores the upright image (EXIF 2.3, tag 0x0112: where row 0 and column 0 are to be shown)
        stored = {
            1: upright,
            2: upright[:, ::-1],
            3: upright[::-1, ::-1],
            4: upright[::-1],
            5: upright.transpose(1, 0, 2),
            6: np.rot90(upright),
            7: upright[::-1, ::-1].transpose(1, 0, 2),
            8: np.rot90(upright, -1),
        }[orientation]
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = save(tmp_path / f"a{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
        np.testing.assert_allclose(read_image(path), upright, atol=12)

    @pytest.mark.parametrize("suffix", [".png", ".tif"])
    def test_16_bit_grey_is_scaled_not_clipped(self, tmp_path: Path, suffix: str) -> None:
        levels = np.array([[0, 128, 129, 257, 32768, 65278, 65406, 65407, 65535]], np.uint16)
        path = save(tmp_path / f"a{suffix}", Image.fromarray(levels))
        expected = [0, 0, 1, 1, 128, 254, 254, 255, 255]
        assert read_image(path).tolist() == [[[level] * 3 for level in expected]]

    @pytest.mark.parametrize(
        "name, image, options, expected",
        [
            ("grey.png", Image.new("L", (2, 2), 7), {}, [7, 7, 7]),
            ("bit.png", Image.new("1", (2, 2), 1), {}, [255, 255, 255]),
            ("alpha.png", Image.new("RGBA", (2, 2), (200, 0, 0, 51)), {}, [244, 204, 204]),
            ("grey_alpha.png", Image.new("LA", (2, 2), (0, 255)), {}, [0, 0, 0]),
            ("clear.png", Image.new("LA", (2, 2), (0, 0)), {}, [255, 255, 255]),
            ("clear_grey.png", Image.new("L", (2, 2), 7), {"transparency": 7}, [255, 255, 255]),
            ("cmyk.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), {}, [255, 0, 0]),
            ("cmyk.tif", Image.new("CMYK", (8, 8), (255, 0, 0, 0)), {}, [0, 255, 255]),
            ("palette.png", Image.new("RGB", (2, 2), (9, 8, 7)).quantize(4), {}, [9, 8, 7]),
            (
                "palette_alpha.png",
                Image.new("RGB", (2, 2), (9, 8, 7)).quantize(4),
                {"transparency": 0},
                [255, 255, 255],
            ),
            ("one.png", Image.new("RGB", (1, 1), (1, 2, 3)), {}, [1, 2, 3]),
        ],
    )
    def test_every_kind_of_pixel_becomes_rgb(
        self, tmp_path: Path, name: str, image: Image.Image, options: dict[str, int], expected: list[int]
    ) -> None:
        read = read_image(save(tmp_path / name, image, **options))
        assert read.shape == (image.height, image.width, 3)
        assert read.dtype == np.uint8
        np.testing.assert_allclose(read, np.broadcast_to(expected, read.shape), atol=1)

    @pytest.mark.parametrize("dtype", [np.float32, np.int32])
    def test_pixels_without_a_range_are_refused(self, tmp_path: Path, dtype: type) -> None:
        path = save(tmp_path / "a.tif", Image.fromarray(np.ones((4, 4), dtype)))
        with pytest.raises(SourceError, match="8 or 16 bits a channel, found pixels of the kind"):
            read_image(path)

    def test_20000_pixels_wide(self, tmp_path: Path) -> None:
        path = save(tmp_path / "wide.png", Image.new("L", (20_000, 500), 3), compress_level=1)
        assert read_image(path).shape == (500, 20_000, 3)

    def test_a_decompression_bomb_is_refused_unopened(self, tmp_path: Path) -> None:
        header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
        content = b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
        (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
        with pytest.raises(SourceError, match="at most 400 million pixels, found 30000 x 30000"):
            read_image(tmp_path / "bomb.png")
        assert Image.MAX_IMAGE_PIXELS is not None, "the limit of other users of Pillow stays"

    def test_further_pages_are_reported(self, tmp_path: Path) -> None:
        pages = [Image.new("L", (4, 4), level) for level in (10, 20)]
        source = open_source(save(tmp_path / "a.tif", pages[0], save_all=True, append_images=pages[1:]))
        [frame] = source
        assert frame.image[0, 0, 0] == 10
        assert "has 2 pages" in source.warnings[0]


class TestFolders:
    def test_natural_order_of_images_alone(self, tmp_path: Path) -> None:
        for name in ("img10.png", "img9.PNG", "Img2.jpg", "img1b.png", "img1a.png", ".hidden.png", "notes.txt"):
            rgb(tmp_path / name) if not name.endswith("txt") else (tmp_path / name).write_text("x")
        (tmp_path / "sub.png").mkdir()
        source = open_source(tmp_path)
        names = [Path(frame.source).name for frame in source]
        assert names == ["img1a.png", "img1b.png", "Img2.jpg", "img9.PNG", "img10.png"]
        assert [frame.index for frame in source] == [0, 1, 2, 3, 4]
        assert {frame.time_s for frame in source} == {0.0}

    def test_globs_reach_into_folders(self, tmp_path: Path) -> None:
        for folder in ("b", "a"):
            (tmp_path / folder).mkdir()
            rgb(tmp_path / folder / "1.png")
        (tmp_path / "a" / "film.mp4").write_bytes(b"x")
        found = [Path(frame.source).parent.name for frame in open_source(f"{tmp_path}/**/*")]
        assert found == ["a", "b"]

    @pytest.mark.parametrize("name", ["Leberfleck – größer.png", "痣.png", "a[1]*.png", "a b:c.png"])
    def test_names_of_all_kinds(self, tmp_path: Path, name: str) -> None:
        assert indices(rgb(tmp_path / name)) == [0]

    def test_names_of_all_kinds_for_videos(self, tmp_path: Path) -> None:
        assert indices(write_video(tmp_path / "痣 [2]: 50%?.mp4", GREYS[:2])) == [0, 1]


class TestContentHash:
    def test_equal_content_elsewhere_has_an_equal_hash(self, tmp_path: Path) -> None:
        hashes = []
        for folder in ("one", "other"):
            (tmp_path / folder).mkdir()
            film = write_video(tmp_path / folder / "film.mkv", GREYS[:2], muxer={"fflags": "bitexact"})
            film.write_bytes((tmp_path / "one" / "film.mkv").read_bytes())
            rgb(tmp_path / folder / "a.png")
            hashes.append([open_source(place).content_sha256() for place in (film, tmp_path / folder)])
        assert hashes[0] == hashes[1]
        assert len(set(hashes[0])) == 2
        assert all(len(value) == 64 for value in hashes[0])

    def test_another_name_order_or_byte_changes_it(self, tmp_path: Path) -> None:
        rgb(tmp_path / "a.png")
        seen = {open_source(tmp_path).content_sha256()}
        (tmp_path / "a.png").rename(tmp_path / "b.png")
        seen.add(open_source(tmp_path).content_sha256())
        save(tmp_path / "b.png", Image.new("RGB", (6, 4), (10, 200, 31)))
        seen.add(open_source(tmp_path).content_sha256())
        assert len(seen) == 3

    def test_samples_differ_by_their_parameters(self) -> None:
        names = ["sample:lesions", "sample:lesions?seed=1", "sample:lesions?frames=9"]
        assert len({open_source(name).content_sha256() for name in names}) == 3


def test_sample_clips_are_a_source() -> None:
    source = open_source("sample:lesions?seed=3&frames=4&size=64x96")
    assert (source.kind, source.frame_count, source.size_hw, source.frame_rate) == ("video", 4, (64, 96), 30)
    assert [frame.time_s for frame in source] == [0.0, 1 / 30, 2 / 30, 3 / 30]
