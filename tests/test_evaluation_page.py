"""The page and the pictures of an evaluation: what they hold, that nothing escapes, that they work in a browser."""

from __future__ import annotations

import csv
import re
import subprocess
import sys

import pytest
from browser import ask, chromium, screenshot
from evaluation_folders import TASKS, metrics_of, write_folder, write_table
from html_page import Page
from PIL import Image

from maskstream.evaluation.classes.prevalence import at_prevalence, predictive_values
from maskstream.reports import evaluation_figures
from maskstream.reports.evaluation_figures import write_figures
from maskstream.reports.evaluation_page import PAGE, write_evaluation_report
from maskstream.reports.evaluation_tables import ROW_LIMIT
from maskstream.reports.evaluation_values import share_text

SECTIONS = {
    "instance": [
        *("verdict", "figures", "curves", "prevalence", "confusion", "classes", "slices", "object-slices"),
        *("robustness", "worst", "why", "images", "definitions", "facts"),
    ],
    "semantic": [
        *("verdict", "figures", "confusion", "classes", "slices", "robustness", "worst", "why", "images"),
        *("definitions", "facts"),
    ],
    "classification": [
        *("verdict", "figures", "curves", "prevalence", "confusion", "classes", "slices", "robustness", "worst"),
        *("why", "images", "definitions", "facts"),
    ],
    "video": ["verdict", "figures", "worst", "why", "videos", "definitions", "facts"],
}
BARE = ["verdict", "figures", "prevalence", "definitions", "facts"]
HOSTILE = '<script>alert("1")</script> \' " & ‮txet RTL שלום $x^2$ 病变 ' + "long" * 60


