"""A page that stands alone: one HTML file with its style, script and pictures inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from maskstream.core.files import whole_file

_TEMPLATES = Path(__file__).parent / "templates"
_BASE_STYLE = "base.css"


def write_page(path: Path, name: str, content: dict[str, Any], shared: Sequence[str] = ()) -> None:
    """Fill the template `name` and write the page, whole or not at all; the page is never in memory as a whole.

    Beside `NAME.html.j2` lie `NAME.css`, which follows the style that all pages share, and `NAME.js`, where it has
    a script of its own. The page's security policy allows that script alone, and no network.

    Parameters
    ----------
    content : what the template shows.
    shared : names of styles and scripts that several pages use, `NAME.css` and `NAME.js`; they come before the own.

    Raises
    ------
    OutputError : the page cannot be written.
    """
    names = (*shared, name)
    script = Markup("\n").join(_text(f"{each}.js") for each in names if (_TEMPLATES / f"{each}.js").is_file())
    own = {
        "style": Markup("").join([_text(_BASE_STYLE), *(_text(f"{each}.css") for each in names)]),
        "script": script,
        "script_sha256": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }
    page = _environment().get_template(f"{name}.html.j2").generate(content | own)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(page)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _text(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))
