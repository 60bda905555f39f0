"""A PyTorch model behind the decoders of deployed models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from maskstream.inference.network import Array
from maskstream.training.models.graph_part import GraphPart


class TorchRuntime:
    """Runs the graphs of a PyTorch model: arrays in, arrays out, like the runtimes without PyTorch."""

    def __init__(self, parts: Mapping[str, GraphPart], device: torch.device | None = None) -> None:
        self._modules = {role: part.module for role, part in parts.items()}
        self._device = device or torch.device("cpu")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that can be run."""
        return tuple(self._modules)

    @torch.inference_mode()
    def run(self, role: str, *arrays: Array) -> tuple[Array, ...]:
        """Outputs of the graph that has this role."""
        tensors = (torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in arrays)
        return tuple(output.float().cpu().numpy() for output in self._modules[role](*tensors))
