"""Boxes in CSV files: every spelling of one table, what is refused and where, the round trip, the oil tanks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskstream.data.dataset import Dataset
from maskstream.data.formats import boxes_csv
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.listing import list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError

SIZED = "image_id,x,y,width,height,class_id\na,1,2,10,20,0\nb,3.5,4,5,6,1\na,0,0,2,2,1\n"
BOUNDS = 'image_id,class,bounds\na,0,"(1, 2, 11, 22)"\nb,1,"(3.5, 4, 8.5, 10)"\na,1,"(0,0,2,2)"\n'
CORNERS = "filename,label,xmin,ymin,xmax,ymax\na.png,0,1,2,11,22\nb.png,1,3.5,4,8.5,10\na.png,1,0,0,2,2\n"
EXPECTED = {
    "a.png": [(0, (1.0, 2.0, 11.0, 22.0)), (1, (0.0, 0.0, 2.0, 2.0))],
    "b.png": [(1, (3.5, 4.0, 8.5, 10.0))],
    "c.png": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images without a table."""
    (tmp_path / "source" / "images").mkdir(parents=True)
    for name in EXPECTED:
        Image.new("RGB", (60, 40)).save(tmp_path / "source" / "images" / name)
    return tmp_path / "source"


def read_text(folder: Path, text: str | bytes, **options: object) -> Dataset:
    (folder / "boxes.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return boxes_csv.read(folder, ReadOptions(**options))


def found_in(dataset: Dataset) -> dict[str, list[tuple[int, tuple[float, ...]]]]:
    return {image.name: [(a.class_id, a.box_xyxy) for a in image.annotations] for image in dataset.images}


@pytest.mark.parametrize(
    "content",
    [
        SIZED,
        BOUNDS,
        CORNERS,
        SIZED.encode("utf-8-sig"),
        SIZED.encode("utf-16"),
        SIZED.replace("\n", "\r\n"),
        SIZED.replace(",", ";"),
        SIZED.replace(",", "\t"),
        BOUNDS.replace(",", ";"),
        SIZED.replace(",", ", "),
        SIZED.replace("a,", '"a.png",'),
        SIZED.replace("\na,", "\nimages/a.png,"),
        SIZED.partition("\n")[2],
        BOUNDS.partition("\n")[2],
        SIZED.replace("class_id", "class_id,note").replace(",0\n", ",0,\n").replace(",1\n", ",1,\n"),
        SIZED + "c,,,,,\n",
    ],
    ids=["sizes", "bounds", "corners", "bom", "utf-16", "crlf", "semicolons", "tabs", "semicolons in bounds", "spaces",
         "quotes and suffix", "folder", "no header", "no header, bounds", "further column", "row without box"],
)  # fmt: skip
def test_one_table_in_every_spelling(folder: Path, content: str | bytes) -> None:
    if isinstance(content, str) and content.startswith("image_id;class"):
        content = content.replace("1; 2; 11; 22", "1, 2, 11, 22").replace("3.5; 4; 8.5; 10", "3.5, 4, 8.5, 10")
        content = content.replace("0;0;2;2", "0,0,2,2")
    dataset = read_text(folder, content)
    assert found_in(dataset) == EXPECTED
    assert dataset.classes == ("0", "1")
    assert all(image.size_hw == (40, 60) for image in dataset.images)
    assert all(annotation.segmentation == () for image in dataset.images for annotation in image.annotations)
    assert dataset.images[0].annotations[0].area_px == 200


def test_images_without_a_row_and_rows_without_an_image_are_told(folder: Path) -> None:
    dataset = read_text(folder, SIZED + "gone,1,1,2,2,0\ngone,1,1,2,2,0\n")
    assert found_in(dataset) == EXPECTED
    told = {finding.code: finding.found for finding in dataset.provenance.findings}
    assert told == {
        "label-without-image": "none; its 2 boxes are left out",
        "image-without-label": "none for 1 images, such as c.png, kept as images without objects",
    }
    with pytest.raises(
        DatasetError, match=r"images: expected the images that the table names, found none of 1, such as"
    ):
        read_text(folder, "image_id,x,y,width,height,class_id\ngone,1,1,2,2,0\n")


def test_a_table_without_rows_keeps_the_images(folder: Path) -> None:
    dataset = read_text(folder, "image_id,x,y,width,height,class_id\n")
    assert found_in(dataset) == {name: [] for name in EXPECTED}
    assert dataset.classes == ("object",)


def test_images_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "images").rename(tmp_path / "pictures")
    assert found_in(read_text(folder, SIZED, images=tmp_path / "pictures")) == EXPECTED
    with pytest.raises(DatasetError, match="expected the images that the table names"):
        read_text(folder, SIZED)


