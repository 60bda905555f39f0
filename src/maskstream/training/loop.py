"""The training loop, visible from top to bottom.

    for each stage: for each epoch: for each step: forward, backward, step, average; then validate and save

Every random choice is a function of the seed and the step's number, so a resumed run needs no generator's state
to give the numbers of an unbroken one.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from maskstream.data.dataset import Dataset
from maskstream.reports.training_page import write_training_page
from maskstream.training.batches import Batches
from maskstream.training.checkpoint import BEST, load_into, restore_optimiser, under
from maskstream.training.devices import Devices, make_fabric
from maskstream.training.failures import advise_on_memory, refuse_nan
from maskstream.training.initial import load_initial
from maskstream.training.optimise import WeightAverage, make_optimiser
from maskstream.training.recipe import Recipe
from maskstream.training.run_log import RunLog
from maskstream.training.run_state import RunState
from maskstream.training.samples import split_records
from maskstream.training.stages import Leg, chosen_legs, legs
from maskstream.training.stopping import StopRequest
from maskstream.training.tasks import Losses, TrainingTask, make_task
from maskstream.training.validation import Validator

SAVE_EVERY_S = 300.0
"""Seconds between saves of the resume state within an epoch."""


def train(
    recipe: Recipe,
    dataset: Dataset,
    run: Path,
    *,
    resume: bool = False,
    stage: str | None = None,
    devices: Devices = Devices(),
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
    Stopped : the run was asked to stop; it has saved and can go on.
    MaskstreamError : a loss is not finite, or memory is short.
    """
    fabric = make_fabric(recipe, devices)
    fabric.seed_everything(recipe.seed, verbose=False)
    task = make_task(recipe)
    splits = split_records(recipe.data, dataset)
    batches = Batches(task, dataset, splits["train"], rank=fabric.global_rank, world=fabric.world_size)
    plan = legs(recipe, batches.steps_per_epoch)
    state = RunState(run, recipe, dataset.content_sha256())
    model = task.build_model().to(fabric.device, memory_format=torch.channels_last)
    average = WeightAverage(model, recipe.optimiser.ema_decay)
    notes, moments = _begin(state, model, average, task, plan, dataset, fabric, resume=resume, stage=stage)
    validator = Validator(task, dataset, splits["val"])
    log = (
        RunLog(run, recipe.name, plan[-1].end, state.progressed.step, batch_size=batches.images_per_step)
        if fabric.is_global_zero
        else None
    )
    with log or contextlib.nullcontext(), StopRequest(run) as stop, advise_on_memory(recipe):
        for note in notes if log else ():
            log.note(note)
        trainer = Trainer(fabric, task, model, average, batches, validator, state, log, stop)
        for leg in chosen_legs(plan, stage):
            if state.progressed.step < leg.end:
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
        validator: Validator,
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
        saved_at = time.monotonic()
        while self.state.progressed.step < leg.end and not self.state.is_stale:
            epoch, epoch_end = leg.epoch_of(self.state.progressed.step), leg.epoch_end(self.state.progressed.step)
            began = time.perf_counter()
            for step_batches, data_s in self.batches.of_epoch(epoch, leg.step_in_epoch(self.state.progressed.step)):
                rate = leg.learning_rate(self.state.progressed.step)
                losses, total = self._step(model, optimiser, step_batches, rate)
                self.state.progressed.step += 1
                self.average.update(self.state.progressed.step)
                if self.log:
                    done = epoch + (leg.step_in_epoch(self.state.progressed.step - 1) + 1) / leg.steps_per_epoch
                    step_s = time.perf_counter() - began
                    values = {name: loss.item() for name, loss in losses.items()}
                    self.log.step(
                        self.state.progressed.step, done, leg.stage.name, values, total.item(), rate, step_s, data_s
                    )
                if self.state.progressed.step == epoch_end:
                    break
                if self.stop.asked(self.fabric) or time.monotonic() - saved_at > SAVE_EVERY_S:
                    self._save(optimiser)
                    saved_at = time.monotonic()
                    self.stop.leave_if_asked(self.fabric)
                began = time.perf_counter()
            self._finish_epoch(leg, epoch, optimiser)
            saved_at = time.monotonic()
            self.stop.leave_if_asked(self.fabric)
        self._finish_stage(leg)

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
                refuse_nan(total, losses, batch, step, self.state.run)
                self.fabric.backward(total / len(step_batches))
            seen.append(({name: loss.detach() for name, loss in losses.items()}, total.detach()))
        if self.recipe.optimiser.gradient_clip:
            self.fabric.clip_gradients(model, optimiser, max_norm=self.recipe.optimiser.gradient_clip)
        optimiser.step()
        optimiser.zero_grad()
        losses = {name: self._mean([losses[name] for losses, _ in seen]) for name in seen[0][0]}
        return losses, self._mean([total for _, total in seen])

    def _mean(self, values: list[Tensor]) -> Tensor:
        mean: Tensor = self.fabric.all_reduce(torch.stack(values).mean(), reduce_op="mean")
        return mean

    def _finish_epoch(self, leg: Leg, epoch: int, optimiser: Any) -> None:
        """Validate the averaged weights, and save; the first process does it while the others wait."""
        progressed = self.state.progressed
        ends_stage = progressed.step == leg.end
        if self.log:
            if ends_stage or (epoch + 1 - leg.first_epoch) % self.recipe.validation.every == 0:
                done = epoch + 1
                metrics = self.validator.judge(self.average.weights(), self.fabric.device)
                self.log.samples(done, self.validator.predictions())
                self.log.validation(progressed.step, done, leg.stage.name, metrics)
                self.state.judge(metrics)
            self.state.save_answer(self.average.weights(), epoch + 1)
            self._save(optimiser)
            write_training_page(self.state.run)
        self.state.progressed = self.fabric.broadcast(progressed)

    def _finish_stage(self, leg: Leg) -> None:
        """Keep what the next stage starts from; a stage that has stopped early counts as done."""
        if self.log and self.state.is_stale and self.state.progressed.step < leg.end:
            self.log.note(
                f"stage {leg.stage.name}: no better for {self.state.progressed.stale} validations, ended early"
            )
        self.state.progressed.step = leg.end
        self.state.progressed.stale = 0
        if self.log:
            self.state.end_stage(leg, self.model, self.average)
        self.fabric.barrier()

    def _save(self, optimiser: Any) -> None:
        if self.log:
            self.state.save(self.model, self.average, optimiser)


