"""A process of its own that loads one model, answers some images and tells the most memory that it took.

Run by `evaluation.comparing.cost` as `python -m maskstream.evaluation.comparing.memory_probe MODEL IMAGE...`; says one
line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from maskstream.core.frame import Frame
from maskstream.inference.classical import NAME, ClassicalSegmenter
from maskstream.inference.load import DeployedClassifier, load_any
from maskstream.media.images import read_image

MB = 1e6
_STATUS = Path("/proc/self/status")


def peak_memory_mb() -> float | None:
    """The most that this process has had in memory; None where the system does not tell it (Windows).

    Linux is asked for `VmHWM`: `ru_maxrss` there also holds the peak of the process that started this one.
    """
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MB
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MB


def main(name: str, *images: str) -> None:
    """Load, answer, tell."""
    model = ClassicalSegmenter(("object",), (1.0,)) if name == NAME else load_any(name)
    for path in images:
        frame = Frame(read_image(Path(path)), 0, 0.0, path)
        if isinstance(model, DeployedClassifier):
            model.classify([frame])
        else:
            model.segment([frame])
    print(json.dumps({"peak_memory_mb": peak_memory_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
