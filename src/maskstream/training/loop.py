"""The training loop, visible from top to bottom.

    for each epoch: for each batch: forward, backward, step, average; then validate and save

Every random choice is a function of the seed and the step's number, so a resumed run needs no generator's state
to give the numbers of an unbroken one.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from lightning.fabric import Fabric
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from maskstream import __version__
from maskstream.core.files import require_unused, write_text
from maskstream.data.dataset import Dataset
from maskstream.errors import CheckpointError, MaskstreamError
from maskstream.training.checkpoint import load_initial, load_weights, restore, resume_tensors, save_weights
from maskstream.training.models import Losses, MaskRcnn
from maskstream.training.recipe import Recipe
from maskstream.training.tensors import BatchDraws, TrainingImages, collate
from maskstream.training.validation import validate

LOG_EVERY_STEPS = 20


@dataclass(slots=True)
class Progressed:
    """How far a run has come; stands in `resume.safetensors`."""

    step: int = 0
    best_score: float = -math.inf
    metrics: dict[str, Any] = field(default_factory=dict)


def train(recipe: Recipe, dataset: Dataset, run: Path, *, resume: bool = False) -> Path:
    """Train a model and return the path of its best checkpoint.

    Parameters
    ----------
    run : the run folder; new, unless `resume`.

    Raises
    ------
    OutputError : the run folder holds another run, or cannot be written.
    CheckpointError : there is nothing to resume, or what there is does not fit.
    """
    _open_run(run, recipe, dataset, resume)
    fabric = Fabric(accelerator="auto", devices=1, precision=recipe.precision)
    fabric.seed_everything(recipe.seed, verbose=False)
    model = build_model(recipe)
    if recipe.initial_weights and not resume:
        load_initial(model, recipe.initial_weights)
    model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(_parameter_groups(model, recipe), lr=recipe.learning_rate)
    model, optimiser = fabric.setup(model, optimiser)
    average = {name: value.detach().clone() for name, value in model.module.state_dict().items()}
    progressed = _restore(run, model.module, average, optimiser, recipe) if resume else Progressed()

    records = dataset.records("train")
    draws = BatchDraws(records, recipe)
    loader = DataLoader(
        TrainingImages(records, recipe),
        batch_sampler=draws,
        collate_fn=collate,
        num_workers=recipe.workers,
        persistent_workers=recipe.workers > 0,
    )
    total_steps = recipe.epochs * len(draws)
    with RunLog(run, recipe, total_steps, progressed.step) as log:
        while progressed.step < total_steps:
            epoch, draws.first_batch = divmod(progressed.step, len(draws))
            draws.epoch = epoch
            for images, targets, data_s in _timed(loader):
                rate = learning_rate(progressed.step, total_steps, recipe)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                torch.manual_seed(recipe.seed * 1_000_003 + progressed.step)  # which proposals a step samples
                images = fabric.to_device(images).contiguous(memory_format=torch.channels_last)
                losses = model(images, [target.to(fabric.device) for target in targets])
                total = total_loss(losses, recipe)
                _refuse_nan(total, losses, progressed.step)
                fabric.backward(total)
                fabric.clip_gradients(model, optimiser, max_norm=recipe.gradient_clip)
                optimiser.step()
                optimiser.zero_grad()
                progressed.step += 1
                _average(average, model.module.state_dict(), recipe.ema_decay, progressed.step)
                log.step(progressed.step, epoch, losses, total, rate, len(images), data_s)
            _finish_epoch(run, recipe, dataset, model.module, average, optimiser, progressed, log, epoch, total_steps)
    return run / "best.safetensors"


def build_model(recipe: Recipe) -> MaskRcnn:
    """The untrained model of a recipe."""
    return MaskRcnn(recipe.labels_of_class, recipe.settings)


def total_loss(losses: Losses, recipe: Recipe) -> Tensor:
    """The sum that is minimised: all losses at weight 1 but the class loss."""
    weights = {"loss_class": recipe.class_loss_weight}
    return torch.stack([loss * weights.get(name, 1.0) for name, loss in losses.items()]).sum()


def learning_rate(step: int, total_steps: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak."""
    warmup = max(1, round(recipe.warmup_share * total_steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total_steps - warmup)
    return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def _parameter_groups(model: MaskRcnn, recipe: Recipe) -> list[dict[str, Any]]:
    """Biases are not decayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]


def _average(average: dict[str, Tensor], weights: dict[str, Tensor], decay: float, step: int) -> None:
    """Exponential moving average of the weights; young averages forget faster, so that the start fades."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in weights.items():
            average[name].lerp_(value.to(average[name].dtype), 1 - decay)


def _refuse_nan(total: Tensor, losses: Losses, step: int) -> None:
    if not torch.isfinite(total):
        named = ", ".join(f"{name} {loss.item():.3g}" for name, loss in losses.items())
        raise MaskstreamError(
            f"training step {step}",
            expected="finite losses",
            found=named,
            remedy="lower learning_rate or use precision: 32-true, and go on with --resume from the last epoch",
        )


def _timed(loader: DataLoader[Any]) -> Iterator[tuple[Tensor, list[Any], float]]:
    """Batches, each with the seconds that were spent waiting for it."""
    batches = iter(loader)
    while True:
        start = time.perf_counter()
        try:
            images, targets = next(batches)
        except StopIteration:
            return
        yield images, targets, time.perf_counter() - start


def _finish_epoch(
    run: Path,
    recipe: Recipe,
    dataset: Dataset,
    model: MaskRcnn,
    average: dict[str, Tensor],
    optimiser: Any,
    progressed: Progressed,
    log: RunLog,
    epoch: int,
    total_steps: int,
) -> None:
    """Validate the averaged weights, and save `last`, `best` and the resume state."""
    facts = {"recipe": recipe.model_dump(mode="json"), "epoch": epoch + 1, "maskstream": __version__}
    facts["data_sha256"] = dataset.content_sha256()
    if (epoch + 1) % recipe.validate_every == 0 or progressed.step == total_steps:
        judged = build_model(recipe)
        judged.load_state_dict(average)
        progressed.metrics = validate(judged, recipe, dataset, "val")
        log.validation(progressed.step, epoch, progressed.metrics)
        score = sum(float(progressed.metrics[name]) for name in recipe.select_by) / len(recipe.select_by)
        if score > progressed.best_score:
            progressed.best_score = score
            save_weights(run / "best.safetensors", average, facts | {"metrics": progressed.metrics})
    save_weights(run / "last.safetensors", average, facts | {"metrics": progressed.metrics})
    state = {"step": progressed.step, "best_score": progressed.best_score, "metrics": progressed.metrics}
    save_weights(run / "resume.safetensors", resume_tensors(model, average, optimiser), facts | {"progressed": state})


def _open_run(run: Path, recipe: Recipe, dataset: Dataset, resume: bool) -> None:
    """Make the run folder and keep beside the results how they came about."""
    if resume:
        return
    require_unused(run, remedy="pass --resume or another --out")
    write_text(run / "recipe.json", recipe.model_dump_json(indent=2) + "\n")
    facts = {
        "maskstream": __version__,
        "torch": torch.__version__,
        "data": str(dataset.folder),
        "data_sha256": dataset.content_sha256(),
    }
    write_text(run / "run.json", json.dumps(facts, indent=2) + "\n")


def _restore(run: Path, model: MaskRcnn, average: dict[str, Tensor], optimiser: Any, recipe: Recipe) -> Progressed:
    tensors, facts = load_weights(run / "resume.safetensors")
    if facts.get("recipe") != recipe.model_dump(mode="json"):
        raise CheckpointError(
            run,
            expected="the recipe that the run began with",
            found="another one",
            remedy="resume with the same recipe, or start a new run folder",
        )
    restore(tensors, model, average, optimiser, run)
    return Progressed(**facts["progressed"])


class RunLog:
    """What one sees of a run: a progress bar with ETA, `steps.csv`, `validation.csv` and TensorBoard."""

    def __init__(self, run: Path, recipe: Recipe, total_steps: int, first_step: int) -> None:
        self._run = run
        self._images = 0
        self._data_s = 0.0
        self._since = time.perf_counter()
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=first_step)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
        )
        self._task = self._progress.add_task(recipe.name, total=total_steps, completed=first_step)

    def __enter__(self) -> RunLog:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._board.close()

    def step(
        self, step: int, epoch: int, losses: Losses, total: Tensor, rate: float, images: int, data_s: float
    ) -> None:
        """Count a step, and write a line every `LOG_EVERY_STEPS`."""
        self._images += images
        self._data_s += data_s
        self._progress.advance(self._task)
        if step % LOG_EVERY_STEPS:
            return
        seconds = time.perf_counter() - self._since
        values = {"loss": total.item()} | {name: loss.item() for name, loss in losses.items()}
        values |= {"learning_rate": rate, "images_per_s": self._images / seconds, "data_share": self._data_s / seconds}
        values["memory_mb"] = psutil.Process().memory_info().rss / 2**20
        for name, value in values.items():
            self._board.add_scalar(f"train/{name}", value, step)
        _append_csv(self._run / "steps.csv", {"step": step, "epoch": epoch + 1} | values)
        shown = " ".join(f"{name.removeprefix('loss_')} {value:.3g}" for name, value in values.items())
        self._progress.console.print(f"epoch {epoch + 1} step {step}: {shown}", highlight=False)
        self._images, self._data_s, self._since = 0, 0.0, time.perf_counter()

    def validation(self, step: int, epoch: int, metrics: dict[str, Any]) -> None:
        """Write the metrics of an epoch."""
        numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        for name, value in numbers.items():
            self._board.add_scalar(f"val/{name}", value, step)
        _append_csv(self._run / "validation.csv", {"step": step, "epoch": epoch + 1} | numbers)
        shown = " ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        self._progress.console.print(f"epoch {epoch + 1} validation: {shown}", highlight=False)
        self._since = time.perf_counter()


def _append_csv(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)
