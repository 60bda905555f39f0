"""The contact sheet, and the page of the kept frames: what they show, and that the page works in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import ask
from planted_videos import pan, plant
from videos import write_video

from maskstream.data.frames.pick import FrameOptions, pick_frames
from maskstream.errors import DatasetError, SourceError
from maskstream.reports import contact_sheet as sheets
from maskstream.reports.contact_sheet import CELL_WIDTH_PX, GAP_PX, contact_sheet, write_contact_sheet
from maskstream.reports.frames_page import PICTURES_SHOWN, write_frames_page


def coloured(folder: Path, name: str, level: int, size_hw: tuple[int, int] = (90, 160)) -> Path:
    path = folder / name
    cv2.imwrite(str(path), np.full((*size_hw, 3), level, np.uint8))
    return path


def cell(sheet: np.ndarray, number: int, columns: int, height: int) -> np.ndarray:
    top = GAP_PX + number // columns * (height + GAP_PX)
    left = GAP_PX + number % columns * (CELL_WIDTH_PX + GAP_PX)
    return sheet[top : top + height, left : left + CELL_WIDTH_PX]


@pytest.mark.parametrize("count, columns, rows", [(1, 1, 1), (2, 2, 1), (4, 2, 2), (12, 3, 4), (200, 11, 19)])
def test_pictures_stand_in_rows_in_their_order(count: int, columns: int, rows: int, tmp_path: Path) -> None:
    paths = [coloured(tmp_path, f"{n}.png", 40 + n) for n in range(count)]
    sheet = contact_sheet([(path, "") for path in paths])
    height = CELL_WIDTH_PX * 90 // 160
    assert sheet.shape == (rows * (height + GAP_PX) + GAP_PX, columns * (CELL_WIDTH_PX + GAP_PX) + GAP_PX, 3)
    for number in range(count):
        np.testing.assert_array_equal(cell(sheet, number, columns, height)[:80], 40 + number)


def test_pictures_of_other_shapes_are_fitted_and_missing_ones_are_grey(tmp_path: Path) -> None:
    wide, tall = coloured(tmp_path, "wide.png", 100), coloured(tmp_path, "tall.png", 100, (160, 90))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    sheet = contact_sheet([(wide, "1"), (tall, "2"), (tmp_path / "broken.png", "3"), (tmp_path / "missing.png", "4")])
    height = CELL_WIDTH_PX * 90 // 160
    fitted = cell(sheet, 1, 2, height)[:50]
    assert (fitted[:, CELL_WIDTH_PX // 2] == 100).all()
    assert (fitted[:, 5] == fitted[0, 0]).all()
    assert (fitted[0, 0] != 100).all()
    for number in (2, 3):
        assert (cell(sheet, number, 2, height)[:50] == fitted[0, 0]).all()


def test_captions_are_drawn(tmp_path: Path) -> None:
    path = coloured(tmp_path, "a.png", 200)
    bare, told = contact_sheet([(path, "")]), contact_sheet([(path, "12   0:04.5")])
    changed = (bare != told).any(axis=2)
    assert changed[-40:].any()
    assert not changed[:60].any()


@pytest.mark.parametrize("size_hw", [(1, 400), (400, 1), (1, 1)])
def test_strange_shapes_have_a_sheet(size_hw: tuple[int, int], tmp_path: Path) -> None:
    path = coloured(tmp_path, "a.png", 120, size_hw)
    sheet = contact_sheet([(path, "1   0:00.0")] * 3)
    assert CELL_WIDTH_PX // 4 <= sheet.shape[0] <= 3 * (2 * CELL_WIDTH_PX + 2 * GAP_PX)


def test_a_sheet_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_PICTURES", 4)
    path = coloured(tmp_path, "a.png", 120)
    write_contact_sheet(tmp_path / "sheet.jpg", [(path, str(n)) for n in range(50)])
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape == contact_sheet([(path, "1")] * 4).shape


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the kept frames of two films, the second with faults and a name to be escaped."""
    folder = tmp_path_factory.mktemp("videos")
    good = write_video(folder / "good.mp4", pan(51, 80, (90, 160)))
    poor = write_video(folder / "poor & <b>.mp4", plant(pan(52, 80, (90, 160)), 52)[0])
    pick_frames([good, poor], folder / "out", FrameOptions(10))
    write_frames_page(folder / "out")
    return folder / "out"


def test_the_page_says_what_was_kept_and_why_not(finished: Path) -> None:
    page = (finished / "frames.html").read_text(encoding="utf-8")
    counts = json.loads((finished / "frames.json").read_text())["result"]["videos"]
    text = re.sub(r"[\s\u00a0]+", " ", re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL))
    kept = sum(video["kept"] for video in counts)
    assert f"{kept} frames of 160 from 2 videos" in text
    for name, told in (("over-exposed", "over-exposed"), ("repeat", "repeats an earlier frame")):
        assert sum(video[name] for video in counts) > 0
        assert f"{told}: {sum(video[name] for video in counts)}" in text
    assert "poor &amp; &lt;b&gt;.mp4" in page
    assert "<b>.mp4" not in page
    assert page.count("<li id=") == page.count("data:image/jpeg") == min(kept, PICTURES_SHOWN)
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_the_pie_counts_every_frame(finished: Path) -> None:
    pie = (finished / "pie.svg").read_text(encoding="utf-8")
    told = re.search(r"<desc>(.*?)</desc>", pie)
    assert told is not None
    assert sum(int(count) for count in re.findall(r": (\d+),", told[1])) == 160
    assert told[1].startswith("kept: ")


def test_a_video_of_which_nothing_was_kept_has_a_page(tmp_path: Path) -> None:
    video = write_video(tmp_path / "black.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5)
    pick_frames([video], tmp_path / "out", FrameOptions(3))
    page = write_frames_page(tmp_path / "out").read_text(encoding="utf-8")
    assert "None of 5" in page
    assert "No frame was kept" in page
    assert not (tmp_path / "out" / "contact_sheet.jpg").exists()


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a finished run"):
        write_frames_page(tmp_path)
    (tmp_path / "frames.json").write_text("{}")
    with pytest.raises(SourceError, match="has not ended"):
        write_frames_page(tmp_path)
    (tmp_path / "frames.json").write_text('{"result": {"videos": []}}')
    with pytest.raises(DatasetError, match=r"frames\.csv"):
        write_frames_page(tmp_path)


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_works_in_a_browser(width: int, finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "frames.html"
    page.write_bytes((finished / "frames.html").read_bytes())
    strip = "document.querySelectorAll('.strip')[0]"
    answer = ask(
        page,
        width,
        f"const box = {strip}.getBoundingClientRect();"
        f"{strip}.dispatchEvent(new MouseEvent('click', {{clientX: box.right, bubbles: true}}));"
        "return {wide: document.documentElement.scrollWidth,"
        "shown: [...document.images].every((image) => image.naturalWidth > 0),"
        "focused: document.activeElement.closest('li')?.id, pie: document.querySelector('.pie').clientWidth};",
        tmp_path / "profile",
    )
    assert answer["wide"] <= width
    assert answer["shown"]
    assert answer["pie"] > 200
    assert re.fullmatch(r"frame-\d+", answer["focused"])
