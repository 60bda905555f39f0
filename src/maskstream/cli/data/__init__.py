"""`maskstream data`: labelled datasets, one command a file."""

from __future__ import annotations

import typer

from maskstream.cli.data.export import export
from maskstream.cli.data.import_ import import_

app = typer.Typer(no_args_is_help=True, help="Labelled datasets: import, check, split, describe and export them.")
app.command("import")(import_)
app.command()(export)


@app.callback()
def data() -> None:
    """Labelled datasets: import, check, split, describe and export them."""
