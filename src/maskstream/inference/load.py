"""From a model's name or folder to a Segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskstream.core.files import sha256
from maskstream.errors import ModelFolderError
from maskstream.inference.manifest import MANIFEST, Manifest, read_manifest
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter, Runtime
from maskstream.inference.runtime import CPU_ONLY, OnnxRuntime

BUNDLED = Path(__file__).parent / "bundled"


class DeployedModel(MaskRcnnSegmenter):
    """The Segmenter of a model folder, which knows its manifest and that file's SHA-256."""

    def __init__(self, manifest: Manifest, manifest_sha256: str, runtime: Runtime) -> None:
        super().__init__(
            manifest.name,
            manifest.classes,
            runtime,
            manifest.preprocessing,
            manifest.decoder,
            score_threshold=manifest.score_threshold,
            calibration=manifest.calibration,
        )
        self.manifest = manifest
        self.sha256 = manifest_sha256


def bundled_models() -> tuple[str, ...]:
    """Names of the models that ship with the package."""
    return tuple(sorted(path.parent.name for path in BUNDLED.glob(f"*/{MANIFEST}")))


def model_folder(name_or_folder: str | Path) -> Path:
    """The folder of a bundled model's name, or the folder itself.

    A bundled name always means the bundled model; write `./lesions` for a folder of that name.

    Raises
    ------
    ModelFolderError : neither a bundled name nor a folder.
    """
    if str(name_or_folder) in bundled_models():
        return BUNDLED / str(name_or_folder)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        raise ModelFolderError(
            name_or_folder,
            expected=f"a model folder or a bundled model ({', '.join(bundled_models()) or 'none installed'})",
            found="neither",
            remedy="check the name or path",
        )
    return folder


def load_model(
    name_or_folder: str | Path = "lesions", *, threads: int | None = None, providers: Sequence[str] = CPU_ONLY
) -> DeployedModel:
    """Load a model that turns frames into Detections.

    Parameters
    ----------
    name_or_folder : name of a bundled model, or a model folder.
    threads : threads of the runtime; default: the cores that this process may use.
    providers : ONNX Runtime execution providers in order of preference; default: the CPU.

    Raises
    ------
    ModelFolderError : unknown name, missing or altered file, or a manifest that makes no sense.
    """
    folder = model_folder(name_or_folder)
    manifest = read_manifest(folder)
    graphs = {role: folder / graph.file for role, graph in manifest.graphs.items()}
    runtime = OnnxRuntime(graphs, threads=threads, providers=providers)
    return DeployedModel(manifest, sha256(folder / MANIFEST), runtime)
