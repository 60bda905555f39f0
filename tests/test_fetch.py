"""Sources of datasets: paths, zip files good and hostile, https addresses, and Kaggle's client, faked."""

from __future__ import annotations

import io
import os
import stat
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from https_server import HttpsServer, answer, redirect
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.data import zip_files
from maskstream.data.fetch import local_source
from maskstream.data.zip_files import Limits, unpack
from maskstream.errors import DatasetError, MissingDependency, OutputError, SourceError

pytest_plugins = ("https_fixtures",)


def make_zip(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


FILES = {"images/a.jpg": b"A", "images/Übung 1.jpg": b"U", "labels.csv": b"image,label\n"}


# -- paths and zip files ------------------------------------------------------


def test_what_lies_here_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labels.csv").write_text("x")
    monkeypatch.setenv("MASKSTREAM_OFFLINE", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    work = tmp_path / "work"
    assert local_source(str(tmp_path), work) == tmp_path
    assert local_source(str(tmp_path / "labels.csv"), work) == tmp_path / "labels.csv"
    assert local_source("~/labels.csv", work) == tmp_path / "labels.csv"
    assert not work.exists()


@pytest.mark.parametrize("source", ["nowhere", "nowhere.zip", "x" * 5000, "a\0b", ""])
def test_what_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    if source:
        with pytest.raises(
            SourceError, match=r"expected a folder, annotation file, zip file, https address or kaggle:"
        ):
            local_source(source, tmp_path)
    else:
        assert local_source(source, tmp_path) == Path()


def test_a_zip_file_is_unpacked_and_stays_as_it_was(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "my set.ZIP", FILES | {"__MACOSX/images/._a.jpg": b"junk", "empty/": b""})
    before = path.read_bytes()
    told: list[tuple[int, int | None]] = []
    folder = local_source(str(path), tmp_path / "work", lambda done, total: told.append((done, total)))
    assert (folder.name, files_of(folder)) == ("my set", FILES)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("names", "inner"),
    [
        (["set/images/a.jpg", "set/labels.csv"], "set"),
        (["outer/set/a.jpg", "outer/set/b.jpg", ".hidden"], "outer/set"),
        (["images/a.jpg"], "."),
        (["Train/cat/a.jpg", "Train/dog/a.jpg"], "."),
        (["set/train/cat/a.jpg"], "set"),
        (["a.jpg", "set/b.jpg"], "."),
    ],
)
def test_a_folder_that_only_wraps_the_others_is_passed_over(tmp_path: Path, names: list[str], inner: str) -> None:
    path = make_zip(tmp_path / "x.zip", dict.fromkeys(names, b""))
    assert local_source(str(path), tmp_path / "work") == tmp_path / "work/unpacked/x" / inner


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_that_python_knows(tmp_path: Path, compression: int) -> None:
    path = make_zip(tmp_path / "x.zip", FILES, compression)
    assert files_of(unpack(path, tmp_path / "out")) == FILES


def raw_zip(path: Path, names: list[bytes], flags: int = 0) -> Path:
    """A zip file of empty files whose names are these very bytes."""
    buffer = io.BytesIO()
    placeholders = [letter * len(name) for letter, name in zip("QWZ", names)]
    with zipfile.ZipFile(buffer, "w") as archive:
        for placeholder in placeholders:
            archive.writestr(placeholder, b"")
    content = buffer.getvalue()
    for placeholder, name in zip(placeholders, names):
        content = content.replace(placeholder.encode(), name)
    if flags:
        content = content.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00" + struct.pack("<H", flags))
        content = content.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00" + struct.pack("<H", flags)
        )
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("Übung_色.jpg".encode(), 0x800, "Übung_色.jpg"),
        ("Übung_色.jpg".encode(), 0, "Übung_色.jpg"),
        ("Übung.jpg".encode("cp437"), 0, "Übung.jpg"),
        (rb"images\of\a.jpg", 0, "images/of/a.jpg"),
        (b"./images//a.jpg", 0, "images/a.jpg"),
    ],
    ids=["UTF-8", "UTF-8 without saying so", "cp437", "backslashes", "needless parts"],
)
def test_names_as_other_programs_write_them(tmp_path: Path, name: bytes, flags: int, expected: str) -> None:
    path = raw_zip(tmp_path / "x.zip", [name], flags)
    assert list(files_of(unpack(path, tmp_path / "out"))) == [expected]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([b"../evil.jpg"], r"'\.\./evil\.jpg': expected a name inside the folder it is unpacked to, found one"),
        ([b"a/../../evil.jpg"], "expected a name inside"),
        ([rb"..\evil.jpg"], r"'\.\./evil\.jpg': expected a name inside"),
        ([b"/etc/passwd1"], "expected a name inside"),
        ([rb"\\host\a.jpg"], "expected a name inside"),
        ([rb"C:\evil.jpg1"], "expected a name inside"),
        ([b"a.jpg\0.txt12"], "expected a name inside"),
        ([b"A.jpg11", b"a.jpg11"], r"expected names that differ in more than case, found 'A\.jpg11' and 'a\.jpg11'"),
        (["ä1234".encode(), "a\u03081234".encode()], "expected names that differ in more than case"),
        ([b"same.jpg", b"./same.jpg"], r"found 'same\.jpg' and 'same\.jpg'"),
        ([b"file", b"file/below"], "expected files and folders apart, found 'file' and 'file/below'"),
    ],
)
def test_names_that_are_refused(tmp_path: Path, names: list[bytes], message: str) -> None:
    path = raw_zip(tmp_path / "x.zip", names)
    with pytest.raises(DatasetError, match=message) as caught:
        unpack(path, tmp_path / "deep" / "deep" / "out")
    assert str(path) in str(caught.value)
    assert files_of(tmp_path).keys() == {"x.zip"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DatasetError, match="'link': expected files and folders, found a link or device"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(files=2), "expected at most 2 files, found 3"),
        (Limits(size_bytes=10_000), "expected at most 10000 bytes unpacked, found 100013"),
        (
            Limits(ratio=50.0, ratio_from_bytes=50_000),
            r"at most 50 times the zip file, found \d+ times; if you trust it",
        ),
    ],
)
def test_bombs_are_refused(tmp_path: Path, limits: Limits, message: str) -> None:
    path = make_zip(tmp_path / "x.zip", FILES | {"images/a.jpg": b"\0" * 100_000})
    with pytest.raises(DatasetError, match=message):
        unpack(path, tmp_path / "out", limits=limits)
    assert not (tmp_path / "out").exists()
    assert len(files_of(unpack(path, tmp_path / "out"))) == 3, "small files may shrink as they like"


