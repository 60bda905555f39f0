"""Reading ahead: order, errors, and that nobody ever waits for ever."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from maskstream.media import prefetch as prefetch_module
from maskstream.media.prefetch import prefetch

DEADLINE_S = 10.0


def reader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def no_reader_is_left() -> bool:
    """Whether every reader thread ends by itself, soon."""
    end = time.monotonic() + DEADLINE_S
    while reader_threads() and time.monotonic() < end:
        time.sleep(0.005)
    return not reader_threads()


class Endless:
    """A generator of integers that tells how far it was read and whether it was closed."""

    def __init__(self) -> None:
        self.given = 0
        self.closed_by: str | None = None

    def __iter__(self) -> Iterator[int]:
        try:
            while True:
                self.given += 1
                yield self.given
        finally:
            self.closed_by = threading.current_thread().name


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 100])
@pytest.mark.parametrize("depth", [1, 4])
def test_items_come_in_order_and_end(count: int, depth: int) -> None:
    ahead = prefetch(range(count), depth)
    assert list(ahead) == list(range(count))
    assert list(ahead) == [], "an end stays the end"
    assert ahead.dropped == 0
    assert no_reader_is_left()


def test_at_most_depth_items_wait() -> None:
    source = Endless()
    with prefetch(source, depth=3) as ahead:
        assert next(ahead) == 1
        end = time.monotonic() + DEADLINE_S
        while source.given < 5 and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.05)
        # one taken, three waiting, one in the hands of the reader
        assert source.given == 5
    assert no_reader_is_left()


def test_reading_runs_beside_the_consumer() -> None:
    both = threading.Barrier(2, timeout=DEADLINE_S)

    def items() -> Iterator[int]:
        yield 1
        both.wait()
        yield 2

    with prefetch(items()) as ahead:
        assert next(ahead) == 1
        both.wait()
        assert next(ahead) == 2


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the disk is gone")

    ahead = prefetch(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    with pytest.raises(StopIteration):
        next(ahead)
    assert no_reader_is_left()


def test_an_error_of_the_iterable_itself_is_raised() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        next(prefetch(3))  # type: ignore[arg-type]


def test_leaving_early_closes_the_iterable_in_its_own_thread() -> None:
    source = Endless()
    with prefetch(source, depth=1) as ahead:
        assert next(ahead) == 1
    assert not reader_threads(), "a reader that waits for room ends at once"
    assert source.closed_by == "prefetch"
    with pytest.raises(StopIteration):
        next(ahead)


def test_an_error_of_the_consumer_ends_the_reader() -> None:
    def consume() -> None:
        with prefetch(Endless()) as ahead:
            next(ahead)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()
    assert no_reader_is_left()


def test_an_abandoned_iterator_ends_the_reader() -> None:
    source = Endless()
    for item in prefetch(source, depth=2):
        if item == 3:
            break
    gc.collect()
    assert no_reader_is_left()
    assert source.closed_by == "prefetch"


def test_closing_twice_is_fine() -> None:
    ahead = prefetch(Endless())
    ahead.close()
    ahead.close()
    assert no_reader_is_left()


def test_a_reader_that_hangs_in_input_does_not_hold_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch_module, "JOIN_TIMEOUT_S", 0.1)
    released = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        released.wait(DEADLINE_S)

    begin = time.monotonic()
    with prefetch(items()) as ahead:
        assert next(ahead) == 1
    assert time.monotonic() - begin < DEADLINE_S / 2
    assert all(thread.daemon for thread in reader_threads())
    released.set()
    assert no_reader_is_left()


def test_an_error_after_the_consumer_left_is_nobodys() -> None:
    left = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        left.wait(DEADLINE_S)
        raise OSError("too late")

    ahead = prefetch(items())
    assert next(ahead) == 1
    threading.Timer(0.05, left.set).start()
    ahead.close()
    with pytest.raises(StopIteration):
        next(ahead)


def test_a_live_source_drops_the_oldest_and_counts() -> None:
    read_all = threading.Event()

    def items() -> Iterator[int]:
        yield from range(10)
        read_all.set()

    with prefetch(items(), depth=3, drop_oldest=True) as ahead:
        assert read_all.wait(DEADLINE_S), "a slow consumer does not hold a live source"
        assert list(ahead) == [7, 8, 9]
        assert ahead.dropped == 7


def test_a_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        prefetch([], depth=0)
