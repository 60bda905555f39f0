"""Work spread over threads: results in order, a bounded number of them in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

OnProgress = Callable[[int, int | None], None]
"""Told how many steps are done, and of how many (None when nobody knows)."""

IN_FLIGHT_A_THREAD = 4
CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def available_cores(cpu_max: Path = CGROUP_CPU_MAX) -> int:
    """Cores that this process may use: its affinity, cut by a container's limit (cgroup v2 `cpu.max`).

    ONNX Runtime counts the machine's cores instead and starts too many threads in a container.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not cpu_max.is_file():
        return cores
    quota, period = cpu_max.read_text().split()[:2]
    if quota == "max":
        return cores
    return max(1, min(cores, int(quota) // int(period)))


def ordered_map(
    function: Callable[[Item], Answer], items: Iterable[Item], *, threads: int | None = None
) -> Iterator[Answer]:
    """`map` over threads (default: one a core), for work that lets go of Python's lock, such as reading images.

    Unlike `ThreadPoolExecutor.map` it takes from `items` only what it works on, so memory does not grow
    with their number. The first exception ends it.
    """
    threads = threads or available_cores()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Answer]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= threads * IN_FLIGHT_A_THREAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
