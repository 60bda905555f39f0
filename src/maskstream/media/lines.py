"""`detections.jsonl`: one line a frame, readable to its last whole line whenever the run is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from maskstream.core.classes import Classes
from maskstream.core.detections import Detection, Detections
from maskstream.core.masks import from_rle, to_rle
from maskstream.errors import OutputError, SourceError

Line = dict[str, Any]


def detections_to_line(
    frame_index: int,
    time_s: float,
    source: str,
    detections: Detections,
    extras: Sequence[Mapping[str, Any]] = (),
    frame_extras: Mapping[str, Any] | None = None,
) -> Line:
    """What one line says about one frame. `line_to_detections` gets the same Detections back, bit for bit.

    Parameters
    ----------
    extras : further keys of each object, one mapping an object; none at all is fine.
    frame_extras : further keys of the frame, such as its quality.
    """
    further = extras or [{}] * len(detections)
    return {
        "frame": frame_index,
        "time_s": time_s,
        "source": source,
        "size_hw": list(detections.size_hw),
        **(frame_extras or {}),
        "detections": [
            {**_object(detection, detections), **extra} for detection, extra in zip(detections, further, strict=True)
        ],
    }


def line_to_detections(line: Mapping[str, Any], classes: Classes) -> Detections:
    """The Detections that a line was made of.

    Raises
    ------
    SourceError : keys are missing or of another kind, or the classes are others.
    """
    try:
        return _detections(line, classes)
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"line of frame {line.get('frame', '?')}",
            expected=f"detections of the classes {', '.join(classes)}",
            found=f"{type(error).__name__}: {error}",
            remedy="give the file of a run with this model, or run again",
        ) from error


def _object(detection: Detection, detections: Detections) -> Line:
    names = detections.classes
    return {
        "track_id": detection.track_id,
        "class": detection.class_name,
        "class_id": detection.class_id,
        "score": shortest(np.float32(detection.score)),
        "probabilities": {name: shortest(p) for name, p in zip(names, detection.probabilities, strict=True)},
        "box_xyxy": [shortest(edge) for edge in detection.box_xyxy],
        "area_px": detection.mask.area_px,
        "mask": to_rle(detection.mask, detections.size_hw),
    }


def shortest(value: np.float32) -> float:
    """The float with the fewest digits that is read back as the same float32."""
    short = float(str(value))
    # far below 1e-12, rounding twice (decimal to double to single) may miss by one step
    return short if np.float32(short) == value else float(value)


def _detections(line: Mapping[str, Any], classes: Classes) -> Detections:
    height, width = line["size_hw"]
    objects = line["detections"]
    n, c = len(objects), len(classes)
    probabilities = [[found["probabilities"][name] for name in classes] for found in objects]
    return Detections(
        boxes_xyxy=np.array([found["box_xyxy"] for found in objects], np.float32).reshape(n, 4),
        masks=tuple(from_rle(found["mask"]) for found in objects),
        scores=np.array([found["score"] for found in objects], np.float32),
        probabilities=np.array(probabilities, np.float32).reshape(n, c),
        track_ids=np.array([found["track_id"] for found in objects], np.int64),
        classes=classes,
        size_hw=(height, width),
    )


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file in order, without a torn last one, which a killed run may leave.

    Raises
    ------
    SourceError : the file is missing, or a whole line is no JSON object.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield _parse(line, f"{path}, line {number}")
    except OSError as error:
        raise SourceError(
            path, expected="a file of JSON lines", found=str(error.strerror), remedy="check the path"
        ) from error


def _parse(line: bytes, place: str) -> Line:
    try:
        value = json.loads(line)
    except ValueError as error:
        value, found = None, f"broken JSON ({error})"
    else:
        found = type(value).__name__
    if not isinstance(value, dict):
        raise SourceError(place, expected="a JSON object", found=found, remedy="repair or delete the line")
    return value


class JsonLinesSink:
    """Appends JSON objects to a file, a line each, given to the system at once.

    Parameters
    ----------
    path : the file; its folder is made.
    resume : go on behind the whole lines of an earlier run; else the file begins anew.

    Raises
    ------
    OutputError : the place cannot be written, or the disk is full; whole lines stay readable.
    """

    def __init__(self, path: Path, resume: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered: a line is either handed over whole or was never begun
            self._file = path.open("ab" if resume else "wb", buffering=0)
            if resume:
                self._file.truncate(_whole_bytes(path))
        except OSError as error:
            raise self._failed(error) from error

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one object. ValueError: it holds NaN or infinity, which JSON cannot say."""
        text = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
        rest = memoryview(text.encode() + b"\n")
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Sync to disk and close; again is fine."""
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._file.close()

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            self.path,
            expected="a file that can be written",
            found=error.strerror or str(error),
            remedy="free space or choose another folder, then go on with --resume",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _whole_bytes(path: Path, block: int = 1 << 16) -> int:
    """Length of the file up to and with its last line end."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while end > 0:
            begin = max(end - block, 0)
            file.seek(begin)
            newline = file.read(end - begin).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            end = begin
    return 0
