"""Stopping a run on purpose: the step is finished, everything is saved, and how to go on is said."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch
from lightning.fabric import Fabric

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):
    """The run was asked to stop, and has saved."""


class StopRequest:
    """While entered, Ctrl-C and SIGTERM are requests; a second one is obeyed at once."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def asked(self, fabric: Fabric) -> bool:
        """Whether any process of the run was asked to stop; all of them get the same answer."""
        if fabric.world_size == 1:
            return self._asked
        votes = fabric.all_reduce(torch.tensor(float(self._asked), device=fabric.device), reduce_op="sum")
        return bool(torch.as_tensor(votes).item())

    def leave_if_asked(self, fabric: Fabric) -> None:
        """Go, once everything is saved.

        Raises
        ------
        Stopped : the run was asked to stop.
        """
        if self.asked(fabric):
            raise Stopped(f"stopped; everything is saved in {self._run}, and the same command with --resume goes on")

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
