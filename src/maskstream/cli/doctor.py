"""`maskstream doctor`: what to paste into a bug report."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show versions, cores, runtimes, GPU, codecs and models; exit code 1 when something is wrong."""
    from maskstream.environment import describe_environment

    facts = describe_environment()
    print(json.dumps(facts, indent=2) if as_json else report(facts))
    if facts["problems"]:
        raise typer.Exit(1)


def report(facts: dict[str, Any]) -> str:
    """The facts as plain text, a line each."""
    cores, memory, runtimes = facts["cores"], facts["memory_gib"], facts["runtimes"]
    limit = memory["container_limit"]
    lines = [
        ("maskstream", facts["maskstream"]),
        ("python", facts["python"]),
        ("platform", facts["platform"]),
        ("processor", facts["processor"]),
        ("cores", f"{cores['usable']} usable of {cores['machine']}"),
        ("memory", f"{memory['machine'] or 'unknown'} GiB, container limit {f'{limit} GiB' if limit else 'none'}"),
        *(("gpu", f"{gpu['name']}, driver {gpu['driver']}, {gpu['memory_mib']} MiB") for gpu in facts["gpus"]),
        *([] if facts["gpus"] else [("gpu", "none found by nvidia-smi")]),
        ("onnxruntime", f"{runtimes['onnxruntime']} ({', '.join(runtimes['builds']) or 'build unknown'})"),
        ("providers", ", ".join(runtimes["execution_providers"]) or "none"),
        ("openvino", runtimes["openvino"] or "not installed"),
        ("codecs", ", ".join(_codec(name, can) for name, can in facts["codecs"].items())),
        ("packages", _packages(facts["packages"])),
        *((f"extra {name}", _extra(packages)) for name, packages in facts["extras"].items()),
        *((f"model {name}", _model(model)) for name, model in facts["models"].items()),
        ("offline", "yes, by MASKSTREAM_OFFLINE=1" if facts["offline"] else "no"),
        ("problems", "; ".join(facts["problems"]) or "none"),
    ]
    return "\n".join(f"{name:<15} {value}" for name, value in lines)


def _codec(name: str, can: dict[str, bool]) -> str:
    able = [way for way in ("decode", "encode") if can[way]]
    return f"{name} ({' + '.join(able) or 'no'})"


def _packages(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'MISSING'}" for name, version in versions.items())


def _extra(versions: dict[str, str | None]) -> str:
    missing = [name for name, version in versions.items() if version is None]
    if not missing:
        return f"installed: {_packages(versions)}"
    return f"not installed (no {', '.join(missing)})"


def _model(model: dict[str, str]) -> str:
    if "version" not in model:
        return model["state"]
    return f"version {model['version']}, manifest SHA-256 {model['manifest_sha256'][:16]}, {model['state']}"
