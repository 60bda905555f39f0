"""A dataset as one HTML file that opens anywhere and asks the network for nothing, with its tables beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from maskstream import __version__
from maskstream.core.files import whole_folder
from maskstream.core.parallel import OnProgress
from maskstream.data.dataset import Dataset
from maskstream.data.findings import Finding
from maskstream.data.statistics import tables
from maskstream.data.statistics.collect import COLOUR_IMAGES, DatasetStatistics, collect
from maskstream.data.statistics.colours import ColourHistogram
from maskstream.reports import dataset_facts as facts
from maskstream.reports import words
from maskstream.reports.charts import channels_svg
from maskstream.reports.class_rows import ClassRow, class_rows, class_total
from maskstream.reports.dataset_charts import object_charts, percent_told
from maskstream.reports.examples import CLASSES_SHOWN, class_examples
from maskstream.reports.page import write_page
from maskstream.reports.pie import pie_svg

PAGE = "report.html"

COLOUR_CHARTS = 11
"""Classes whose colours are drawn, the most frequent ones; the table has them all."""

SIZES_LISTED = 12
"""Sizes of images that are listed; the page gives the number of the others."""

TALL_TABLE = 14
"""Rows from which on a table scrolls in its own box."""

_COLOUR_BINS = 64

_FILES = {
    tables.CLASSES: "a row a class: images, objects, colours, counts in each split",
    tables.IMAGES: "a row an image: size, split, group, class, number of objects",
    tables.OBJECTS: "a row an object: box, area, centre, aspect, split, group",
    tables.SUMMARY: "the totals, for programs",
}


@dataclass(frozen=True, slots=True)
class ColourRow:
    """Colours of a class, or of the background."""

    name: str
    swatch: str
    pixels: int
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    chart: Markup | None


def describe(
    dataset: Dataset,
    folder: Path,
    *,
    colour_images: int = COLOUR_IMAGES,
    loading: Sequence[Finding] = (),
    on_progress: OnProgress | None = None,
) -> DatasetStatistics:
    """Write the page and its tables into a new folder, which appears whole or not at all.

    Parameters
    ----------
    folder : must be new or empty.
    colour_images : how many images to read for their colours at most.
    loading : what was wrong with the dataset's files and left out on reading.
    on_progress : told how many images were looked at.

    Returns
    -------
    What the page shows; the page is `PAGE` in the folder.

    Raises
    ------
    OutputError : the folder is in use or cannot be written.
    """
    with whole_folder(folder) as temporary:
        statistics = collect(dataset, colour_images=colour_images, on_progress=on_progress)
        tables.write_tables(temporary, dataset, statistics)
        write_page(temporary / PAGE, "dataset_report", _content(dataset, statistics, loading), shared=("sortable",))
    return statistics


def _content(dataset: Dataset, statistics: DatasetStatistics, loading: Sequence[Finding]) -> dict[str, Any]:
    """What the template shows."""
    rows = class_rows(statistics)
    shown = [row for row in rows if row.objects or row.labelled][:CLASSES_SHOWN]
    examples = class_examples(dataset, statistics, [row.class_id for row in shown])
    sizes = statistics.images.distinct_sizes()
    return {
        "dataset": dataset,
        "statistics": statistics,
        "words": words,
        "facts": facts,
        "percent_told": percent_told,
        "version": __version__,
        "verdict": facts.verdict(statistics),
        "notices": facts.notices(statistics, loading),
        "rows": rows,
        "total": class_total(statistics),
        "has_objects": any(row.objects for row in rows) or not any(row.labelled for row in rows),
        "has_labelled": any(row.labelled for row in rows),
        "has_crowds": any(row.crowds for row in rows),
        "places": _shown_places(statistics),
        "pie": _pie(dataset, statistics),
        "charts": object_charts(statistics),
        "size_classes": statistics.size_classes(),
        "sizes": sizes[:SIZES_LISTED],
        "more_sizes": len(sizes) - SIZES_LISTED,
        "colours": _colour_rows(statistics, rows),
        "examples": [(row, found) for row, found in zip(shown, examples, strict=True) if found],
        "without_examples": [row.name for row in rows[len(shown) :] if row.objects or row.labelled],
        "rule": facts.named_facts(dataset.split_rule),
        "proof_sentence": facts.proof_sentence(dataset),
        "proof": facts.named_facts(dataset.split_proof),
        "findings": facts.findings_by_kind([*loading, *dataset.provenance.findings]),
        "fact_groups": facts.fact_groups(dataset, statistics),
        "files": list(_FILES.items()),
        "tall": TALL_TABLE,
    }


def _shown_places(statistics: DatasetStatistics) -> list[tuple[int, str, int]]:
    """Index, name and number of images of each split, and of the other places where there are any."""
    splits = len(statistics.places) - 2
    counts = statistics.images_at().tolist()
    places = zip(range(len(counts)), statistics.places, counts, strict=True)
    return [(index, name, count) for index, name, count in places if index < splits or count]


def _pie(dataset: Dataset, statistics: DatasetStatistics) -> Markup:
    """Images that splits hold, that are left out by reason, and that are in no split."""
    *in_splits, _, in_none = statistics.images_at().tolist()
    title = "Images kept in the splits, and left out"
    if not in_splits:
        return pie_svg([("not split yet", in_none)], title)
    reasons = Counter(entry.reason for entry in dataset.left_out).most_common()
    slices = [*zip(dataset.splits, in_splits, strict=True), *((f"out: {reason}", count) for reason, count in reasons)]
    return pie_svg(slices + [("in no split", in_none)] * bool(in_none), title, kept=len(in_splits))


def _colour_rows(statistics: DatasetStatistics, rows: Sequence[ClassRow]) -> list[ColourRow]:
    """Colours of the classes, most frequent first, and of the background; empty where none were read."""
    colours = statistics.colours
    if colours is None or not colours.images_read:
        return []
    named = [(row.name, colours.of_classes[row.class_id]) for row in rows]
    drawn = [(name, histogram) for name, histogram in named if histogram.pixels]
    found = [_colour_row(name, histogram, place < COLOUR_CHARTS) for place, (name, histogram) in enumerate(drawn)]
    # without a single mask there is nothing that a background could be the ground of
    if colours.background.pixels and any(histogram.pixels for histogram in colours.objects):
        found.append(_colour_row("background", colours.background, True))
    return found


def _colour_row(name: str, histogram: ColourHistogram, with_chart: bool) -> ColourRow:
    mean, spread = histogram.mean.tolist(), histogram.spread.tolist()
    told = "; ".join(
        f"{channel} mean {m:.0f}, spread {s:.0f}"
        for channel, m, s in zip(("red", "green", "blue"), mean, spread, strict=True)
    )
    return ColourRow(
        name=name,
        swatch="#{:02x}{:02x}{:02x}".format(*(round(value) for value in mean)),
        pixels=histogram.pixels,
        mean=tuple(mean),
        spread=tuple(spread),
        chart=channels_svg(histogram.shares(_COLOUR_BINS), f"Colours of {name}", told) if with_chart else None,
    )