def test_degenerate_and_repeated_boxes_are_kept_as_they_are(folder: Path) -> None:
    rows = 'a,t,"(9, 5, 3, 2)"\na,t,"(1, 7, 4, 7)"\na,t,"(1, 7, 4, 7)"\na,t,"(-5, -5, 900, 900)"\n'
    dataset = read_text(folder, "image_id,class,bounds\n" + rows)
    boxes = [(9, 5, 3, 2), (1, 7, 4, 7), (1, 7, 4, 7), (-5, -5, 900, 900)]
    assert [a.box_xyxy for a in dataset.images[0].annotations] == boxes
    assert [a.area_px for a in dataset.images[0].annotations] == [0, 0, 0, 905 * 905]


@pytest.mark.parametrize(
    ("names", "rows", "expected"),
    [
        (("cat", "dog"), "a,0,0,1,1,1\n", {"1": "dog"}),
        (("cat", "dog"), "a,0,0,1,1,2\na,0,0,1,1,1\n", {"1": "cat", "2": "dog"}),
        (("cat", "dog"), "a,0,0,1,1,17\na,0,0,1,1,3\n", {"3": "cat", "17": "dog"}),
        (("cat", "dog", "emu"), "a,0,0,1,1,2\n", {"2": "emu"}),
    ],
)
def test_numbers_of_classes_get_names(
    folder: Path, names: tuple[str, ...], rows: str, expected: dict[str, str]
) -> None:
    dataset = read_text(folder, "image_id,x,y,width,height,class_id\n" + rows, classes=names)
    assert dataset.classes == names
    (note,) = (finding for finding in dataset.provenance.findings if finding.code == "class-numbers")
    assert note.found == ", ".join(f"{number} is {name}" for number, name in expected.items())
    numbers = [line.rpartition(",")[2] for line in rows.split()]
    assert [dataset.classes[a.class_id] for a in dataset.images[0].annotations] == [expected[n] for n in numbers]


def test_a_number_without_a_name_is_an_error_and_a_file_names_classes_first(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"boxes\.csv: expected class ids from 0 to 0, for cat, found 1"):
        read_text(folder, SIZED, classes=("cat",))
    (folder / "classes.txt").write_text("cat\ndog\nemu\n", encoding="utf-8-sig")
    assert read_text(folder, SIZED, classes=("dog",)).classes == ("cat", "dog", "emu")


def test_one_class_needs_no_column_but_may_have_a_name(folder: Path) -> None:
    table = "image_id,x,y,width,height\na,1,2,3,4\n"
    assert read_text(folder, table).classes == ("object",)
    assert read_text(folder, table, classes=("tank",)).classes == ("tank",)