def _begin(
    state: RunState,
    model: nn.Module,
    average: WeightAverage,
    task: TrainingTask,
    plan: tuple[Leg, ...],
    dataset: Dataset,
    fabric: Fabric,
    *,
    resume: bool,
    stage: str | None,
) -> tuple[list[str], dict[str, Tensor]]:
    """Bring model, average and progress to where the run begins; notes for the log, and the optimiser's moments."""
    notes: list[str] = []
    if resume:
        tensors = state.load()
    elif stage is not None and stage != plan[0].stage.name:
        before = next(a.stage.name for a, b in zip(plan, plan[1:], strict=False) if b.stage.name == stage)
        tensors = state.load_stage(before)
        notes.append(f"stage {stage} begins where {before} has ended")
    else:
        if task.recipe.initial_weights:
            load_initial(model, task.pretrained_part(model), task.recipe.initial_weights, notes.append)
        else:
            notes.append("no initial weights: the model starts from random ones")
            if getattr(task.recipe.model, "norm", None) == "frozen":
                notes.append(
                    "model.norm is frozen without weights to freeze: batch would let the backbone learn its norms"
                )
        if fabric.is_global_zero:
            arguments = {"devices": fabric.world_size, "device": str(fabric.device), "stage": stage}
            state.open(dataset, plan[-1].end, arguments)
        average.restore({})
        fabric.barrier()
        return notes, {}
    load_into(model, under("model.", tensors), state.run)
    average.restore(under("average.", tensors))
    notes.append(f"going on after step {state.progressed.step}")
    fabric.barrier()
    return notes, {name: value for name, value in tensors.items() if name.startswith("optimiser.")}
