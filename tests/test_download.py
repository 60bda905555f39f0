"""Downloads: over https alone, from public addresses, within limits, whole or not at all."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import struct
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from https_server import HttpsServer, answer, redirect

from maskstream.errors import OutputError, SourceError
from maskstream.media.download import Limits, download
from maskstream.media.https import is_public, split_address

pytest_plugins = ("https_fixtures",)

BODY = os.urandom(200_000)


def get(https_server: HttpsServer, path: str, out: Path, **options: Any) -> Any:
    options = {"allow_private": True, "context": https_server.client} | options
    return download(https_server.address(path), out, **options)


def test_a_file_comes_whole_with_its_hash(https_server: HttpsServer, tmp_path: Path) -> None:
    https_server.answers["/a%20b.zip?x=1"] = answer(BODY)
    told: list[tuple[int, int | None]] = []
    out = tmp_path / "new" / "file"
    result = get(https_server, "/a%20b.zip?x=1#part", out, on_progress=lambda done, total: told.append((done, total)))
    assert out.read_bytes() == BODY
    assert (result.path, result.size_bytes, result.sha256) == (out, 200_000, hashlib.sha256(BODY).hexdigest())
    assert told[-1] == (200_000, 200_000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    (request,) = https_server.requests
    assert f"User-Agent: maskstream/{version('maskstream')}\r\n" in request
    assert f"Host: localhost:{https_server.port}\r\n" in request


def test_unicode_in_an_address(https_server: HttpsServer, tmp_path: Path) -> None:
    https_server.answers["/h%C3%BCte/%E8%89%B2.zip?q=%C3%A4"] = answer(b"x")
    assert get(https_server, "/hüte/色.zip?q=ä", tmp_path / "out").size_bytes == 1


def test_a_body_without_length_and_one_in_chunks(https_server: HttpsServer, tmp_path: Path) -> None:
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    https_server.answers["/bare"] = answer(b"hello world", Content_Length=None)
    https_server.answers["/chunks"] = answer(chunks, Content_Length=None, Transfer_Encoding="chunked")
    https_server.answers["/empty"] = answer(b"")
    for path, expected in {"/bare": b"hello world", "/chunks": b"hello world", "/empty": b""}.items():
        get(https_server, path, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == expected


def test_redirects_are_followed(https_server: HttpsServer, tmp_path: Path) -> None:
    https_server.answers["/a"] = redirect("/b")
    https_server.answers["/b"] = redirect(https_server.address("/c", "127.0.0.1"), "308 Permanent Redirect")
    https_server.answers["/c"] = answer(b"here")
    assert get(https_server, "/a", tmp_path / "out").address == https_server.address("/c", "127.0.0.1")
    assert (tmp_path / "out").read_bytes() == b"here"


def slowly(connection: ssl.SSLSocket) -> None:
    connection.sendall(answer(Content_Length=1000))
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


def slow_headers(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


def endlessly(connection: ssl.SSLSocket) -> None:
    connection.sendall(answer(Content_Length=None))
    while True:
        connection.sendall(b"x" * 10_000)


def silently(connection: ssl.SSLSocket) -> None:
    connection.sendall(answer(Content_Length=1000) + b"x")
    time.sleep(1.5)


def cut(beginning: bytes) -> Any:
    return lambda connection: connection.sendall(beginning)


def reset(connection: ssl.SSLSocket) -> None:
    connection.sendall(answer(Content_Length=1000) + b"x")
    time.sleep(0.1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


SHORT = Limits(size_bytes=300_000, idle_s=0.4, total_s=1.0)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (answer(b"no", "404 Not Found"), "expected the file, found 404 Not Found; check the address"),
        (answer(b"no", "403 Forbidden"), "found 403 Forbidden; it may need a login: download it with a browser"),
        (answer(b"no", "503 Busy"), "found 503 Busy; try again later"),
        (answer(b"half", "206 Partial Content"), "found 206 Partial Content"),
        (answer(b"", "302 Found"), "found 302 Found"),
        (answer(b"x", Content_Encoding="gzip"), "expected the file as it is, found it in gzip"),
        (answer(b"", Content_Length=300_001), "expected at most 300000 bytes, found 300001"),
        (answer(b"x" * 300_001, Content_Length=None), "expected at most 300000 bytes, found more"),
        (endlessly, "expected at most 300000 bytes, found more"),
        (slowly, r"expected an answer from the server, found no end after 1 s; try again later, or download it"),
        (slow_headers, r"found no end after 1 s"),
        (silently, r"found nothing for 0\.4 s"),
        (answer(b"short", Content_Length=9), "expected 9 bytes, as the server says, found 5"),
        (cut(answer(b"short", Content_Length=9)), "found a connection that was cut"),
        (cut(answer(b"no length", Content_Length=None)), "found a connection that was cut"),
        (cut(answer(b"5\r\nhello\r\n", Content_Length=None, Transfer_Encoding="chunked")), "connection that was cut"),
        (answer(b"5\r\nhel", Content_Length=None, Transfer_Encoding="chunked"), "found a connection that was cut"),
        (answer(b"x\r\nhel", Content_Length=None, Transfer_Encoding="chunked"), "found a connection that was cut"),
        (reset, "found a connection that was cut"),
        (cut(b""), "expected an answer from the server, found "),
        (b"", "expected an answer from the server, found "),
        (b"SSH-2.0-OpenSSH\r\n", r"found BadStatusLine \(SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200, r"found HTTPException \(got more than 100 headers\)"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, r"found LineTooLong"),
    ],
    ids=["404", "403", "503", "206", "redirect to nowhere", "compressed", "too long by its word", "too long", "endless",
         "slow body", "slow headers", "silent", "shorter than stated", "cut with length", "cut without length",
         "cut in chunks", "chunk cut", "bad chunk", "reset", "no answer, cut", "no answer", "another protocol",
         "many headers", "long header"],
)  # fmt: skip
def test_bad_answers_leave_nothing(https_server: HttpsServer, tmp_path: Path, reply: Any, message: str) -> None:
    https_server.answers["/a"] = reply
    started = time.monotonic()
    with pytest.raises(SourceError, match=message) as caught:
        get(https_server, "/a", tmp_path / "out", limits=SHORT)
    assert time.monotonic() - started < 4
    assert str(caught.value).startswith(https_server.address("/a"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "no part of the file stays"


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("http://localhost/b", r"http://localhost/b: expected an address that begins with https://, found http, over"),
        ("file:///etc/passwd", "expected an address that begins with https://, found file and host ''"),
        ("ftp://localhost/b", "expected an address that begins with https://, found ftp and host"),
        ("//user:word@localhost/b", "found a user or password in it"),
        ("https://10.0.0.1:1/b", r"expected an address on the public network, found 10\.0\.0\.1, which is this m"),
        ("https://[::ffff:169.254.169.254]/meta", r"found ::ffff:169\.254\.169\.254, which is this machine or in its"),
        ("/a", r"-> https://localhost:\d+/a: expected the file, found more than 5 redirects"),
    ],
)  # fmt: skip
def test_redirects_that_are_not_followed(
    https_server: HttpsServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    to: str,
    message: str,
) -> None:
    # the server itself passes for public; what it points to does not
    monkeypatch.setattr("maskstream.media.https.is_public", lambda ip: ip == "127.0.0.1" or is_public(ip))
    monkeypatch.setattr("socket.getaddrinfo", only_ipv4(socket.getaddrinfo))
    https_server.answers["/a"] = redirect(to)
    with pytest.raises(SourceError, match=message):
        get(https_server, "/a", tmp_path / "out", allow_private=False)
    assert list(tmp_path.iterdir()) == []
    assert all(request.startswith("GET /a ") for request in https_server.requests)


def only_ipv4(look_up: Any) -> Any:
    """localhost as 127.0.0.1 alone; all else as it is."""
    return lambda host, port, **rest: look_up("127.0.0.1" if host == "localhost" else host, port, **rest)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_is_refused_unless_allowed(https_server: HttpsServer, tmp_path: Path, host: str) -> None:
    with pytest.raises(
        SourceError, match=r"expected an address on the public network, found (127\.0\.0\.1|::1), which"
    ):
        download(https_server.address("/a", host), tmp_path / "out", context=https_server.client)
    assert https_server.requests == []


def test_the_address_that_was_checked_is_connected_to(
    https_server: HttpsServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that leads to a public address when it is checked, and to this machine afterwards."""
    answers = iter(["127.0.0.1", "203.0.113.7"])
    asked = []

    def look_up(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    monkeypatch.setattr("maskstream.media.https.is_public", lambda ip: ip == "127.0.0.1")
    https_server.answers["/a"] = answer(b"x")
    download(https_server.address("/a", "files.test"), tmp_path / "out", context=https_server.client)
    assert asked == ["files.test"], "looked up once"
    with pytest.raises(SourceError, match=r"found 203\.0\.113\.7, which is this machine"):
        download(https_server.address("/a", "files.test"), tmp_path / "out", context=https_server.client)


@pytest.mark.parametrize(
    ("ip", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("64:ff9b::808:808", True), ("2002:808:808::1", True),
        ("127.0.0.1", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False), ("0.0.0.0", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("240.0.0.1", False),
        ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1%eth0", False), ("fc00::1", False),
        ("ff02::1", False), ("::ffff:127.0.0.1", False), ("64:ff9b::a00:1", False), ("2002:a00:1::1", False),
        ("2001:0:4136:e378:8000:63bf:f5ff:fffe", False), ("203.0.113.7", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(ip: str, public: bool) -> None:
    assert is_public(ip) == public


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://example.org/a.zip", "found http, over which anyone on the way can read and change the file; download"),
        ("HTTP://example.org/a.zip", "found http, over which"),
        ("https:///a.zip", "found https and host ''"),
        ("https://example.org:port/", "found Port could not be cast"),
        ("https://example.org:0/", "found https and host 'example.org'"),
        ("https://example.org:99999/", "found Port out of range"),
        ("https://[::1/", "found Invalid IPv6 URL"),
        ("https://a:b@example.org/", "found a user or password in it"),
        ("https://example..org/", "found .*label"),
        ("https://example.org/a b", "found a space or control character"),
        ("https://example.org/a\r\nX: y", "found a space or control character"),
    ],
)
def test_addresses_that_are_none(address: str, message: str) -> None:
    with pytest.raises(SourceError, match=rf"expected an address that begins with https://, {message}"):
        split_address(address)


def test_a_certificate_of_nobody_known_is_refused(
    https_server: HttpsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"found a certificate that is not trusted \(self.signed certificate\)"):
        get(https_server, "/a", tmp_path / "out", context=None)
    look_up = socket.getaddrinfo
    monkeypatch.setattr("socket.getaddrinfo", lambda host, port, **rest: look_up("127.0.0.1", port, **rest))
    with pytest.raises(SourceError, match=r"not trusted \(Hostname mismatch, .*'other\.test'"):
        download(https_server.address("/a", "other.test"), tmp_path, allow_private=True, context=https_server.client)


def test_hosts_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SourceError, match="found ConnectionRefusedError"):
        download(f"https://127.0.0.1:{port}/", tmp_path / "out", allow_private=True)

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(SourceError, match=r"found that the host is unknown \(Name or service not known\)"):
        download("https://nowhere.test/a.zip", tmp_path / "out")


def test_offline_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKSTREAM_OFFLINE", "1")
    monkeypatch.setattr("socket.getaddrinfo", None)
    with pytest.raises(
        SourceError, match=r"^https://example\.org/a\.zip: .*MASKSTREAM_OFFLINE=1, .*give its path, or u"
    ):
        download("https://example.org/a.zip", tmp_path / "out")


def test_a_file_that_is_there_stays_when_a_download_fails(https_server: HttpsServer, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before")
    https_server.answers["/a"] = answer(b"short", Content_Length=9)
    with pytest.raises(SourceError):
        get(https_server, "/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"before"
    https_server.answers["/a"] = answer(b"after")
    with pytest.raises(OutputError, match="expected a place that can be written"):
        get(https_server, "/a", tmp_path / "out" / "below a file")
