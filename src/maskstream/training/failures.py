"""What goes wrong in a step, told with what can be done about it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from maskstream.errors import MaskstreamError
from maskstream.training.batches import Batch
from maskstream.training.checkpoint import save_weights
from maskstream.training.recipe import Recipe
from maskstream.training.tasks import Losses

OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory|bad allocation|killed by signal: Killed", re.IGNORECASE)


class NotFinite(MaskstreamError):
    """A loss that is NaN or infinite."""


class OutOfMemory(MaskstreamError):
    """Memory that is not there."""


def refuse_nan(total: Tensor, losses: Losses, batch: Batch, step: int, run: Path) -> None:
    """See that a step's loss is a number.

    Raises
    ------
    NotFinite : it is not; the batch's images are kept in the run folder under the name that the error gives.
    """
    if torch.isfinite(total):
        return
    path = run / f"failed-step-{step + 1}.safetensors"
    save_weights(path, {"pixels": batch.pixels}, {"images": batch.names, "step": step + 1})
    values = ", ".join(f"{name} {loss.item():.3g}" for name, loss in losses.items())
    raise NotFinite(
        f"training step {step + 1}",
        expected="finite losses",
        found=f"{values} (images {', '.join(batch.names)}; kept in {path})",
        remedy="look at these images, lower the learning rate or set precision=32-true; --resume goes on from the last save",
    )


@contextlib.contextmanager
def advise_on_memory(recipe: Recipe) -> Iterator[None]:
    """Turn every way in which memory runs out into one error that names the keys that save it.

    Raises
    ------
    OutOfMemory : memory has run out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        data, (height, width) = recipe.data, recipe.input_size_hw
        halved = max(1, data.batch_size // 2)
        raise OutOfMemory(
            "memory",
            expected=f"room for {data.batch_size} images of {height} x {width} a batch and {data.workers} loading processes",
            found=str(error).splitlines()[0][:160] if str(error) else "none left",
            remedy=f"--set data.batch_size={halved} --set data.accumulate={data.accumulate * data.batch_size // halved} "
            "gives the same steps; or set a smaller input_size_hw, data.cache_mb or data.workers; --resume needs the same recipe",
        ) from error
