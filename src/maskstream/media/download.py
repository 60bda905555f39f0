"""Files from the network: over https alone, from public addresses, within limits, whole or not at all.

Nothing is sent but the request for the file. What a server says of a file (its kind, its length) is checked, not
trusted. Proxies are not used: who needs one downloads the file with another program.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from maskstream.core.files import whole_file
from maskstream.core.parallel import OnProgress
from maskstream.errors import SourceError
from maskstream.media.https import BY_HAND, Connection, Deadline, network_errors, split_address

OFFLINE = "MASKSTREAM_OFFLINE"
"""Environment variable that, set to 1, makes every download an error."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a download may take.

    Attributes
    ----------
    size_bytes : of the file.
    idle_s : longest wait for the next bytes, and for a connection.
    total_s : for the whole download, redirects included.
    redirects : how often the server may name another address.
    """

    size_bytes: int = 100 * 2**30
    idle_s: float = 30.0
    total_s: float = 24 * 3600.0
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Download:
    """A file that was downloaded.

    Attributes
    ----------
    path : where it lies.
    address : where it came from in the end, redirects followed.
    size_bytes, sha256 : of the file.
    """

    path: Path
    address: str
    size_bytes: int
    sha256: str


def is_offline() -> bool:
    """Whether `MASKSTREAM_OFFLINE=1` forbids all downloads."""
    return os.environ.get(OFFLINE) == "1"


def check_online(what: str) -> None:
    """Let a download begin, unless it is forbidden.

    Raises
    ------
    SourceError : offline; it says what is missing.
    """
    if is_offline():
        raise SourceError(
            what,
            expected="a file on this machine",
            found=f"{OFFLINE}=1, which forbids to download this one",
            remedy=f"download it elsewhere and give its path, or unset {OFFLINE}",
        )


def download(
    address: str,
    destination: Path,
    *,
    limits: Limits | None = None,
    allow_private: bool = False,
    context: ssl.SSLContext | None = None,
    on_progress: OnProgress | None = None,
) -> Download:
    """Download one file. It appears at `destination` whole, or not at all.

    Parameters
    ----------
    address : begins with https://.
    allow_private : let the file come from this machine or its own network, too. The address of a dataset, or a
        redirect, could otherwise reach services there that trust everyone inside.
    context : which certificates to trust; by default those of the system.
    on_progress : told how many bytes are done, and of how many where the server says so.

    Raises
    ------
    SourceError : offline, not https, no public address, refused, missing, too large, too slow, or cut off.
    OutputError : `destination` cannot be written.
    """
    limits = limits or Limits()
    check_online(address)
    context = context or ssl.create_default_context()
    place = address
    with whole_file(destination) as temporary, Deadline(limits.total_s) as deadline:
        for _ in range(limits.redirects + 1):
            connection = Connection(split_address(address), context, limits.idle_s, allow_private)
            with deadline.over(connection):
                with network_errors(place, deadline):
                    response = connection.ask()
                with contextlib.closing(response):
                    location = response.getheader("Location")
                    if response.status not in REDIRECTS or location is None:
                        _check_answer(place, response, limits)
                        blocks = _blocks(place, response, deadline, limits)
                        size, digest = _save(blocks, temporary, response.length, on_progress)
                        return Download(destination, address, size, digest)
            address = urljoin(address, location)
            place = f"{place.partition(' -> ')[0]} -> {address}"
        raise SourceError(place, expected="the file", found=f"more than {limits.redirects} redirects", remedy=BY_HAND)


def _check_answer(place: str, response: http.client.HTTPResponse, limits: Limits) -> None:
    remedy = {
        401: f"it needs a login: {BY_HAND}",
        403: f"it may need a login: {BY_HAND}",
        404: "check the address",
        410: "check the address",
    }.get(response.status, "try again later")
    if response.status != 200:
        found = f"{response.status} {response.reason[:80]}".strip()
        raise SourceError(place, expected="the file", found=found, remedy=remedy)
    encoding = response.getheader("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise SourceError(place, expected="the file as it is", found=f"it in {encoding[:40]}", remedy=BY_HAND)
    if response.length is not None and response.length > limits.size_bytes:
        raise _too_large(place, f"{response.length}", limits)


def _blocks(place: str, response: http.client.HTTPResponse, deadline: Deadline, limits: Limits) -> Iterator[bytes]:
    """The body, as it comes, once each piece is known to be within the limits, and the whole to be whole."""
    stated, size = response.length, 0
    while True:
        with network_errors(place, deadline):
            block = response.read1(BLOCK_BYTES)
        if not block:
            break
        size += len(block)
        if size > limits.size_bytes:
            raise _too_large(place, "more", limits)
        yield block
    if stated is not None and size != stated:
        raise SourceError(
            place, expected=f"{stated} bytes, as the server says", found=f"{size}", remedy=f"try again, or {BY_HAND}"
        )


def _save(blocks: Iterator[bytes], path: Path, total: int | None, on_progress: OnProgress | None) -> tuple[int, str]:
    """Size and SHA-256 of what was written."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for block in blocks:
            file.write(block)
            digest.update(block)
            size += len(block)
            if on_progress:
                on_progress(size, total)
    return size, digest.hexdigest()


def _too_large(place: str, found: str, limits: Limits) -> SourceError:
    return SourceError(
        place, expected=f"at most {limits.size_bytes} bytes", found=found, remedy=f"if you trust it, {BY_HAND}"
    )