def page_of(folder):
    return Page(write_evaluation_report(folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of each task with its page, which no test changes."""
    base = tmp_path_factory.mktemp("written")
    for task in TASKS:
        write_evaluation_report(write_folder(base / task, task))
    return base


@pytest.mark.parametrize("task", TASKS)
def test_the_page_shows_what_there_is(written, task):
    page = Page((written / task / PAGE).read_text(encoding="utf-8"))
    assert [heading["id"] for heading in page.all("h2")] == SECTIONS[task]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")}
    assert targets <= set(ids)


@pytest.mark.parametrize("task", TASKS)
def test_figures_alone_make_a_page(tmp_path, task):
    metrics = metrics_of(task, intervals=False)
    page = page_of(write_folder(tmp_path / "run", task, tables=False, metrics=metrics))
    assert [heading["id"] for heading in page.all("h2")] == [
        name for name in BARE if name != "prevalence" or "positive_class" in metrics
    ]
    assert "No 95 % intervals were computed" in page.text


def test_the_least_that_a_folder_can_hold(tmp_path):
    page = page_of(write_folder(tmp_path / "run", "instance", tables=False, metrics={"n_pictures": 1}))
    assert "On 1 image, the model was judged." in page.text
    assert "None of the figures that this page has words for." in page.text


def test_the_numbers_are_those_of_the_files(written):
    page = Page((written / "instance" / PAGE).read_text(encoding="utf-8"))
    for told in (
        "AP50 0.630 0.600 to 0.660 faster-coco-eval 1.8.0",
        "Recall 96 % 93 to 99 % maskstream 0.1.0",
        "malignant 29 0.280 0.400 40.0 %",
        "label melanoma 0.550 (0.470 to 0.630) 29 14",
        "120 groups of images were drawn anew 1 000 times".replace("1 000", "1 000"),
        "Score threshold 0.5",
        "a" * 64,
        "images the model learnt from: 19.5 %",
        "1: sigma 1 px; 2: sigma 2 px; 3: sigma 3 px",
    ):
        assert told in page.text, told
    assert "Shown:" not in page.text


def test_a_large_evaluation_makes_a_bounded_page(tmp_path):
    names = [f"class {number}" for number in range(80)]
    folder = write_folder(tmp_path / "run", "instance", classes=names, images=5000)
    path = write_evaluation_report(folder)
    page = Page(path.read_text(encoding="utf-8"))
    assert path.stat().st_size < 2e6
    assert f"Shown: {ROW_LIMIT} of 5 000 rows." in page.text
    assert "74 more classes stand in the table." in page.text


@pytest.mark.parametrize("task", TASKS)
def test_hostile_names_are_text(tmp_path, task):
    metrics = metrics_of(task, model=HOSTILE, dataset=HOSTILE, split=HOSTILE, positive_class=HOSTILE)
    metrics[f"AP50/{HOSTILE}"] = 0.5
    folder = write_folder(tmp_path / "run", task, classes=(HOSTILE, "other"), metrics=metrics)
    for path in folder.glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row |= {key: HOSTILE for key in ("image", "group", "value", "why", "level", "video") if key in row}
            row |= {"corruption": HOSTILE} if row.get("severity", "0") != "0" else {}
        if path.stem not in ("threshold", "reliability", "risk_coverage", "worst"):
            write_table(path, rows)
    text = write_evaluation_report(folder).read_text(encoding="utf-8")
    assert Page(text).all("script") == [{}]
    assert text.count("<script>") == 1
    assert 'alert("' not in text
    write_figures(folder)
    wide = ask(folder / PAGE, 360, _WIDE, tmp_path / "profile")
    assert wide == [360, []]


_WIDE = (
    "const wide = [...document.querySelectorAll('body *')].filter((e) => !e.closest('.table-frame, svg, [hidden]')"
    " && e.getBoundingClientRect().right > innerWidth + 1);"
    "return [document.documentElement.scrollWidth, wide.map((e) => e.tagName + e.className)]"
)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("width", [360, 1200])
def test_in_a_browser_nothing_overflows(written, tmp_path, task, width):
    assert ask(written / task / PAGE, width, _WIDE, tmp_path / "profile") == [width, []]


def test_in_a_browser_tables_sort_by_keyboard(written, tmp_path):
    names = ask(
        written / "instance" / PAGE,
        1000,
        # a press of Enter or Space on a button is a click, which is what the browser sends
        "const table = document.querySelector('[aria-labelledby=slices].sortable');"
        "const column = (n) => [...table.tBodies[0].rows].map((row) => row.children[n].textContent.trim());"
        "const heads = [...table.tHead.rows[0].children]; const said = [];"
        "const press = (n) => { const button = heads[n].querySelector('button'); button.focus();"
        "said.push(document.activeElement === button); button.click();"
        "said.push(heads.map((head) => head.getAttribute('aria-sort'))) };"
        "press(3); const most = column(3); press(3); const least = column(3); press(1); const names = column(1);"
        "press(2); const worst = column(1); press(2); return [most, least, names, worst, column(1), said]",
        tmp_path / "profile",
    )
    most, least, names, best, worst, said = names
    assert most == ["90", "60", "50", "29", "2"]
    assert least == most[::-1]
    assert names == ["darkest third", "melanoma", "nevus", "patient 3", "small"]
    assert best == ["nevus", "darkest third", "small", "melanoma", "patient 3"]
    assert worst == ["melanoma", "small", "darkest third", "nevus", "patient 3"]
    assert said[::2] == [True] * 5
    assert said[1] == [None, None, None, "descending", None]
    assert said[3] == [None, None, None, "ascending", None]
    assert said[5] == [None, "ascending", None, None, None]


def test_in_a_browser_curves_tell_their_values(written, tmp_path):
    told = ask(
        written / "instance" / PAGE,
        1000,
        "const figure = document.querySelectorAll('#curves ~ .charts figure')[3];"
        "const svg = figure.querySelector('svg'); const frame = svg.getBoundingClientRect();"
        "const texts = () => [figure.querySelector('.x-told').textContent,"
        "...[...figure.querySelectorAll('.told')].map((b) => b.textContent)];"
        "const before = texts(); svg.dispatchEvent(new PointerEvent('pointermove',"
        "{clientX: frame.left + frame.width * (52 + 298 * 0.6) / 360, clientY: frame.top + 20}));"
        "const pointed = texts(); const key = (key) => svg.dispatchEvent(new KeyboardEvent('keydown', {key}));"
        "key('ArrowLeft'); const left = texts(); for (let i = 0; i < 60; i++) key('ArrowRight');"
        "return [before, pointed, left, texts(), svg.tabIndex, figure.querySelector('.cursor.shown') !== null]",
        tmp_path / "profile",
    )
    assert told == [
        ["", "", ""],
        ["0.6", "0.62 (0.54 to 0.72, images 30)", "0.34 (0.26 to 0.44, images 30)"],
        ["0.58", "0.62 (0.54 to 0.72, images 30)", "0.34 (0.26 to 0.44, images 30)"],
        ["1", "0.62 (0.54 to 0.72, images 30)", "0.62 (0.54 to 0.72, images 30)"],
        0,
        True,
    ]


def test_in_a_browser_a_picture_opens_and_closes_by_keyboard(written, tmp_path):
    steps = ask(
        written / "instance" / PAGE,
        1000,
        "const dialog = document.getElementById('large'); const said = [];"
        "const state = () => said.push([dialog.open, dialog.querySelector('.count').textContent,"
        "dialog.querySelector('.caption').textContent, dialog.querySelector('img').src.slice(0, 22)]);"
        "const key = (key) => dialog.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));"
        "const first = document.querySelector('.gallery .enlarge'); first.focus(); first.click(); state();"
        "key('ArrowRight'); state(); key('ArrowLeft'); key('ArrowLeft'); state();"
        "dialog.requestClose ? dialog.requestClose() : dialog.close();"
        "await new Promise((done) => setTimeout(done, 50)); state();"
        "const last = [...document.querySelectorAll('.gallery')][0].querySelectorAll('.enlarge')[4];"
        "return [said, document.activeElement === last]",
        tmp_path / "profile",
    )
    said, focused = steps
    picture = "data:image/jpeg;base64"
    assert said == [
        [True, "1 of 5", "1. ISIC_0000000.jpg. 42 % of the true pixels missed", picture],
        [True, "2 of 5", "2. ISIC_0000001.jpg. nothing found where 1 is", picture],
        [True, "5 of 5", "5. ISIC_0000004.jpg. nothing found where 1 is", picture],
        [False, "5 of 5", "5. ISIC_0000004.jpg. nothing found where 1 is", picture],
    ]
    assert focused


@pytest.mark.parametrize("typed", [0.5, 5, 19.5, 50, 95])
def test_in_a_browser_the_slider_moves_percentages_as_the_formula_says(written, tmp_path, typed):
    moved, shares, predictive, slider = ask(
        written / "instance" / PAGE,
        1000,
        "const exact = document.getElementById('your-number'); const slider = document.getElementById('your-share');"
        f"exact.value = '{typed}'; exact.dispatchEvent(new Event('input'));"
        "const texts = (css) => [...document.querySelectorAll(css)].map((e) => e.textContent);"
        "return [texts('#moved td.yours'), texts('output.your-share'), texts('#predictive .yours td'),"
        "1 / (1 + Math.exp(-slider.value))]",
        tmp_path / "profile",
    )
    shown = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99)
    assert moved == [share_text(float(at_prevalence(percentage, 0.195, typed / 100))) for percentage in shown]
    assert shares == [share_text(typed / 100)] * 2
    assert predictive == [share_text(value) for value in predictive_values(0.25, 0.95, typed / 100)]
    assert slider == pytest.approx(typed / 100, rel=0.02)


def test_in_a_browser_the_slider_itself_moves_them(written, tmp_path):
    number, text, moved, last = ask(
        written / "classification" / PAGE,
        1000,
        "const slider = document.getElementById('your-share'); slider.value = slider.min;"
        "slider.dispatchEvent(new Event('input')); const at = (css) => document.querySelector(css).textContent;"
        "return [document.getElementById('your-number').value, slider.getAttribute('aria-valuetext'),"
        "at('#moved td.yours'), [...document.querySelectorAll('#moved td.yours')].at(-1).textContent]",
        tmp_path / "profile",
    )
    assert (number, text, moved) == ("0.1", "0.1\xa0%", "<0.1\xa0%")
    assert last == share_text(float(at_prevalence(0.99, 29 / 150, 0.001)))


def test_on_paper_no_table_is_cut(written, tmp_path):
    """What scrolls on a screen is laid out whole; sheets are as wide as A4 less its margins."""
    text = (written / "instance" / PAGE).read_text(encoding="utf-8")
    printed = written / "instance" / "printed.html"
    printed.write_text(
        text.replace("@media print", "@media all").replace(
            "@media (max-width", "@media (max-height:1px) and (max-width"
        )
    )
    cut, folded = ask(
        printed,
        690,
        "const cut = [...document.querySelectorAll('.table-frame')].filter((e) => e.scrollWidth > e.clientWidth + 1);"
        "dispatchEvent(new Event('beforeprint'));"
        "const folded = document.querySelectorAll('details:not([open])').length;"
        "return [cut.map((e) => e.getAttribute('aria-labelledby')), folded]",
        tmp_path / "profile",
    )
    assert cut == []
    assert folded == 0


def test_the_page_prints(written, tmp_path):
    pdf = tmp_path / "page.pdf"
    chromium(tmp_path / "profile", f"--print-to-pdf={pdf}", (written / "instance" / PAGE).as_uri())
    assert pdf.read_bytes().startswith(b"%PDF-")


def test_the_page_asks_the_network_for_nothing(written):
    text = (written / "instance" / PAGE).read_text(encoding="utf-8")
    without_pictures = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text)
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", without_pictures) == []
    assert "default-src 'none'" in text


@pytest.mark.parametrize("task", TASKS)
def test_in_a_browser_the_page_is_painted_without_a_word_on_the_console(written, tmp_path, task):
    picture = tmp_path / "page.png"
    screenshot(written / task / PAGE, (390, 844), picture, tmp_path / "profile")
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 100


PICTURES = {
    "instance": [
        *("pr_curve", "threshold", "roc", "reliability", "risk_coverage", "confusion", "jaccard", "slices"),
        "robustness",
    ],
    "semantic": ["confusion", "jaccard", "slices", "robustness"],
    "classification": ["pr_curve", "roc", "reliability", "risk_coverage", "confusion", "slices", "robustness"],
    "video": [],
}


@pytest.mark.parametrize("task", TASKS)
def test_pictures_are_at_print_resolution(tmp_path, task):
    paths = write_figures(write_folder(tmp_path / "run", task))
    assert [path.relative_to(tmp_path / "run").as_posix() for path in paths] == [
        f"figures/{name}.png" for name in PICTURES[task]
    ]
    for path in paths:
        with Image.open(path) as picture:
            assert round(picture.info["dpi"][0]) == 300
            assert min(picture.size) >= 500
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 20


def test_pictures_need_matplotlib_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    folder = write_folder(tmp_path / "run", "semantic")
    with pytest.raises(evaluation_figures.MissingDependency, match="pip install 'maskstream"):
        write_figures(folder)


def test_a_page_needs_neither_matplotlib_nor_pytorch(tmp_path):
    folder = write_folder(tmp_path / "run", "instance")
    code = (
        "import sys; from pathlib import Path; from maskstream.reports.evaluation_page import write_evaluation_report; "
        f"write_evaluation_report(Path({str(folder)!r})); "
        "print([name for name in ('torch', 'matplotlib', 'scipy', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
