"""Classes of images from file names and folders: when they are recognised, read and written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.data.dataset import Dataset
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.formats.named_images import (
    read_class_folders,
    read_file_names,
    recognise_class_folders,
    recognise_file_names,
)
from maskstream.data.formats.named_images_write import class_of_name, write_class_folders, write_file_names
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import ImageRecord
from maskstream.errors import DatasetError

PATH = Path("source")


def fill(folder: Path, names: Iterable[str]) -> Path:
    """Files of these names, each holding its name; no image needs to be opened."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def classes_by_name(dataset: Dataset) -> dict[str, str]:
    return {r.name: dataset.classes[r.class_id] for r in dataset.images if r.class_id is not None}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("benign_998.jpg", "benign"),
        ("class-12.png", "class"),
        ("acne vulgaris (3).png", "acne vulgaris"),
        ("a/b_1/benign 7.jpg", "benign"),
        ("type2_13.png", "type2"),
        ("a_1_2.png", "a_1"),
        ("seborrheic_keratosis__04.tif", "seborrheic_keratosis"),
        ("Hämangiom_1.jpg", "Hämangiom"),
        ("x_1.5.jpg", None),
        ("benign_998_mask.png", None),
        ("benign998.jpg", None),
        ("2024-01-31.jpg", None),
        ("_12.jpg", None),
        ("0001.jpg", None),
        ("benign.jpg", None),
        ("benign_.jpg", None),
        (".jpg", None),
    ],
)
def test_the_class_in_a_name(name: str, expected: str | None) -> None:
    assert class_of_name(name) == expected