def test_a_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_files.shutil, "disk_usage", lambda _: SimpleNamespace(free=9))
    with pytest.raises(OutputError, match="expected room for 14 bytes, found 9; free space"):
        unpack(make_zip(tmp_path / "x.zip", FILES), tmp_path / "out")


def lie_about_size(content: bytes) -> bytes:
    """Say in both places that the file of 100 000 bytes has 10."""
    return content.replace(struct.pack("<L", 100_000), struct.pack("<L", 10))


def encrypt(content: bytes) -> bytes:
    content = content.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")
    return content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")


def spoil(content: bytes) -> bytes:
    return content[:60] + b"\xff" * 20 + content[80:]


def unknown_method(content: bytes) -> bytes:
    content = content.replace(b"PK\x03\x04\x14\x00\x00\x00\x08\x00", b"PK\x03\x04\x14\x00\x00\x00\x63\x00")
    return content.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x08\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63\x00")


def other_name(content: bytes) -> bytes:
    """The name in the file's own header is not that of the directory."""
    return content.replace(b"a.jpg", b"b.jpg", 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "expected a zip file that can be read, found file is not a zip file"),
        (lambda content: b"no zip at all", "found file is not a zip file"),
        (lambda content: content[:-30], "found file is not a zip file"),
        (lambda content: content[200:], "expected a zip file that can be read"),
        (spoil, r"x\.zip: a\.jpg: expected a zip file that can be read"),
        (lie_about_size, r"x\.zip: a\.jpg: expected a zip file that can be read, found bad crc-32"),
        (
            encrypt,
            r"'a\.jpg': expected a file that is not encrypted, found one that is; if you trust it, unpack it with",
        ),
        (unknown_method, r"found that compression method is not supported"),
        (other_name, r"a\.jpg: expected a zip file that can be read, found file name in directory 'a\.jpg' and header"),
    ],
    ids=[
        "empty",
        "no zip",
        "cut",
        "beginning cut",
        "spoilt",
        "lying size",
        "encrypted",
        "unknown method",
        "other name",
    ],
)
def test_damaged_files_are_named(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    path = make_zip(tmp_path / "x.zip", {"a.jpg": os.urandom(1000) + b"\0" * 99_000})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatasetError, match=message):
        local_source(str(path), tmp_path / "work")
    assert files_of(tmp_path).keys() == {"x.zip"}


@settings(max_examples=60)
@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_any_spoilt_byte_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int
) -> None:
    folder = tmp_path_factory.mktemp("spoilt")
    path = make_zip(folder / "x.zip", {"a/b.txt": b"b" * 50, "c.txt": b"c" * 20})
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(content)
    try:
        files = files_of(unpack(path, folder / "out"))
    except DatasetError:
        assert not (folder / "out").exists()
    else:
        assert set(files.values()) <= {b"b" * 50, b"c" * 20}
    assert {path.name for path in folder.iterdir()} <= {"x.zip", "out"}


# -- https --------------------------------------------------------------------


def fetch(server: HttpsServer, path: str, work: Path) -> Path:
    return local_source(server.address(path), work, allow_private=True, context=server.client)


