"""CSV files of labels: encodings, delimiters, headers, and what is wrong with the broken ones."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskstream.data.csv_files import columns_of, read_table, write_table
from maskstream.errors import DatasetError

TEXT = "image,label\na.jpg,nævus\n"


def table_of(folder: Path, content: bytes, **options: object):
    path = folder / "labels.csv"
    path.write_bytes(content)
    return read_table(path, **options)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\n\n").encode(),
        TEXT.rstrip("\n").encode(),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace(",", ", ").encode(),
        b'"image" ,"label"\n'.replace(b" ", b"") + '"a.jpg","nævus"\n'.encode(),
        b" image , label \n" + "a.jpg, nævus\n".encode(),
    ],
    ids=["utf-8", "bom", "utf-16-le", "utf-16-be", "crlf", "cr", "blank lines", "no last newline", "semicolons",
         "tabs", "spaces after commas", "quotes", "spaces around names"],
)  # fmt: skip
def test_the_same_table_however_it_is_written(tmp_path: Path, content: bytes) -> None:
    table = table_of(tmp_path, content)
    assert table.columns == ("image", "label")
    assert [row.cells for row in table.rows()] == [["a.jpg", "nævus"]]
    assert [row.cells for row in table.rows()] == [["a.jpg", "nævus"]], "rows can be read again"


def test_the_delimiter_is_the_one_that_gives_the_most_cells(tmp_path: Path) -> None:
    table = table_of(tmp_path, b'a;"b,c";d\n1;2;3\n')
    assert (table.delimiter, table.columns) == (";", ("a", "b,c", "d"))
    assert table_of(tmp_path, b"alone\n1\n").columns == ("alone",)
    assert table_of(tmp_path, b"a;b,c\n1,2\n", delimiter=",").columns == ("a;b", "c")
    with pytest.raises(DatasetError, match=r"line 1: expected one kind of delimiter .*, found 1 comma and 1 semicolon"):
        table_of(tmp_path, b"a;b,c\n")


def test_lines_are_counted_where_rows_begin(tmp_path: Path) -> None:
    table = table_of(tmp_path, b'a,b\r\n\r\n1,"two\r\nlines"\r\n2,x\r\n')
    assert [(row.line, row.cells) for row in table.rows()] == [(3, ["1", "two\r\nlines"]), (5, ["2", "x"])]


def test_a_header_may_be_missing_where_the_reader_says_so(tmp_path: Path) -> None:
    names = ("image_id", "class", "bounds")
    bare = table_of(tmp_path, b'7,tank,"(1, 2, 3, 4)"\n', headerless=names)
    assert (bare.columns, bare.has_header) == (names, False)
    assert [(row.line, row.cells) for row in bare.rows()] == [(1, ["7", "tank", "(1, 2, 3, 4)"])]
    headed = table_of(tmp_path, b"Image_ID,kind,box\n7,tank,x\n", headerless=names)
    assert headed.columns == ("Image_ID", "kind", "box")
    assert [row.line for row in headed.rows()] == [2]


def test_columns_are_found_by_any_of_their_names(tmp_path: Path) -> None:
    table = table_of(tmp_path, b"Image_ID;label\n")
    assert list(table.rows()) == []
    assert (table.index("image", "image_id"), table.index("group"), table.require("label")) == (0, None, 1)
    with pytest.raises(DatasetError, match=r"labels\.csv: line 1: expected a column x or y, found .*\(semicolon betw"):
        table.require("x", "y")
    assert table.place(3, "label").endswith("labels.csv: line 3, label")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"csv: expected a CSV file with a header, found an empty file"),
        (b"\xef\xbb\xbf\r\n  \n", r"csv: expected a CSV file with a header, found an empty file"),
        (b"a,b\n1,2\n1,2,3\n", r"line 3: expected 2 cells \(a, b\), comma between them, found 3"),
        (b"a;b\n1,2\n", r"line 2: expected 2 cells \(a, b\), semicolon between them, found 1"),
        (b"a,b, a \n1,2,3\n", r"line 1: expected a header of columns .*, found 2 columns named 'a'"),
        (b"a,b\n\n1,\0\n", r"line 3: expected text .*, found a NUL character"),
        (b"a,b\n1,2\n\xff,2\n", r"line 3: expected text in UTF-8.*, found bytes that are none"),
        ("a,b\n1,ü\n".encode("latin-1"), r"line 2: expected text .*, found bytes that are none"),
        ("a,b\n1,2\n".encode("utf-16-le"), r"line 1: expected text .*, found a NUL character"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], r"line 2: expected text .*, found bytes that are none"),
        (b'a,b\n1,"2\n3,4\n', r"line 2: expected cells .*, found unexpected end of data"),
        (b'a,b\n1,"2"3\n', r"line 2: expected cells .*, found ',' expected after '\"'"),
        (b"a,b\n1," + b"x" * 10_000_000, r"line 2: .* found a line of more than 1048576 characters"),
        (b"a,b\n1," + b"x" * 200_000, r"line 2: .* found field larger than field limit \(131072\)"),
        (b'a,b\n1,"' + b"x\n" * 5_000_000, r"line 2: .* found field larger than field limit \(131072\)"),
        (b"x" * 10_000_000, r"line 1: .* found a line of more than 1048576 characters"),
    ],
    ids=["empty", "blank", "ragged", "another delimiter", "repeated name", "NUL", "no UTF-8", "Latin-1",
         "UTF-16 without mark", "cut UTF-16", "open quote", "text behind quote", "10 MB cell", "200 kB cell",
         "10 MB cell of many lines", "10 MB header"],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        list(table_of(tmp_path, content).rows())
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.csv: expected a CSV file, found no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="found is a directory"):
        read_table(tmp_path)
    assert columns_of(tmp_path) == columns_of(tmp_path / "none.csv") == ()


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufffd"), max_size=8)


@given(data=st.data(), width=st.integers(1, 4))
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, width: int
) -> None:
    rows = data.draw(st.lists(st.lists(CELL, min_size=width, max_size=width), max_size=4))
    path = tmp_path_factory.mktemp("written") / "labels.csv"
    write_table(path, [f"column {number}" for number in range(width)], rows)
    assert [row.cells for row in read_table(path).rows()] == rows


def test_rows_stream(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), *((f"picture {i}.jpg", "nevus") for i in range(100_000))])
    tracemalloc.start()
    assert sum(len(row.cells) for row in read_table(path).rows()) == 200_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000, "100 000 rows are never in memory together"
