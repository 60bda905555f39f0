"""Reading ahead in a thread, so that decoding and inference run side by side."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

JOIN_TIMEOUT_S = 5.0
"""Seconds that leaving waits for the reader; one that hangs in input is left behind as a daemon."""


def prefetch(iterable: Iterable[T], depth: int = 4, drop_oldest: bool = False) -> Prefetch[T]:
    """Iterate in a thread of its own, at most `depth` items ahead.

    An exception of the iterable is raised in the consumer, after the items before it. A consumer that
    stops early (leaves the `with` block, calls `close`, or drops the object) ends the thread, which closes
    the iterable if that is a generator.

    Parameters
    ----------
    depth : items kept ready, at least 1.
    drop_oldest : for live sources: when the consumer is too slow, drop the oldest item instead of waiting,
        and count it in `dropped`.
    """
    return Prefetch(iterable, depth, drop_oldest)


class Prefetch(Iterator[T]):
    """What `prefetch` returns: an iterator and context manager; `dropped` counts what a live source lost."""

    def __init__(self, iterable: Iterable[T], depth: int, drop_oldest: bool) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        # the thread knows the channel alone: an abandoned Prefetch is collected, and that ends the thread
        self._channel = _Channel[T](depth, drop_oldest)
        self._thread = threading.Thread(target=_read, args=(iterable, self._channel), name="prefetch", daemon=True)
        self._stop = weakref.finalize(self, self._channel.stop)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Items dropped so far because the consumer was too slow."""
        return self._channel.dropped

    def __next__(self) -> T:
        return self._channel.take()

    def close(self) -> None:
        """Stop the reader and wait for it, at most `JOIN_TIMEOUT_S`; items not yet taken are lost."""
        self._stop()
        self._thread.join(JOIN_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Channel(Generic[T]):
    """A bounded queue with an end: of the items, of the producer (perhaps by an error), or of the consumer."""

    def __init__(self, depth: int, drop_oldest: bool) -> None:
        self._depth = depth
        self._drop_oldest = drop_oldest
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._stopped = False
        self._error: BaseException | None = None
        self.dropped = 0

    def put(self, item: T) -> bool:
        """Wait for room (or make it) and add the item; False when the consumer has left."""
        with self._changed:
            if self._drop_oldest and len(self._items) >= self._depth:
                self._items.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._depth)
            if not self._stopped:
                self._items.append(item)
                self._changed.notify_all()
            return not self._stopped

    def finish(self, error: BaseException | None) -> None:
        """No more items will come."""
        with self._changed:
            self._finished = True
            self._error = None if self._stopped else error
            self._changed.notify_all()

    def take(self) -> T:
        """Wait for the next item. StopIteration at the end; the producer's error is raised once."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._finished or self._stopped)
            if self._items:
                self._changed.notify_all()
                return self._items.popleft()
            error, self._error = self._error, None
        raise error or StopIteration

    def stop(self) -> None:
        """The consumer leaves."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._error = None
            self._changed.notify_all()


def _read(iterable: Iterable[T], channel: _Channel[T]) -> None:
    """The thread's work: move items into the channel, and whatever ends that."""
    try:
        _pump(iterable, channel)
    except BaseException as error:
        channel.finish(error)
    else:
        channel.finish(None)


def _pump(iterable: Iterable[T], channel: _Channel[T]) -> None:
    iterator = iter(iterable)
    try:
        for item in iterator:
            if not channel.put(item):
                return
            # let go of the item now, not when the next one has been read
            del item
    finally:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
