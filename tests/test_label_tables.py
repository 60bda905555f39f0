"""Tables with a class for each image: `image_id,label` and one column a class, and their way out again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskstream.data.csv_files import read_table
from maskstream.data.dataset import Dataset
from maskstream.data.formats import label_csv, onehot_csv
from maskstream.data.formats.format import Format, ReadOptions, WriteOptions, assemble
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError

LABELS = """image_id,label,lesion_id,age,split
a,mel,L1,40,train
b.png,bcc,L2,,Validation
sub/c,mel,L1,51,train
"""
ONEHOT = """image,MEL,NV,UNK
a,0,1.0,0
b.png,1,0.0,0
sub/c,0,0.0,1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three images in `images/`."""
    source = tmp_path / "source"
    for name in ("a.jpg", "b.png", "sub/c.jpg"):
        path = source / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)
    return source


def read(format_: Format, folder: Path, text: str, **options: object) -> Dataset:
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    assert format_.read
    return format_.read(folder, ReadOptions(**options))


def meaning(dataset: Dataset) -> dict[str, tuple[object, ...]]:
    split_of = {name: split for split, names in dataset.splits.items() for name in names}
    return {
        record.name: (dataset.classes[record.class_id], record.group, split_of.get(record.name), record.attributes)
        for record in dataset.images
        if record.class_id is not None
    }


def test_a_row_becomes_an_image_with_class_group_split_and_the_rest(folder: Path) -> None:
    dataset = read(label_csv.FORMAT, folder, LABELS)
    assert dataset.classes == ("bcc", "mel")
    assert meaning(dataset) == {
        "a.jpg": ("mel", "L1", "train", {"label_csv": {"age": "40"}}),
        "b.png": ("bcc", "L2", "val", {"label_csv": {"age": ""}}),
        "sub/c.jpg": ("mel", "L1", "train", {"label_csv": {"age": "51"}}),
    }
    assert [record.image_id for record in dataset.images] == [1, 2, 3]
    assert dataset.provenance.findings == ()
    assert all(record.stated_size_hw is None and record.size_hw == (6, 8) for record in dataset.images)
    assert dataset.splits_made_by == "column split of the source"


def test_one_column_a_class(folder: Path) -> None:
    dataset = read(onehot_csv.FORMAT, folder, ONEHOT)
    assert dataset.classes == ("MEL", "NV", "UNK")
    assert meaning(dataset) == {
        "a.jpg": ("NV", None, None, {}),
        "b.png": ("MEL", None, None, {}),
        "sub/c.jpg": ("UNK", None, None, {}),
    }


def test_weights_groups_and_splits_are_no_classes(folder: Path) -> None:
    text = "image,patient_id,A,B,site,score_weight,split\na,1,1,0,back,1.0,test\nb,0,false,True,arm,0.0,\n"
    dataset = read(onehot_csv.FORMAT, folder, text)
    assert dataset.classes == ("A", "B")
    assert meaning(dataset) == {
        "a.jpg": ("A", "1", "test", {"onehot_csv": {"site": "back", "score_weight": "1.0"}}),
        "b.png": ("B", "0", None, {"onehot_csv": {"site": "arm", "score_weight": "0.0"}}),
    }


@pytest.mark.parametrize(("format_", "text"), [(label_csv.FORMAT, LABELS), (onehot_csv.FORMAT, ONEHOT)])
def test_chosen_classes_alone_and_in_their_order(folder: Path, format_: Format, text: str) -> None:
    names = read(format_, folder, text).classes
    dataset = read(format_, folder, text, classes=names[:0:-1])
    assert dataset.classes == names[:0:-1]
    assert {dataset.classes[record.class_id or 0] for record in dataset.images} == set(names[1:])
    assert dataset.provenance.findings == (), "images of other classes are not unlabelled"
    with pytest.raises(DatasetError, match=f"expected classes among {', '.join(names)}, found wart; correct --classes"):
        read(format_, folder, text, classes=("wart",))


def test_columns_may_be_named(folder: Path) -> None:
    text = "file;malignant;label;doctor\na.jpg;1;mel;X\nb.png;0;bcc;\n"
    dataset = read(label_csv.FORMAT, folder, text, label_column="malignant", group_column="doctor")
    assert dataset.classes == ("0", "1")
    assert meaning(dataset) == {
        "a.jpg": ("1", "X", None, {"label_csv": {"label": "mel"}}),
        "b.png": ("0", None, None, {"label_csv": {"label": "bcc"}}),
    }
    with pytest.raises(DatasetError, match=r"labels\.csv: line 1: expected a column nurse, found file, malignant"):
        read(label_csv.FORMAT, folder, text, group_column="nurse")


def test_the_widest_group_is_taken(folder: Path) -> None:
    dataset = read(label_csv.FORMAT, folder, "image,label,lesion_id,patient_id\na,x,L1,P1\n")
    assert meaning(dataset) == {"a.jpg": ("x", "P1", None, {"label_csv": {"lesion_id": "L1"}})}


def test_images_may_be_missing_altogether(tmp_path: Path) -> None:
    dataset = read(label_csv.FORMAT, tmp_path, LABELS)
    assert [record.name for record in dataset.images] == ["a.jpg", "b.png", "sub/c.jpg"]
    assert dataset.images[2].path == tmp_path / "images" / "sub" / "c.jpg"
    (finding,) = dataset.provenance.findings
    assert (finding.code, finding.severity) == ("missing-images", "note")
    assert "expected 3 image files, found 3 of them missing, such as a.jpg; put them into images/" in str(finding)
    saved = dataset.save(tmp_path / "dataset")
    assert meaning(saved) == meaning(dataset)


def test_images_are_found_wherever_they_lie(folder: Path, tmp_path: Path) -> None:
    (folder / "images").rename(tmp_path / "elsewhere")
    names = ["a.jpg", "b.png", "sub/c.jpg"]
    dataset = read(label_csv.FORMAT, folder, LABELS, images=tmp_path / "elsewhere")
    assert [record.name for record in dataset.images] == names
    (tmp_path / "elsewhere").rename(folder / "pictures of mine")
    dataset = read(label_csv.FORMAT, folder, "image,label\npictures of mine/a.jpg,x\nb,x\nc,x\n")
    assert [record.name for record in dataset.images] == [f"pictures of mine/{name}" for name in names]
    assert all(record.path.is_file() for record in dataset.images)
    with pytest.raises(DatasetError, match="nowhere: expected a folder"):
        read(label_csv.FORMAT, folder, LABELS, images=tmp_path / "nowhere")


def test_the_folder_of_images_may_be_named_in_the_table(folder: Path) -> None:
    dataset = read(label_csv.FORMAT, folder, "path,label\nimages/a.jpg,x\n./images/b,x\nimages/new.jpg,x\n")
    assert [record.name for record in dataset.images] == ["a.jpg", "b.png", "new.jpg"]
    assert {finding.code: finding.found for finding in dataset.provenance.findings} == {
        "missing-images": "1 of them missing, such as new.jpg",
        "images-without-label": "none for 1 images, such as sub/c.jpg, which are left out",
    }


def test_masks_beside_the_table_are_told_of(folder: Path) -> None:
    (folder / "Lesion_Masks").mkdir()
    (finding,) = read(label_csv.FORMAT, folder, LABELS).provenance.findings
    assert (finding.code, finding.severity, finding.place) == (
        "masks-left-out",
        "warning",
        str(folder / "Lesion_Masks"),
    )


def test_unicode_names_and_spaces(folder: Path) -> None:
    (folder / "images" / "a.jpg").rename(folder / "images" / "Mæl 1 ü.jpg")
    dataset = read(label_csv.FORMAT, folder, 'image,label\n"Mæl 1 ü",Übergang  \n')
    assert meaning(dataset) == {"Mæl 1 ü.jpg": ("Übergang", None, None, {})}


@pytest.mark.parametrize(
    ("format_", "text", "message"),
    [
        (label_csv.FORMAT, "image,label\na,x\nb.png,y\na,x\n", r"line 4: .* no other row names, found 'a', as in l"),
        (label_csv.FORMAT, "image,label\na,x\na.jpg,x\n", r"line 3: .* found 'a\.jpg', as in line 2"),
        (label_csv.FORMAT, "image,label\na,x\nb, \n", r"line 3, label: expected a class, found nothing"),
        (label_csv.FORMAT, "image,label\n../b,x\n", r"line 2: expected a path inside images/, found '\.\./b'"),
        (label_csv.FORMAT, "image,label\n/etc/passwd,x\n", r"line 2: expected a path inside images/"),
        (label_csv.FORMAT, "image,label\nC:\\a.jpg,x\n", r"line 2: expected a path inside images/"),
        (label_csv.FORMAT, "image,label\n,x\n", r"line 2: expected a path inside images/, found ''"),
        (label_csv.FORMAT, "image,label\n", "expected labelled images, found none"),
        (label_csv.FORMAT, "image,label\na,x,y\n", r"line 2: expected 2 cells \(image, label\)"),
        (label_csv.FORMAT, "", r"source: expected one table with a label an image, found none; name the CSV file"),
        (onehot_csv.FORMAT, "image,A,B\na,1,0\nb,1,1\n", "line 3: expected a 1 in .*, found it in A and B"),
        (onehot_csv.FORMAT, "image,A,B\na,1,0\nb,0,0\n", "line 3: expected a 1 in .*, found none; correct the row"),
        (onehot_csv.FORMAT, "image,A,B\na,1,0\nb,2,0\n", "line 3, A: expected 0 or 1, found '2'"),
        (onehot_csv.FORMAT, "image,A,B\na,1,0\nb,,1\n", "line 3, A: expected 0 or 1, found ''"),
        (onehot_csv.FORMAT, "image,A,B\na,1,0\nb,nan,1\n", "line 3, A: expected 0 or 1, found 'nan'"),
        (onehot_csv.FORMAT, "image,A,B\na,1,0\na,1,0\n", "line 3: expected an image that no other row names"),
        (onehot_csv.FORMAT, "image,A,B\n", "expected one table with a column a class, found none"),
        (onehot_csv.FORMAT, "name,A,B\na,1,0\n", "expected one table with a column a class, found none"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, format_: Format, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        read(format_, folder, text)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_named_gives_the_reason_itself(folder: Path) -> None:
    path = folder / "wrong.csv"
    path.write_text("picture,label\na,x\n")
    with pytest.raises(DatasetError, match=r"wrong\.csv: line 1: expected a column image_id or image or"):
        label_csv.read(path, ReadOptions())
    path.write_text("image,label\na,x\n")
    with pytest.raises(DatasetError, match=r"wrong\.csv: expected columns of 0 and 1, .*; try --format label_csv"):
        onehot_csv.read(path, ReadOptions())
    (folder / "labels.csv").write_text(LABELS)
    with pytest.raises(DatasetError, match=r"found 2: labels\.csv, wrong\.csv; name the CSV file itself"):
        label_csv.read(folder, ReadOptions())


def test_two_images_of_one_stem_must_be_told_apart(folder: Path) -> None:
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(folder / "images" / "a.png")
    with pytest.raises(
        DatasetError, match=r"line 2: expected the name of one image, found 'a', which may be a\.jpg or a\.p"
    ):
        read(label_csv.FORMAT, folder, "image,label\na,x\n")
    assert len(read(label_csv.FORMAT, folder, "image,label\na.jpg,x\na.png,x\n").images) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LABELS, label_csv),
        (ONEHOT, onehot_csv),
        ("image_id,dx\na,x\n", label_csv),
        ("image_id;1;2\na;0;1\n", onehot_csv),
        ('image_id,class,bounds\na,tank,"(1, 2, 3, 4)"\n', None),
        ("image_id,x,y,width,height,class_id\na,1,1,2,2,0\n", None),
        ("index,time_s,kept\n0,0.0,1\n", None),
        ("image,score,seen\na,0,0\n", None),
        ("image,A\na,1\n", None),
        ("image,A,B\n", None),
        ("image,A,B\na,1\n", None),
        ("", None),
    ],
)
def test_tables_are_told_apart(folder: Path, text: str, expected: object) -> None:
    (folder / "labels.csv").write_text(text)
    for listing in (list_folder(folder), Listing(folder, ("labels.csv",))):
        for module in (label_csv, onehot_csv):
            why = module.recognise(listing)
            assert (why is not None) == (module is expected)
            assert not why or "labels.csv" in why


def test_many_tables_are_none(folder: Path) -> None:
    for number in range(30):
        (folder / f"{number}.csv").write_text(LABELS)
    assert label_csv.recognise(list_folder(folder)) is None


@pytest.mark.parametrize(("format_", "text"), [(label_csv.FORMAT, LABELS), (onehot_csv.FORMAT, ONEHOT)])
@pytest.mark.parametrize("link", [False, True])
def test_images_go_out_and_in_again(folder: Path, tmp_path: Path, format_: Format, text: str, link: bool) -> None:
    dataset = read(format_, folder, text)
    out = tmp_path / "out"
    out.mkdir()
    assert format_.write
    assert format_.read
    assert list(format_.write(dataset, out, WriteOptions(link=link))) == []
    assert meaning(format_.read(out, ReadOptions())) == meaning(dataset)
    for record in dataset.images:
        copy = out / "images" / record.name
        assert copy.is_symlink() == link
        assert copy.read_bytes() == record.path.read_bytes()


def test_what_is_written(folder: Path, tmp_path: Path) -> None:
    dataset = read(label_csv.FORMAT, folder, LABELS)
    label_csv.write(dataset, tmp_path, WriteOptions())
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "image_id,label,group,split,age", "a.jpg,mel,L1,train,40", "b.png,bcc,L2,val,", "sub/c.jpg,mel,L1,train,51"
    ]  # fmt: skip
    (tmp_path / "images").rename(tmp_path / "before")
    onehot_csv.write(replace(dataset, splits={}), tmp_path, WriteOptions())
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "image,bcc,mel,group", "a.jpg,0,1,L1", "b.png,1,0,L2", "sub/c.jpg,0,1,L1"
    ]  # fmt: skip


def test_a_column_that_would_be_taken_for_another_gets_a_new_name(folder: Path, tmp_path: Path) -> None:
    text = "image,malignant,label,patient,group\na,1,mel,P,G\n"
    dataset = read(label_csv.FORMAT, folder, text, label_column="malignant")
    label_csv.write(dataset, tmp_path, WriteOptions())
    table = read_table(tmp_path / "labels.csv")
    assert table.columns == ("image_id", "label", "group", "source_label", "source_patient")
    assert [row.cells for row in table.rows()] == [["a.jpg", "1", "G", "mel", "P"]]


def object_dataset(folder: Path, class_ids: list[list[int]]) -> Dataset:
    """Images in `folder`, each with a box of each of these classes."""
    records = []
    for number, ids in enumerate(class_ids, start=1):
        path = folder / f"{number}.png"
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)
        boxes = tuple(Annotation(class_id, (), (1.0, 1.0, 4.0, 3.0), 6.0) for class_id in ids)
        records.append(ImageRecord(number, path.name, path, (6, 8), boxes))
    return assemble(folder, "test", ("cat", "dog"), records)


def test_objects_of_one_class_give_the_image_its_class(folder: Path, tmp_path: Path) -> None:
    dataset = object_dataset(folder, [[0, 0], [1], [0, 1], []])
    findings = label_csv.write(dataset, tmp_path, WriteOptions())
    assert (tmp_path / "labels.csv").read_text().splitlines() == ["image_id,label", "1.png,cat", "2.png,dog"]
    assert [(finding.code, finding.severity, finding.found) for finding in findings] == [
        ("image-without-class", "warning", "2 images without one, such as 3.png"),
        ("objects-left-out", "warning", "5 objects with masks or boxes, which it cannot hold"),
    ]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["1.png", "2.png"]
    with pytest.raises(DatasetError, match=r"expected images with a class as a whole, .* found none; export to a fo"):
        label_csv.write(object_dataset(folder, [[], [0, 1]]), tmp_path, WriteOptions())


def test_missing_images_on_the_way_out(folder: Path, tmp_path: Path) -> None:
    dataset = read(onehot_csv.FORMAT, folder, ONEHOT)
    dataset.images[0].path.unlink()
    (finding,) = onehot_csv.write(dataset, tmp_path, WriteOptions())
    assert str(finding).startswith("images: expected 3 image files, found 1 of them missing, in the dataset as well; ")
    known = replace(dataset, images=tuple(replace(record, stated_size_hw=(6, 8)) for record in dataset.images))
    (tmp_path / "again").mkdir()
    with pytest.raises(DatasetError, match=r"a\.jpg: expected an image file, found none"):
        onehot_csv.write(known, tmp_path / "again", WriteOptions())


def test_a_class_that_cannot_name_a_column_is_refused(tmp_path: Path) -> None:
    dataset = replace(object_dataset(tmp_path, [[0]]), classes=("Group", "dog"))
    with pytest.raises(
        DatasetError, match="expected classes that can name a column, found 'Group'; export to label_csv"
    ):
        onehot_csv.write(dataset, tmp_path, WriteOptions())


WORD = st.text(
    st.characters(codec="utf-8", categories=("L", "N"), include_characters=" ,;'\"-"), min_size=1, max_size=6
)
NAME = WORD.map(str.strip).filter(lambda name: name and name.casefold() not in onehot_csv.NO_CLASSES)


@settings(max_examples=40)
@given(
    classes=st.lists(NAME, min_size=2, max_size=4, unique_by=str.casefold),
    rows=st.lists(st.tuples(st.integers(0, 9), NAME | st.none(), st.sampled_from(["train", "test", "fold 1", None]),
                            NAME), min_size=1, max_size=6, unique_by=lambda row: row[3]),
)  # fmt: skip
def test_any_labels_survive_both_tables(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], rows: list[tuple[int, str | None, str | None, str]]
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    records, splits = [], {}
    for number, (class_id, group, split, name) in enumerate(rows, start=1):
        image = ImageRecord(number, f"{name}.jpg", folder / f"{name}.jpg", None, group=group,
                            class_id=class_id % len(classes))  # fmt: skip
        records.append(image)
        if split:
            splits.setdefault(split, []).append(image.name)
    dataset = assemble(folder, "test", tuple(classes), records, splits=splits)
    for format_ in (label_csv.FORMAT, onehot_csv.FORMAT):
        out = tmp_path_factory.mktemp("out")
        assert format_.write
        assert format_.read
        format_.write(dataset, out, WriteOptions())
        again = format_.read(out / "labels.csv", ReadOptions())
        assert meaning(again) == meaning(dataset)
        assert again.splits == dataset.splits


def test_isic_2019_has_its_known_counts(shared_data: Path) -> None:
    source = shared_data / "isic2019"
    everything = onehot_csv.read(source, ReadOptions())
    assert len(everything.images) == 25_331
    assert [Counter(r.class_id for r in everything.images)[i] for i in range(9)] == [
        4522, 12875, 3323, 867, 2624, 239, 253, 628, 0
    ]  # fmt: skip
    chosen = onehot_csv.read(source / "ISIC_2019_Training_GroundTruth.csv", ReadOptions(classes=("MEL", "BCC")))
    assert chosen.classes == ("MEL", "BCC")
    assert Counter(record.class_id for record in chosen.images) == {0: 4522, 1: 3323}
    assert len(chosen.images) == 7845
    assert [finding.found for finding in chosen.provenance.findings] == [
        "7845 of them missing, such as ISIC_0000002.jpg"
    ]


def test_ham10000_groups_by_lesion(shared_data: Path) -> None:
    dataset = label_csv.read(shared_data / "ham10000_mel_bcc", ReadOptions(classes=("mel", "bcc")))
    assert Counter(record.class_id for record in dataset.images) == {0: 1113, 1: 514}
    assert len({record.group for record in dataset.images}) == 941
    assert dataset.provenance.findings == ()
    assert dataset.images[0].group == "HAM_0003350"
    assert dataset.images[0].size_hw == (150, 200)
