"""The little Markdown that model cards are written in, as HTML: headings, lists, bold, code."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_BULLET = re.compile(r"^\s*[-*+]\s+")
_HEADING = re.compile(r"^#{1,6}\s+")


def to_html(text: str) -> Markup:
    """Render plain text or simple Markdown; everything else in it is shown as it stands, escaped."""
    blocks = [block for block in re.split(r"\n\s*\n|\n(?=#{1,6}\s)", text.strip()) if block.strip()]
    return Markup("\n").join(_block(block) for block in blocks)


def _block(block: str) -> Markup:
    lines = block.strip("\n").splitlines()
    if _HEADING.match(lines[0]):
        title = Markup("<h4>{}</h4>").format(_inline(_HEADING.sub("", lines[0])))
        rest = "\n".join(lines[1:])
        return title + _block(rest) if rest.strip() else title
    bullets = [number for number, line in enumerate(lines) if _BULLET.match(line)]
    if not bullets:
        return Markup("<p>{}</p>").format(_inline(" ".join(lines)))
    before = _block("\n".join(lines[: bullets[0]])) if bullets[0] else Markup("")
    ends = [*bullets[1:], len(lines)]
    items = [_inline(_BULLET.sub("", " ".join(lines[start:end]))) for start, end in zip(bullets, ends, strict=True)]
    return before + Markup("<ul>{}</ul>").format(Markup("").join(Markup("<li>{}</li>").format(item) for item in items))


def _inline(text: str) -> Markup:
    html = str(escape(" ".join(text.split())))
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html))