def test_a_zip_from_an_address_is_unpacked(https_server: HttpsServer, tmp_path: Path) -> None:
    content = make_zip(tmp_path / "x.zip", {f"set/{name}": body for name, body in FILES.items()}).read_bytes()
    https_server.answers["/download?id=3"] = redirect("/x.zip")
    https_server.answers["/x.zip"] = answer(content, Content_Type="text/html")
    folder = fetch(https_server, "/download?id=3", tmp_path / "work")
    assert files_of(folder) == FILES
    assert folder.is_relative_to(tmp_path / "work")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/instances.json", "instances.json"),
        ("/a/%2e%2e%2fb%00c/la%20b%3a%C3%A4.csv?x=1", "la b_ä.csv"),
        ("/..%2f..%2fevil.json", "evil.json"),
        ("/", "download"),
        ("/...", "download"),
    ],
)
def test_an_annotation_file_keeps_its_name(https_server: HttpsServer, tmp_path: Path, path: str, name: str) -> None:
    https_server.answers[path] = answer(b'{"images": []}')
    found = fetch(https_server, path, tmp_path / "work")
    assert found == tmp_path / "work" / "download" / name
    assert found.read_bytes() == b'{"images": []}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\n <!DOCTYPE html><title>Log in</title>",
            "found a web page; give the address of the file itself; if it needs",
        ),
        (b"\xef\xbb\xbf<HTML>", "found a web page"),
        (b"\x1f\x8b\x08\0", "found an archive of the kind gzip; unpack it and give the folder"),
        (b"7z\xbc\xaf\x27\x1c", "found an archive of the kind 7-Zip"),
    ],
)
def test_what_comes_is_looked_at(https_server: HttpsServer, tmp_path: Path, content: bytes, message: str) -> None:
    https_server.answers["/set.zip"] = answer(content, Content_Type="application/zip")
    with pytest.raises(SourceError, match=message):
        fetch(https_server, "/set.zip", tmp_path / "work")


@pytest.mark.parametrize("source", ["http://example.org/a.zip", "ftp://example.org/a.zip", "file:///etc/passwd"])
def test_other_schemes_are_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(SourceError, match="expected an address that begins with https://"):
        local_source(source, tmp_path)


def test_this_machine_is_refused_by_default(https_server: HttpsServer, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected an address on the public network"):
        local_source(https_server.address("/a.zip"), tmp_path)
    assert https_server.requests == []


# -- Kaggle -------------------------------------------------------------------

CLIENT = """#!{python}
import json, os, pathlib, sys, zipfile
here = pathlib.Path(__file__).parent
(here / "arguments.json").write_text(json.dumps(sys.argv[1:]))
if os.environ.get("KAGGLE_SAYS"):
    sys.exit(os.environ["KAGGLE_SAYS"])
folder = pathlib.Path(sys.argv[sys.argv.index("-p") + 1])
with zipfile.ZipFile(folder / "name.zip", "w") as archive:
    archive.writestr("labels.csv", "image,label")
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program named kaggle, alone on the path, that records its arguments."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "kaggle").write_text(CLIENT.format(python=sys.executable))
    (folder / "kaggle").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder / "arguments.json"


@pytest.mark.parametrize(
    ("source", "arguments"),
    [
        ("kaggle:some-one/oil_tanks-2", '["datasets", "download", "-d", "some-one/oil_tanks-2", "-p", '),
        ("kaggle:competitions/titanic", '["competitions", "download", "-c", "titanic", "-p", '),
    ],
)
def test_kaggles_own_client_downloads(client: Path, tmp_path: Path, source: str, arguments: str) -> None:
    folder = local_source(source, tmp_path / "work")
    assert files_of(folder) == {"labels.csv": b"image,label"}
    assert client.read_text() == f'{arguments}"{tmp_path / "work" / "download"}"]'


@pytest.mark.parametrize(
    "name",
    ["", "owner", "owner/", "/name", "owner/name/more", "-d/name", "owner/-p", "owner/na me", "../name", "owner/..",
     "owner/name;ls", "owner/$HOME", "owner/name\n", "owner/näme", "o" * 101 + "/name"],
)  # fmt: skip
def test_names_that_kaggle_cannot_have(client: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(
        SourceError, match="expected kaggle:owner/name or kaggle:competitions/name, found a name that K"
    ):
        local_source(f"kaggle:{name}", tmp_path / "work")
    assert not client.exists(), "the client was not started"


def test_what_kaggles_client_says_is_told(client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_SAYS", "Traceback\n403 - Forbidden")
    with pytest.raises(
        SourceError, match=r"found 0 of them, exit code 1, and it says: 403 - Forbidden; check the name, y"
    ):
        local_source("kaggle:owner/name", tmp_path / "work")


def test_kaggle_without_its_client_or_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        MissingDependency, match=r"found none; pip install kaggle, make a token at https://www\.kaggle\.c"
    ):
        local_source("kaggle:owner/name", tmp_path / "work")
    monkeypatch.setenv("MASKSTREAM_OFFLINE", "1")
    for source in ("kaggle:owner/name", "https://example.org/a.zip"):
        with pytest.raises(
            SourceError, match=rf"^{source}: .*MASKSTREAM_OFFLINE=1, which forbids to download this one"
        ):
            local_source(source, tmp_path / "work")