def test_groups_splits_and_further_columns_are_kept(folder: Path, tmp_path: Path) -> None:
    table = "image_id,x,y,width,height,class,patient,split,score\na,1,2,3,4,t,p1,train,0.5\nb,1,2,3,4,t,p2,test,\n"
    dataset = read_text(folder, table)
    assert [image.group for image in dataset.images] == ["p1", "p2", None]
    assert dataset.splits == {"train": ("a.png",), "test": ("b.png",)}
    assert dataset.images[0].annotations[0].attributes == {"boxes_csv": {"score": "0.5"}}
    (tmp_path / "out").mkdir()
    boxes_csv.write(dataset, tmp_path / "out", WriteOptions())
    again = boxes_csv.read(tmp_path / "out", ReadOptions())
    assert [image.group for image in again.images] == ["p1", "p2", None]
    assert again.images[0].annotations[0].attributes == {"boxes_csv": {"score": "0.5"}}
    with pytest.raises(DatasetError, match=r"line 3: expected one group for each image, found p1 and p2"):
        read_text(folder, table.replace("\nb,", "\na,"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"boxes\.csv: expected a CSV file with a header, found an empty file"),
        ("image_id,x,y,width,height,class_id\na,1,NaN,3,4,0\n", r"line 2, y: expected a finite number .*, found 'NaN'"),
        ("image_id,x,y,width,height,class_id\na,1,2,inf,4,0\n", r"line 2, width: .*, found 'inf'"),
        ("image_id,x,y,width,height,class_id\na,1,2,1e999,4,0\n", r"line 2, width: .*, found '1e999'"),
        ("image_id,x,y,width,height,class_id\na,1,2,,4,0\n", r"line 2, width: .*, found ''"),
        ('image_id;x;y;width;height;class_id\na;"1,5";2;3;4;0\n', r"line 2, x: .* decimal point, found '1,5'"),
        ("image_id,x,y,width,height,class_id\na,1_0,2,3,4,0\n", r"line 2, x: .*, found '1_0'"),
        ("image_id,x,y,width,height,class_id\na,1,2,3,4\n", r"line 2: expected 6 cells .*, found 5"),
        ("image_id,x,y,width,height,class_id\na,1,2,3,4,\n", "line 2: expected a class for the box, found nothing"),
        ('image_id,class,bounds\na,t,"(1, 2, 3)"\n', r"line 2, bounds: expected the corners .*, found '\(1, 2, 3\)'"),
        ('image_id,class,bounds\na,t,"[1, 2, 3, 4]"\n', r"line 2, bounds: .*, found '\[1, 2, 3, 4\]'"),
        ('image_id,class,bounds\na,t,"(1, 2, nan, 4)"\n', r"line 2, bounds: .*, found 'nan'"),
        ('image_id,class,bounds\na,t,"(1, 2, __import__(0), 4)"\n', "line 2, bounds: .*, found '__import__"),
        ('image_id,class,bounds\n\na,t,"(1, 2\n', r"line 3: expected cells .*, found unexpected end of data"),
        ("image_id,x,y,width,height,class_id\n../../etc/a,1,2,3,4,0\n", r"line 2: expected a path inside"),
        ("image_id,x,y,width,height,class_id\n/etc/passwd,1,2,3,4,0\n", r"line 2: expected a path inside"),
        ("image_id,class,x,y\na,t,1,2\n", r"line 1: expected columns x, y, width and height, or bounds"),
        ("x,y,width,height,class\n1,2,3,4,t\n", r"line 1: expected a column image_id or image"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_file_and_line(folder: Path, text: str, message: str) -> None:
    (folder / "boxes.csv").write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        boxes_csv.read(folder / "boxes.csv", ReadOptions())
    assert "\n" not in str(caught.value)
    assert str(folder / "boxes.csv") in str(caught.value)


def test_two_images_of_one_stem_are_named(folder: Path) -> None:
    Image.new("RGB", (60, 40)).save(folder / "images" / "a.jpg")
    with pytest.raises(
        DatasetError, match=r"line 2: expected the name of one image, found 'a', which may be a\.jpg or a"
    ):
        read_text(folder, SIZED)
    dataset = read_text(folder, SIZED.replace("\na,", "\na.png,"))
    assert [len(image.annotations) for image in dataset.images if image.name.startswith("a.")] == [0, 2]


def test_a_link_in_a_circle_is_told(folder: Path) -> None:
    (folder / "images" / "loop").symlink_to(folder / "images", target_is_directory=True)
    dataset = read_text(folder, SIZED)
    assert found_in(dataset) == EXPECTED
    assert "unlisted-folder" in {finding.code for finding in dataset.provenance.findings}


@pytest.mark.parametrize(
    ("text", "recognised"),
    [
        (SIZED, True),
        (BOUNDS, True),
        (CORNERS, True),
        (SIZED.partition("\n")[2], True),
        ("a.png,1,2,10,20,cat\n", False),  # corners or sizes? with a name at the end both are about
        ("image_id,label\na,0\n", False),
        ("image_id,width,height,bbox_x\na,0,1,2\n", False),
        ("", False),
    ],
)
def test_recognised_by_its_columns(folder: Path, text: str, recognised: bool) -> None:
    (folder / "boxes.csv").write_text(text)
    why = boxes_csv.recognise(list_folder(folder))
    assert why == ("a table with a box in each row: boxes.csv" if recognised else None)


NUMBERS = st.floats(-1e4, 1e4, allow_nan=False).map(lambda number: round(number, 3))
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(
    classes=st.lists(NAMES.filter(lambda name: name != "background"), min_size=1, max_size=4, unique=True),
    boxes=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=6),
)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    classes: list[str],
    boxes: list[tuple[int, int, float, float, float, float]],
) -> None:
    folder = tmp_path_factory.mktemp("boxes")
    images = []
    for number, name in enumerate(["a.png", "b c/ü.png", '日本, "x".png']):
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(path)
        found = [Annotation(c % len(classes), (), (x, y, x2, y2), 0.0) for c, i, x, y, x2, y2 in boxes if i == number]
        images.append(ImageRecord(number + 1, name, path, (4, 4), tuple(found)))
    dataset = assemble(folder, "test", tuple(classes), images)
    (folder / "out").mkdir()
    assert boxes_csv.write(dataset, folder / "out", WriteOptions()) == []
    again = boxes_csv.read(folder / "out", ReadOptions())
    assert again.classes == tuple(classes)
    assert {image.name for image in again.images} == {image.name for image in images}
    for image in again.images:
        (before,) = (record for record in images if record.name == image.name)
        assert [a.class_id for a in image.annotations] == [a.class_id for a in before.annotations]
        assert np.allclose([a.box_xyxy for a in image.annotations], [a.box_xyxy for a in before.annotations], atol=1e-9)


