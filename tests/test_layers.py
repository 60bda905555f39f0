"""What may not be imported: the promise of a small install, and of a package that costs nothing to import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import maskstream

HEAVY = {"torch", "torchvision", "lightning", "safetensors", "matplotlib", "scipy", "sklearn", "supervision", "pandas"}

PUBLIC_NAMES = {
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
}


def imported_by(code: str) -> tuple[set[str], float]:
    """Top-level modules that a fresh interpreter has imported after `code`, and the seconds it took."""
    program = "\n".join(
        [
            "import json, sys, time",
            "start = time.perf_counter()",
            code,
            "seconds = time.perf_counter() - start",
            "print(json.dumps([sorted({name.partition('.')[0] for name in sys.modules}), seconds]))",
        ]
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names, seconds = json.loads(finished.stdout.splitlines()[-1])
    return set(names), seconds


@pytest.mark.parametrize(
    "code",
    [
        "import maskstream",
        "import maskstream.cli.main",
        "import maskstream as ms; [getattr(ms, name) for name in ms.__all__]",
    ],
    ids=["package", "command line", "every public name"],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    names, seconds = imported_by(code)
    print(f"{code}: {seconds:.2f} s")
    assert "maskstream" in names
    assert names & HEAVY == set()


def test_importing_the_package_imports_no_dependency() -> None:
    names, _ = imported_by("import maskstream")
    assert names & {"numpy", "cv2", "av", "PIL", "onnxruntime", "pydantic", "typer", "rich", "jinja2"} == set()


def test_segmenting_a_sample_imports_nothing_heavy() -> None:
    names, _ = imported_by(
        "\n".join(
            [
                "import maskstream as ms",
                "from maskstream.core.segmenter import FakeSegmenter",
                "from maskstream.core.detections import Detections",
                "classes = ('benign', 'malignant')",
                "nothing = FakeSegmenter(lambda frame: Detections.empty(classes, frame.size_hw), classes)",
                "found = sum(len(detections) for _, detections in ms.segment('sample:lesions?frames=3', nothing))",
                "assert found == 0",
            ]
        )
    )
    assert "av" in names
    assert names & HEAVY == set()


def test_public_names_are_these() -> None:
    assert set(maskstream.__all__) == PUBLIC_NAMES
    assert set(dir(maskstream)) == PUBLIC_NAMES
    for name in PUBLIC_NAMES:
        assert getattr(maskstream, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        maskstream.trian  # noqa: B018
