"""The page of a dataset: what it says, what it holds, and that it works in a browser."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
import typer
from browser import ask, screenshot
from html_page import Page
from small_datasets import classified, dataset, mixed, nothing, one_class, record, rectangle
from typer.testing import CliRunner

from maskstream.cli.data.stats import stats
from maskstream.cli.new_folder import new_folder
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats.coco.folder import read
from maskstream.data.formats.format import ReadOptions
from maskstream.data.splits.proof import prove
from maskstream.data.statistics.collect import collect
from maskstream.errors import OutputError
from maskstream.reports import dataset_report
from maskstream.reports.dataset_facts import named_facts, proof_sentence, verdict
from maskstream.reports.dataset_report import PAGE, describe

SECTIONS = ["classes", "kept", "objects", "colours", "images", "examples", "proof", "findings", "facts"]


def page_of(small, folder, **options):
    describe(small, folder, **options)
    return Page((folder / PAGE).read_text(encoding="utf-8"))


def tables(page_path):
    """Text of each row of each table, cell by cell."""
    text = re.sub(r"<svg.*?</svg>", "", page_path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [
        [
            [re.sub(r"<[^>]+>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
            for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        ]
        for table in re.findall(r"<table.*?</table>", text, re.DOTALL)
    ]


@pytest.fixture(scope="module")
def mixed_page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    describe(mixed(folder / "source"), folder / "out")
    return folder / "out" / PAGE


def test_the_page_says_what_there_is(mixed_page):
    page = Page(mixed_page.read_text(encoding="utf-8"))
    assert "6 images with 6 labelled objects of 2 classes." in page.text
    assert "1 group with images in more than one split" in page.text
    assert "1 image without any label." in page.text
    assert [heading["id"] for heading in page.all("h2")] == ["verdict", *SECTIONS]


def test_the_tables_hold_the_counts(mixed_page):
    classes, by_split, coco_sizes, colours, sizes, *_ = tables(mixed_page)
    assert [row[:4] for row in classes] == [
        ["Class", "Images", "Objects", "Crowds"],
        ["benign", "3", "3", "1"],
        ["malignant", "3", "3", "0"],
        ["Total", "5", "6", "1"],
    ]
    assert by_split == [
        ["Objects of", "train", "test", "left out", "in no split"],
        ["benign", "2", "1", "0", "0"],
        ["malignant", "1", "0", "1", "1"],
        ["All classes", "3", "1", "1", "1"],
        ["Images", "2", "2", "1", "1"],
    ]
    assert [row[:2] for row in coco_sizes] == [["Small", "6"], ["Medium", "0"], ["Large", "0"]]
    assert [row[0] for row in colours] == ["Mean colour of", "benign", "malignant", "background"]
    assert sizes[1][:2] == ["20 x 10", "6"]


def test_the_pie_shows_what_is_kept_and_dropped(mixed_page):
    (pie,) = re.findall(r'<svg[^>]*class="pie".*?</svg>', mixed_page.read_text(encoding="utf-8"), re.DOTALL)
    assert re.findall(r"<desc>(.*?)</desc>", pie) == [
        "train: 2, 33 %; test: 2, 33 %; out: near-duplicate of 1.png: 1, 17 %; in no split: 1, 17 %"
    ]


def test_proof_rule_groups_and_findings_are_shown(mixed_page):
    text = Page(mixed_page.read_text(encoding="utf-8")).text
    assert "near duplicate pairs: compared 15" in re.sub(r"\s+", " ", text)
    assert "near duplicate pairs: across splits 0" in text
    assert "a, b, c, d, e, f, g, h and 2 more" in text
    assert "seed 42" in text
    assert "Groups in more than one split film a" in text
    assert "mask without image" in text
    assert "masks/x.png: expected an image, found none; put it there" in text
    assert "CC0-1.0" in text
    assert 64 * "a" in text
    assert "model 1" in text
    assert "not told 5" in text


def test_the_page_stands_alone(mixed_page):
    text = mixed_page.read_text(encoding="utf-8")
    page = Page(text)
    addresses = [value for _, attrs in page.elements for name, value in attrs.items() if name in ("src", "href")]
    inside = [address for address in addresses if not address.startswith(("data:", "#"))]
    assert set(inside) == {"classes.csv", "images.csv", "objects.csv", "summary.json"}
    assert "@import" not in text
    assert "url(" not in text
    assert all((mixed_page.parent / address).is_file() for address in inside)
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))
    assert all(attrs.get("scope") for tag, attrs in page.elements if tag == "th")
    assert all(svg.get("role") == "img" for svg in page.all("svg"))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    pointed = [attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs]
    assert set(pointed) <= set(ids)


def test_an_empty_dataset_has_a_page(tmp_path):
    page = page_of(nothing(tmp_path / "source"), tmp_path / "out")
    assert "0 images with 0 labelled objects of 0 classes." in page.text
    assert "This dataset names no class." in page.text
    assert "There is no object with a place in an image." in page.text
    assert "There is none, as there are no splits yet." in page.text
    assert page.all("img") == []


def test_labels_of_images_as_a_whole_with_one_image_missing(tmp_path):
    page = page_of(classified(tmp_path / "source"), tmp_path / "out")
    assert "3 images of 2 classes, labelled as a whole." in page.text
    assert "1 image not there (yet)" in page.text
    classes, by_split, *_ = tables(tmp_path / "out" / PAGE)
    assert [row[:2] for row in classes] == [["Class", "Images"], ["malignant", "2"], ["benign", "1"], ["Total", "3"]]
    assert by_split[0] == ["Images of", "train", "test"]
    assert by_split[1] == ["malignant", "1", "1"]
    assert [image["alt"] for image in page.all("img")] == ["malignant in 2.png", "benign in 1.png"]
    assert "2 images read of 3." in page.text
    assert "background" not in [row[0] for table in tables(tmp_path / "out" / PAGE) for row in table]


@pytest.mark.parametrize(
    "labels, objects, sentence",
    [
        ([0, None], 0, "2 images, of which 1 labelled as a whole, of 1 class."),
        ([0, 1], 1, "2 images with 2 labelled objects of 1 class; 2 images of 2 classes as a whole."),
        ([None, None], 1, "2 images with 2 labelled objects of 1 class."),
        ([None, None], 0, "2 images with 0 labelled objects of 0 classes."),
    ],
)
def test_the_first_sentence(tmp_path, labels, objects, sentence):
    images = [
        record(tmp_path, number, objects * [rectangle(0, 0, 0, 2, 2)], class_id=label)
        for number, label in enumerate(labels)
    ]
    found = collect(dataset(tmp_path, images), colour_images=0)
    assert verdict(found).replace("\xa0", " ") == sentence


def test_names_are_text_and_boxes_alone_are_said(tmp_path):
    page = page_of(one_class(tmp_path / "source"), tmp_path / "out")
    assert "oil <b>tank</b> & more" in page.text
    assert "2 objects known by box alone" in page.text
    assert "1 object with a box that has no width or no height." in page.text
    assert "There is no mask to look into." in page.text
    assert page.all("b") == []


def test_without_colours_the_page_says_so(tmp_path):
    page = page_of(mixed(tmp_path / "source"), tmp_path / "out", colour_images=0)
    assert "Not looked at: no image was to be read." in page.text


def test_a_sample_is_said_to_be_one(tmp_path):
    page = page_of(mixed(tmp_path / "source"), tmp_path / "out", colour_images=2)
    assert "2 images read, chosen by chance among 6." in page.text


def test_faults_of_the_dataset_s_files_stand_on_top(tmp_path):
    fault = Finding(
        code="broken-entry", severity=Severity.ERROR, place="annotations.json: images[3]", expected="a name",
        found="nothing", remedy="correct it",
    )  # fmt: skip
    page = page_of(mixed(tmp_path / "source"), tmp_path / "out", loading=[fault])
    assert "1 fault in the dataset's files" in page.text
    assert "annotations.json: images[3]: expected a name" in page.text


def test_examples_show_the_mask_in_the_class_s_colour(tmp_path):
    grey = np.full((60, 80, 3), 128, np.uint8)
    images = [record(tmp_path, 1, [rectangle(0, 20, 15, 40, 30, (60, 80))], (60, 80), grey)]
    page = page_of(dataset(tmp_path, images), tmp_path / "out")
    (image,) = page.all("img")
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(image["src"].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert image["alt"] == "benign in 1.png, its mask drawn"
    middle, corner = drawn[drawn.shape[0] // 2, drawn.shape[1] // 2].astype(int), drawn[4, 4].astype(int)
    # a fifth of (86, 180, 233) over grey, as BGR; nothing outside
    assert np.abs(middle - [149, 138, 120]).max() <= 3
    assert np.abs(corner - 128).max() <= 3


def test_examples_come_from_different_images_small_ones_first(tmp_path):
    sides = [3, 9, 5, 7, 2, 8, 4, 6]
    images = [
        record(tmp_path, number, [rectangle(0, 0, 0, side, side), rectangle(0, 12, 0, 1, 1)])
        for number, side in enumerate(sides)
    ]
    page = page_of(dataset(tmp_path, images), tmp_path / "out")
    shown = [int(re.search(r"(\d).png", image["alt"])[1]) for image in page.all("img")]
    assert [sides[number] for number in shown] == [2, 3, 5, 6, 8, 9]


def test_a_folder_in_use_is_refused_before_any_work(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    told = []
    with pytest.raises(OutputError, match="in use"):
        describe(mixed(tmp_path / "source"), tmp_path / "out", on_progress=lambda *step: told.append(step))
    assert told == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_nothing_is_left_where_the_page_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_report, "write_page", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        describe(nothing(tmp_path / "source"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_eighty_classes_stay_bounded(shared_data, tmp_path):
    page = page_of(read(shared_data / "coco128", ReadOptions()), tmp_path)
    assert "128 images with 929 labelled objects of 71 classes." in page.text
    assert len(tables(tmp_path / PAGE)[0]) == 82
    assert len(page.all("ul", "strip")) == 20
    assert 60 < len(page.all("img")) <= 120
    assert "Without examples here, as less frequent: truck, broccoli" in page.text
    assert (tmp_path / PAGE).stat().st_size < 4_000_000


@pytest.mark.parametrize(
    "facts, lines",
    [
        ({}, []),
        ({"a_b": {"c_d": 1}}, [("a b: c d", "1")]),
        ({"a": {"b": {"c": 1, "d": "x"}, "e": None}}, [("a: b", "c 1, d x"), ("a: e", "not known")]),
        ({"a": {"b": {"c": {"d": 1}, "e": 2}}}, [("a: b: c", "d 1"), ("a: b: e", "2")]),
        ({"ok": True, "none": [], "pairs": [["x", "y"]]}, [("ok", "yes"), ("none", "none"), ("pairs", "x y")]),
        ({"kinds": {}}, [("kinds", "none")]),
    ],
)
def test_facts_of_any_shape_become_lines(facts, lines):
    assert named_facts(facts) == lines


@pytest.mark.parametrize(
    "groups, rule, sentence",
    [
        (("a", "b"), {}, "No group and no near-duplicate is in two splits."),
        (("a", "b"), {"duplicates": "ignore"}, "No group is in two splits; near-duplicates were not looked for."),
        (("a", "a"), {}, "These splits leak: 1 group and 0 pairs of (near-)duplicates lie across them."),
    ],
)
def test_the_proof_of_splits_comes_to_a_sentence(tmp_path, groups, rule, sentence):
    images = [record(tmp_path, number, size_hw=(40, 60), group=group) for number, group in enumerate(groups)]
    small = dataset(tmp_path, images, splits={"train": ("0.png",), "test": ("1.png",)}, split_rule=rule)
    proven = replace(small, split_proof=prove(small).model_dump())
    assert proof_sentence(proven).replace("\xa0", " ") == sentence
    assert sentence in page_of(proven, tmp_path / "out").text
    assert proof_sentence(small) is None


def test_images_that_were_not_compared_are_said(tmp_path):
    images = [record(tmp_path, number, size_hw=(40, 60)) for number in range(2)]
    small = dataset(tmp_path, images, splits={"train": ("0.png",), "test": ("1.png",)})
    images[0].path.unlink()
    proven = replace(small, split_proof=prove(small).model_dump())
    assert proof_sentence(proven).endswith("1\xa0image could not be compared.")


def command():
    app = typer.Typer()
    app.command()(stats)
    return app


def test_the_command_prints_the_class_table_and_the_page_s_path(tmp_path, monkeypatch):
    mixed(tmp_path / "source").save(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    for folder in ("set", "set-2"):
        done = CliRunner().invoke(command(), ["set"])
        assert done.exit_code == 0, done.output
        rows = [re.findall(r"[\w/.-]+", line) for line in done.stdout.splitlines()]
        assert ["class", "images", "objects", "crowds"] in rows
        assert ["benign", "3", "3", "1"] in rows
        assert ["malignant", "3", "3", "0"] in rows
        assert ["total", "5", "6", "1"] in rows
        assert rows[-1] == ["page", f"runs/stats/{folder}/report.html"]
        assert (tmp_path / "runs" / "stats" / folder / "report.html").is_file()


def test_the_command_tells_what_it_leaves_out(tmp_path):
    mixed(tmp_path / "source").save(tmp_path / "set")
    labels = json.loads((tmp_path / "set" / "annotations.json").read_text())
    labels["annotations"][0]["category_id"] = 99
    (tmp_path / "set" / "annotations.json").write_text(json.dumps(labels))
    done = CliRunner().invoke(command(), [str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--no-colour"])
    assert done.exit_code == 0, done.output
    assert "left out: " in done.stdout
    assert "found 99; correct the reference" in done.stdout
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["objects"] == 5


def test_a_new_folder_is_named_after_the_source(tmp_path):
    assert new_folder(tmp_path, "/data/my set.zip") == tmp_path / "my-set"
    (tmp_path / "my-set").mkdir()
    assert new_folder(tmp_path, "my set") == tmp_path / "my-set-2"
    assert new_folder(tmp_path, "..") == tmp_path / "run"


@pytest.fixture(scope="module")
def browser_pages(tmp_path_factory, mixed_page):
    """Pages of a mixed dataset and of one with many classes, long names and many splits."""
    folder = tmp_path_factory.mktemp("wide")
    classes = tuple(f"a-very-long-class-name-without-a-space-{number}" for number in range(40))
    images = [
        record(folder, number, [rectangle(number, 0, 0, 1 + number % 20, 5)], group=f"group {number % 9}")
        for number in range(40)
    ]
    splits = {f"fold-{fold}": tuple(f"{number}.png" for number in range(fold, 40, 10)) for fold in range(10)}
    describe(dataset(folder, images, classes, splits), folder / "out")
    return {"mixed": mixed_page, "wide": folder / "out" / PAGE}


@pytest.mark.parametrize("name", ["mixed", "wide"])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_in_a_browser_nothing_overflows_and_all_is_there(browser_pages, tmp_path, name, width):
    answer = ask(
        browser_pages[name],
        width,
        """
        const inFrame = (e) => e.closest(".table-frame") && !e.matches(".table-frame");
        const edge = document.documentElement.clientWidth + 1;
        const wide = [...document.querySelectorAll("body *")].filter((e) =>
          !e.closest(".skip") && !inFrame(e) && e.getBoundingClientRect().right > edge);
        const letters = [...document.querySelectorAll("svg text")].map((e) =>
          parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a);
        return { fits: document.documentElement.scrollWidth <= innerWidth,
          wide: wide.map((e) => e.outerHTML.slice(0, 80)),
          sections: [...document.querySelectorAll("main h2")].map((e) => e.id),
          shown: [...document.querySelectorAll("main section")].every((e) => e.getBoundingClientRect().height > 30),
          pictures: [...document.images].every((e) => e.complete && e.naturalWidth > 0 || e.loading === "lazy"),
          smallest: Math.min(...letters) };
        """,
        tmp_path,
    )
    assert answer["fits"] is True
    assert answer["wide"] == []
    assert answer["sections"] == ["verdict", *SECTIONS]
    assert answer["shown"] is True
    assert answer["pictures"] is True
    assert answer["smallest"] >= 11


def test_in_a_browser_the_class_table_sorts(browser_pages, tmp_path):
    answer = ask(
        browser_pages["mixed"],
        900,
        """
        const table = document.querySelector(".sortable");
        const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent.trim());
        const [first, ...others] = table.querySelectorAll("thead button");
        const before = names();
        first.click(); const byName = names();
        first.click(); const reversed = names();
        others[2].click(); const byCrowds = names();
        others[2].click(); const byFewest = names();
        return [before, byName, reversed, byCrowds, byFewest,
          [...table.tHead.rows[0].cells].map((cell) => cell.getAttribute("aria-sort"))];
        """,
        tmp_path,
    )
    up, down = ["benign", "malignant"], ["malignant", "benign"]
    assert answer == [up, up, down, up, down, [None, None, None, "ascending", None, None]]


def test_in_a_browser_the_page_is_painted(browser_pages, tmp_path):
    picture = tmp_path / "page.png"
    screenshot(browser_pages["mixed"], (500, 1400), picture, tmp_path / "profile")
    shown = cv2.imread(str(picture))
    paper, accent = (241, 245, 246), (102, 90, 11)
    assert (shown == paper).all(axis=2).mean() > 0.03
    assert (np.abs(shown.astype(int) - accent).max(axis=2) < 8).sum() > 5000, "the pie and the bars"
