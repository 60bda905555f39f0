"""From a model's name or folder to a Segmenter or a Classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maskstream.core.classification import Classification
from maskstream.core.detections import Detections
from maskstream.core.files import sha256
from maskstream.core.frame import Frame
from maskstream.core.segmenter import Segmenter
from maskstream.errors import ModelFolderError
from maskstream.inference.classifier import ClassifierSettings, ImageClassifier
from maskstream.inference.manifest import MANIFEST, Manifest, ModelFacts, read_manifest
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter, MaskRcnnSettings
from maskstream.inference.network import Runtime
from maskstream.inference.regions import RegionSegmenter, RegionSettings
from maskstream.inference.runtime import CPU_ONLY, OnnxRuntime
from maskstream.inference.tiles import TiledSegmenter

BUNDLED = Path(__file__).parent / "bundled"


class DeployedModel:
    """The Segmenter of a model folder, which knows its manifest and that file's SHA-256."""

    def __init__(self, manifest: Manifest, manifest_sha256: str, segmenter: Segmenter) -> None:
        self.name = manifest.name
        self.classes = manifest.classes
        self.score_threshold = manifest.score_threshold
        self.calibration = manifest.calibration
        self.manifest = manifest
        self.sha256 = manifest_sha256
        self._segmenter = segmenter

    def segment(self, frames: Sequence[Frame], score_threshold: float | None = None) -> list[Detections]:
        """Objects of each frame with at least `score_threshold` (default: the model's own), best first."""
        return self._segmenter.segment(frames, score_threshold)


class DeployedClassifier:
    """The Classifier of a model folder, which knows its manifest and that file's SHA-256."""

    def __init__(self, manifest: Manifest, manifest_sha256: str, classifier: ImageClassifier) -> None:
        self.name = manifest.name
        self.classes = manifest.classes
        self.calibration = manifest.calibration
        self.manifest = manifest
        self.sha256 = manifest_sha256
        self._classifier = classifier

    def classify(self, frames: Sequence[Frame]) -> list[Classification]:
        """The classes of each frame as a whole."""
        return self._classifier.classify(frames)


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
    ModelFolderError : unknown name, missing or altered file, a manifest that makes no sense, or a classifier.
    """
    model = load_any(name_or_folder, threads=threads, providers=providers)
    if isinstance(model, DeployedModel):
        return model
    raise _other_kind(name_or_folder, expected="a model that segments", found="one that classifies", command="classify")


def load_classifier(
    name_or_folder: str | Path, *, threads: int | None = None, providers: Sequence[str] = CPU_ONLY
) -> DeployedClassifier:
    """Load a model that turns frames into Classifications; parameters as those of `load_model`.

    Raises
    ------
    ModelFolderError : unknown name, missing or altered file, a manifest that makes no sense, or a model that segments.
    """
    model = load_any(name_or_folder, threads=threads, providers=providers)
    if isinstance(model, DeployedClassifier):
        return model
    raise _other_kind(name_or_folder, expected="a model that classifies", found="one that segments", command="segment")


def load_any(
    name_or_folder: str | Path, *, threads: int | None = None, providers: Sequence[str] = CPU_ONLY
) -> DeployedModel | DeployedClassifier:
    """Load a model of any task; parameters and errors as those of `load_model`."""
    folder = model_folder(name_or_folder)
    manifest = read_manifest(folder)
    graphs = {role: folder / graph.file for role, graph in manifest.graphs.items()}
    network = decoder(manifest, OnnxRuntime(graphs, threads=threads, providers=providers))
    digest = sha256(folder / MANIFEST)
    if isinstance(network, ImageClassifier):
        return DeployedClassifier(manifest, digest, network)
    tiles = manifest.tiles
    return DeployedModel(manifest, digest, network if tiles is None else TiledSegmenter(network, tiles))


def decoder(facts: ModelFacts, runtime: Runtime) -> MaskRcnnSegmenter | RegionSegmenter | ImageClassifier:
    """What turns frames into a task's answers, by graphs that this runtime runs; the image is looked at as a whole."""
    known = (facts.name, facts.classes, runtime, facts.preprocessing)
    match facts.decoder:
        case ClassifierSettings() as settings:
            return ImageClassifier(*known, settings, calibration=facts.calibration)
        case RegionSettings() as settings:
            return RegionSegmenter(
                *known, settings, score_threshold=facts.score_threshold, calibration=facts.calibration
            )
        case MaskRcnnSettings() as settings:
            return MaskRcnnSegmenter(
                *known, settings, score_threshold=facts.score_threshold, calibration=facts.calibration
            )


def _other_kind(place: str | Path, *, expected: str, found: str, command: str) -> ModelFolderError:
    return ModelFolderError(place, expected=expected, found=found, remedy=f"run it with: maskstream {command}")
