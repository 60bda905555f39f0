"""`summary.json`: what a run found, how long each stage took, and what it was made with."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any, TypeVar

from maskstream import __version__
from maskstream.core.classification import Classifier
from maskstream.core.segmenter import Segmenter
from maskstream.inference.load import DeployedClassifier, DeployedModel
from maskstream.media.base import Source
from maskstream.run_folder import RunFolder
from maskstream.tracking.tracks import TrackBook

T = TypeVar("T")


class Stopwatch:
    """Seconds spent in each stage of a run."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of a `with` block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """The items, with the time spent waiting for each counted."""
        iterator = iter(items)
        while True:
            with self(stage):
                item = next(iterator, None)
            if item is None:
                return
            yield item


def summarise(
    folder: RunFolder, source: Source, segmenter: Segmenter, book: TrackBook, watch: Stopwatch
) -> dict[str, Any]:
    """What stands in `summary.json`. Stage times are those of the last start of a resumed run."""
    tracks = book.summaries()
    found_as = Counter(track.class_name for track in tracks)
    facts = asdict(folder.facts)
    return {
        "source": source.name,
        "source_sha256": folder.facts.source_sha256,
        "kind": source.kind,
        "frames": folder.done,
        "frames_damaged": frames_damaged(source, folder.facts.every, folder.done),
        "warnings": source.warnings,
        "duration_s": source.duration_s,
        "size_hw": source.size_hw,
        "tracks_per_class": {name: found_as[name] for name in segmenter.classes},
        "detections": sum(track.frames_seen for track in tracks),
        "stages": {f"{stage}_s": round(seconds, 3) for stage, seconds in watch.seconds.items()},
        "model": model_facts(segmenter),
        "maskstream_version": __version__,
        "arguments": {name: facts[name] for name in ("score", "every")},
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def frames_damaged(source: Source, every: int, done: int) -> int:
    """Frames that could not be read, those before a resumed run's start included: images there are not opened again."""
    if source.kind == "images" and source.frame_count is not None:
        return -(-source.frame_count // every) - done
    return source.damaged


def model_facts(model: Segmenter | Classifier) -> dict[str, Any]:
    """What a run's summary says of its model."""
    if not isinstance(model, DeployedModel | DeployedClassifier):
        return {"name": model.name, "classes": list(model.classes), "calibrated": False}
    manifest = model.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": model.sha256,
        "classes": list(manifest.classes),
        "positive_class": manifest.calibration.positive if manifest.calibration else None,
        "calibrated": manifest.calibration is not None,
        "intended_use": manifest.intended_use,
        "limits": "\n".join(f"- {limit}" for limit in manifest.limits),
        "licence": manifest.licence.model_dump(),
    }
