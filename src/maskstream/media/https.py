"""One request over https, to a public address, that ends in time."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import SplitResult, quote, urlsplit

from maskstream.errors import SourceError

HTTPS = 443
NAT64 = ipaddress.ip_network("64:ff9b::/96")
BY_HAND = "download it with a browser and give its path"


def split_address(address: str) -> SplitResult:
    """The parts of an https address.

    Raises
    ------
    SourceError : it is none, or holds a user or password, or characters that belong in no address.
    """
    try:
        parts = urlsplit(address)
        port_is_valid = parts.port is None or parts.port > 0
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError as error:  # a bad port, a bad IPv6 address, a name with an empty or long label
        raise _not_https(address, str(error)) from error
    if parts.scheme == "http":
        raise _not_https(address, "http, over which anyone on the way can read and change the file")
    if parts.scheme != "https" or not host or not port_is_valid:
        raise _not_https(address, f"{parts.scheme or 'no scheme'} and host {host!r}")
    if parts.username is not None or parts.password is not None:
        raise _not_https(address, "a user or password in it, which logs and provenance would keep")
    if any(character <= " " or character == "\x7f" for character in address):
        raise _not_https(address, "a space or control character; write it as %20 and so on")
    return parts


class Connection(http.client.HTTPSConnection):
    """A connection to a host whose name is looked up once, checked, and then connected to at that very address.

    Parameters
    ----------
    idle_s : longest wait for the next bytes, and for the connection.
    allow_private : also connect to this machine and its own network.
    """

    def __init__(self, parts: SplitResult, context: ssl.SSLContext, idle_s: float, allow_private: bool) -> None:
        host = (parts.hostname or "").encode("idna").decode()
        super().__init__(host, parts.port or HTTPS, timeout=idle_s, context=context)
        self._parts, self._tls, self._idle_s, self._allow_private = parts, context, idle_s, allow_private
        self._socket: socket.socket | None = None

    def ask(self) -> http.client.HTTPResponse:
        """Send the request for the address; the answer's body is still to be read."""
        path = quote(self._parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = quote(self._parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
        headers = {
            "User-Agent": f"maskstream/{version('maskstream')}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        self.request("GET", f"{path}?{query}" if query else path, headers=headers)
        return self.getresponse()

    def connect(self) -> None:
        """Look the name up, check what comes, connect, and shake hands."""
        # looked up a second time, a name may lead elsewhere: so the addresses that were checked are connected to
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for *_, place in found:
            if not self._allow_private and not is_public(str(place[0])):
                raise SourceError(
                    self._parts.geturl(),
                    expected="an address on the public network",
                    found=f"{place[0]}, which is this machine or in its own network",
                    remedy=BY_HAND,
                )
        self._socket = _first_that_answers([(entry[0], entry[4]) for entry in found], self._idle_s)
        self.sock = self._socket = self._tls.wrap_socket(
            self._socket,
            server_hostname=self.host,
            do_handshake_on_connect=False,
            # a connection that breaks off without a farewell must not pass for the end of the file
            suppress_ragged_eofs=False,
        )
        self.sock.do_handshake()

    def abort(self) -> None:
        """End whatever waits on the connection; called from another thread."""
        if self._socket:
            with contextlib.suppress(OSError):
                # not SSLSocket's own, which takes the encryption away under the reader's feet
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def is_public(ip: str) -> bool:
    """Whether an IP address is one of the public network; where IPv6 wraps an IPv4 address, that one counts."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return is_public(str(ipaddress.IPv4Address(address.packed[-4:])))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast and not address.is_reserved


class Deadline:
    """Ends connections when time is up, wherever they wait: a server can send a byte now and then for ever."""

    def __init__(self, total_s: float) -> None:
        self.passed = False
        self.total_s = total_s
        self._connection: Connection | None = None
        self._timer = threading.Timer(total_s, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.passed = True
        if self._connection:
            self._connection.abort()

    @contextlib.contextmanager
    def over(self, connection: Connection) -> Iterator[None]:
        """Watch over a connection, and close it in the end."""
        self._connection = connection
        with contextlib.closing(connection):
            yield


@contextlib.contextmanager
def network_errors(address: str, deadline: Deadline) -> Iterator[None]:
    """Turn what goes wrong on the network into a SourceError."""
    started = time.monotonic()
    try:
        if deadline.passed:
            raise TimeoutError
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        waited_s = time.monotonic() - started
        found = f"no end after {deadline.total_s:g} s" if deadline.passed else _reason(error, waited_s)
        raise SourceError(
            address, expected="an answer from the server", found=found, remedy=f"try again later, or {BY_HAND}"
        ) from error


def _first_that_answers(places: list[tuple[int, tuple[object, ...]]], idle_s: float) -> socket.socket:
    failure = OSError("no address")
    for family, place in places:
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.settimeout(idle_s)
            connecting.connect(place)
        except OSError as error:
            connecting.close()
            failure = error
        else:
            return connecting
    raise failure


def _reason(error: Exception, waited_s: float) -> str:
    if isinstance(error, socket.gaierror):
        return f"that the host is unknown ({error.strerror})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"a certificate that is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | http.client.IncompleteRead):
        return "a connection that was cut"
    if isinstance(error, TimeoutError):
        return f"nothing for {waited_s:.1f} s"
    return f"{type(error).__name__} ({error})"


def _not_https(address: str, found: str) -> SourceError:
    return SourceError(address, expected="an address that begins with https://", found=found, remedy=BY_HAND)
