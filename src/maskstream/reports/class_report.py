"""A classification's run folder as one HTML file that opens anywhere and asks the network for nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from maskstream.media.lines import Line, read_lines
from maskstream.media.thumbnails import FIRST_LIMIT, spread_stride, thumbnail_path
from maskstream.reports import class_words, pictures, words
from maskstream.reports.class_curves import LINES, draw_probabilities
from maskstream.reports.facts import fact_groups, notices
from maskstream.reports.markdown import to_html
from maskstream.reports.page import write_page
from maskstream.reports.read_run import FinishedRun, not_a_run, read_summary

THUMBNAILS = "thumbnails"

BAR_LIMIT, CARD_BAR_LIMIT = 8, 3
"""Classes that are shown of the whole source and of each image or frame."""

_FILES = {
    "classifications.csv": "one row a frame: its class and the probability of every class",
    LINES: "the same, one frame a line, for programs",
    THUMBNAILS: "the small images of this page",
    "run.json": "what the run began with",
    "summary.json": "the facts of this page, for programs",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One class's probability, or its share of the images, in percent; `text` says it."""

    name: str
    percent: float
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """One image, or one frame of a video.

    Attributes
    ----------
    bars : its classes, the most probable first; at most `CARD_BAR_LIMIT`.
    thumbnail : None where there is no such file.
    """

    name: str
    bars: tuple[Bar, ...]
    thumbnail: Path | None

    def picture(self) -> Iterator[Markup]:
        """The thumbnail as base64, piece by piece."""
        return pictures.base64_text(self.thumbnail) if self.thumbnail else iter(())


def write_class_report(run_dir: Path) -> Path:
    """Write `report.html` into the folder of a finished classification.

    Memory and the number of images inside the page do not grow with the length of the run.

    Returns
    -------
    The path of the page.

    Raises
    ------
    SourceError : a file of the run is missing or broken. A missing thumbnail is said on the page.
    OutputError : the page cannot be written.
    """
    run = FinishedRun(run_dir, read_summary(run_dir / "summary.json"), (), {})
    try:
        content = _content(run)
    except (KeyError, TypeError, ValueError) as error:
        raise not_a_run(run_dir, f"files that do not read as a classification ({error!r})") from error
    path = run_dir / "report.html"
    write_page(path, "class_report", content)
    return path


def _content(run: FinishedRun) -> dict[str, Any]:
    """What the template shows."""
    sources = run.summary["sources"]
    single = sources[0]["probabilities"] if len(sources) == 1 else None
    called = run.summary["called"]
    bars = probability_bars(single) if single else count_bars(called)
    cards = list(_frame_cards(run) if run.is_video else _image_cards(run))
    return {
        "run": run,
        "words": words,
        "verdict": class_words.verdict(run),
        "meaning": class_words.meaning(run),
        "caution": class_words.caution(run),
        "bars": bars[:BAR_LIMIT] if sources else (),
        "further": len(bars[BAR_LIMIT:]),
        "class_count": len(called),
        "drawing": draw_probabilities(run) if run.is_video and single else None,
        "cards": cards,
        "more_images": 0 if run.is_video else len(sources) - len(cards),
        "notices": notices(run),
        "facts": fact_groups(run),
        "intended_use": to_html(str(run.model.get("intended_use") or "")),
        "limits": to_html(str(run.model.get("limits") or "")),
        "files": [(name, quote(name), text) for name, text in _FILES.items() if (run.path / name).exists()],
    }


def probability_bars(probabilities: Mapping[str, float]) -> tuple[Bar, ...]:
    """All classes, the most probable first."""
    ordered = sorted(probabilities.items(), key=lambda item: -item[1])
    return tuple(Bar(name, 100 * share, words.percent(100 * share)) for name, share in ordered)


def count_bars(called: Mapping[str, int]) -> tuple[Bar, ...]:
    """How many images are of each class, most first; classes of no image come last."""
    total = max(sum(called.values()), 1)
    ordered = sorted(called.items(), key=lambda item: -item[1])
    return tuple(Bar(name, 100 * count / total, words.number(count)) for name, count in ordered)


def _image_cards(run: FinishedRun) -> Iterator[Card]:
    """The first images."""
    for number, line in enumerate(itertools.islice(read_lines(run.path / LINES), FIRST_LIMIT)):
        yield _card(run, number, line, Path(line["source"]).name)


def _frame_cards(run: FinishedRun) -> Iterator[Card]:
    """Frames from the whole length of a video."""
    stride = spread_stride(run.summary["frames"])
    for number, line in enumerate(read_lines(run.path / LINES)):
        if number % stride == 0:
            yield _card(run, number, line, words.clock(line["time_s"]))


def _card(run: FinishedRun, number: int, line: Line, name: str) -> Card:
    path = thumbnail_path(run.path / THUMBNAILS, number)
    bars = probability_bars(line["probabilities"])[:CARD_BAR_LIMIT]
    return Card(name, bars, path if path.is_file() else None)
