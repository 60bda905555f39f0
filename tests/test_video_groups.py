"""Images picked from films know their film."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskstream.data.records import ImageRecord
from maskstream.data.video_groups import with_video_groups
from maskstream.errors import DatasetError

HEADER = "video,file,frame,time_s,sha256,kept,image\n"


def records(folder: Path, *names: str, group: str | None = None) -> list[ImageRecord]:
    return [ImageRecord(i + 1, name, folder / name, (4, 4), group=group) for i, name in enumerate(names)]


def test_the_video_becomes_the_group(tmp_path: Path) -> None:
    rows = "a b.mp4,,7,0.25,ff,yes,images/one.png\na b.mp4,,8,0.3,ee,no,\nc.mp4,,0,0.0,dd,yes,images/sub/two.png\n"
    (tmp_path / "frames.csv").write_text(HEADER + rows)
    one, two, three = with_video_groups(records(tmp_path / "images", "one.png", "sub/two.png", "three.png"))
    assert (one.group, two.group, three.group) == ("a b.mp4", "c.mp4", None)
    assert one.attributes == {"frame": {"video": "a b.mp4", "index": 7, "time_s": 0.25, "sha256": "ff"}}
    assert three.attributes == {}


def test_a_group_that_the_labels_gave_stays(tmp_path: Path) -> None:
    (tmp_path / "frames.csv").write_text(HEADER + "a.mp4,,7,0.25,ff,yes,one.png\n")
    (one,) = with_video_groups(records(tmp_path, "one.png", group="patient 3"))
    assert one.group == "patient 3"


def test_no_table_another_table_and_a_broken_one(tmp_path: Path) -> None:
    images = records(tmp_path, "one.png")
    assert with_video_groups(images)[0] is images[0]
    (tmp_path / "frames.csv").write_text("frame,label\n1,cat\n")
    assert with_video_groups(images)[0] is images[0]
    (tmp_path / "frames.csv").write_text(HEADER + "a.mp4,,seven,0.25,ff,yes,one.png\n")
    with pytest.raises(DatasetError, match=r"frames\.csv: line 2: expected a frame index and a time .*'seven'"):
        with_video_groups(images)
    assert with_video_groups([]) == ()


def test_an_image_of_a_folder_is_no_frame_of_a_video(tmp_path: Path) -> None:
    (tmp_path / "frames.csv").write_text(HEADER + "folder,b.jpg,7,0.0,ff,yes,one.png\n")
    (one,) = with_video_groups(records(tmp_path, "one.png"))
    assert (one.group, one.attributes) == (None, {})
