"""Listing folders: natural order, nothing hidden, no circle followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskstream.data.listing import list_folder
from maskstream.errors import DatasetError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


def test_names_come_in_natural_order_from_every_folder_below(tmp_path: Path) -> None:
    touch(tmp_path, "10.png", "2.PNG", "b/ü 1.jpg", "b/notes.txt", ".hidden", ".git/x.png", "__MACOSX/2.png")
    listing = list_folder(tmp_path)
    assert listing.names == ("2.PNG", "10.png", "b/notes.txt", "b/ü 1.jpg")
    assert listing.images() == ("2.PNG", "10.png", "b/ü 1.jpg")
    assert listing.with_suffix(".png") == ("2.PNG", "10.png")
    assert listing.findings == ()


def test_an_empty_folder(tmp_path: Path) -> None:
    assert list_folder(tmp_path).names == ()


def test_linked_folders_are_listed_once_and_circles_are_told(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "1.png")
    touch(tmp_path / "source", "2.png")
    (tmp_path / "source" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "source" / "round").symlink_to(tmp_path / "source")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "source")
    (tmp_path / "source" / "itself").symlink_to(tmp_path / "source" / "itself")
    (tmp_path / "source" / "nowhere.png").symlink_to(tmp_path / "none.png")
    listing = list_folder(tmp_path / "source")
    assert listing.names == ("2.png", "linked/1.png")
    told = {Path(finding.place).name: finding.found for finding in listing.findings}
    assert told == {
        "round": "a link to a folder that is listed already",
        "back": "a link to a folder that is listed already",
        "itself": "a link that leads nowhere or in a circle",
        "nowhere.png": "a link that leads nowhere or in a circle",
    }


@pytest.mark.parametrize(("name", "found"), [("file", "a file"), ("nothing", "nothing")])
def test_what_is_no_folder(tmp_path: Path, name: str, found: str) -> None:
    touch(tmp_path, "file")
    with pytest.raises(DatasetError, match=f"{name}: expected a folder, found {found}"):
        list_folder(tmp_path / name)
