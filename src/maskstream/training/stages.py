"""Where a step lies in a run: its stage, its epoch, its learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskstream.errors import RecipeError
from maskstream.training.recipe import Recipe, Stage


@dataclass(frozen=True, slots=True)
class Leg:
    """A stage of a run with its place in it.

    Attributes
    ----------
    first_step, steps : of the optimiser, counted through the whole run.
    first_epoch : epochs of the stages before, counted from 0.
    steps_per_epoch : the last epoch of a stage may be shorter.
    """

    stage: Stage
    first_step: int
    steps: int
    first_epoch: int
    steps_per_epoch: int

    @property
    def end(self) -> int:
        """The step after the last one."""
        return self.first_step + self.steps

    @property
    def epochs(self) -> int:
        """Epochs of the stage; a last one that is cut short counts."""
        return math.ceil(self.steps / self.steps_per_epoch)

    @property
    def end_epoch(self) -> int:
        """The epoch after the last one."""
        return self.first_epoch + self.epochs

    def epoch_start(self, epoch: int) -> int:
        """The first step of an epoch."""
        return self.first_step + (epoch - self.first_epoch) * self.steps_per_epoch

    def epoch_end(self, epoch: int) -> int:
        """The step after the last one of an epoch."""
        return min(self.end, self.epoch_start(epoch + 1))

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, then the stage's schedule."""
        stage, done = self.stage, step - self.first_step
        warmup = round(stage.warmup_share * self.steps)
        if done < warmup:
            return stage.learning_rate * (stage.warmup_factor + (1 - stage.warmup_factor) * (done + 1) / warmup)
        if stage.schedule == "constant":
            return stage.learning_rate
        if stage.schedule == "steps":
            return stage.learning_rate * stage.decay_factor ** sum(
                done >= share * self.steps for share in stage.decay_at
            )
        share = (done - warmup) / max(1, self.steps - warmup)
        return stage.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def legs(recipe: Recipe, steps_per_epoch: int) -> tuple[Leg, ...]:
    """The stages of a recipe, one after the other."""
    made: list[Leg] = []
    step = epoch = 0
    for stage in recipe.stages:
        steps = stage.steps or (stage.epochs or 0) * steps_per_epoch
        leg = Leg(stage, step, steps, epoch, steps_per_epoch)
        made.append(leg)
        step, epoch = leg.end, epoch + leg.epochs
    return tuple(made)


def chosen_legs(all_legs: Sequence[Leg], name: str | None) -> tuple[Leg, ...]:
    """All stages, or the one of that name.

    Raises
    ------
    RecipeError : there is no such stage.
    """
    if name is None:
        return tuple(all_legs)
    found = tuple(leg for leg in all_legs if leg.stage.name == name)
    if not found:
        names = ", ".join(leg.stage.name for leg in all_legs)
        raise RecipeError(f"--stage {name}", expected=f"one of {names}", found="another name", remedy="name a stage")
    return found
