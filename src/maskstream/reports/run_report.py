"""A run folder as one HTML file that opens anywhere and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from maskstream.core.files import whole_file
from maskstream.reports import words
from maskstream.reports.cards import make_card
from maskstream.reports.embedded import Film, Gallery, cut_pictures
from maskstream.reports.facts import fact_groups, notices
from maskstream.reports.histories import read_histories
from maskstream.reports.markdown import to_html
from maskstream.reports.read_run import TRACK_LIMIT, FinishedRun, read_run

OPEN_CARDS = 12
"""Cards shown open; with more tracks the others open on demand, so that the page stays short."""

_TEMPLATES = Path(__file__).parent / "templates"

_FILES = {
    "overlay.mp4": "the film with everything drawn over it",
    "overlay": "the pictures with everything drawn over them",
    "detections.jsonl": "every object of every frame with its mask, one frame a line",
    "tracks.csv": "one row an object: times, size, percentages, intervals",
    "run.json": "what the run began with",
    "summary.json": "the facts of this page, for programs",
}


def write_run_report(run_dir: Path) -> Path:
    """Write `report.html` into a finished run folder.

    Reads `summary.json`, `tracks.csv`, `detections.jsonl` and `overlay.mp4` or `overlay/*.jpg`. The page
    holds its pictures, style and script; a film above `embedded.FILM_LIMIT_BYTES` is referred to instead.
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
    page = _template().generate(_content(read_run(run_dir)))
    path = run_dir / "report.html"
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(page)
    return path


def _content(run: FinishedRun) -> dict[str, Any]:
    """What the template shows."""
    histories = read_histories(run)
    film = Film.of(run)
    cuts = cut_pictures(run, histories, film)
    script = _template_text("run_report.js")
    return {
        "run": run,
        "words": words,
        "cards": [
            make_card(run, track, histories[track.track_id], cuts.by_track.get(track.track_id)) for track in run.tracks
        ],
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
        "style": _template_text("run_report.css"),
        "script": script,
        "script_sha256": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("run_report.html.j2")


def _template_text(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))
