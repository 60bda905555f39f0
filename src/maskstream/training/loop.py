"""The training loop, visible from top to bottom.

    for each stage: for each epoch: for each step: forward, backward, step, average; then validate and save

Every random choice is a function of the seed and the step's number, so a resumed run needs no generator's state
to give the numbers of an unbroken one.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.reports.training_page import write_training_page
from maskstream.training.batches import Batches
from maskstream.training.checkpoint import BEST, load_into, restore_optimiser, under
from maskstream.training.devices import Devices, make_fabric
from maskstream.training.failures import advise_on_memory, advise_on_space, refuse_nan
from maskstream.training.image_splits import split_records
from maskstream.training.initial import load_initial
from maskstream.training.optimise import WeightAverage, make_optimiser
from maskstream.training.recipe import Recipe
from maskstream.training.run_log import RunLog
from maskstream.training.run_state import RunState, require_new
from maskstream.training.stages import Leg, chosen_legs, legs
from maskstream.training.stopping import StopRequest
from maskstream.training.tasks import Losses, TrainingTask, make_task
from maskstream.training.together import ending_together
from maskstream.training.validation import Validator, rehearse

ANY_DEVICE = Devices()
SAVE_EVERY_S = 300.0
"""Seconds between saves of the resume state within an epoch."""


def train(
    recipe: Recipe,
    dataset: Dataset,
    run: Path,
    *,
    resume: bool = False,
    stage: str | None = None,
    devices: Devices = ANY_DEVICE,
) -> Path:
    """Train a model and return the path of its best checkpoint.

    Parameters
    ----------
    recipe : resolved, see `maskstream.training.resolve`.
    run : the run folder; new, unless `resume` or a `stage` that others precede.
    stage : run this stage alone, from where the one before it has ended.

    Raises
    ------
    OutputError : the run folder holds another run, or cannot be written; what was saved last is kept.
    CheckpointError : there is nothing to resume, or what there is does not fit.
    RecipeError : there is no such stage, device or metric.
    Stopped : the run was asked to stop; it has saved and can go on.
    OtherFailed : another process of the run has failed.
    MaskstreamError : a loss is not finite, an image cannot be read, or memory is short.
    """
    task = make_task(recipe)
    splits = split_records(recipe.data, dataset)
    fabric = make_fabric(recipe, devices)
    with ending_together(fabric), advise_on_memory(recipe):
        fabric.seed_everything(recipe.seed, verbose=False)
        batches = Batches(task, dataset, splits["train"], rank=fabric.global_rank, world=fabric.world_size)
        plan = legs(recipe, batches.steps_per_epoch)
        chosen = chosen_legs(plan, stage)
        state = RunState(run, recipe, dataset.content_sha256())
        model = task.build_model().to(memory_format=torch.channels_last).to(fabric.device)
        average = WeightAverage(model, recipe.optimiser.ema_decay)
        notes, moments = _begin(
            state, model, average, task, plan, dataset, splits["val"], fabric, resume=resume, stage=stage
        )
        validator = log = None
        with advise_on_space(run), contextlib.ExitStack() as entered:
            entered.callback(batches.close)
            if fabric.is_global_zero:
                validator = Validator(task, dataset, splits["val"])
                log = RunLog(run, recipe.name, plan[-1].end, state.progressed.step, batch_size=batches.images_per_step)
                entered.enter_context(log)
                for note in notes:
                    log.note(note)
            stop = entered.enter_context(StopRequest(run))
            trainer = Trainer(fabric, task, model, average, batches, validator, state, log, stop)
            for leg in chosen:
                if leg.stage.name not in state.progressed.stages:
                    state.require(leg)
                    trainer.run(leg, moments)
                    moments = {}
    return run / BEST


class Trainer:
    """What every step needs; `run` is the loop."""

    def __init__(
        self,
        fabric: Fabric,
        task: TrainingTask,
        model: nn.Module,
        average: WeightAverage,
        batches: Batches,
        validator: Validator | None,
        state: RunState,
        log: RunLog | None,
        stop: StopRequest,
    ) -> None:
        self.fabric, self.task, self.recipe = fabric, task, task.recipe
        self.model, self.average = model, average
        self.batches, self.validator = batches, validator
        self.state, self.log, self.stop = state, log, stop

    def run(self, leg: Leg, moments: dict[str, Tensor]) -> None:
        """Train a stage from wherever the run stands to the stage's end; `moments` as `resume_tensors` names them."""
        optimiser: Any = make_optimiser(
            self.model, self.task.pretrained_part(self.model), self.recipe.optimiser, leg.stage
        )
        model, optimiser = self.fabric.setup(self.model, optimiser)
        restore_optimiser(optimiser, moments)
        self._saved_at = time.monotonic()
        while self.state.progressed.epochs < leg.end_epoch and not self.state.is_stale:
            self._train_epoch(leg, model, optimiser)
            self._finish_epoch(leg, optimiser)
            if self.stop.asked(self.fabric):
                self.stop.leave(self.fabric)
        self._finish_stage(leg)

    def _train_epoch(self, leg: Leg, model: Any, optimiser: Any) -> None:
        """The steps of the epoch that the run is in, as many as are left of it."""
        progressed = self.state.progressed
        epoch = progressed.epochs
        start, end = leg.epoch_start(epoch), leg.epoch_end(epoch)
        began = time.perf_counter()
        for step_batches, data_s in self.batches.of_epoch(epoch, progressed.step - start, end - start):
            rate = leg.learning_rate(progressed.step)
            losses, total = self._step(model, optimiser, step_batches, rate)
            progressed.step += 1
            self.average.update(progressed.step)
            if self.log:
                done = epoch + (progressed.step - start) / leg.steps_per_epoch
                step_s = time.perf_counter() - began
                values = {name: loss.item() for name, loss in losses.items()}
                self.log.step(progressed.step, done, leg.stage.name, values, total.item(), rate, step_s, data_s)
            asked = self.stop.asked(self.fabric)
            if asked or time.monotonic() - self._saved_at > SAVE_EVERY_S:
                self._save(optimiser)
            if asked:
                self.stop.leave(self.fabric)
            began = time.perf_counter()

    def _step(self, model: Any, optimiser: Any, step_batches: list[Any], rate: float) -> tuple[Losses, Tensor]:
        """One step of the optimiser over its batches in turn; the losses of all of them and all processes, averaged."""
        step = self.state.progressed.step
        for group in optimiser.param_groups:
            group["lr"] = rate
        model.train()
        seen: list[tuple[Losses, Tensor]] = []
        for place, batch in enumerate(step_batches):
            torch.manual_seed(
                (self.recipe.seed * 1_000_003 + step) * 1009 + place
            )  # dropout, and what proposals it samples
            last = place == len(step_batches) - 1
            with self.fabric.no_backward_sync(model, enabled=not last):
                losses = self.task.losses(model, batch.to_input(self.fabric.device), batch.targets)
                total = self.task.total(losses)
                refuse_nan({"loss": total, **losses}, [batch], step + 1, self._failed(step + 1))
                self.fabric.backward(total / len(step_batches))
            seen.append(({name: loss.detach() for name, loss in losses.items()}, total.detach()))
        clip = self.recipe.optimiser.gradient_clip or math.inf
        length = self.fabric.clip_gradients(model, optimiser, max_norm=clip, error_if_nonfinite=False)
        refuse_nan({"gradient": torch.as_tensor(length)}, step_batches, step + 1, self._failed(step + 1))
        optimiser.step()
        optimiser.zero_grad()
        losses = {name: self._mean([losses[name] for losses, _ in seen]) for name in seen[0][0]}
        return losses, self._mean([total for _, total in seen])

    def _failed(self, step: int) -> Path:
        """Where a step's images are kept when it fails; several processes see different ones."""
        process = f"-process-{self.fabric.global_rank}" if self.fabric.world_size > 1 else ""
        return self.state.run / f"failed-step-{step}{process}.safetensors"

    def _mean(self, values: list[Tensor]) -> Tensor:
        return torch.as_tensor(self.fabric.all_reduce(torch.stack(values).mean(), reduce_op="mean"))

    def _finish_epoch(self, leg: Leg, optimiser: Any) -> None:
        """Validate the averaged weights, and save; the first process does it while the others wait."""
        progressed = self.state.progressed
        progressed.epochs += 1
        if self.log and self.validator:
            weights = self.average.weights()
            is_last = progressed.epochs == leg.end_epoch
            if is_last or (progressed.epochs - leg.first_epoch) % self.recipe.validation.every == 0:
                metrics = self.validator.judge(weights, self.fabric.device)
                self.log.samples(progressed.epochs, self.validator.predictions())
                self.log.validation(progressed.step, progressed.epochs, leg.stage.name, metrics)
                self.state.judge(metrics)
            self.state.save_answer(weights, progressed.epochs)
            self._save(optimiser)
            write_training_page(self.state.run)
            self.state.require_choice()
        self.state.progressed = self.fabric.broadcast(progressed)

    def _finish_stage(self, leg: Leg) -> None:
        """Keep what the next stage starts from; a stage that has stopped early counts as done."""
        progressed = self.state.progressed
        if self.log and progressed.epochs < leg.end_epoch:
            self.log.note(f"stage {leg.stage.name}: no better for {progressed.stale} validations, ended early")
        progressed.step, progressed.epochs, progressed.stale = leg.end, leg.end_epoch, 0
        progressed.stages.append(leg.stage.name)
        if self.log:
            self.state.end_stage(leg, self.model, self.average)
        self.fabric.barrier()

    def _save(self, optimiser: Any) -> None:
        if self.log:
            self.state.save(self.model, self.average, optimiser)
        self._saved_at = time.monotonic()


