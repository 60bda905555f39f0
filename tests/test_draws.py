"""Which images make each batch: repeatable, fair, and the same however many processes share them."""

from __future__ import annotations

from collections import Counter

import pytest

from maskstream.training.draws import BatchDraws, Draw
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import load_recipe

LABELS = [("nevus",)] * 30 + [("melanoma",)] * 10


def _recipe(*changes: str) -> Recipe:
    return load_recipe("lesions", ("synthetic=null", "data.balance=0", "data.batch_size=4", *changes))


def _drawn(draws: BatchDraws) -> list[Draw]:
    return [draw for batch in draws for draw in batch]


def test_an_epoch_sees_every_image_once() -> None:
    draws = BatchDraws(LABELS, _recipe())
    assert draws.steps == 10
    assert sorted(draw.index for draw in _drawn(draws)) == list(range(40))


def test_draws_are_the_same_in_every_run_and_differ_between_epochs() -> None:
    first, again = (BatchDraws(LABELS, _recipe()) for _ in range(2))
    assert list(first) == list(again)
    again.epoch = 1
    assert list(first) != list(again)
    again.epoch, again.first_batch = 0, 3
    assert list(first)[3:] == list(again)


def test_two_processes_see_together_what_one_sees() -> None:
    whole = list(BatchDraws(LABELS, _recipe()))
    halves = [list(BatchDraws(LABELS, _recipe(), rank=rank, world=2)) for rank in range(2)]
    assert [left + right for left, right in zip(*halves, strict=True)] == whole


def test_rare_labels_are_drawn_as_often_when_balanced() -> None:
    drawn = _drawn(BatchDraws(LABELS, _recipe("data.balance=1")))
    assert Counter(LABELS[draw.index][0] for draw in drawn) == {"nevus": 20, "melanoma": 20}


def test_an_item_counts_as_the_rarest_of_its_labels() -> None:
    labels = [("cat", "dog")] * 8 + [("cat",)] * 32
    drawn = _drawn(BatchDraws(labels, _recipe("data.balance=1")))
    # weights 1/8 for eight images with dogs, 1/40 for the others: 1 against 0.8
    assert sum(draw.index < 8 for draw in drawn) == pytest.approx(40 / 1.8, abs=1)


def test_images_without_labels_are_drawn() -> None:
    assert {draw.index for draw in _drawn(BatchDraws([()] * 8, _recipe()))} == set(range(8))


def test_shares_make_epochs_shorter() -> None:
    draws = BatchDraws([()] * 40, _recipe(), shares=[1.0] * 20 + [0.0] * 20)
    assert draws.steps == 5
    assert {draw.index for draw in _drawn(draws)} == set(range(20))


def test_steps_take_several_batches_when_they_accumulate() -> None:
    draws = BatchDraws(LABELS, _recipe("data.accumulate=3"))
    assert (draws.steps, len(draws), len(list(draws))) == (3, 9, 9)


def test_one_image_makes_a_whole_batch() -> None:
    draws = BatchDraws([()], _recipe())
    assert [draw.index for draw in _drawn(draws)] == [0, 0, 0, 0]
    assert len({draw.seed for draw in _drawn(draws)}) == 4


def test_synthetic_scenes_make_up_their_share() -> None:
    drawn = _drawn(BatchDraws(LABELS * 50, _recipe("synthetic={share: 0.25, scenes: 5}")))
    assert sum(draw.index < 0 for draw in drawn) / len(drawn) == pytest.approx(0.25, abs=0.03)
    assert {draw.index for draw in drawn if draw.index < 0} == {-1, -2, -3, -4, -5}


def test_partners_are_drawn_for_pasting_only() -> None:
    assert all(draw.partner is None for draw in _drawn(BatchDraws(LABELS, _recipe())))
    partners = [draw.partner for draw in _drawn(BatchDraws(LABELS, _recipe("augmentation.copy_paste=0.5")))]
    assert all(partner is not None and 0 <= partner < 40 for partner in partners)
