"""The run of a classifier: source -> classify -> average over each image or video.

`classify` yields answers one by one and writes nothing; `run_classification` writes a run folder and can be killed and
resumed:

run.json               how the run came about, written first: source, model and arguments with their hashes
classifications.jsonl  a line a frame, written when the frame is finished
thumbnails/            a few frames, small, for the report
classifications.csv    the same lines as a table
summary.json           mean probabilities of each image or video, counts, times per stage, versions, hashes
"""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskstream import __version__
from maskstream.core.classes import Classes
from maskstream.core.classification import Classification, Classifier
from maskstream.core.files import whole_file, write_json
from maskstream.core.frame import Frame
from maskstream.core.parallel import OnProgress
from maskstream.inference.load import DeployedClassifier, load_classifier
from maskstream.media.base import Source
from maskstream.media.lines import JsonLinesSink, Line, read_lines, shortest
from maskstream.media.prefetch import prefetch
from maskstream.media.sources import open_source
from maskstream.media.thumbnails import Thumbnails
from maskstream.run_folder import SUMMARY, claim
from maskstream.summary import Stopwatch, frames_damaged, model_facts

LINES, TABLE, THUMBNAILS = "classifications.jsonl", "classifications.csv", "thumbnails"
PREFETCHED_FRAMES = 4


class Classified(NamedTuple):
    """One frame and what the classifier says; unpacks as `frame, classification = result`."""

    frame: Frame
    classification: Classification


def classify(source: str | Path, model: Classifier | str | Path, *, every: int = 1) -> Iterator[Classified]:
    """Classify a source, frame by frame.

    Parameters
    ----------
    source : image, folder, glob, video or `sample:lesions`.
    model : a loaded classifier, or the folder of one.
    every : classify each n-th frame only.

    Raises
    ------
    SourceError, ModelFolderError : when the first result is asked for, or a later frame cannot be read.
    """
    classifier = _loaded(model)
    with open_source(source) as frames, prefetch(frames.frames(every=every), PREFETCHED_FRAMES) as ahead:
        for frame in ahead:
            (answer,) = classifier.classify([frame])
            yield Classified(frame, answer)


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """What decides a run's result; a resumed run must have the same. The fields are those of `RunFacts`."""

    source: str
    source_sha256: str | None
    model: str
    model_sha256: str | None
    every: int
    maskstream: str = __version__


def run_classification(
    source: str | Path,
    out: Path,
    model: Classifier | str | Path,
    *,
    every: int = 1,
    resume: bool = False,
    on_frame: OnProgress = lambda done, total: None,
) -> None:
    """Classify a source into a run folder; the module's docstring says what it holds.

    Parameters
    ----------
    source, model, every : as in `classify`.
    out : the run folder; new or empty, unless `resume`.
    resume : go on after the last finished line; lines, table and means become those of an unbroken run.
    on_frame : told after each frame how many are done, and how many there will be where that is known.

    Raises
    ------
    SourceError, ModelFolderError : the source or the model cannot be read; nothing is written.
    OutputError : the folder cannot be written or holds another run; finished lines are kept.
    """
    classifier = _loaded(model)
    watch = Stopwatch()
    with open_source(source) as frames:
        facts = _facts(frames, classifier, every)
        total = -(-frames.frame_count // every) if frames.frame_count else None
        claim(out, asdict(facts), resume=resume)
        with JsonLinesSink(out / LINES, resume=resume) as lines:
            done, start = _finished(out / LINES)
            thumbnails = Thumbnails(out / THUMBNAILS, spread=frames.kind == "video")
            with prefetch(frames.frames(start, every), PREFETCHED_FRAMES) as ahead:
                for frame in watch.each("decode", ahead):
                    with watch("classify"):
                        (answer,) = classifier.classify([frame])
                    with watch("write"):
                        thumbnails.add(done, frame.image)
                        lines.write(_line(frame, answer))
                    done += 1
                    on_frame(done, total)
        calibrated = getattr(classifier, "calibration", None) is not None
        _write_table(out / TABLE, read_lines(out / LINES), classifier.classes, calibrated)
        write_json(out / SUMMARY, _summarise(out, facts, frames, classifier, done, watch))


def _facts(source: Source, classifier: Classifier, every: int) -> ClassFacts:
    return ClassFacts(
        source=source.name,
        source_sha256=None if source.live else source.content_sha256(),
        model=classifier.name,
        model_sha256=classifier.sha256 if isinstance(classifier, DeployedClassifier) else None,
        every=every,
    )


def _finished(path: Path) -> tuple[int, int]:
    """How many lines there are, and the index of the first frame without one."""
    done, start = 0, 0
    for line in read_lines(path):
        done, start = done + 1, line["frame"] + 1
    return done, start


def _line(frame: Frame, answer: Classification) -> Line:
    shares = zip(answer.classes, answer.probabilities, strict=True)
    return {
        "frame": frame.index,
        "time_s": frame.time_s,
        "source": frame.source,
        "class": answer.class_name,
        "probabilities": {name: shortest(share) for name, share in shares},
    }


def _write_table(path: Path, lines: Iterator[Line], classes: Classes, calibrated: bool) -> None:
    """A row a frame, never all of them in memory."""
    columns = [f"{name}_probability" for name in classes]
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["frame", "time_s", "source", "class", *columns, "calibrated"])
        for line in lines:
            shares = [line["probabilities"][name] for name in classes]
            row = [line["frame"], line["time_s"], line["source"], line["class"]]
            writer.writerow([*row, *shares, "yes" if calibrated else "no"])


def _summarise(
    out: Path, facts: ClassFacts, source: Source, classifier: Classifier, done: int, watch: Stopwatch
) -> dict[str, Any]:
    """What stands in `summary.json`. Stage times are those of the last start of a resumed run."""
    sources = _means(read_lines(out / LINES), classifier.classes)
    called = [entry["class"] for entry in sources]
    return {
        "source": source.name,
        "source_sha256": facts.source_sha256,
        "kind": source.kind,
        "frames": done,
        "frames_damaged": frames_damaged(source, facts.every, done),
        "warnings": source.warnings,
        "duration_s": source.duration_s,
        "size_hw": source.size_hw,
        "called": {name: called.count(name) for name in classifier.classes},
        "sources": sources,
        "averaging": "the plain mean of the frames' probabilities, without an interval: frames of one video are alike",
        "stages": {f"{stage}_s": round(seconds, 3) for stage, seconds in watch.seconds.items()},
        "model": model_facts(classifier),
        "maskstream_version": __version__,
        "arguments": {"every": facts.every},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _means(lines: Iterator[Line], classes: Classes) -> list[dict[str, Any]]:
    """Of each image or video its mean probabilities over the frames, the class with the highest, and the frames."""
    sums: dict[str, tuple[int, NDArray[np.float64]]] = {}
    for line in lines:
        frames, total = sums.get(line["source"], (0, np.zeros(len(classes))))
        sums[line["source"]] = frames + 1, total + [line["probabilities"][name] for name in classes]
    return [
        {
            "source": source,
            "class": classes[int(np.argmax(total))],
            "probabilities": {name: float(share) for name, share in zip(classes, total / frames, strict=True)},
            "frames": frames,
        }
        for source, (frames, total) in sums.items()
    ]


def _loaded(model: Classifier | str | Path) -> Classifier:
    return load_classifier(model) if isinstance(model, str | Path) else model
