"""A run folder as one HTML file that opens anywhere and asks the network for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from maskstream.reports import words
from maskstream.reports.cards import make_card
from maskstream.reports.embedded import Film, Gallery, cut_pictures
from maskstream.reports.facts import fact_groups, notices
from maskstream.reports.histories import read_histories
from maskstream.reports.markdown import to_html
from maskstream.reports.page import write_page
from maskstream.reports.read_run import TRACK_LIMIT, FinishedRun, read_run
from maskstream.reports.why_pictures import NOTE
from maskstream.reports.why_tracks import embedded_reasons

OPEN_CARDS = 12
"""Cards shown open; with more tracks the others open on demand, so that the page stays short."""

_FILES = {
    "overlay.mp4": "the film with everything drawn over it",
    "overlay": "the pictures with everything drawn over them",
    "detections.jsonl": "every object of every frame with its mask, one frame a line",
    "tracks.csv": "one row an object: times, size, percentages, intervals",
    "why": "what each percentage rests on, a picture an object",
    "run.json": "what the run began with",
    "summary.json": "the facts of this page, for programs",
}


def write_run_report(run_dir: Path) -> Path:
    """Write `report.html` into a finished run folder.

    Reads `summary.json`, `tracks.csv`, `detections.jsonl`, `overlay.mp4` or `overlay/*.jpg`, and `why/` if it is there.
    The page holds its pictures, style and script; a film above `embedded.FILM_LIMIT_BYTES` is referred to instead.
    Memory does not grow with the length of the run.

    Parameters
    ----------
    run_dir : the folder.

    Returns
    -------
    The path of the page.

    Raises
    ------
    SourceError : a table of the run is missing or broken. A missing or broken overlay is said on the page.
    OutputError : the page cannot be written.
    """
    path = run_dir / "report.html"
    write_page(path, "run_report", _content(read_run(run_dir)))
    return path


def _content(run: FinishedRun) -> dict[str, Any]:
    """What the template shows."""
    histories = read_histories(run)
    film = Film.of(run)
    cuts = cut_pictures(run, histories, film)
    return {
        "run": run,
        "words": words,
        "cards": [
            make_card(run, track, histories[track.track_id], cuts.by_track.get(track.track_id)) for track in run.tracks
        ],
        "reasons": embedded_reasons(run.path),
        "reasons_note": NOTE,
        "open_cards": OPEN_CARDS,
        "track_limit": TRACK_LIMIT,
        "more_tracks": sum(run.tracks_per_class.values()) - len(run.tracks),
        "film": film,
        "poster": cuts.poster,
        "gallery": Gallery.of(run),
        "notices": [*notices(run), *([cuts.failure] if cuts.failure else [])],
        "facts": fact_groups(run),
        "intended_use": to_html(str(run.model.get("intended_use") or "")),
        "limits": to_html(str(run.model.get("limits") or "")),
        "files": [(name, quote(name), text) for name, text in _FILES.items() if (run.path / name).exists()],
    }
