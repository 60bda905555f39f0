"""One graph of a deployed model: what export writes and what the runtimes call."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class GraphPart(NamedTuple):
    """A network by itself, with all that an exporter has to know of it.

    Attributes
    ----------
    module : in evaluation mode; takes the inputs in their order and gives a tuple of float32 tensors.
    inputs : an example of each input by its name, in the order of the call.
    outputs : names of the outputs, in their order.
    dynamic_rows : inputs of which the first axis has any length from 1 on, the same for all of them; every other
        length is that of the example.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    dynamic_rows: tuple[str, ...] = ()
