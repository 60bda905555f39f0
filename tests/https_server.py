"""A small https server on this machine, whose answers are bytes that a test writes, good or bad."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

Answer = bytes | Callable[[ssl.SSLSocket], None]
"""What is sent, after which the connection ends properly; or what sends it, after which it is cut."""


def answer(body: bytes = b"", status: str = "200 OK", **headers: object) -> bytes:
    """An answer of HTTP/1.1; its length is stated unless the headers do."""
    stated = {"Content-Length": len(body)} | {key.replace("_", "-"): value for key, value in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{key}: {value}" for key, value in stated.items() if value is not None)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(address: str, status: str = "302 Found") -> bytes:
    return answer(status=status, Location=address)


class HttpsServer:
    """Serves `answers` by path, and keeps the requests it saw."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.client = ssl.create_default_context(cafile=certificate)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def address(self, path: str, host: str = "localhost") -> str:
        return f"https://{host}:{self.port}{path}"

    def start(self) -> None:
        self._threads.append(threading.Thread(target=self._listen, daemon=True))
        self._threads[0].start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
            self._open.append(connection)
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(4096)
                if not part:
                    return
                request += part
            self.requests.append(request.decode())
            reply = self.answers[request.split()[1].decode()]
            if callable(reply):
                reply(connection)
            else:
                connection.sendall(reply)
                connection.unwrap()
