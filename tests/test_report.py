"""The report page: what it says, what it holds, and that it works in a browser."""

from __future__ import annotations

import base64
import re
import shutil
from collections import Counter

import cv2
import numpy as np
import pytest
from browser import ask, screenshot
from found_objects import disk, found
from html_page import Page
from run_folders import film_run, line, moving_disk, picture_run, summary, track, write_tables, write_video

from maskstream.core.detections import Detections
from maskstream.errors import SourceError
from maskstream.reports import embedded
from maskstream.reports.run_report import OPEN_CARDS, write_run_report


def page_of(run):
    return Page(write_run_report(run).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def film_folder(tmp_path_factory):
    return film_run(tmp_path_factory.mktemp("film"))


@pytest.fixture
def folder(film_folder, tmp_path):
    """A copy of the film's run that a test may change."""
    return shutil.copytree(film_folder, tmp_path / "run", ignore=shutil.ignore_patterns("*.html"))


def empty_lines(count):
    return [line(i, i / 30, "x.mp4", Detections.empty(("benign", "malignant"), (96, 128))) for i in range(count)]


def test_the_verdict_stands_on_top(film_folder):
    text = page_of(film_folder).text
    assert "1 object was found in 1.0 seconds of film (30 frames); it is most likely malignant." in text
    assert text.count("95 % interval 64 to 84 %") == 2
    assert "of the objects that the model gives 74 %, about 74 in 100 are malignant" in text
    assert "maskstream is not a medical device" in text
    assert text.index("1 object was found") < text.index("The film") < text.index("What the model is for")


@pytest.mark.parametrize(
    "source, title",
    [("/films/arm?left.mp4", "arm?left.mp4"), ("sample:lesions?seed=3&frames=9", "sample:lesions"), ("arms", "arms")],
)
def test_the_page_is_named_after_its_source(folder, source, title):
    write_tables(folder, summary(source=source), [], empty_lines(1))
    page = page_of(folder)
    assert f"maskstream report {title} " in page.text


def test_the_page_holds_the_film_and_a_picture_of_each_object(film_folder):
    page = page_of(film_folder)
    (video,) = page.all("video")
    assert (
        base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,"))
        == (film_folder / "overlay.mp4").read_bytes()
    )
    (picture,) = [image for image in page.all("img") if "Object #1" in image["alt"]]
    jpeg = np.frombuffer(base64.b64decode(picture["src"].partition(",")[2]), np.uint8)
    cut = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    # frame 12 shows the disk at x = 54: the cut is centred on it, 45 pixels high and 60 wide
    assert cut.shape == pytest.approx((45, 60, 3), abs=2)
    centre = cut[cut.shape[0] // 2, cut.shape[1] // 2].astype(int)
    assert centre[0] - centre[2] > 15, "the middle is tinted with the blue of track 1"


def test_nothing_is_fetched_from_anywhere(film_folder, tmp_path):
    for page in (page_of(film_folder), page_of(picture_run(tmp_path / "pictures", ["a.jpg", "b.jpg"]))):
        for tag, attributes in page.elements:
            for name in ("src", "href", "poster", "srcset", "action"):
                value = attributes.get(name) or ""
                assert "//" not in value.partition(",")[0], (tag, name, value[:80])
        (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        assert policy.startswith("default-src 'none'")
        assert "url(" not in "".join(re.findall(r"<style>.*?</style>", str(page.rawdata), re.DOTALL))


def test_the_page_is_accessible(film_folder):
    page = page_of(film_folder)
    tags = Counter(tag for tag, _ in page.elements)
    assert [tags[landmark] for landmark in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    for tag, attributes in page.elements:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
        if tag == "a" and attributes["href"].startswith("#"):
            assert attributes["href"][1:] in ids
        if tag == "img":
            assert attributes["alt"]
    (scrub,) = page.all("input")
    assert scrub["aria-label"] == "Object #1: move along its time"


def test_names_cannot_bring_markup(folder):
    evil = "<img src=x onerror=alert(1)>\"'&.mp4"
    facts = summary(source=evil, warnings=[evil], arguments={"source": evil})
    facts["model"] |= {"name": evil, "limits": evil, "intended_use": evil, "positive_class": None}
    row = track(1, malignant=74.0, source=evil) | {"class": evil}
    write_tables(folder, facts, [row], [line(i, i / 30, evil, moving_disk(i)) for i in range(30)])
    page = page_of(folder)
    assert not [a for a in page.all("img") if a.get("onerror")]
    assert len(page.all("script")) == 1
    assert page.all("title") == [{}]
    assert page.text.count(evil) >= 6


def test_no_object_is_said_plainly(tmp_path):
    write_tables(tmp_path, summary(frames=5), [], empty_lines(5))
    write_video(tmp_path / "overlay.mp4", [np.full((96, 128, 3), 190, np.uint8)] * 5)
    page = page_of(tmp_path)
    assert "No object was found in 1.0 seconds of film (5 frames)." in page.text
    assert "That nothing was found does not mean that nothing is there." in page.text
    assert page.all("details", "card") == []


def test_of_many_objects_the_highest_are_shown_and_the_rest_is_counted(tmp_path):
    rows = [track(number, malignant=number / 3) for number in range(1, 231)]
    write_tables(tmp_path, summary(), rows, empty_lines(3))
    page = page_of(tmp_path)
    cards = page.all("details", "card")
    assert [card["id"] for card in cards] == [f"track-{number}" for number in range(230, 30, -1)]
    assert sum("open" in card for card in cards) == OPEN_CARDS
    assert "30 further objects stand in tracks.csv ; this page shows the first 200." in page.text
    assert (
        "230 objects were found in 1.0 seconds of film (30 frames): 150 most likely benign, 80 most likely" in page.text
    )


def test_single_pictures_become_a_gallery(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "PICTURE_LIMIT", 3)
    monkeypatch.setattr(embedded, "LINK_LIMIT", 1)
    names = ["deep/a & b.jpg", "c.png", "C.jpg", "d.jpg", "e.jpg"]
    page = page_of(picture_run(tmp_path, names))
    assert "5 objects were found in 5 pictures" in page.text
    assert len([image for image in page.all("img") if "with every object drawn" in image["alt"]]) == 3
    assert len([image for image in page.all("img") if image["alt"].startswith("Object #")]) == 5
    assert "2 further pictures beside this page" in page.text
    assert "and 1 more in the folder" in page.text
    assert "overlay/a%20%26%20b.jpg" in [link["href"] for link in page.all("a")]
    assert page.all("video") == page.all("figure") == []


def test_a_large_film_stays_beside_the_page(folder, monkeypatch):
    monkeypatch.setattr(embedded, "FILM_LIMIT_BYTES", 100)
    page = page_of(folder)
    assert page.all("video")[0]["src"] == "overlay.mp4"
    assert "is too large to be part of this page" in page.text


def test_without_calibration_the_page_says_so(folder):
    facts = summary()
    facts["model"] |= {"calibrated": False}
    write_tables(folder, facts, [track(1, malignant=74.0, half=None)], [line(0, 0.0, "x", moving_disk(0))])
    text = page_of(folder).text
    assert "This model carries no calibration." in text
    assert "Not calibrated; no interval" in text
    assert "95 % interval" not in text


def test_a_model_of_one_class_shows_scores(folder):
    row = {key: value for key, value in track(1, malignant=74.0).items() if not key.startswith("benign_")}
    facts = summary()
    facts["model"] |= {"positive_class": None}
    write_tables(folder, facts, [row], [line(i, i / 30, "x", moving_disk(i)) for i in range(30)])
    page = page_of(folder)
    assert "This model knows one class" in page.text
    assert "Score percentage and area over time" in page.text
    assert page.all("span", "figure") == []


def test_what_went_wrong_in_the_run_stands_on_top(folder):
    lines = [line(i, i / 30, "x", moving_disk(i)) for i in range(30)]
    write_tables(folder, summary(frames_damaged=2, warnings=["times jump"]), [track(1, malignant=74)], lines)
    text = page_of(folder).text
    assert "2 frames could not be decoded" in text
    assert text.index("times jump") < text.index("The film")


def test_a_missing_or_broken_film_costs_the_pictures_only(folder):
    (folder / "overlay.mp4").write_bytes(b"no film")
    page = page_of(folder)
    assert "The overlay film could not be read, so the objects have no pictures" in page.text
    assert "No picture" in page.text
    (folder / "overlay.mp4").unlink()
    page = page_of(folder)
    assert "This run folder holds no overlay film." in page.text
    assert page.all("button") == []


def test_an_object_without_its_best_frame_has_no_picture(folder):
    write_tables(folder, summary(), [track(1, malignant=74, best_frame=99)], [line(0, 0.0, "x", moving_disk(0))])
    page = page_of(folder)
    assert "No picture" in page.text
    assert page.all("figure") == [], "one frame makes no curve"


@pytest.mark.parametrize("name", ["summary.json", "tracks.csv", "detections.jsonl"])
def test_a_missing_table_is_one_clear_line(folder, name):
    (folder / name).unlink()
    with pytest.raises(SourceError, match=name) as raised:
        write_run_report(folder)
    assert "\n" not in str(raised.value)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    "name, content, place",
    [
        ("summary.json", "{", "summary.json: expected a file of a finished run folder, found text that is not JSON"),
        ("summary.json", "[]", "found JSON of type list"),
        ("tracks.csv", "track_id,source\n1,x\n", "tracks.csv, line 2"),
        ("detections.jsonl", '{"frame": 0}\n', "detections.jsonl, line 1"),
        ("detections.jsonl", "nonsense\n", "detections.jsonl, line 1"),
    ],
)
def test_a_broken_table_is_named_with_its_line(folder, name, content, place):
    (folder / name).write_text(content)
    with pytest.raises(SourceError, match=re.escape(place)):
        write_run_report(folder)


def test_a_torn_last_line_is_left_out(folder):
    before = page_of(folder).text
    with (folder / "detections.jsonl").open("a") as file:
        file.write('{"frame": 30, "time_s": 1.0, "detec')
    assert page_of(folder).text == before


def test_two_objects_side_by_side_have_an_overview(folder):
    lines = []
    for index in range(30):
        masks = [disk((96, 128), 30, 48, 15), disk((96, 128), 90, 48, 10)]
        lines.append(line(index, index / 30, "x", found(masks, [0.2, 0.7], [1, 2])))
    write_tables(folder, summary(), [track(1, malignant=20), track(2, malignant=70)], lines)
    page = page_of(folder)
    assert [card["id"] for card in page.all("details", "card")] == ["track-2", "track-1"]
    assert len(page.all("table", "overview")) == 1
    values = [figure["data-values"] for figure in page.all("figure", "curve")]
    assert values[0].startswith("[[0.0, 70.0, 3")
    assert values[1].startswith("[[0.0, 20.0, 7")


@pytest.mark.parametrize("width", [360, 1200])
def test_in_a_browser_nothing_overflows(film_folder, tmp_path, width):
    answer = ask(
        write_run_report(film_folder),
        width,
        """
        const wide = [...document.querySelectorAll("main *")].filter((e) =>
          e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
        return [document.documentElement.scrollWidth <= innerWidth, wide.map((e) => e.className)];
        """,
        tmp_path,
    )
    assert answer == [True, []]


def test_in_a_browser_the_curve_and_the_film_answer(film_folder, tmp_path):
    answer = ask(
        write_run_report(film_folder),
        900,
        """
        const figure = document.querySelector(".curve");
        const [plot, scrub, readout] = [".plot", ".scrub", ".readout"].map((name) => figure.querySelector(name));
        const frame = figure.querySelector("svg").getBoundingClientRect();
        plot.dispatchEvent(new PointerEvent("pointermove", { clientX: frame.right - 1, clientY: frame.top }));
        const pointed = readout.textContent;
        scrub.value = 0;
        scrub.dispatchEvent(new Event("input"));
        const video = document.querySelector("video");
        document.querySelector(".seek").click();
        await new Promise((resolve) => setTimeout(resolve, 500));
        return { pointed, keyed: scrub.getAttribute("aria-valuetext"), hidden: scrub.hidden,
          size: [video.videoWidth, video.videoHeight], at: video.currentTime };
        """,
        tmp_path,
    )
    areas = [int(moving_disk(index).areas_px[0]) for index in (0, 29)]
    assert answer["keyed"] == f"0:00.0: malignant 60 %, {areas[0]} px".replace(" %", "\xa0%").replace(" px", "\xa0px")
    assert answer["pointed"] == f"0:01.0: malignant 89 %, {areas[1]} px".replace(" %", "\xa0%").replace(" px", "\xa0px")
    assert answer["hidden"] is False
    assert answer["size"] == [128, 96]
    assert answer["at"] == pytest.approx(0.4)


def test_in_a_browser_the_page_is_painted(film_folder, tmp_path):
    picture = tmp_path / "page.png"
    screenshot(write_run_report(film_folder), (390, 844), picture, tmp_path / "profile")
    shown = cv2.imread(str(picture))
    assert shown.shape == (844, 390, 3)
    paper, accent = (241, 245, 246), (102, 90, 11)
    assert (shown == paper).all(axis=2).mean() > 0.03
    assert (np.abs(shown.astype(int) - accent).max(axis=2) < 8).sum() > 500
