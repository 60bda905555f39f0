"""ONNX Runtime behind the decoder's `Runtime`: arrays in, arrays out, one graph a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskstream.core.parallel import available_cores
from maskstream.errors import ModelFolderError

Array = NDArray[np.float32]
CPU_ONLY = ("CPUExecutionProvider",)


class OnnxRuntime:
    """ONNX Runtime sessions, one a role.

    Parameters
    ----------
    graphs : ONNX file of each role.
    threads : threads of one operator; default: `available_cores()`. Roles run one after the other.
    providers : execution providers in order of preference; default: the CPU.

    Raises
    ------
    ModelFolderError : a file that ONNX Runtime cannot load, or a provider that is not installed.
    """

    def __init__(
        self, graphs: Mapping[str, Path], *, threads: int | None = None, providers: Sequence[str] = CPU_ONLY
    ) -> None:
        self.threads = threads or available_cores()
        self.providers = tuple(providers)
        self._sessions = {role: _session(path, self.threads, self.providers) for role, path in graphs.items()}

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that can be run."""
        return tuple(self._sessions)

    def run(self, role: str, *arrays: Array) -> tuple[Array, ...]:
        """The outputs of the graph with that role; `arrays` in the order of its inputs."""
        session = self._sessions[role]
        names = [argument.name for argument in session.get_inputs()]
        return tuple(session.run(None, dict(zip(names, arrays, strict=True))))


def _session(path: Path, threads: int, providers: tuple[str, ...]) -> Any:
    # here, because it takes a third of the time of `import maskstream`, which may not need it
    import onnxruntime

    missing = [name for name in providers if name not in onnxruntime.get_available_providers()]
    if missing:
        raise ModelFolderError(
            path,
            expected=f"an execution provider out of {', '.join(onnxruntime.get_available_providers())}",
            found=missing[0],
            remedy="install the ONNX Runtime build that has it",
        )
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # every role has its own threads: spinning ones would take the cores from the role that runs next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's own errors derive from Exception and from nothing closer
        raise ModelFolderError(
            path, expected="an ONNX graph", found=str(error).splitlines()[0][:200], remedy="export the model again"
        ) from error
