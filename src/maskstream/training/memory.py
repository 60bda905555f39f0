"""How much memory training has taken."""

from __future__ import annotations

import sys

import psutil
import torch

MB = 1e6


def peak_memory_mb() -> float:
    """On a GPU the most that PyTorch has allocated there; else the most that this process has had in memory.

    Processes that load images count with what they hold now; pages that they share with this one count each time.
    """
    if allocated := torch.cuda.max_memory_allocated():  # 0 where no GPU is in use
        return allocated / MB
    children = sum(_resident_bytes(child) for child in psutil.Process().children(recursive=True))
    return (_own_peak_bytes() + children) / MB


def _own_peak_bytes() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
