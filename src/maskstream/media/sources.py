"""One door for everything that frames can be read from."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from maskstream.core.frame import Frame
from maskstream.errors import SourceError
from maskstream.media.base import Source, first_index
from maskstream.media.images import IMAGE_SUFFIXES, ImageSource
from maskstream.media.video import VideoSource

__all__ = ["SampleSource", "Source", "natural_key", "open_source"]

SAMPLE_PREFIX = "sample:"


def open_source(source: str | Path) -> Source:
    """Open an image, a folder or glob of images, a video, or a synthetic sample clip.

    Parameters
    ----------
    source : a path to an image (by suffix, see `IMAGE_SUFFIXES`) or to a video in any container that
        FFmpeg reads (MP4, AVI, MOV, MKV, WebM, GIF, ...); a folder, whose images are read in
        natural order (`2.png` before `10.png`), hidden files and sub-folders left out; a glob
        such as `"night*/**/*.jpg"`; or `"sample:lesions?seed=3&frames=90"`.

    Raises
    ------
    SourceError : nothing there, or nothing that can be read. Cameras, streams and addresses on a
        network are not read yet, and say so.
    """
    text = str(source)
    if text.startswith(SAMPLE_PREFIX):
        return SampleSource(text)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise _not_yet(text, "an address on a network", "download it first and give the file")
    path = Path(text).expanduser()
    if _exists(path):
        return _open_folder(path) if path.is_dir() else _open_file(path)
    if glob.has_magic(text):
        return _open_glob(text)
    if text.isdecimal():
        raise _not_yet(text, "the number of a camera", "record a video and give the file")
    raise SourceError(
        text,
        expected="an image, a folder, a glob, a video or sample:lesions",
        found="no such file or folder",
        remedy=f"check the path; it is looked up from {Path.cwd()}",
    )


def natural_key(path: Path) -> list[int | str]:
    """A key that sorts names as people do: digits by value, letters without regard to case."""
    parts = re.split(r"(\d+)", path.as_posix())
    # digits stand at the odd places of every key, so an int never meets a str
    folded: list[int | str] = [int(part) if place % 2 else part.casefold() for place, part in enumerate(parts)]
    return [*folded, path.as_posix()]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        # a name that is too long for the file system, for one
        return False


def _not_yet(place: str, found: str, remedy: str) -> SourceError:
    return SourceError(
        place,
        expected="a file, folder, glob or sample:lesions (cameras, RTSP and URLs come in a later version)",
        found=found,
        remedy=remedy,
    )


def _open_file(path: Path) -> Source:
    if not path.is_file():
        raise SourceError(path, expected="a file or folder", found="a device or pipe", remedy="give a file")
    if path.stat().st_size == 0:
        raise SourceError(
            path, expected="an image or video", found="an empty file (0 bytes)", remedy="copy or record it again"
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource(str(path), [path])
    return VideoSource(path)


def _open_folder(folder: Path) -> Source:
    try:
        return _open_images(str(folder), folder.iterdir(), "give a video file by its own path")
    except OSError as error:
        raise SourceError(
            folder,
            expected="a folder that can be listed",
            found=error.strerror or str(error),
            remedy="check its permissions",
        ) from error


def _open_glob(pattern: str) -> Source:
    # Path.glob takes no absolute pattern
    matches = glob.iglob(str(Path(pattern).expanduser()), recursive=True)  # noqa: PTH207
    return _open_images(pattern, map(Path, matches), "quote the pattern, and give a video file by its own path")


def _open_images(name: str, candidates: Iterable[Path], remedy: str) -> Source:
    files = [path for path in candidates if path.is_file() and not path.name.startswith(".")]
    images = sorted((path for path in files if path.suffix.lower() in IMAGE_SUFFIXES), key=natural_key)
    if not images:
        raise SourceError(
            name,
            expected="images (.jpg, .png, .tif, .bmp, .webp, ...)",
            found=f"{len(files)} other files and no image" if files else "no file",
            remedy=remedy,
        )
    return ImageSource(name, images)


class SampleSource(Source):
    """A synthetic clip that needs no file; `clip` knows the truth about every frame."""

    kind = "video"

    def __init__(self, address: str) -> None:
        # only on request, so that reading files does not load the painter
        from maskstream.media.sample import parse_sample

        self.clip = parse_sample(address)
        super().__init__(self.clip.name)
        self.frame_rate = self.clip.frame_rate
        self.frame_count = self.clip.frame_count
        self.size_hw = self.clip.size_hw
        self.duration_s = self.clip.duration_s

    def frames(self, start: int = 0, every: int = 1) -> Iterator[Frame]:
        """See `Source.frames`. Frames that are passed over are not drawn."""
        self._begin(start, every)
        for index in range(first_index(start, every), self.clip.frame_count, every):
            yield Frame(self.clip.image(index), index, self.clip.time_s(index), self.name)

    def content_sha256(self) -> str:
        """SHA-256 of the clip's parameters, from which every pixel follows."""
        return self.clip.content_sha256()
