"""Where a step lies, and its learning rate: hand-computed."""

from __future__ import annotations

import pytest

from maskstream.errors import RecipeError
from maskstream.training.recipe import Stage
from maskstream.training.recipe_file import load_recipe
from maskstream.training.stages import Leg, chosen_legs, legs


def _leg(steps: int = 100, **stage: object) -> Leg:
    return Leg(Stage.model_validate({"steps": steps, "learning_rate": 1.0} | stage), 0, steps, 0, 10)


def test_stages_follow_each_other_in_steps_and_epochs() -> None:
    plan = legs(load_recipe("oil-tanks-staged", ("stages.1={name: odd, steps: 25, learning_rate: 1}",)), 10)
    assert [(leg.first_step, leg.steps, leg.first_epoch, leg.epochs) for leg in plan] == [
        (0, 60, 0, 6),
        (60, 25, 6, 3),
        (85, 240, 9, 24),
    ]
    odd = plan[1]
    assert [odd.epoch_start(epoch) for epoch in (6, 7, 8)] == [60, 70, 80]
    assert [odd.epoch_end(epoch) for epoch in (6, 7, 8)] == [70, 80, 85]
    assert odd.end_epoch == 9


def test_a_stage_is_chosen_by_name() -> None:
    plan = legs(load_recipe("oil-tanks-staged"), 10)
    assert chosen_legs(plan, None) == plan
    assert [leg.stage.name for leg in chosen_legs(plan, "all")] == ["all"]
    with pytest.raises(RecipeError, match="one of heads, all, all-slow"):
        chosen_legs(plan, "tail")


def test_cosine_warms_up_and_falls_to_a_hundredth() -> None:
    leg = _leg(warmup_share=0.1)
    rates = [leg.learning_rate(step) for step in range(100)]
    assert rates[:2] == pytest.approx([0.1, 0.2])
    assert rates[9] == rates[10] == max(rates) == 1.0
    assert rates[55] == pytest.approx(0.505)  # half-way down: 0.01 + 0.99 / 2
    assert rates[99] == pytest.approx(0.01, abs=1e-3)


def test_detectrons_warm_up_begins_at_a_thousandth() -> None:
    leg = _leg(schedule="constant", warmup_share=1.0, warmup_factor=0.001)
    assert leg.learning_rate(0) == pytest.approx(0.001 + 0.999 / 100)
    assert leg.learning_rate(49) == pytest.approx(0.001 + 0.999 / 2)
    assert leg.learning_rate(99) == pytest.approx(1.0)


def test_steps_fall_where_they_are_asked_to() -> None:
    leg = _leg(schedule="steps", decay_at=[0.5, 0.8], decay_factor=0.1, warmup_share=0)
    assert [leg.learning_rate(step) for step in (0, 49, 50, 79, 80, 99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_constant_stays() -> None:
    leg = _leg(schedule="constant", warmup_share=0)
    assert {leg.learning_rate(step) for step in range(100)} == {1.0}


def test_a_stage_of_one_step_has_its_rate() -> None:
    assert _leg(1).learning_rate(0) == 1.0
