"""What goes wrong in a run, told with what can be done about it."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import torch
from torch import Tensor

from maskstream.errors import MaskstreamError, OutputError
from maskstream.training.batches import Batch
from maskstream.training.checkpoint import save_weights
from maskstream.training.recipe import Recipe

OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|cannot allocate memory|unable to allocate|bad.alloc|MemoryError"
    "|insufficient memory|shared memory|killed by signal: (Killed|Bus error)|worker .* exited unexpectedly",
    re.IGNORECASE,
)
"""What PyTorch, NumPy, OpenCV and the loader say of memory; a loading process that the system ends is killed."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotFinite(MaskstreamError):
    """A loss that is NaN or infinite."""


class OutOfMemory(MaskstreamError):
    """Memory that is not there."""


def refuse_nan(values: Mapping[str, Tensor], batches: Sequence[Batch], step: int, file: Path) -> None:
    """See that the losses of a step, or the length of its gradient, are numbers.

    Parameters
    ----------
    batches : what they were computed of; their images are kept in `file`.
    step : counted from 1.

    Raises
    ------
    NotFinite : one is not; the error names the images and the file.
    """
    if all(torch.isfinite(value) for value in values.values()):
        return
    names = [name for batch in batches for name in batch.names]
    save_weights(file, {"pixels": torch.cat([batch.pixels for batch in batches])}, {"images": names, "step": step})
    found = ", ".join(f"{name} {value.item():.3g}" for name, value in values.items())
    raise NotFinite(
        f"training step {step}",
        expected="losses and gradients that are finite",
        found=f"{found} (images {', '.join(names)}; kept in {file})",
        remedy="look at these images, lower the learning rate or set precision=32-true, and begin a new run",
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
    except (RuntimeError, MemoryError, cv2.error) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not OUT_OF_MEMORY.search(str(error)):
            raise
        data, (height, width) = recipe.data, recipe.input_size_hw
        smaller = max(n for n in range(1, max(data.batch_size // 2, 1) + 1) if data.batch_size % n == 0)
        raise OutOfMemory(
            "memory",
            expected=f"room for {data.batch_size} images of {height} x {width} and {data.workers} loading processes",
            found=str(error).splitlines()[0][:160] if str(error) else "none left",
            remedy=f"--resume --set data.batch_size={smaller} "
            f"--set data.accumulate={data.accumulate * data.batch_size // smaller} goes on with the same steps, "
            "and smaller data.workers or data.cache_mb may be set as well; a new run may have a smaller input_size_hw",
        ) from error


@contextlib.contextmanager
def advise_on_space(run: Path) -> Iterator[None]:
    """Turn every way in which a run folder cannot be written into one error that says how the run goes on.

    Raises
    ------
    OutputError : the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OutputError as error:
        raise _unwritable(error.place, error.found) from error
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise _unwritable(error.filename or run, error.strerror or str(error)) from error


def _unwritable(place: object, found: str) -> OutputError:
    return OutputError(
        place,
        expected="a place that can be written",
        found=found,
        remedy="free space, and the same command with --resume goes on; what was saved last is kept",
    )