def test_what_a_table_of_boxes_cannot_hold_is_told(folder: Path, tmp_path: Path) -> None:
    ring = (np.array([[0.0, 0], [9, 0], [9, 9]]),)
    annotation = Annotation.from_polygons(0, ring, (40, 60), {"colour": "red"})
    record = ImageRecord(1, "a.png", folder / "images" / "a.png", (40, 60), (annotation,), class_id=0)
    (tmp_path / "out").mkdir()
    (note,) = boxes_csv.write(assemble(folder, "test", ("t",), [record]), tmp_path / "out", WriteOptions())
    assert note.found == "1 masks, of which the boxes are written, 1 objects with attributes, 1 classes of whole images"
    assert (tmp_path / "out" / "boxes.csv").read_bytes() == (
        b"image_id,x,y,width,height,class_id\r\na.png,0,0,9,9,0\r\n"
    )


def test_the_oil_tanks_come_in_with_their_two_degenerate_boxes(shared_data: Path, tmp_path: Path) -> None:
    dataset = boxes_csv.read(shared_data / "oil_tanks", ReadOptions())
    assert dataset.classes == ("oil-storage-tank",)
    assert len(dataset.images) == 20
    assert {image.size_hw for image in dataset.images} == {(2560, 2560)}
    objects = [annotation for image in dataset.images for annotation in image.annotations]
    assert len(objects) == 2978
    assert sorted(a.box_xyxy for a in objects if not a.area_px) == [(884, 901, 897, 824), (1782, 1932, 1791, 1932)]
    assert dataset.provenance.findings == ()
    (tmp_path / "out").mkdir()
    assert boxes_csv.write(dataset, tmp_path / "out", WriteOptions(link=True)) == []
    assert found_in(boxes_csv.read(tmp_path / "out", ReadOptions())) == found_in(dataset)
