"""Work in threads: in order, bounded, and failing as `map` does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from maskstream.core.parallel import IN_FLIGHT_A_THREAD, ordered_map


def test_answers_come_in_order_whatever_takes_long() -> None:
    def slow_when_even(number: int) -> int:
        time.sleep(0.002 * (number % 2 == 0))
        return number * number

    assert list(ordered_map(slow_when_even, range(50), threads=4)) == [number * number for number in range(50)]
    assert list(ordered_map(slow_when_even, [])) == []


def test_only_a_bounded_number_of_items_is_taken_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield number

    answers = ordered_map(abs, items(), threads=2)
    for done in range(1, 20):
        next(answers)
        assert taken - done < 2 * IN_FLIGHT_A_THREAD
    answers.close()
    assert taken < 40


def test_an_error_ends_the_work() -> None:
    started: list[int] = []

    def fail_at_three(number: int) -> int:
        started.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(ordered_map(fail_at_three, range(10_000), threads=2))
    assert len(started) < 100
    assert threading.active_count() < 20
