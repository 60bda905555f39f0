"""The command line: registers the commands, and turns errors on purpose into one line and exit code 2."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from maskstream import __version__
from maskstream.cli import data, models
from maskstream.cli.annotate import annotate
from maskstream.cli.classify import classify
from maskstream.cli.compare import compare
from maskstream.cli.doctor import doctor
from maskstream.cli.evaluate import evaluate
from maskstream.cli.export import export
from maskstream.cli.frames import frames
from maskstream.cli.segment import segment
from maskstream.cli.train import train
from maskstream.errors import MaskstreamError

EXIT_BAD_INPUT = 2

app = typer.Typer(
    help="Segment, track and measure objects of interest in video, with honest percentages.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(segment)
app.command()(classify)
app.command()(frames)
app.command()(annotate)
app.command()(evaluate)
app.command()(compare)
app.command()(train)
app.command()(export)
app.command()(doctor)
app.add_typer(models.app, name="models", help="Models: show what one is made of.")
app.add_typer(data.app, name="data", help="Labelled datasets: import, check, split, describe and export them.")


def _show_version(asked: bool) -> None:
    if asked:
        print(f"maskstream {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    pass


def main() -> None:
    """Entry point of the `maskstream` command."""
    try:
        app()
    except MaskstreamError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        sys.exit(EXIT_BAD_INPUT)