def test_file_names_are_read(tmp_path: Path) -> None:
    names = ["train/benign_2.jpg", "train/benign_10.jpg", "test/malignant_1.png", "test/benign_1.jpg"]
    dataset = read_file_names(fill(tmp_path, [*names, "readme.txt"]), ReadOptions())
    assert dataset.classes == ("benign", "malignant")
    assert classes_by_name(dataset) == {name: class_of_name(name) for name in names}
    assert dataset.splits == {
        "test": ("test/benign_1.jpg", "test/malignant_1.png"),
        "train": ("train/benign_2.jpg", "train/benign_10.jpg"),
    }
    chosen = read_file_names(tmp_path, ReadOptions(classes=("malignant",)))
    assert (chosen.classes, classes_by_name(chosen)) == (("malignant",), {"test/malignant_1.png": "malignant"})


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1/a.jpg", "2/b.jpg", "10/c.jpg"], ["1", "2", "10"]),
        (["train/x/1.jpg", "Test/x/1.jpg", "Test/y/1.jpg"], ["x", "x", "y"]),
        (["set v2/images/train/x/1.jpg", "set v2/images/val/y/1.jpg"], ["x", "y"]),
        (["x/train/1.jpg", "y/test/1.jpg"], ["x", "y"]),
        (["x/1.jpg"], ["x"]),
        (["wrapper/x/1.jpg", "wrapper/x/2.jpg"], ["x", "x"]),
    ],
)
def test_class_folders_are_read(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    dataset = read_class_folders(fill(tmp_path, names), ReadOptions())
    assert classes_by_name(dataset) == dict(zip(names, expected, strict=True))
    assert bool(dataset.splits) == ("train" in str(names))


def test_images_in_natural_order_with_splits(tmp_path: Path) -> None:
    fill(tmp_path, ["Test/y/10.jpg", "Test/y/2.jpg", "train/x/1.jpg"])
    dataset = read_class_folders(tmp_path, ReadOptions())
    assert [(record.image_id, record.name) for record in dataset.images] == [
        (1, "Test/y/2.jpg"), (2, "Test/y/10.jpg"), (3, "train/x/1.jpg")
    ]  # fmt: skip
    assert dataset.splits == {"test": ("Test/y/2.jpg", "Test/y/10.jpg"), "train": ("train/x/1.jpg",)}


@pytest.mark.parametrize(
    ("read", "names", "message"),
    [
        (read_file_names, ["benign_1.jpg", "x.jpg"], r"x\.jpg: expected a name of class, .*, found 'x\.jpg'; rename"),
        (read_file_names, ["Benign_1.jpg", "benign_2.jpg"], "in more than case, .*, found 'Benign' and 'benign'"),
        (read_file_names, ["a b_1.jpg", "a_b_2.jpg"], "differ in more than case, .*, found 'a b' and 'a_b'"),
        (read_file_names, ["readme.txt"], "expected labelled images, found none"),
        (read_class_folders, [], "expected labelled images, found none"),
        (read_class_folders, ["x/1.jpg", "2.jpg"], r"/2\.jpg: expected an image in the folder of its class, "),
        (read_class_folders, ["x/1.jpg", "y/z/2.jpg"], r"2\.jpg: expected .*, found it in y/z, one folder insid"),
        (read_class_folders, ["x/1.jpg", "X/2.jpg"], "differ in more than case, .*, found 'x' and 'X'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, read: object, names: list[str], message: str) -> None:
    assert callable(read)
    with pytest.raises(DatasetError, match=message):
        read(fill(tmp_path, names), ReadOptions())


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    fill(tmp_path, ["x/1.jpg", "y/1.jpg"])
    with pytest.raises(DatasetError, match="expected classes among x, y, found z; correct --classes"):
        read_class_folders(tmp_path, ReadOptions(classes=("z",)))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    fill(tmp_path, ["benign_1.jpg"])
    for read in (read_file_names, read_class_folders):
        with pytest.raises(DatasetError, match="expected a folder, found a file"):
            read(tmp_path / "benign_1.jpg", ReadOptions())


def several(*classes: str, pattern: str = "{}_{}.jpg") -> list[str]:
    return [pattern.format(name, number) for name in classes for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (several("benign", "malignant"), "names of images that begin with their class: benign (3), malignant (3)"),
        (several("train/a", "test/b"), "names of images that begin with their class: a (3), b (3)"),
        (several("b e", "c"), "names of images that begin with their class: b e (3), c (3)"),
        ([], None),
        (several("benign"), None),
        ([*several("a"), "b_1.jpg"], None),
        ([*several("a", "b"), "c.jpg"], None),
        ([*several("a", "b"), "labels.csv"], None),
        ([*several("a", "b"), "a_1.txt"], None),
        ([*several("a", "b"), "readme.txt"], "names of images that begin with their class: a (3), b (3)"),
        (several("image", "mask"), None),
        (several("lesion_image", "lesion_mask"), None),
        (several("IMG", "DSC"), None),
        (several("night1", "night2"), None),
        (several("film a", "film b"), None),
        (several(*("a" * length for length in range(1, 102))), None),
        (several("a", "b", pattern="{}_{}_mask.png"), None),
    ],
)
def test_file_names_are_recognised_with_care(names: list[str], expected: str | None) -> None:
    assert recognise_file_names(Listing(PATH, tuple(names))) == expected


FOLDERS = "{}/{}.jpg"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (several("cat", "dog", pattern=FOLDERS), "a folder of images for each class: cat (3), dog (3)"),
        (several("a", "b", "c", "d", "e", pattern=FOLDERS),
         "a folder of images for each class: a (3), b (3), c (3), d (3) and 1 more"),
        (several("0", "1", pattern="digits/train/{}/{}.png"), "a folder of images for each class: 0 (3), 1 (3)"),
        ([], None),
        (several("cat", pattern=FOLDERS), None),
        ([*several("cat", "dog", pattern=FOLDERS), "more.jpg"], None),
        ([*several("cat", "dog", pattern=FOLDERS), "labels.json"], None),
        ([*several("cat", "dog", pattern=FOLDERS), "labels/1.txt"], None),
        (several("images", "masks", pattern=FOLDERS), None),
        (several("JPEGImages", "Annotations", pattern="{}/bear/{}.jpg"), None),
        ([*several("lesions", pattern=FOLDERS), *several("outlines", pattern="{}/{}.png")], None),
        (several("patient1", "patient2", pattern=FOLDERS), None),
        (several("train", "test", pattern=FOLDERS), None),
    ],
)  # fmt: skip
def test_class_folders_are_recognised_with_care(names: list[str], expected: str | None) -> None:
    assert recognise_class_folders(Listing(PATH, tuple(names))) == expected


def test_no_real_dataset_is_taken_for_named_images(shared_data: Path) -> None:
    for folder in sorted(path for path in shared_data.iterdir() if path.is_dir()):
        listing = list_folder(folder)
        assert recognise_file_names(listing) is None, folder
        assert recognise_class_folders(listing) is None, folder


def dataset_of(folder: Path, classes: tuple[str, ...], rows: list[tuple[str, int | None, str | None]]) -> Dataset:
    """Images (name, class, split) that lie in `folder`."""
    fill(folder, [name for name, _, _ in rows])
    records = [
        ImageRecord(number, name, folder / name, None, class_id=class_id)
        for number, (name, class_id, _) in enumerate(rows, start=1)
    ]
    splits = {
        split: [name for name, _, its in rows if its == split]
        for split in dict.fromkeys(split for _, _, split in rows if split)
    }
    return assemble(folder, "test", classes, records, splits=splits)


def files_of(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("link", [False, True])
def test_folders_of_splits_and_classes_are_written(tmp_path: Path, link: bool) -> None:
    rows = [("1.jpg", 0, "train"), ("sub/1.jpg", 0, "train"), ("2.jpg", 1, "test"), ("3.jpg", 0, None),
            ("4.jpg", None, "train")]  # fmt: skip
    dataset = dataset_of(tmp_path / "in", ("x", "y"), rows)
    (tmp_path / "out").mkdir()
    findings = write_class_folders(dataset, tmp_path / "out", WriteOptions(link=link))
    assert files_of(tmp_path / "out") == {
        "train/x/1.jpg": "1.jpg",
        "train/x/sub__1.jpg": "sub/1.jpg",
        "test/y/2.jpg": "2.jpg",
    }
    assert (tmp_path / "out/test/y/2.jpg").is_symlink() == link
    assert [(finding.code, finding.found) for finding in findings] == [
        ("image-without-class", "1 images without one, such as 4.jpg"),
        ("images-outside-splits", "1 in none, such as 3.jpg, which are left out"),
        ("class-without-images", "none of y in train"),
        ("class-without-images", "none of x in test"),
    ]


def test_names_that_say_the_class_are_written(tmp_path: Path) -> None:
    rows = [("x_1.jpg", 0, "train"), ("9.png", 1, "train"), ("8.jpg", 0, "test")]
    dataset = dataset_of(tmp_path / "in", ("x", "y 2"), rows)
    (tmp_path / "out").mkdir()
    (finding,) = write_file_names(dataset, tmp_path / "out", WriteOptions())
    expected = {"train/x_1.jpg": "x_1.jpg", "train/y 2_1.png": "9.png", "test/x_2.jpg": "8.jpg"}
    assert files_of(tmp_path / "out") == expected
    assert (finding.code, finding.severity, finding.found[:21]) == ("images-renamed", "note", "2 with new ones, made")
    again = read_file_names(tmp_path / "out", ReadOptions())
    assert (again.classes, again.splits.keys()) == (("x", "y 2"), {"train", "test"})


@pytest.mark.parametrize("write", [write_class_folders, write_file_names])
@pytest.mark.parametrize("name", ["a/b", "..", ".", "a\\b", "C:", "a\0"])
def test_classes_and_splits_that_cannot_name_a_folder(tmp_path: Path, write: object, name: str) -> None:
    assert callable(write)
    good = dataset_of(tmp_path / "in", ("x",), [("1.jpg", 0, None)])
    for bad in (replace(good, classes=(name,)), replace(good, splits={name: ("1.jpg",)})):
        (tmp_path / "out").mkdir(exist_ok=True)
        with pytest.raises(DatasetError):
            write(bad, tmp_path / "out", WriteOptions())
        assert files_of(tmp_path) == {"in/1.jpg": "1.jpg"}


def test_a_class_without_letters_cannot_begin_a_name(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, ("7",), [("1.jpg", 0, None)])
    with pytest.raises(
        DatasetError, match="expected a class that can begin a file name, found '7'; export to label_csv"
    ):
        write_file_names(dataset, tmp_path, WriteOptions())


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "in", ("x",), [("1.jpg", 0, None)])
    dataset.images[0].path.unlink()
    with pytest.raises(DatasetError, match=r"in/1\.jpg: expected an image file, found none"):
        write_class_folders(dataset, tmp_path, WriteOptions())


LETTERS = st.text("abcäß", min_size=1, max_size=3)


@settings(max_examples=30)
@given(
    classes=st.lists(LETTERS, min_size=2, max_size=4, unique_by=str.casefold),
    rows=st.lists(st.tuples(LETTERS, st.integers(0, 9), st.sampled_from(["train", "test"])),
                  min_size=2, max_size=8, unique_by=lambda row: row[0].casefold()),
)  # fmt: skip
def test_classes_and_splits_survive_both_ways(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], rows: list[tuple[str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("named")
    dataset = dataset_of(
        folder / "in", tuple(classes), [(f"{n}.jpg", class_id % len(classes), split) for n, class_id, split in rows]
    )
    labels = classes_by_name(dataset)
    expected = sorted((name, labels[name], split) for split, names in dataset.splits.items() for name in names)
    for number, (write, read) in enumerate(
        [(write_class_folders, read_class_folders), (write_file_names, read_file_names)]
    ):
        out = folder / str(number)
        out.mkdir()
        write(dataset, out, WriteOptions())
        again = read(out, ReadOptions())
        original = {record.name: record.path.read_text() for record in again.images}
        found = classes_by_name(again)
        assert expected == sorted(
            (original[name], found[name], split) for split, names in again.splits.items() for name in names
        )
