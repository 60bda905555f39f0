"""The real `maskstream` command in processes of its own, without the seconds that importing PyTorch takes each time.

A first process imports everything and computes nothing; each command is a fork of it, in a session of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command has ended; `code` is negative for a signal."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one line of an error on purpose."""
        lines = [line for line in self.stderr.splitlines() if line.strip()]
        assert len(lines) == 1, self.stderr
        assert self.code == 2, self.stderr
        return lines[0]


class Command:
    """A command that runs."""

    def __init__(self, warm: WarmCommand, pid: int, folder: Path) -> None:
        self._warm, self.pid, self._folder = warm, pid, folder

    def until(self, condition: Callable[[], Any], limit_s: float = LIMIT_S) -> None:
        """Wait for something that the command does."""
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, self._text("stderr")
            assert self.is_running(), self._text("stdout") + self._text("stderr")
            time.sleep(0.01)

    def is_running(self) -> bool:
        """Whether it has not ended."""
        with contextlib.suppress(OSError, IndexError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        return False

    def signal(self, number: int) -> None:
        """Send a signal to it and to all that it has started, as a terminal does."""
        os.killpg(self.pid, number)

    def wait(self, limit_s: float = LIMIT_S) -> Done:
        """Wait for its end; it is killed at the limit."""
        timer = threading.Timer(limit_s, self._kill)
        timer.start()
        code = self._warm.ask({"wait": self.pid})
        timer.cancel()
        self._kill()  # what it may have left behind
        return Done(code, self._text("stdout"), self._text("stderr"))

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _text(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8", errors="replace")


class WarmCommand:
    """Starts commands; to be entered once a test module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def __enter__(self) -> Self:
        environment = {**os.environ, "MASKSTREAM_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def start(self, *arguments: object, limits: Sequence[tuple[int, int]] = (), patch: str = "") -> Command:
        """Start `maskstream` with arguments.

        Parameters
        ----------
        limits : resource limits that it runs under.
        patch : code that it runs first.
        """
        self._count += 1
        folder = self._folder / f"command-{self._count}"
        folder.mkdir(parents=True)
        asked = {"argv": [str(a) for a in arguments], "folder": str(folder), "limits": list(limits), "patch": patch}
        return Command(self, self.ask(asked), folder)

    def run(self, *arguments: object, limit_s: float = LIMIT_S, **more: Any) -> Done:
        """Run it to its end."""
        return self.start(*arguments, **more).wait(limit_s)

    def ask(self, request: dict[str, Any]) -> int:
        """Of the first process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _serve() -> dict[str, Any]:
    """Fork for each request; returns in the fork, with what it is to do."""
    for line in iter(sys.stdin.readline, ""):
        request: dict[str, Any] = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        child = os.fork()
        if not child:
            return request
        print(child, flush=True)
    raise SystemExit


def _become(request: dict[str, Any]) -> None:
    import resource

    os.setsid()
    streams = [(os.devnull, os.O_RDONLY)]
    streams += [
        (f"{request['folder']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND) for name in ("stdout", "stderr")
    ]
    for number, (path, flags) in enumerate(streams):
        os.dup2(os.open(path, flags, 0o644), number)
    for kind, limit in request["limits"]:
        resource.setrlimit(kind, (limit, limit))
    sys.argv = ["maskstream", *request["argv"]]
    exec(request["patch"], {})


if __name__ == "__main__":
    import faster_coco_eval  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401

    import maskstream.cli.main
    import maskstream.training.folds
    import maskstream.training.loop

    _become(_serve())
    maskstream.cli.main.main()
