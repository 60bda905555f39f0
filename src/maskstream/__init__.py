"""maskstream: segment, track and measure objects of interest in video.

    import maskstream as ms

    model = ms.load_model("lesions")
    for frame, detections in ms.segment("film.mp4", model):
        print(frame.time_s, detections.track_ids, detections.probabilities)

Public names are imported when they are first used, so that `import maskstream` itself costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from maskstream.class_pipeline import classify, run_classification
    from maskstream.core.classification import Classification
    from maskstream.core.detections import Detection, Detections
    from maskstream.core.frame import Frame
    from maskstream.core.segmenter import Segmenter
    from maskstream.errors import MaskstreamError
    from maskstream.evaluation_run import evaluate
    from maskstream.evaluation_target import EvaluationSettings
    from maskstream.inference.load import load_classifier, load_model
    from maskstream.media.sources import open_source
    from maskstream.pipeline import run, segment
    from maskstream.reports.run_report import write_run_report
    from maskstream.results import Result

_HOMES = {
    "Classification": "maskstream.core.classification",
    "Detection": "maskstream.core.detections",
    "Detections": "maskstream.core.detections",
    "EvaluationSettings": "maskstream.evaluation_target",
    "Frame": "maskstream.core.frame",
    "MaskstreamError": "maskstream.errors",
    "Result": "maskstream.results",
    "Segmenter": "maskstream.core.segmenter",
    "classify": "maskstream.class_pipeline",
    "evaluate": "maskstream.evaluation_run",
    "load_classifier": "maskstream.inference.load",
    "load_model": "maskstream.inference.load",
    "open_source": "maskstream.media.sources",
    "run": "maskstream.pipeline",
    "run_classification": "maskstream.class_pipeline",
    "segment": "maskstream.pipeline",
    "write_run_report": "maskstream.reports.run_report",
}

__all__ = [
    "Classification",
    "Detection",
    "Detections",
    "EvaluationSettings",
    "Frame",
    "MaskstreamError",
    "Result",
    "Segmenter",
    "__version__",
    "classify",
    "evaluate",
    "load_classifier",
    "load_model",
    "open_source",
    "run",
    "run_classification",
    "segment",
    "write_run_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
