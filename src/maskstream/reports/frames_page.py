"""What `maskstream frames` picked, as one HTML file, a contact sheet and a pie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from maskstream.core.files import write_text
from maskstream.data.frames.faults import BLURRED_FRAME, OVER_EXPOSED, REPEAT, UNDER_EXPOSED, UNDER_GLARE
from maskstream.data.frames.folder import FACTS, RESULT, TABLE
from maskstream.data.frames.table import DAMAGED, KEPT, OTHERS_PREFERRED, REASONS, SIMILAR, read_kept
from maskstream.errors import SourceError
from maskstream.reports import pictures, words
from maskstream.reports.contact_sheet import MOST_PICTURES, write_contact_sheet
from maskstream.reports.page import write_page
from maskstream.reports.pie import pie_svg

PAGE, SHEET, PIE = "frames.html", "contact_sheet.jpg", "pie.svg"

PICTURES_SHOWN = 96
"""Pictures inside the page; the contact sheet has more."""

PICTURE_SIDE_PX = 360

_TOLD = {
    KEPT: ("kept", "Good, and different from each other."),
    OVER_EXPOSED: ("over-exposed", "Burnt out, and brighter than the frames around it."),
    UNDER_EXPOSED: ("under-exposed", "Black, and darker than the frames around it."),
    BLURRED_FRAME: ("blurred", "Less sharp than the frames around it, or than the film; by focus or by movement."),
    UNDER_GLARE: ("under glare", "More of it is white from reflections than elsewhere in the film."),
    REPEAT: ("repeats an earlier frame", "Shows the same picture again."),
    DAMAGED: ("damaged", "Cannot be decoded."),
    SIMILAR: ("too like a kept one", "Good, but a kept frame shows nearly the same."),
    OTHERS_PREFERRED: ("good, others preferred", "Good, but those nearby or elsewhere were better."),
}
"""Of each outcome its name and what it means."""

_FILES = {
    "images": "the kept frames",
    TABLE: "a row for every frame: index, time, hash, scores, kept or why not",
    SHEET: "the kept frames on one sheet, best first",
    PIE: "kept and dropped",
    FACTS: "films, options and counts, for programs",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Where along its film a kept frame lies, in percent."""

    rank: str
    percent: float
    text: str


@dataclass(frozen=True, slots=True)
class Video:
    """One film as the page shows it.

    Attributes
    ----------
    counts : frames by `KEPT` and reason.
    marks : its kept frames.
    """

    name: str
    frames: int
    counts: Mapping[str, int]
    median_sharpness: float
    marks: tuple[Mark, ...]


def write_frames_page(folder: Path) -> Path:
    """Write the page, the contact sheet (where a frame was kept) and the pie into a finished folder.

    Returns
    -------
    The path of the page.

    Raises
    ------
    SourceError, DatasetError : the folder holds no finished run.
    OutputError : a file cannot be written.
    """
    facts, kept = _finished(folder), read_kept(folder / TABLE)
    if kept:
        write_contact_sheet(folder / SHEET, [(folder / row["image"], caption(row)) for row in kept])
    videos = [_video(video, kept, facts["every"]) for video in facts[RESULT]["videos"]]
    counts = {name: sum(video.counts.get(name, 0) for video in videos) for name in (KEPT, *REASONS)}
    pie = _pie(counts)
    write_text(folder / PIE, pie + "\n")
    content = {
        "words": words,
        "title": Path(videos[0].name).name if len(videos) == 1 else words.counted(len(videos), "video"),
        "verdict": _verdict(facts, videos, counts),
        "notices": _notices(facts),
        "rows": [(*_TOLD[name], counts[name]) for name in counts if counts[name] or name == KEPT],
        "pie": pie,
        "videos": videos,
        "several": len(videos) > 1,
        "shown": _shown(folder, kept),
        "kept": len(kept),
        "shown_count": min(len(kept), PICTURES_SHOWN),
        "on_sheet": min(len(kept), MOST_PICTURES),
        "sheet": SHEET,
        "facts": _fact_rows(facts),
        "files": [(name, quote(name), text) for name, text in _FILES.items() if (folder / name).exists()],
        "version": facts["maskstream"],
    }
    write_page(folder / PAGE, "frames", content)
    return folder / PAGE


def caption(row: Mapping[str, str]) -> str:
    """What stands under a picture: its rank, and its time or file."""
    return f"{row['rank']}   {row['file'] or words.clock(float(row['time_s']))}"


def _finished(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found = None if RESULT in facts else "one that has not ended"
    except (OSError, ValueError) as error:
        facts, found = {}, str(error)
    if found:
        raise SourceError(path, expected="a finished run", found=found, remedy="go on with --resume")
    return facts


def _video(video: Mapping[str, Any], kept: Sequence[Mapping[str, str]], every: int) -> Video:
    length = max(every * video["frames"] + video["damaged"], 1)
    own = [row for row in kept if row["video"] == video["name"]]
    return Video(
        name=video["name"],
        frames=video["frames"],
        counts={name: video.get(name, 0) for name in (KEPT, *REASONS)},
        median_sharpness=video["median_sharpness"],
        marks=tuple(Mark(row["rank"], 100 * int(row["frame"]) / length, caption(row)) for row in own),
    )


def _pie(counts: Mapping[str, int]) -> Markup:
    order = (KEPT, SIMILAR, *(name for name in reversed(REASONS) if name != SIMILAR))
    slices = [(_TOLD[name][0], counts[name]) for name in order if counts[name] or name == KEPT]
    return pie_svg(slices, "Frames kept and dropped")


def _verdict(facts: Mapping[str, Any], videos: Sequence[Video], counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    where = "one video" if len(videos) == 1 else words.counted(len(videos), "video")
    if counts[KEPT]:
        sentence = f"{words.counted(counts[KEPT], 'frame')} of {words.number(total)} from {where} to label."
    else:
        sentence = f"None of {words.counted(total, 'frame')} from {where} can be labelled."
    if counts[KEPT] < facts["count"]:
        sentence += f" {words.number(facts['count'])} were asked for; no more were found that are good and differ."
    return sentence


def _notices(facts: Mapping[str, Any]) -> list[str]:
    notices = []
    for video in facts[RESULT]["videos"]:
        if video["damaged"]:
            notices.append(f"{video['name']}: {words.counted(video['damaged'], 'frame')} cannot be decoded.")
        notices += video["warnings"]
    return notices


def _shown(folder: Path, kept: Sequence[Mapping[str, str]]) -> Iterator[tuple[Mapping[str, str], str, str, Markup]]:
    """Row, address, caption and the picture itself, one at a time; a picture that was taken away is passed over."""
    for row in kept[:PICTURES_SHOWN]:
        image = pictures.read_picture(folder / row["image"])
        if image is not None:
            yield row, quote(row["image"]), caption(row), pictures.jpeg_uri(image, PICTURE_SIDE_PX)


def _fact_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    size = facts["size_hw"]
    rows = [
        ("Asked for", words.counted(facts["count"], "frame")),
        ("Looked at", "every frame" if facts["every"] == 1 else f"one frame in {facts['every']}"),
        ("Apart", f"more than {facts['apart_bits']} of 64 bits"),
        (
            "Pictures",
            f"{size[1]} x {size[0]}, {'cropped' if facts['crop'] else 'padded'}" if size else "as in the film",
        ),
        ("Model", facts["model"] or "none asked"),
    ]
    if facts["model_sha256"]:
        rows.append(("SHA-256 of the model", facts["model_sha256"]))
    return rows + [(video["name"], video["sha256"]) for video in facts["videos"]]
