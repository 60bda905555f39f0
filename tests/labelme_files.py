"""What the tests of labelme share: small documents and pictures, and labelme itself in an environment of its own."""

from __future__ import annotations

import base64
import functools
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskstream.data.dataset import Dataset
from maskstream.data.formats.format import ReadOptions, WriteOptions
from maskstream.data.formats.labelme import read as labelme

LABELME = "labelme==6.3.1"
"""GPL-3.0: it runs as a program of its own and is never imported here."""

SIZE_HW = (40, 60)
SQUARE = [[10, 10], [30, 10], [30, 30], [10, 30]]
FAR = [[40, 5], [50, 5], [50, 15], [40, 15]]
RING = np.ones((6, 8), bool)
RING[2:4, 3:6] = False

OPEN_AND_SAVE = """
import json, sys
from labelme._label_file import read_label_file, write_label_file
from labelme.app import _shape_to_dict, _shapes_from_dicts
for path in json.load(sys.stdin):
    data = read_label_file(path)
    shapes = _shapes_from_dicts(shape_dicts=data.shapes, label_flags=None)
    content = json.load(open(path, encoding="utf-8"))
    write_label_file(
        path, shapes=[_shape_to_dict(shape) for shape in shapes], image_path=data.image_path,
        image_height=content.get("imageHeight"), image_width=content.get("imageWidth"),
        image_data=data.image_data if content["imageData"] else None, other_data=data.other_data, flags=data.flags,
    )
"""
"""What labelme's window does when it opens a file and saves it, by its own functions and without the window."""


def shape(label: str, points: list[list[float]], kind: str | None = "polygon", **others: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | others


def document(*shapes: dict[str, Any], image: str = "a.png", **others: Any) -> dict[str, Any]:
    height, width = SIZE_HW
    return {
        "version": "5.0.1", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None,
        "imageHeight": height, "imageWidth": width,
    } | others  # fmt: skip


def png(size_hw: tuple[int, int] = SIZE_HW, shade: int = 90) -> bytes:
    with io.BytesIO() as file:
        Image.fromarray(np.full((*size_hw, 3), shade, np.uint8)).save(file, "PNG")
        return file.getvalue()


def mask_text(bitmap: np.ndarray) -> str:
    with io.BytesIO() as file:
        Image.fromarray(bitmap.astype(np.uint8)).save(file, "PNG")
        return text64(file.getvalue())


def text64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def put(folder: Path, *shapes: dict[str, Any], image: str = "a.png", name: str | None = None, **others: Any) -> Path:
    """A document in a folder, with its picture."""
    path = folder / (name or str(Path(image).with_suffix(".json")))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(*shapes, image=image, **others)), encoding="utf-8")
    (path.parent / image).write_bytes(png())
    return path


def read(folder: Path, **options: Any) -> Dataset:
    return labelme.read(folder, ReadOptions(**options))


def written(dataset: Dataset, folder: Path) -> Path:
    folder.mkdir()
    labelme.write(dataset, folder, WriteOptions())
    return folder


def codes(dataset: Dataset) -> list[str]:
    return [finding.code for finding in dataset.provenance.findings]


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def open_and_save(paths: list[Path]) -> None:
    """Let labelme itself read documents and save them again.

    Raises
    ------
    CalledProcessError : it refuses one.
    """
    command = [*_labelme_python(), "-c", OPEN_AND_SAVE]
    done = subprocess.run(command, input=json.dumps([*map(str, paths)]), capture_output=True, text=True, env=_quiet())
    assert done.returncode == 0, done.stderr[-3000:]


@functools.cache
def _labelme_python() -> list[str]:
    """Python with labelme; without uv or a package index the test is skipped, and fails under CI."""
    uv = shutil.which("uv")
    if uv is None:
        _give_up("uv is not installed")
    command = [str(uv), "run", "--quiet", "--no-project", "--isolated", "--with", LABELME, "python"]
    probe = subprocess.run([*command, "-c", ""], capture_output=True, text=True, env=_quiet())
    if probe.returncode:
        _give_up(f"{LABELME} cannot be had: {' '.join(probe.stderr.split())[-300:]}")
    return command


def _quiet() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {
        "QT_QPA_PLATFORM": "offscreen"
    }


def _give_up(reason: str) -> None:
    reason = f"needs labelme in an environment of its own: {reason}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
