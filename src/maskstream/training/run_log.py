"""What one sees of a training run: lines, a progress bar, tables, TensorBoard and sample predictions.

`steps.csv` has a row a step, with the losses of that very step, so that the rows of a resumed run are those of an
unbroken one wherever it was cut. Lines and TensorBoard show means over intervals that end at multiples of `every`; a
resumed run takes the interval that it was cut in up again from the rows.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from maskstream.core.files import whole_file
from maskstream.errors import OutputError
from maskstream.evaluation.verdict import Metrics
from maskstream.media.images import IMAGE_SUFFIXES
from maskstream.reports.training_tables import SAMPLES, STEPS, VALIDATION, cut_after, read_rows
from maskstream.training.memory import peak_memory_mb

LOG = "train.log"
TENSORBOARD = "tensorboard"
SAMPLE_SIDE_PX = 480
"""Longest side of a sample prediction."""


class RunLog:
    """Writes into the run folder while it is entered; of several processes only the first has one.

    Parameters
    ----------
    run : the run folder.
    title : what the progress bar is called.
    total_steps : steps of the whole run, over all stages.
    first_step : steps that are done already. What the folder holds of later ones is dropped: a run that was killed
        does them again.
    batch_size : images of one step, over all devices.
    every : steps from line to line.

    Raises
    ------
    OutputError : the folder cannot be written; any method may raise it.
    """

    def __init__(
        self, run: Path, title: str, total_steps: int, first_step: int, *, batch_size: int, every: int = 20
    ) -> None:
        self._run = run
        self._total_steps, self._first_step, self._every, self._batch_size = total_steps, first_step, every, batch_size
        self._means = _Means()
        self._memory_mb = 0.0
        self._done = 0
        console = Console(soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=300,
        )
        self._bar = self._bars.add_task(title, total=total_steps, completed=first_step)

    def __enter__(self) -> Self:
        for table in (STEPS, VALIDATION):
            cut_after(self._run / table, self._first_step)
        self._drop_later_samples()
        begun = self._first_step - self._first_step % self._every
        for row in read_rows(self._run / STEPS):
            if int(row["step"]) > begun:
                self._means.add({name: float(row[name]) for name in row if name not in ("step", "epoch", "stage")})
        purge_step = self._first_step + 1 if self._first_step else None
        self._board = SummaryWriter(str(self._run / TENSORBOARD), purge_step=purge_step)
        self._entered = time.perf_counter()
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        self._board.close()

    def step(
        self,
        step: int,
        epoch: float,
        stage: str,
        losses: Mapping[str, float],
        total: float,
        learning_rate: float,
        step_s: float,
        data_s: float,
    ) -> None:
        """Write the row of a step, and a line at multiples of `every` and at the last step.

        Parameters
        ----------
        step : counted from 1, over all stages.
        epoch : epochs done, with their fraction.
        losses : every component, unweighted; the same ones each step of a run.
        total : what is minimised.
        step_s : seconds of the whole step, the wait for its images within.
        data_s : seconds of that wait.
        """
        line_is_due = step % self._every == 0 or step == self._total_steps
        if line_is_due or not self._memory_mb:
            self._memory_mb = max(self._memory_mb, peak_memory_mb())
        values = {"loss": total} | {f"loss_{name}": value for name, value in losses.items()}
        values |= {"learning_rate": learning_rate, "step_s": round(step_s, 6), "data_s": round(data_s, 6)}
        values |= {"images_per_s": round(self._batch_size / step_s, 3), "memory_mb": round(self._memory_mb)}
        self._append_row({"step": step, "epoch": epoch, "stage": stage} | values)
        self._means.add(values)
        self._done += 1
        self._bars.update(self._bar, completed=step)
        if line_is_due:
            means = self._means.take()
            shown = means | {"learning_rate": learning_rate, "images_per_s": self._batch_size / means["step_s"]}
            shown["memory_mb"] = self._memory_mb
            self._add_scalars("train", shown, step)
            self.note(f"eta {self._time_to_go(step)}  {self._place(step, epoch, stage)}  {_training_text(shown)}")

    def validation(self, step: int, epoch: float, stage: str, metrics: Metrics) -> None:
        """Write the metrics of a validation: all of them into the log, numbers into the table and TensorBoard, too."""
        numbers = {name: value for name, value in metrics.items() if not isinstance(value, str)}
        path = self._run / VALIDATION
        before = [row for row in read_rows(path) if int(row["step"]) < step]  # not what a killed run has written of it
        rows: list[dict[str, Any]] = [*before, {"step": step, "epoch": epoch, "stage": stage} | numbers]
        columns = dict.fromkeys(name for row in rows for name in row)
        with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(columns), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        self._add_scalars("val", numbers, step)
        shown = (
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in metrics.items()
        )
        self.note("  ".join(["validation", self._place(step, epoch, stage), *shown]))

    def samples(self, epoch: float, images: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
        """Write sample predictions of an epoch, (h, w, 3) RGB by name, as small JPEGs; call it before `validation`."""
        folder = self._run / SAMPLES / epoch_folder(epoch)
        for name, image in images:
            shrink = min(1.0, SAMPLE_SIDE_PX / max(image.shape[:2]))
            small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
            _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
            plain = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in IMAGE_SUFFIXES else name
            with whole_file(folder / f"{plain.replace('/', '-')}.jpg") as temporary:
                temporary.write_bytes(encoded.tobytes())

    def note(self, text: str) -> None:
        """Say something: above the bar, and in the log with the time of day."""
        self._bars.console.print(text, markup=False, highlight=False)
        now = datetime.datetime.now().isoformat(" ", timespec="seconds")
        self._append(self._run / LOG, f"{now}  {text}\n")

    @contextlib.contextmanager
    def counting(self, verb: str, total: int) -> Iterator[Callable[[], None]]:
        """A second bar for as long as something else goes on, such as a validation; yields what counts one."""
        bar = self._bars.add_task(verb, total=total)
        try:
            yield lambda: self._bars.advance(bar)
        finally:
            self._bars.remove_task(bar)

    def _append_row(self, row: Mapping[str, Any]) -> None:
        path = self._run / STEPS
        head = "" if path.exists() and path.stat().st_size else ",".join(row) + "\n"
        self._append(path, head + ",".join(str(value) for value in row.values()) + "\n")

    def _append(self, path: Path, text: str) -> None:
        try:
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(
                path,
                expected="a place that can be written",
                found=error.strerror or str(error),
                remedy="free space, and go on with --resume",
            ) from error

    def _add_scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"{group}/{name}", value, step)
        self._board.flush()

    def _place(self, step: int, epoch: float, stage: str) -> str:
        return f"iter {step}/{self._total_steps}  epoch {epoch:.2f}  stage {stage}"

    def _time_to_go(self, step: int) -> str:
        """By the mean pace since this process began, validations within."""
        pace_s = (time.perf_counter() - self._entered) / self._done
        return str(datetime.timedelta(seconds=round(pace_s * (self._total_steps - step))))

    def _drop_later_samples(self) -> None:
        epochs = [float(row["epoch"]) for row in read_rows(self._run / VALIDATION)]
        kept = {epoch_folder(epoch) for epoch in epochs}
        for folder in (self._run / SAMPLES).glob("epoch-*"):
            if folder.name not in kept:
                shutil.rmtree(folder)


class _Means:
    """Means over steps."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def take(self) -> dict[str, float]:
        """The means; the next interval begins empty."""
        means = {name: value / self._count for name, value in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


def epoch_folder(epoch: float) -> str:
    """`epoch-003`, and `epoch-003.33` within an epoch."""
    return f"epoch-{epoch:03.0f}" if float(epoch).is_integer() else f"epoch-{epoch:06.2f}"


def _training_text(values: Mapping[str, float]) -> str:
    losses = "  ".join(f"{name.removeprefix('loss_')} {values[name]:.4g}" for name in values if name.startswith("loss"))
    return (
        f"{losses}  time {values['step_s']:.4f} s  data {values['data_s']:.4f} s  "
        f"{values['images_per_s']:.1f} images/s  lr {values['learning_rate']:.4g}  memory {values['memory_mb']:.0f} MB"
    )
