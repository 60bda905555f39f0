"""The bar that shows how far a command is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from maskstream.core.parallel import OnProgress


@contextlib.contextmanager
def progress_bars(unit: str, console: Console | None = None) -> Iterator[Callable[[str], OnProgress]]:
    """Bars on standard error with speed and time to go; yields what makes one, with its verb, when its work begins.

    Where nobody watches there are none: what is kept of standard error are the errors.
    """
    console = console or Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(unit),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        tasks: dict[str, TaskID] = {}

        def bar(verb: str) -> OnProgress:
            def on_progress(done: int, total: int | None) -> None:
                if verb not in tasks:
                    tasks[verb] = progress.add_task(verb, total=None)
                progress.update(tasks[verb], completed=done, total=total)

            return on_progress

        yield bar


@contextlib.contextmanager
def progress_bar(verb: str, unit: str, console: Console | None = None) -> Iterator[OnProgress]:
    """One bar; yields what to tell each step."""
    with progress_bars(unit, console) as bar:
        yield bar(verb)


class _Speed(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} {self._unit}", style="progress.data.speed")