def _begin(
    state: RunState,
    model: nn.Module,
    average: WeightAverage,
    task: TrainingTask,
    plan: tuple[Leg, ...],
    dataset: Dataset,
    records: Sequence[ImageRecord],
    fabric: Fabric,
    *,
    resume: bool,
    stage: str | None,
) -> tuple[list[str], dict[str, Tensor]]:
    """Bring model, average and progress to where the run begins; notes for the log, and the optimiser's moments.

    Parameters
    ----------
    records : what is validated on.
    """
    notes: list[str] = []
    before = None if stage is None or resume else _stage_before(plan, stage)
    if resume or before is not None:
        tensors = state.load() if before is None else state.load_stage(before)
        load_into(model, under("model.", tensors), state.run)
        average.restore(under("average.", tensors))
        if before is not None and fabric.is_global_zero:
            state.begin_after(before, tensors, plan[-1].end)
            notes.append(f"stage {stage} begins where {before} has ended")
        notes.append(f"going on after step {state.progressed.step}")
        fabric.barrier()
        return notes, {name: value for name, value in tensors.items() if name.startswith("optimiser.")}
    if fabric.is_global_zero:
        require_new(state.run)
    if task.recipe.initial_weights:
        load_initial(model, task.pretrained_part(model), task.recipe.initial_weights, notes.append)
    else:
        notes.append("no initial weights: the model starts from random ones")
        if getattr(task.recipe.model, "norm", None) == "frozen":
            notes.append("model.norm is frozen without weights to freeze: batch would let the backbone learn its norms")
    average.restore({})
    if fabric.is_global_zero:
        rehearse(task, dataset, records, model.state_dict(), fabric.device)
        arguments = {"devices": fabric.world_size, "device": str(fabric.device), "stage": stage}
        state.open(dataset, plan[-1].end, arguments, model, average)
    fabric.barrier()
    return notes, {}


def _stage_before(plan: tuple[Leg, ...], stage: str) -> str | None:
    """Name of the stage before another one; None before the first."""
    names = [leg.stage.name for leg in plan]
    place = names.index(stage)
    return names[place - 1] if place else None
