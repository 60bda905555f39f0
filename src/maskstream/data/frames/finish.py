"""The end of `maskstream frames`: every frame is judged, some are picked, pictures and table are written."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from maskstream.core.files import whole_folder
from maskstream.core.parallel import ordered_map
from maskstream.data.frames.choice import Candidate, choose
from maskstream.data.frames.folder import IMAGES, TABLE, FrameOptions, VideoEnd, finished_scores, video_end
from maskstream.data.frames.picture import change_format
from maskstream.data.frames.scores import Scores
from maskstream.data.frames.table import DAMAGED, KEPT, REASONS, Pick, Verdicts, write_table
from maskstream.errors import OutputError
from maskstream.media.base import Source


def finish(
    out: Path,
    sources: Sequence[Source],
    options: FrameOptions,
    candidates: Sequence[Scores],
    spooled: Callable[[Scores], Path],
) -> dict[str, Any]:
    """Judge, pick, and write pictures and table.

    Parameters
    ----------
    candidates : the frames that may be picked.
    spooled : where a candidate's picture lies.

    Returns
    -------
    What the run came to, for `frames.json`.

    Raises
    ------
    OutputError : a candidate's picture is gone, or the folder cannot be written.
    """
    verdicts = [
        Verdicts.of(finished_scores(out, number), continuous=source.kind == "video")
        for number, source in enumerate(sources)
    ]
    good = [
        Candidate(scores, scores.time_s if sources[scores.video].kind == "video" else scores.frame)
        for scores in candidates
        if not verdicts[scores.video].of_frame(scores.frame)
    ]
    picked = choose(good, options.count, options.apart_bits)
    names = _write_images(out / IMAGES, [spooled(scores) for scores in picked], options.suffix)
    counts = write_table(
        out / TABLE,
        [(source.name, _frames_and_gaps(out, number, source, options.every)) for number, source in enumerate(sources)],
        verdicts,
        [Pick(scores, rank, f"{IMAGES}/{name}") for rank, (scores, name) in enumerate(zip(picked, names), start=1)],
        options,
    )
    ends = [video_end(out, number) or VideoEnd(0, ()) for number in range(len(sources))]
    return {"videos": [_told(*video) for video in zip(sources, verdicts, counts, ends, strict=True)]}


def _write_images(images: Path, spooled: Sequence[Path], suffix: str) -> list[str]:
    """Copy, not move, the pictures, so that a run that is killed here can still be resumed; their names."""
    missing = [path for path in spooled if not path.is_file()]
    if missing:
        raise OutputError(
            missing[0],
            expected="a picture that was written before",
            found="none",
            remedy="start again without --resume in a new folder",
        )
    # of a run that was killed while it finished
    shutil.rmtree(images, ignore_errors=True)
    names = [path.with_suffix(suffix).name for path in spooled]
    with whole_folder(images) as temporary:
        pairs = [(path, temporary / name) for path, name in zip(spooled, names, strict=True)]
        for _ in ordered_map(lambda pair: _copy(*pair), pairs):
            pass
    return names


def _copy(before: Path, after: Path) -> None:
    if before.suffix == after.suffix:
        shutil.copyfile(before, after)
    else:
        change_format(before, after)


def _frames_and_gaps(out: Path, video: int, source: Source, every: int) -> Iterator[Scores | int]:
    """The frames of a film, with the index of each that could not be decoded in its place.

    How many a video lacks after the last one that could be decoded is an estimate, so they have no row.
    """
    awaited = 0
    for scores in finished_scores(out, video):
        yield from range(awaited, scores.frame, every)
        yield scores
        awaited = scores.frame + every
    if source.kind == "images":
        yield from range(awaited, source.frame_count or 0, every)


def _told(source: Source, verdicts: Verdicts, count: Counter[str], end: VideoEnd) -> dict[str, Any]:
    return {
        "name": source.name,
        "kind": source.kind,
        "frames": len(verdicts.frames),
        "damaged": end.damaged,
        "median_sharpness": round(verdicts.median_sharpness, 4),
        "warnings": list(end.warnings),
        **{name: count[name] for name in (KEPT, *REASONS) if name != DAMAGED},
    }
