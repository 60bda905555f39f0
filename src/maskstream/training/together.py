"""Several processes of one run: none is left waiting for one that has gone, and what went wrong is told once."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Sequence

from lightning.fabric import Fabric

from maskstream.errors import MaskstreamError

PEER_IS_GONE = re.compile(r"gloo|nccl|closed by peer|reset by peer|Broken pipe", re.IGNORECASE)
"""What PyTorch says in a process whose peer has gone."""
PATIENCE_S = 5.0


class OtherFailed(Exception):
    """Another process of the run has failed, and has said why."""


@contextlib.contextmanager
def ending_together(fabric: Fabric) -> Iterator[None]:
    """While entered, what ends one process of a run ends all of them.

    Raises
    ------
    OtherFailed : another process has failed; it tells the error.
    MaskstreamError : a process that this one has started was killed from outside.
    """
    # processes that torchrun has started are torchrun's to end
    started: list[subprocess.Popen[bytes]] = getattr(fabric.strategy.launcher, "procs", [])
    try:
        yield
    except MaskstreamError:
        if fabric.global_rank > 0:
            time.sleep(PATIENCE_S)  # if the first process has met the same, it tells it, and ends this one
        raise
    except RuntimeError as error:
        if fabric.world_size == 1 or not PEER_IS_GONE.search(str(error)):
            raise
        _refuse_killed(started)
        raise OtherFailed from error
    finally:
        # Lightning kills this process when one that it has started ends: not while this one still has its say
        ended, started[:] = list(started), []
        for process in ended:
            process.kill()


def _refuse_killed(started: Sequence[subprocess.Popen[bytes]]) -> None:
    for number, process in enumerate(started, start=1):
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process.wait(PATIENCE_S) < 0:
                raise MaskstreamError(
                    f"process {number} of the run",
                    expected="one that goes on",
                    found=f"it killed by signal {-process.returncode}",
                    remedy="see whether memory was short; the same command with --resume goes on",
                )
