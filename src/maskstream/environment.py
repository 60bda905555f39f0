"""What maskstream finds on this machine: for a person who reports a bug, and for one who looks for its cause.

PyTorch is never imported: its version comes from the installed packages' metadata.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import av

from maskstream.core.files import sha256
from maskstream.core.parallel import available_cores
from maskstream.errors import ModelFolderError
from maskstream.inference.load import bundled_models, model_folder
from maskstream.inference.manifest import MANIFEST, read_manifest
from maskstream.media.download import is_offline

ONNX_RUNTIME_BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "gif")
CGROUP_MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")
UNKNOWN = "unknown"


def describe_environment() -> dict[str, Any]:
    """Everything as plain values: versions, cores, memory, runtimes, GPUs, codecs, extras, models, problems."""
    models = {name: describe_model(name) for name in bundled_models()}
    builds = [name for name in ONNX_RUNTIME_BUILDS if installed_version(name)]
    return {
        "maskstream": metadata.version("maskstream"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": {"machine": os.cpu_count(), "usable": available_cores()},
        "memory_gib": {"machine": _machine_memory_gib(), "container_limit": _container_memory_gib()},
        "gpus": gpus(),
        "runtimes": {**onnx_runtime(), "builds": builds, "openvino": installed_version("openvino")},
        "codecs": {name: {"decode": _has_codec(name, "r"), "encode": _has_codec(name, "w")} for name in CODECS},
        "packages": {name: installed_version(name) for name in required_packages()[""]},
        "extras": {name: _versions(packages) for name, packages in required_packages().items() if name},
        "models": models,
        "offline": is_offline(),
        "problems": _problems(models, builds),
    }


def describe_model(name: str) -> dict[str, str]:
    """Version, manifest hash and state of a bundled model, whose files are compared with their hashes."""
    folder = model_folder(name)
    try:
        manifest = read_manifest(folder)
    except ModelFolderError as error:
        return {"state": f"damaged: {error}"}
    digest = sha256(folder / MANIFEST)
    return {"version": manifest.version, "manifest_sha256": digest, "state": f"{len(manifest.files)} files verified"}


def required_packages() -> dict[str, list[str]]:
    """Names of the packages that maskstream asks for: of the small install under "", of each extra under its name."""
    packages: dict[str, list[str]] = {"": []}
    for line in metadata.requires("maskstream") or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"](.+?)['\"]", marker)
        name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
        of_extra = packages.setdefault(extra.group(1) if extra else "", [])
        if name != "maskstream":  # an extra that contains another one
            of_extra.append(name)
    return packages


def installed_version(name: str) -> str | None:
    """Version of an installed package, or None; the package is not imported."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def onnx_runtime() -> dict[str, Any]:
    """Version and execution providers of ONNX Runtime, or what keeps it from being imported."""
    try:
        import onnxruntime
    except ImportError as error:
        return {"onnxruntime": f"cannot be imported: {error}", "execution_providers": []}
    return {"onnxruntime": onnxruntime.__version__, "execution_providers": onnxruntime.get_available_providers()}


def gpus(command: tuple[str, ...] = NVIDIA_SMI) -> list[dict[str, str]]:
    """Name, driver and memory of each NVIDIA GPU, as its driver's own tool tells; empty without that tool."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[field.strip() for field in line.split(",")] for line in answer.splitlines()]
    return [{"name": row[0], "driver": row[1], "memory_mib": row[2]} for row in rows if len(row) == 3]


def _versions(packages: list[str]) -> dict[str, str | None]:
    return {name: installed_version(name) for name in packages}


def _problems(models: dict[str, dict[str, str]], builds: list[str]) -> list[str]:
    problems = [f"model {name} is {model['state']}" for name, model in models.items() if "version" not in model]
    if not models:
        problems.append("no bundled model is installed")
    if len(builds) > 1:
        problems.append(f"{' and '.join(builds)} replace each other's files: uninstall all and install one")
    missing = [name for name in required_packages()[""] if not installed_version(name)]
    problems += [f"{name} is not installed" for name in missing if name != "onnxruntime" or not builds]
    return problems if onnx_runtime()["execution_providers"] else [*problems, "ONNX Runtime cannot be imported"]


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.Codec(name, mode)
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.is_file() else []
    return str(names[0]) if names else platform.processor() or UNKNOWN


def _machine_memory_gib() -> float | None:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)


def _container_memory_gib(limit: Path = CGROUP_MEMORY_MAX) -> float | None:
    text = limit.read_text().strip() if limit.is_file() else "max"
    return None if text == "max" else round(int(text) / 2**30, 1)
