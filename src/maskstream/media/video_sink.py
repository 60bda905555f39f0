"""The overlay video: written in closed parts, so that a killed run loses none, and joined at the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from maskstream.core.files import whole_file
from maskstream.errors import OutputError
from maskstream.media.encode import TICKS_PER_S, Part, join_parts, read_ticks

GUESSED_RATE = Fraction(25)

PART_FRAMES = 300


class VideoSink:
    """Writes an H.264 video (yuv420p, BT.709) with the timestamps it is given, in constant memory.

    Every `part_frames` frames are closed into a part of their own beside the video (`overlay.parts/000000.mp4`).
    Closing joins the parts without encoding again and removes them. A run that was killed goes on after
    its last whole part; since a part ends after a fixed number of frames, the joined video has the same frames
    at the same times as that of an unbroken run. Leaving the `with` block by an error joins what there is
    and keeps the parts.

    Sides of odd length are padded to even ones by repeating the last row or column.

    Parameters
    ----------
    path : the video, such as `overlay.mp4`.
    frame_rate : average frames per second of the source: for the encoder's rate control, and the length of a
        video of one frame. None: 25.
    keep_frames : how many frames of an earlier run may be kept; 0 begins anew. For a resumed run that is
        the number of finished lines. `frame_count` then tells how many are kept: draw those after them again.
    part_frames : frames in a part.
    threads : of the encoder; 0 lets it choose.

    Attributes
    ----------
    frame_count : frames in the video so far, kept ones included.

    Raises
    ------
    OutputError : the place cannot be written, or the disk is full; earlier parts stay.
    """

    def __init__(
        self,
        path: Path,
        frame_rate: Fraction | None,
        *,
        keep_frames: int = 0,
        part_frames: int = PART_FRAMES,
        threads: int = 0,
    ) -> None:
        self.path = path
        self.parts_folder = path.with_suffix(".parts")
        self._rate = frame_rate or GUESSED_RATE
        self._part_frames = part_frames
        self._threads = threads
        self._part: Part | None = None
        self._last_tick = -1
        self._part_count = self._keep(keep_frames)
        self.frame_count = self._part_count * part_frames

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Append an RGB image (h, w, 3) shown from `time_s` on; all images have the size of the first.

        A time that rounds to the tick of the frame before, or earlier, is moved to the next tick.
        """
        with _output_errors(self.path):
            if self._part is None:
                self._part = Part(image.shape[:2], self._rate, self._threads)
            self._last_tick = max(round(time_s * TICKS_PER_S), self._last_tick + 1)
            self._part.write(image, self._last_tick)
            self.frame_count += 1
            if self.frame_count % self._part_frames == 0:
                self._close_part()

    def close(self) -> None:
        """Join the parts into the video and remove them; without a frame there will be no video."""
        self._join()
        with _output_errors(self.parts_folder):
            # from the last: what a kill leaves behind is still a beginning
            for path in sorted(self._files(), reverse=True):
                path.unlink()
            if self.parts_folder.exists():
                self.parts_folder.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            # what went wrong first is what the user has to know
            with contextlib.suppress(OutputError):
                self._join()

    def _close_part(self) -> None:
        if self._part is not None:
            part, self._part = self._part, None
            film = part.close()
            with whole_file(self._part_path(self._part_count)) as temporary:
                temporary.write_bytes(film)
            self._part_count += 1

    def _join(self) -> None:
        with _output_errors(self.path):
            self._close_part()
            if self._part_count:
                paths = [self._part_path(number) for number in range(self._part_count)]
                joined = self.parts_folder / "joined.mp4"
                with whole_file(joined) as temporary:
                    join_parts(paths, temporary, self._rate)
                joined.replace(self.path)

    def _part_path(self, number: int) -> Path:
        return self.parts_folder / f"{number:06}.mp4"

    def _files(self) -> set[Path]:
        return set(self.parts_folder.iterdir()) if self.parts_folder.exists() else set()

    def _keep(self, keep_frames: int) -> int:
        """Keep an earlier run's whole parts of at most `keep_frames` frames, remove the rest; count the kept."""
        files = self._files()
        kept = 0
        while kept < keep_frames // self._part_frames and self._part_path(kept) in files:
            ticks = read_ticks(self._part_path(kept))
            if len(ticks) != self._part_frames:
                break
            self._last_tick = ticks[-1]
            files.remove(self._part_path(kept))
            kept += 1
        with _output_errors(self.parts_folder):
            for path in files:
                path.unlink()
        return kept


@contextlib.contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    """Turn what the system and FFmpeg raise into an OutputError."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        raise OutputError(
            path,
            expected="a video that can be written",
            found=error.strerror or str(error),
            remedy="free space or choose another folder, then go on with --resume",
        ) from error
