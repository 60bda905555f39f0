"""`maskstream data`: labelled datasets, one command a file."""

from __future__ import annotations

import typer

from maskstream.cli.data.check import check
from maskstream.cli.data.export import export
from maskstream.cli.data.import_ import import_
from maskstream.cli.data.preannotate import preannotate
from maskstream.cli.data.preview import preview
from maskstream.cli.data.split import split
from maskstream.cli.data.stats import stats

app = typer.Typer(no_args_is_help=True, help="Labelled datasets: import, check, split, describe and export them.")
app.command("import")(import_)
app.command()(check)
app.command()(split)
app.command()(stats)
app.command()(export)
app.command()(preannotate)
app.command()(preview)


@app.callback()
def data() -> None:
    """Labelled datasets: import, check, split, describe and export them."""
