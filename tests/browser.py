"""A page in headless Chromium: a question asked inside it, and its picture."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr", "--virtual-time-budget=6000",
)  # fmt: skip


def chromium(profile: Path, *arguments: str) -> tuple[str, list[str]]:
    """Run Chromium with a fresh profile; its standard output and the messages of the page's console."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs the program chromium, which is not here")
    command = [program, *FLAGS, f"--user-data-dir={profile}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def ask(page: Path, width: int, javascript: str, profile: Path) -> Any:
    """Open a page in a frame of `width` pixels, run the body of an async function in it and return its value.

    Only the asking script is added to what the page's own security policy allows.
    """
    asking = (
        "<script>addEventListener('load', async () => { let value;"
        f"try {{ value = await (async () => {{ {javascript} }})() }} catch (error) {{ value = String(error) }}"
        "parent.postMessage(JSON.stringify(value), '*') })</script></body>"
    )
    text, found = re.subn(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", page.read_text(encoding="utf-8"))
    assert found == 1
    head, _, tail = text.rpartition("</body>")
    page.with_name("asked.html").write_text(head + asking + tail, encoding="utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(
        f"<!doctype html><iframe src='asked.html' style='width:{width}px;height:900px;border:0'></iframe>"
        "<pre id='answer'></pre>"
        "<script>onmessage = (event) => document.getElementById('answer').textContent = event.data</script>",
        encoding="utf-8",
    )
    dom, console = chromium(profile, f"--window-size={width + 100},1000", "--dump-dom", frame.as_uri())
    answer = re.search(r'<pre id="answer">(.*?)</pre>', dom, re.DOTALL)
    assert answer is not None
    assert console == []
    return json.loads(html.unescape(answer[1]))


def screenshot(page: Path, size_wh: tuple[int, int], picture: Path, profile: Path) -> None:
    """Photograph the top of a page as it stands; it must say nothing on the console."""
    width, height = size_wh
    _, console = chromium(profile, f"--window-size={width},{height}", f"--screenshot={picture}", page.as_uri())
    assert console == []
