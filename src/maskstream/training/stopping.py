"""Stopping a run on purpose: the step is finished, everything is saved, and how to go on is said."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch
from lightning.fabric import Fabric

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The run was asked to stop, and has saved."""


class StopRequest:
    """While entered, Ctrl-C and SIGTERM are requests; a second one is obeyed at once.

    Signals reach the main thread alone: entered in another one, nothing changes.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self, fabric: Fabric) -> bool:
        """Whether any process of the run was asked to stop; all of them must ask, and get the same answer."""
        if fabric.world_size == 1:
            return self._asked
        votes = fabric.all_reduce(torch.tensor(float(self._asked), device=fabric.device), reduce_op="sum")
        return bool(torch.as_tensor(votes).item())

    def leave(self, fabric: Fabric) -> None:
        """Go, once the first process has saved.

        Raises
        ------
        Stopped : always.
        """
        fabric.barrier()
        raise Stopped(f"stopped; everything is saved in {self._run}, and the same command with --resume goes on")

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
