"""Where a run computes: CPU or GPU, in one process or several."""

from __future__ import annotations

import datetime
import logging
import os
from dataclasses import dataclass

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy

from maskstream.errors import RecipeError
from maskstream.training.recipe import Recipe

ACCELERATORS = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Devices:
    """What a run computes on.

    Attributes
    ----------
    accelerator : one of `ACCELERATORS`; "auto" takes a GPU where there is one.
    count : processes, each with a device of its own; on a CPU they share its cores.
    """

    accelerator: str = "auto"
    count: int = 1


def make_fabric(recipe: Recipe, devices: Devices) -> Fabric:
    """Start the processes of a run; in every one but the first this is where it begins.

    Those that torchrun has started are taken as they are, whatever their number.

    Raises
    ------
    RecipeError : there is no such device, or not so many, or they cannot share the batch size.
    """
    by_torchrun = TorchElasticEnvironment.detect()
    count = int(os.environ["LOCAL_WORLD_SIZE"]) if by_torchrun else devices.count
    world = int(os.environ["WORLD_SIZE"]) if by_torchrun else count
    require_devices(Devices(devices.accelerator, count))
    if recipe.data.batch_size % world:
        raise _wrong(
            "data.batch_size",
            f"a multiple of the {world} processes that share it",
            str(recipe.data.batch_size),
            f"try --set data.batch_size={-(-recipe.data.batch_size // world) * world}",
        )
    for logger in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(logger).setLevel(logging.WARNING)  # what they say, the run's log says better
    # Mask R-CNN's heads have no gradient in a batch without objects, which DDP must be told
    some_unused = recipe.task == "instance"
    # the first process validates while the others wait, for as long as it takes
    ddp = DDPStrategy(find_unused_parameters=some_unused, timeout=datetime.timedelta(days=1))
    fabric = Fabric(
        accelerator=devices.accelerator,
        devices=count,
        num_nodes=world // count,
        strategy=ddp if world > 1 else "auto",
        precision=recipe.precision,
    )
    fabric.launch()
    return fabric


def require_devices(devices: Devices) -> None:
    """See that this machine has them.

    Raises
    ------
    RecipeError : there is no such device, or not so many.
    """
    if devices.accelerator not in ACCELERATORS:
        raise _wrong("--device", f"one of {', '.join(ACCELERATORS)}", repr(devices.accelerator), "name one of them")
    if devices.count < 1:
        raise _wrong("--devices", "at least 1", str(devices.count), "name how many devices to use")
    gpus = torch.cuda.device_count()
    if devices.accelerator == "cuda" and not gpus:
        raise _wrong(
            "--device cuda", "an NVIDIA GPU that PyTorch can use", "none", "use --device cpu, or see the driver"
        )
    if devices.accelerator == "mps" and not torch.backends.mps.is_available():
        raise _wrong("--device mps", "an Apple GPU that PyTorch can use", "none", "use --device cpu")
    if (devices.accelerator == "cuda" or (devices.accelerator == "auto" and gpus)) and devices.count > gpus:
        raise _wrong("--devices", f"at most the {gpus} GPUs of this machine", str(devices.count), "name fewer")


def _wrong(place: str, expected: str, found: str, remedy: str) -> RecipeError:
    return RecipeError(place, expected=expected, found=found, remedy=remedy)
