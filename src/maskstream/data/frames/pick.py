"""Which frames of a film are worth labelling, and why: one pass over each film, in bounded memory.

A bounded number of pictures is held in memory and on disk; numbers take some 50 bytes of memory a frame.

1. Every frame is measured once, small, as it is decoded (`scores`, `repeats`).
2. Meanwhile the best frame of each stretch of film is kept as a picture (`spool`), a few times as many as are
   asked for. With a model, it is shown these alone: they are the ones that may be picked, and every frame would take
   many times as long. The columns `objects`, `top_score` and `uncertainty` are empty for the others.
3. When all films have ended, each frame is judged against its own film (`faults`).
4. Of the candidates without fault as many as asked for are picked: good, and far from each other in time and in what
   they show (`choice`).

With a model a frame is worth more when an object is seen, and the more uncertain the model is. Frames in which nothing
is seen are kept too, as a model must learn those, but at most one in five as long as there are others.

What this costs: a frame that was not the best of its stretch cannot be picked later, even where fewer were found than
asked for. A picture is a near-duplicate by what it shows as a whole, so a film of a still scene with small things in it
may yield few frames; `apart_bits` sets how much must differ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from maskstream.core.files import write_json
from maskstream.core.frame import Frame
from maskstream.core.parallel import OnProgress, ordered_map
from maskstream.core.segmenter import Segmenter
from maskstream.data.frames.finish import finish
from maskstream.data.frames.folder import (
    FACTS,
    PICTURES,
    RESULT,
    THUMBNAILS,
    UNFINISHED,
    FrameOptions,
    VideoEnd,
    claim,
    finished_scores,
    gather_facts,
    image_prefixes,
    remove_unfinished,
    scores_path,
    video_end,
)
from maskstream.data.frames.picture import Fit, encode
from maskstream.data.frames.repeats import Repeats, motion
from maskstream.data.frames.scores import WEAK_SHARE, Image, Look, Opinion, Scores, Thumbnail, look_at
from maskstream.data.frames.spool import Desk, Spool, first_slot_frames
from maskstream.media.base import Source
from maskstream.media.lines import JsonLinesSink
from maskstream.media.prefetch import prefetch
from maskstream.media.sources import open_source

__all__ = ["FrameOptions", "pick_frames"]

CANDIDATES_A_PICTURE = 4
LEAST_CANDIDATES = 64
"""Candidates of a film."""

UNCOMPRESSED_BYTES = 4 << 30
"""Candidates lie uncompressed while all of them together need no more: as PNG each would cost as much time as scoring
several frames."""

PREFETCHED_FRAMES = 4


def pick_frames(
    videos: Sequence[str | Path],
    out: Path,
    options: FrameOptions,
    segmenter: Segmenter | None = None,
    *,
    resume: bool = False,
    on_progress: OnProgress = lambda done, total: None,
) -> None:
    """Pick the frames worth labelling out of films; `folder` and `table` say what the folder then holds.

    Parameters
    ----------
    films : videos, folders or globs of images, `sample:lesions`; as `open_source` takes them.
    out : the folder; new or empty, unless `resume`.
    segmenter : tells what is in a frame; without it quality alone decides.
    resume : go on with a run that was broken off; the result is that of an unbroken one.
    on_progress : told after each frame how many are done, of how many where that is known.

    Raises
    ------
    SourceError : a film cannot be read; nothing is written, or what is finished is kept.
    OutputError : the folder is in use, holds another run, or cannot be written; what is finished is kept.
    """
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(open_source(video)) for video in videos]
        facts = gather_facts(sources, options, segmenter)
        if not claim(out, facts, resume=resume):
            job = _Job(out, sources, options, segmenter, on_progress)
            result = finish(out, sources, options, job.score_videos(), job.spooled)
            write_json(out / FACTS, {**facts, RESULT: result})
        remove_unfinished(out)


class _Job:
    """One run, begun or resumed."""

    def __init__(
        self,
        out: Path,
        sources: Sequence[Source],
        options: FrameOptions,
        segmenter: Segmenter | None,
        on_progress: OnProgress,
    ) -> None:
        self.out = out
        self.sources = sources
        self.options = options
        self.segmenter = segmenter
        self._on_progress = on_progress
        self._prefixes = image_prefixes(sources)
        self._capacity = max(CANDIDATES_A_PICTURE * options.count // len(sources), LEAST_CANDIDATES)
        self._spool_suffix = self._choose_spool_suffix()
        self._done = 0

    def score_videos(self) -> list[Scores]:
        """Walk through all films; the frames that may be picked, whose pictures then lie in the work folder."""
        candidates: list[Scores] = []
        for number, source in enumerate(self.sources):
            candidates += self._score_video(number, source)
        return candidates

    def _score_video(self, number: int, source: Source) -> list[Scores]:
        """The candidates of one film; what an earlier run has finished of it is not done again."""
        ended = video_end(self.out, number) is not None
        with JsonLinesSink(scores_path(self.out, number), resume=True) as lines:
            spool = self._spool(number, source, lines)
            frames, last = 0, None
            for scores in finished_scores(self.out, number):
                spool.replay(scores)
                frames, last = frames + 1, scores
            if not ended:
                for scores, image in self._new_frames(number, source, last):
                    spool.add(scores, image)
                    frames += 1
                    self._on_progress(self._done + frames, self._total())
            spool.end_slot()
            if not ended:
                lines.write(VideoEnd(self._damaged(source, frames), tuple(source.warnings)).to_line())
        self._done += frames
        return spool.candidates

    def _spool(self, number: int, source: Source, lines: JsonLinesSink) -> Spool:
        options = self.options
        frame_count = source.frame_count and source.frame_count // options.every
        ask = partial(_ask, self.segmenter) if self.segmenter else None
        picture = partial(_picture, options, self._spool_suffix)
        desk = Desk(lines, self.spooled, picture, ask)
        return Spool(desk, self._capacity, first_slot_frames(frame_count, self._capacity), options.every)

    def _choose_spool_suffix(self) -> str:
        sizes_hw = [self.options.size_hw or source.size_hw for source in self.sources]
        candidate_bytes = [3 * size_hw[0] * size_hw[1] * self._capacity for size_hw in sizes_hw if size_hw]
        small = len(candidate_bytes) == len(sizes_hw) and sum(candidate_bytes) <= UNCOMPRESSED_BYTES
        return ".bmp" if small and self.options.suffix == ".png" else self.options.suffix

    def _new_frames(self, number: int, source: Source, last: Scores | None) -> Iterator[tuple[Scores, Image]]:
        """Decode and measure the frames after the last finished one, which is read once more to see what moved."""
        known = (scores for scores in finished_scores(self.out, number) if scores.repeat_of is None)
        frames = source.frames(last.frame if last else 0, self.options.every)
        before: Thumbnail | None = None
        with (
            Repeats(self.out / UNFINISHED / THUMBNAILS, known) as repeats,
            prefetch(frames, PREFETCHED_FRAMES) as ahead,
        ):
            for frame, look in ordered_map(_measure, ahead):
                moved = motion(before, look.thumbnail) if source.kind == "video" else None
                before = look.thumbnail
                if last is None or frame.index > last.frame:
                    repeat_of = repeats.find(look)
                    if repeat_of is None:
                        repeats.add(frame.index, look)
                    yield _scores(number, source, frame, look, moved, repeat_of), frame.image

    def _total(self) -> int | None:
        counts = [source.frame_count for source in self.sources]
        return sum(-(-count // self.options.every) for count in counts if count) if all(counts) else None

    def _damaged(self, source: Source, frames: int) -> int:
        if source.kind == "images":
            # files that a resumed run passes over are not opened, so the source cannot count them
            return len(range(0, source.frame_count or 0, self.options.every)) - frames
        return source.damaged

    def spooled(self, scores: Scores) -> Path:
        """Where the picture of a candidate lies."""
        name = f"{self._prefixes[scores.video]}-{scores.frame:06d}{self._spool_suffix}"
        return self.out / UNFINISHED / PICTURES / name


def _measure(frame: Frame) -> tuple[Frame, Look]:
    return frame, look_at(frame.image)


def _scores(video: int, source: Source, frame: Frame, look: Look, moved: float | None, repeat_of: int | None) -> Scores:
    return Scores(
        video=video,
        frame=frame.index,
        time_s=frame.time_s,
        file=Path(frame.source).name if source.kind == "images" else None,
        size_hw=frame.size_hw,
        sha256=look.sha256,
        sharpness=look.sharpness,
        brightness=look.brightness,
        black=look.black,
        burnt_out=look.burnt_out,
        glare=look.glare,
        quality=look.quality,
        hash=f"{look.hash:016x}",
        motion=moved,
        repeat_of=repeat_of,
    )


def _picture(options: FrameOptions, suffix: str, image: Image) -> bytes:
    fit = Fit.of((image.shape[0], image.shape[1]), options.size_hw, crop=options.crop)
    return encode(fit.apply(image), suffix)


def _ask(segmenter: Segmenter, scores: Scores, image: Image) -> Opinion:
    frame = Frame(image, scores.frame, scores.time_s, str(scores.video))
    (found,) = segmenter.segment([frame], WEAK_SHARE * segmenter.score_threshold)
    return Opinion.of(found, segmenter.score_threshold)
