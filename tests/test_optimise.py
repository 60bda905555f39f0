"""What moves in a stage, and the average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskstream.training.optimise import WeightAverage, make_optimiser
from maskstream.training.recipe import OptimiserRecipe, Stage


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_weights_decay_and_biases_and_norms_do_not(name: str, kind: type) -> None:
    model = _model()
    recipe = OptimiserRecipe.model_validate({"name": name, "weight_decay": 0.3})
    optimiser = make_optimiser(model, model[0], recipe, Stage(epochs=1, learning_rate=0.1))
    decayed, plain = optimiser.param_groups
    assert type(optimiser) is kind
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == 6


def test_heads_leave_the_pretrained_part_as_it_is_and_all_frees_it_again() -> None:
    model = _model()
    heads = make_optimiser(model, model[0], OptimiserRecipe(), Stage(epochs=1, learning_rate=0.1, trains="heads"))
    assert sum(len(group["params"]) for group in heads.param_groups) == 4
    assert not model[0].weight.requires_grad
    make_optimiser(model, model[0], OptimiserRecipe(), Stage(epochs=1, learning_rate=0.1))
    assert model[0].weight.requires_grad


def test_the_average_follows_slowly_and_young_ones_forget_faster() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    average = WeightAverage(model, 0.9)
    nn.init.ones_(model.weight)
    average.update(1)  # decay 2/11
    assert average.weights()["weight"].item() == pytest.approx(9 / 11)
    average.update(1000)  # decay 0.9
    assert average.weights()["weight"].item() == pytest.approx(9 / 11 * 0.9 + 0.1)
    assert average.own()["weight"] is average.weights()["weight"]


def test_counters_are_copied_not_averaged() -> None:
    model = _model()
    average = WeightAverage(model, 0.9)
    model[1].num_batches_tracked.fill_(7)
    average.update(50)
    assert average.weights()["1.num_batches_tracked"] == 7


def test_without_decay_the_average_is_the_model() -> None:
    model = _model()
    average = WeightAverage(model, 0.0)
    average.update(1)
    assert average.own() == {}
    assert average.weights()["0.weight"].data_ptr() == model[0].weight.data_ptr()


def test_an_average_is_restored_or_begins_as_the_weights() -> None:
    model = _model()
    average = WeightAverage(model, 0.9)
    kept = {name: torch.full_like(value, 3) for name, value in average.own().items()}
    average.restore(kept)
    assert (average.weights()["0.weight"] == 3).all()
    average.restore({})
    assert torch.equal(average.weights()["0.weight"], model[0].weight)
