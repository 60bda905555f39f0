"""The page of a comparison: sentences that are honest about chance, tables and forest plots, and a browser's view."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from browser import ask, screenshot
from html_page import Page

from maskstream.errors import SourceError
from maskstream.reports import compare_words as words
from maskstream.reports.compare_page import write_compare_page
from maskstream.reports.figure_words import short_name
from maskstream.reports.forest import ForestRow, forest_svg

FIGURES = {"mean_jaccard": "higher", "auc": "higher", "ece": "lower", "calibration_slope": "neither"}
VALUES = {
    "otsu <b>": (0.62, 0.5, 0.2, 1.2),
    "U-Net": (0.81, 0.5, 0.1, 0.9),
    "Mask R-CNN of a very long name, trained twice": (0.8, 0.71, 0.05, 1.0),
}
GAPS = {
    ("U-Net", "mean_jaccard"): (0.15, 0.23, 1.0),
    ("U-Net", "auc"): (-0.02, 0.02, 0.5),
    ("U-Net", "ece"): (-0.15, -0.05, 1.0),
    ("U-Net", "calibration_slope"): (-0.5, -0.1, None),
    ("Mask R-CNN of a very long name, trained twice", "mean_jaccard"): (0.14, 0.22, 1.0),
    ("Mask R-CNN of a very long name, trained twice", "auc"): (0.15, 0.27, 1.0),
    ("Mask R-CNN of a very long name, trained twice", "ece"): (-0.2, 0.01, 0.93),
    ("Mask R-CNN of a very long name, trained twice", "calibration_slope"): (-0.6, 0.2, None),
}


def comparison(**changes: Any) -> dict[str, Any]:
    """What compare.json holds of three models, the first of which cannot be run."""
    values = {name: dict(zip(FIGURES, row, strict=True)) for name, row in VALUES.items()}
    base = values["otsu <b>"]
    speed = {"ms_per_image": 80.2, "ms_per_image_quartile_low": 71.0, "ms_per_image_quartile_high": 99.5}
    costs = [{}, *({"size_mb": size, "parameters": 5_300_000, "peak_memory_mb": 321.0, **speed} for size in (21.4, 44))]
    found = {
        "maskstream": "0.1.0", "dataset": "A small set", "dataset_sha256": "a" * 64, "split": "val", "n_in_split": 60,
        "n_images": 60, "n_groups": 41, "baseline": "otsu <b>", "positive_class": "malignant", "confidence": 0.95,
        "resamples": 1000, "seed": 0, "figures": FIGURES, "not_shared": {"AP": "Mask R-CNN"}, "warm_calls": 2,
        "warnings": ["only 12 groups stand behind the intervals", "shifted: mean_jaccard, share"],
        "machine": {"system": "Linux", "cores": 2, "speed_images": 12, "memory_images": 4},
        "models": [
            {
                "name": name, "argument": f"models/{name}", "task": "instance", "calibrated": False, "cost": cost,
                "facts": {"model": name, "model_version": "1"},
                "figures": {
                    key: {"value": value, "low": value - 0.05, "high": value + 0.05, "resamples": 1000}
                    for key, value in values[name].items()
                },
            }
            for name, cost in zip(VALUES, costs, strict=True)
        ],
        "differences": [
            {
                "model": name, "baseline": "otsu <b>", "figure": key, "value": values[name][key] - base[key],
                "low": low, "high": high, "resamples": 1000, **({} if share is None else {"better_share": share}),
            }
            for (name, key), (low, high, share) in GAPS.items()
        ],
    }  # fmt: skip
    return found | changes


def _written(folder: Path, found: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(found or comparison()))
    return write_compare_page(folder)


def test_the_first_sentence_says_who_is_ahead_and_what_that_is_worth() -> None:
    assert words.verdict(comparison()) == (
        f"U-Net has the best {short_name('mean_jaccard')}: 0.810 (0.760 to 0.860) on 60\u00a0images; its lead over "
        "otsu <b> (+0.190, +0.150 to +0.230) is more than chance explains."
    )


def test_a_lead_that_may_be_chance_is_called_so() -> None:
    unsure = [
        entry | {"low": -0.01, "high": 0.4} if entry["figure"] == "mean_jaccard" else entry
        for entry in comparison()["differences"]
    ]
    assert "could be chance, as the interval includes zero" in words.verdict(comparison(differences=unsure))
    unknown = [{k: v for k, v in entry.items() if k not in ("low", "high")} for entry in unsure]
    assert "is in doubt is not known" in words.verdict(comparison(differences=unknown))


def test_a_baseline_that_is_ahead() -> None:
    found = comparison(figures={"calibration_slope": "neither"})
    assert words.verdict(found) == "3 models were compared on 60\u00a0images."
    found = comparison(figures={"ece": "higher"})  # where the first would be the best
    assert words.verdict(found).endswith("on 60\u00a0images; against Mask R-CNN of a very long name, trained twice "
                                         "this could be chance.")  # fmt: skip


def test_equal_models_share_the_first_place() -> None:
    models = [m | {"figures": {"auc": {"value": 0.5}}} for m in comparison()["models"][:2]]
    found = comparison(figures={"auc": "higher"}, models=models)
    assert words.verdict(found) == "otsu <b> and U-Net share the best ROC AUC, 0.500, on 60\u00a0images."


def test_every_other_model_has_a_sentence() -> None:
    first, second = words.sentences(comparison())
    assert first == (
        f"U-Net against otsu <b>: better in {short_name('mean_jaccard')} (+0.190, +0.150 to +0.230), calibration error "
        "(−0.100, −0.150 to −0.050); not told apart in ROC AUC (+0.000, −0.020 to +0.020)."
    )
    assert "not told apart in calibration error" in second


@pytest.mark.parametrize(
    "low, high, direction, said",
    [
        (0.1, 0.2, "higher", "better"),
        (0.1, 0.2, "lower", "worse"),
        (-0.2, -0.1, "higher", "worse"),
        (-0.2, -0.1, "lower", "better"),
        (-0.1, 0.1, "higher", "could be chance"),
        (0.0, 0.1, "higher", "could be chance"),
        (0.1, 0.2, "neither", "differs"),
    ],
)
def test_what_a_difference_is_worth(low: float, high: float, direction: str, said: str) -> None:
    assert words.reading({"value": (low + high) / 2, "low": low, "high": high}, direction) == said
    assert words.reading({"value": 0.1}, direction) == "no interval"


def test_cautions_fit_the_comparison() -> None:
    told = " ".join(words.cautions(comparison()))
    assert "8 differences are shown" in told
    assert "one interval in 20" in told
    assert "0.5 by construction" not in told
    classical = [model | {"name": "classical"} for model in comparison()["models"][:1]]
    assert "0.5 by construction" in " ".join(words.cautions(comparison(models=classical)))


def test_the_figures_that_come_first() -> None:
    assert words.main_figures(["log_loss", "f1", "pooled_dice"]) == ["f1", "log_loss"]
    assert words.main_figures(["other", "another"]) == ["other"]
    assert words.title_of("mean_jaccard/benign") == "Mean Jaccard of an image, benign"


def test_a_forest_plot_keeps_everything_inside() -> None:
    rows = [ForestRow("a", "0.5", 0.5, None, None, "sure"), ForestRow("b" * 90, "-3", -3.0, -4.0, 7.25, "unsure")]
    drawn = str(forest_svg("Title <i>", rows, 0.0))
    assert "Title &lt;i&gt;" in drawn
    assert f"{'b' * 90}: -3" in drawn  # whole where it is read out, cut where it is drawn
    assert re.search(r">b{20,42}…<", drawn)
    assert drawn.count('class="span"') == 1
    places = [float(x) for x in re.findall(r'(?:c?x="|M|H)([\d.]+)', drawn)]
    assert 0 <= min(places) <= max(places) <= 360


def test_equal_values_can_be_drawn() -> None:
    assert 'cx="' in str(forest_svg("Same", [ForestRow("a", "1", 1.0, 1.0, 1.0, "sure")], 1.0))
    assert 'cx="' in str(forest_svg("Zero", [ForestRow("a", "0", 0.0, 0.0, 0.0, "unsure")], 0.0))


def test_the_page_shows_what_the_file_holds(tmp_path: Path) -> None:
    page = Page(_written(tmp_path).read_text(encoding="utf-8"))
    for told in (
        "U-Net has the best mean", "only 12 groups stand behind the intervals", "shifted: mean Jaccard, share",
        "5 300 000", "80.2",
        "71 to 99.5", "could be chance", "Figures that only one has",
        "Mask AP, IoU 0.50 to 0.95, mean over classes: Mask",
        "A small set, split val",
    ):  # fmt: skip
        assert told in page.text.replace("\u202f", " "), told
    assert len(page.all("svg", "forest")) == 6
    assert len(page.all("table", "sortable")) == 3
    assert "otsu <b>" in page.text  # as text, not as an element
    assert page.all("td")[4]["data-value"] == ""  # the size of what cannot be run
    addresses = [a.get("src", a.get("href", "")) for _, a in page.elements]
    assert not [address for address in addresses if address.startswith(("http", "//"))]


def test_without_cost_there_are_no_columns_for_it(tmp_path: Path) -> None:
    found = comparison()
    del found["machine"]
    text = Page(_written(tmp_path, found).read_text(encoding="utf-8")).text
    assert "An image, ms" not in text
    assert "Memory is the peak" not in text


@pytest.mark.parametrize("content", [None, "{", "[]", '{"figures": {}}'])
def test_what_is_no_comparison(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "compare.json").write_text(content)
    with pytest.raises(SourceError, match="expected a comparison"):
        write_compare_page(tmp_path)


@pytest.mark.parametrize("width", [360, 1100])
def test_in_a_browser_nothing_overflows(tmp_path: Path, width: int) -> None:
    answer = ask(
        _written(tmp_path / "page"),
        width,
        """
        const inFrame = (e) => e.closest(".table-frame") && !e.matches(".table-frame");
        const edge = document.documentElement.clientWidth + 1;
        return { fits: document.documentElement.scrollWidth <= innerWidth,
          wide: [...document.querySelectorAll("body *")].filter((e) => !e.closest(".skip") && !inFrame(e)
            && e.getBoundingClientRect().right > edge).map((e) => e.outerHTML.slice(0, 80)),
          letters: Math.min(...[...document.querySelectorAll("svg text")].map((e) =>
            parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)),
          crossed: [...document.querySelectorAll(".forest g")].filter((g) => g.querySelector(".name")
            .getBoundingClientRect().right > g.querySelector(".told").getBoundingClientRect().left)
            .map((g) => g.textContent) };
        """,
        tmp_path / "profile",
    )
    assert answer["fits"]
    assert answer["wide"] == []
    assert answer["letters"] > 10
    assert answer["crossed"] == []


def test_in_a_browser_tables_sort_by_keyboard(tmp_path: Path) -> None:
    answer = ask(
        _written(tmp_path / "page"),
        900,
        """
        const table = document.querySelector(".sortable");
        const names = () => [...table.tBodies[0].rows].map((row) => row.querySelector("b").textContent.slice(0, 5));
        const buttons = [...table.querySelectorAll("thead button")];
        const orders = [];
        for (const column of [1, 1, 4]) {
          buttons[column].focus();
          document.activeElement.click();
          orders.push(names());
        }
        return [orders, buttons.every((b) => b.tabIndex === 0), table.tHead.rows[0].cells[4].getAttribute("aria-sort")];
        """,
        tmp_path / "profile",
    )
    orders, focusable, sort = answer
    assert orders[0] == ["U-Net", "Mask ", "otsu "]
    assert orders[1] == ["otsu ", "Mask ", "U-Net"]
    assert orders[2] == ["Mask ", "U-Net", "otsu "]  # the empty cell stays below
    assert focusable
    assert sort == "descending"


def test_in_a_browser_the_page_is_painted(tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    screenshot(_written(tmp_path / "page"), (500, 2600), picture, tmp_path / "profile")
    shown = cv2.imread(str(picture)).astype(int)
    paper, accent = (241, 245, 246), (102, 90, 11)
    assert (shown == paper).all(axis=2).mean() > 0.03
    assert (np.abs(shown - accent).max(axis=2) < 8).sum() > 800, "the forest plots"
