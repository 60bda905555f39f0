"""A page as a parser sees it: its elements, and its text as a reader does."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Elements, texts and ids of a page; fails on tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not self.in_svg():
            self.open.append(tag)

    def in_svg(self):
        return "svg" in self.open

    def handle_endtag(self, tag):
        if not self.in_svg() or tag == "svg":
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.texts).replace("\xa0", " "))

    def all(self, tag, css_class=None):
        return [a for t, a in self.elements if t == tag and (css_class is None or css_class in (a.get("class") or ""))]
