"""Export: whole folders only, the same answers as PyTorch, and a gate that refuses others."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest

from maskstream.core.calibration import Calibration
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import FakeSegmenter
from maskstream.errors import ExportRefused, OutputError

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from test_manifest import NETWORK, example  # noqa: E402

from maskstream.core.files import whole_folder  # noqa: E402
from maskstream.export.about import NOT_A_DEVICE, About, load_about  # noqa: E402
from maskstream.export.gate import check_parity  # noqa: E402
from maskstream.export.model_folder import write_checked  # noqa: E402
from maskstream.export.object_parity import ObjectParity, check_objects  # noqa: E402
from maskstream.inference.classifier import ClassifierSettings  # noqa: E402
from maskstream.inference.load import load_any, load_classifier, load_model  # noqa: E402
from maskstream.inference.manifest import ModelFacts  # noqa: E402
from maskstream.inference.mask_rcnn import MaskRcnnSettings  # noqa: E402
from maskstream.inference.regions import RegionSettings  # noqa: E402
from maskstream.inference.runtime import OnnxRuntime  # noqa: E402
from maskstream.inference.windows import TileSettings  # noqa: E402
from maskstream.reports.model_card import model_card  # noqa: E402
from maskstream.training.models.graph_part import GraphPart  # noqa: E402
from maskstream.training.models.mask_rcnn import MaskRcnn  # noqa: E402
from maskstream.training.models.mask_rcnn_graphs import graphs  # noqa: E402
from maskstream.training.recipe import MaskRcnnModel  # noqa: E402
from maskstream.training.torch_runtime import TorchRuntime  # noqa: E402

CLASSES = ("benign", "malignant")
SIZE_HW = (96, 128)
BACKGROUND = {"context": 1.9, "box": 1.2}
"""Between what the untrained models make of a plain image and of noise."""

SETTINGS = MaskRcnnSettings(proposals=20)
ROLES = ("trunk", "box_head", "class_head", "mask_head")


def facts(**changes: object) -> ModelFacts:
    values = dict(example(decoder=SETTINGS, calibration=None, metrics={}))
    return ModelFacts(**{name: values[name] for name in ModelFacts.model_fields} | changes)


def untrained(class_head: str) -> MaskRcnn:
    """Random weights from a fixed seed: several objects in noise, nothing in a plain image."""
    torch.manual_seed(1)
    labels = ((0, 2), (1,)) if class_head == "context" else ((0,), (1,))
    settings = {"backbone": "mobilenet-v2", "pyramid_channels": 64, "class_head": class_head, "settings": SETTINGS}
    model = MaskRcnn(labels, MaskRcnnModel(architecture="mask-rcnn", **settings)).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
        model.rpn.head.bbox_pred.weight.mul_(0.01)
        model.roi_heads.mask_predictor.mask_fcn_logits.weight.mul_(0.1)
        model.roi_heads.mask_predictor.mask_fcn_logits.bias.fill_(0.5)
        predictor = model.roi_heads.box_predictor.cls_score
        predictor.weight.mul_(-2)
        predictor.bias.fill_(-BACKGROUND[class_head])[0] = BACKGROUND[class_head]
    return model


def pictures(count: int) -> list[Frame]:
    """A plain image and `count` - 1 with blobs and noise, of several sizes."""
    rng = np.random.default_rng(0)
    frames = [Frame(np.full((60, 80, 3), (124, 116, 104), np.uint8), 0, 0.0, "plain")]
    for index in range(1, count):
        size_hw = [(96, 128), (150, 110), (400, 600)][index % 3]
        image = rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
        frames.append(Frame(image, index, 0.0, f"noise {index}"))
    return frames


class Exported(NamedTuple):
    model: MaskRcnn
    folder: Path
    parity: ObjectParity


def export(class_head: str, path: Path) -> Exported:
    model = untrained(class_head)
    with whole_folder(path) as temporary:
        parity = write_checked(graphs(model, SIZE_HW), facts(), pictures(50), temporary)
    assert isinstance(parity, ObjectParity)
    return Exported(model, path, parity)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export("context", tmp_path_factory.mktemp("export") / "model")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export("box", tmp_path_factory.mktemp("export") / "model")


def onnx_of(folder: Path) -> OnnxRuntime:
    graph_files = load_any(folder, threads=1).manifest.graphs
    return OnnxRuntime({role: folder / graph.file for role, graph in graph_files.items()}, threads=1)


@pytest.mark.parametrize("class_head", ["context", "box"])
def test_the_gate_passes_and_has_seen_objects_and_their_absence(
    class_head: str, request: pytest.FixtureRequest
) -> None:
    parity = request.getfixturevalue(class_head).parity
    assert parity.frames == 50
    assert parity.empty_frames >= 1
    assert parity.objects >= 50
    assert parity.box_px < 0.05
    assert parity.score < 1e-4
    assert parity.probability < 1e-4
    assert parity.mask_iou >= 0.95
    assert str(parity).startswith(f"50 images and {parity.objects} objects: boxes within ")


@pytest.mark.parametrize("class_head", ["context", "box"])
def test_the_folder_is_whole_small_and_names_no_place_of_this_machine(
    class_head: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(class_head).folder
    names = {path.name for path in folder.iterdir()}
    graph_files = {f"{role}.onnx" for role in ROLES if role != "class_head" or class_head == "context"}
    assert names == graph_files | {"manifest.json", "MODEL_CARD.md"}
    assert load_model(folder, threads=1).manifest.files.keys() == names - {"manifest.json"}
    for name in graph_files:
        assert b"site-packages" not in (folder / name).read_bytes()
        onnx.checker.check_model(folder / name)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "part, factor, match",
    [
        ("roi_heads.box_predictor.cls_score", 1.01, "scores within 0.001"),
        ("roi_heads.box_predictor.bbox_pred", 3.0, "boxes within 0.5 px|the same objects"),
        ("class_head.1", 1.1, "class probabilities within 0.001"),
        ("roi_heads.mask_predictor.mask_fcn_logits", -1.0, "masks with an IoU of at least 0.99|the same objects"),
        ("rpn.head.bbox_pred", 3.0, "nothing found|the same objects|boxes within"),
    ],
)
def test_the_gate_refuses_other_weights(context: Exported, part: str, factor: float, match: str) -> None:
    other = copy.deepcopy(context.model)
    with torch.no_grad():
        other.get_submodule(part).weight.mul_(factor)
    with pytest.raises(ExportRefused, match=match) as caught:
        check_parity(facts(), TorchRuntime(graphs(other, SIZE_HW)), onnx_of(context.folder), pictures(50))
    assert "\n" not in str(caught.value)


class SmallTrunk(torch.nn.Module):
    """One anchor a 32-pixel cell; bright cells are objects."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        level = torch.nn.functional.avg_pool2d(image, 32)
        brightness = level.mean(dim=1).flatten()
        return brightness, torch.zeros(len(brightness), 4), level, level


class SmallHead(torch.nn.Module):
    """Answers to each box with the image's brightness in numbers of the given shape."""

    def __init__(self, *shapes: tuple[int, ...], trap: bool = False) -> None:
        super().__init__()
        self.shapes = shapes
        self.trap = trap

    def forward(self, boxes: torch.Tensor, level: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = boxes[:, :1] * 0 + level.mean() * 4
        counts = [int(np.prod(shape)) for shape in self.shapes]
        answers = [torch.cat([-rows] + [rows] * (n - 1), dim=1).reshape(-1, *s) for n, s in zip(counts, self.shapes)]
        if self.trap and torch.compiler.is_exporting():
            answers = [answer * 1.01 for answer in answers]
        return tuple(answers)


def small_parts(*, trap: bool = False) -> dict[str, GraphPart]:
    """Parts that export in a moment; a trapped class head answers otherwise once it is exported."""
    boxes = {"boxes": torch.tensor([[0.0, 0, 64, 48], [0, 0, 128, 96]])}
    level, context = {"level_0": torch.zeros(1, 3, 3, 4)}, {"context": torch.zeros(1, 3, 3, 4)}
    answers = ("logits", "deltas"), ("probabilities",)
    return {
        "trunk": GraphPart(
            SmallTrunk(), {"image": torch.zeros(1, 3, *SIZE_HW)}, ("scores", "deltas", *context, *level)
        ),
        "box_head": GraphPart(SmallHead((2,), (2, 4)), boxes | level, answers[0], ("boxes",)),
        "class_head": GraphPart(SmallHead((2,), trap=trap), boxes | context, answers[1], ("boxes",)),
        "mask_head": GraphPart(SmallHead((4, 4)), boxes | level, answers[1], ("boxes",)),
    }


def small_facts() -> ModelFacts:
    anchors = MaskRcnnSettings(anchor_sizes=((32,),), anchor_ratios=(1.0,), anchor_strides=(32,))
    return facts(decoder=anchors)


def export_small(parts: dict[str, GraphPart], folder: Path) -> None:
    with whole_folder(folder) as temporary:
        write_checked(parts, small_facts(), flat_pictures(), temporary)


def flat_pictures() -> list[Frame]:
    """Fifty grey images from dark to bright."""
    return [Frame(np.full((96, 128, 3), 3 * i + 50, np.uint8), i, 0.0, f"grey {3 * i + 50}") for i in range(50)]


def test_an_export_that_answers_differently_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match="class probabilities within"):
        export_small(small_parts(trap=True), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_part_that_onnx_cannot_express_is_refused(tmp_path: Path) -> None:
    class Unexportable(torch.nn.Module):
        def forward(self, boxes: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor]:
            return (boxes[:, :2] * len(context.numpy().tobytes()),)

    parts = small_parts()
    parts["class_head"] = parts["class_head"]._replace(module=Unexportable())
    with pytest.raises(ExportRefused, match="role class_head: expected a part that PyTorch can write") as caught:
        export_small(parts, tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


class Tint(torch.nn.Module):
    """One network: a pixel's probabilities are its red and green; `whole` averages them over the image."""

    def __init__(self, *, whole: bool, trap: bool = False) -> None:
        super().__init__()
        self.whole = whole
        self.trap = trap

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        red, green, _ = (image * 0.225 + 0.45).clamp(0, 1).unbind(dim=1)
        answer = torch.stack([red, green], dim=1) / 2
        if self.trap and torch.compiler.is_exporting():
            answer = answer * 0.995
        if self.whole:
            answer = answer.mean(dim=(2, 3))
            return (torch.cat([answer[:, :1], 1 - answer[:, :1]], dim=1),)
        return (answer,)


def export_network(task: str, folder: Path, *, trap: bool = False, **changes: object) -> str:
    """Exports `Tint`; returns what the gate saw."""
    decoder = RegionSettings() if task == "semantic" else ClassifierSettings()
    known = facts(**{"task": task, "decoder": decoder} | changes)
    tint = Tint(whole=task == "classification", trap=trap)
    part = GraphPart(tint, {"image": torch.zeros(1, 3, *SIZE_HW)}, ("probabilities",))
    with whole_folder(folder) as temporary:
        return str(write_checked({"network": part}, known, flat_pictures(), temporary))


def test_a_semantic_model_is_exported_and_finds_nothing_where_nothing_is(tmp_path: Path) -> None:
    told = export_network("semantic", tmp_path / "model")
    assert told.startswith("50 images, 42 of them without a region: probabilities within ")
    assert told.endswith("the same class for at least 100.00 % of the pixels")
    model = load_model(tmp_path / "model", threads=1)
    dark, bright = flat_pictures()[0], flat_pictures()[-1]
    assert [len(found) for found in model.segment([dark, bright])] == [0, 1]
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"network.onnx", "manifest.json", "MODEL_CARD.md"}


def test_a_classifier_is_exported(tmp_path: Path) -> None:
    told = export_network("classification", tmp_path / "model")
    assert told.startswith("50 images: class probabilities within ")
    (answer,) = load_classifier(tmp_path / "model", threads=1).classify(flat_pictures()[:1])
    assert answer.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("task", ["semantic", "classification"])
def test_a_network_that_answers_differently_is_refused(task: str, tmp_path: Path) -> None:
    with pytest.raises(ExportRefused, match=r"grey \d+: expected .*probabilities within 0.001 of PyTorch's") as caught:
        export_network(task, tmp_path / "model", trap=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def constant(probability: float, answer: np.ndarray) -> GraphPart:
    """A runtime's part that answers with this map whatever it sees, scaled."""

    class Constant(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
            return (torch.from_numpy(answer * probability),)

    return GraphPart(Constant(), {}, ())


def test_pixels_at_the_threshold_may_not_change_sides() -> None:
    known = facts(task="semantic", decoder=RegionSettings(), classes=("spot",))
    answer = np.full((1, 1, *SIZE_HW), 0.5001, np.float32)
    nearly = TorchRuntime({"network": constant(0.9995, answer)})
    with pytest.raises(ExportRefused, match=r"PyTorch's class for at least 99.9 % of the pixels, found 0.00 %"):
        check_parity(known, TorchRuntime({"network": constant(1, answer)}), nearly, pictures(50))
    with pytest.raises(ExportRefused, match=r"probabilities within 0.001 of PyTorch's, found nan apart"):
        check_parity(known, nearly, TorchRuntime({"network": constant(np.nan, answer)}), pictures(50))


@pytest.mark.parametrize("task", ["semantic", "classification"])
def test_one_network_wants_fifty_images_too(task: str) -> None:
    decoder = RegionSettings() if task == "semantic" else ClassifierSettings()
    runtime = TorchRuntime({"network": GraphPart(Tint(whole=task == "classification"), {}, ())})
    with pytest.raises(ExportRefused, match="expected at least 50, found 49"):
        check_parity(facts(task=task, decoder=decoder), runtime, runtime, pictures(49))


def test_a_folder_in_use_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="one in use"), whole_folder(tmp_path / "model"):
        raise AssertionError("must not be entered")
    assert (tmp_path / "model" / "mine.txt").read_text() == "keep"


def objects(boxes: Sequence[Sequence[float]], scores: Sequence[float]) -> FakeSegmenter:
    """Finds these 20x20 boxes, masks filled, in every image but the first."""

    def answer(frame: Frame) -> Detections:
        if frame.index == 0:
            return Detections.empty(CLASSES, (60, 80))
        return Detections(
            boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
            masks=tuple(CroppedMask(np.ones((20, 20), bool), int(box[0]), int(box[1])) for box in boxes),
            scores=np.array(scores, np.float32),
            probabilities=np.full((len(boxes), 2), 0.5, np.float32),
            track_ids=np.zeros(len(boxes), np.int64),
            classes=CLASSES,
            size_hw=(60, 80),
        )

    return FakeSegmenter(answer, CLASSES)


@pytest.mark.parametrize("stray_px, match", [(2, None), (4, "masks with an IoU of at least 0.99")])
def test_a_small_objects_mask_may_differ_in_two_pixels(stray_px: int, match: str | None) -> None:
    reference = objects([HERE], [0.9])

    def small(frame: Frame, cut_px: int) -> Detections:
        (found,) = reference.segment([frame])
        bitmap = np.ones((6, 6), bool)
        bitmap[0, :cut_px] = False
        return replace(found, masks=tuple(CroppedMask(bitmap, mask.x0, mask.y0) for mask in found.masks))

    sides = [FakeSegmenter(lambda frame, cut=cut: small(frame, cut), CLASSES) for cut in (0, stray_px)]
    if match is None:
        assert check_objects(*sides, pictures(50)).mask_iou == pytest.approx(34 / 36)
        return
    with pytest.raises(ExportRefused, match=match):
        check_objects(*sides, pictures(50))


HERE, THERE = (0, 0, 20, 20), (40, 30, 60, 50)


@pytest.mark.parametrize(
    "boxes, scores, match",
    [
        ([HERE, THERE], [0.9, 0.8], None),
        ([THERE, HERE], [0.8, 0.9], None),
        ([HERE, THERE], [0.9009, 0.7991], None),
        ([HERE, (40.4, 30, 60, 50)], [0.9, 0.8], None),
        ([HERE, THERE, (20, 0, 40, 20)], [0.9, 0.8, 0.0505], None),
        ([HERE, THERE, (20, 0, 40, 20)], [0.9, 0.8, 0.06], "one of score 0.0600 in ONNX Runtime only"),
        ([HERE], [0.9], "one of score 0.8000 in PyTorch only"),
        ([], [], "one of score 0.8000 in PyTorch only|one of score 0.9000 in PyTorch only"),
        ([HERE, THERE], [0.9, 0.802], "0.002 apart"),
        ([HERE, (40.6, 30, 60, 50)], [0.9, 0.8], "0.6 px apart"),
        ([HERE, (41, 30, 61, 50)], [0.9, 0.8], "1 px apart"),
    ],
)
def test_the_gates_tolerances(boxes: list[list[float]], scores: list[float], match: str | None) -> None:
    reference = objects([HERE, THERE], [0.9, 0.8])
    if match is None:
        assert check_objects(reference, objects(boxes, scores), pictures(50)).objects == 98
        return
    with pytest.raises(ExportRefused, match=match):
        check_objects(reference, objects(boxes, scores), pictures(50))


def test_the_gate_wants_fifty_images_and_one_without_objects() -> None:
    same = objects([HERE], [0.9])
    with pytest.raises(ExportRefused, match="expected at least 50, found 49"):
        check_objects(same, same, pictures(49))
    with pytest.raises(ExportRefused, match="one of them without anything to find, found objects found in each"):
        check_objects(same, same, pictures(51)[1:])
    with pytest.raises(ExportRefused, match="expected at least 50, found 0"):
        check_objects(same, same, [])
    finds_more = FakeSegmenter(lambda frame: same.segment([Frame(frame.image, 1, 0.0, "")])[0], CLASSES)
    with pytest.raises(ExportRefused, match="plain: expected nothing found, as by PyTorch, found 1 objects"):
        check_objects(same, finds_more, pictures(50))


def test_the_card_says_what_the_manifest_says() -> None:
    metrics = {
        "AP50": 0.6123,
        "AP50/malignant": 0.5,
        "auc": 0.8,
        "n_pictures": 600,
        "split": "test",
        "dataset": "spots",
    }
    calibration = Calibration("malignant", 0.5, -0.25, ((1, 0), (0, 1)), 0.4)
    card = model_card(example(metrics=metrics | {"evaluator": "by hand 1.0"}, calibration=calibration))
    for words in (
        "# spots 1",
        "600 images of the split `test` of spots, judged with these ONNX graphs by by hand 1.0",
        "| mask AP at IoU 0.50, mean over classes | 0.612 |",
        "| mask AP at IoU 0.50, malignant | 0.500 |",
        "| ROC AUC of the percentage | 0.800 |",
        "- only round spots",
        "temperature 2.000 and shifted by -0.250",
        "deviation of 0.400",
        "- Weights: Apache-2.0",
        "- Data: CC0-1.0",
        "by group",
    ):
        assert words in card
    assert "Dice" not in card


def test_the_card_of_each_task_says_what_it_answers_with() -> None:
    metrics = {"mean_dice": 0.9, "mean_dice/benign": 0.91, "pooled_dice/malignant": 0.5, "mean_pixel_accuracy": 0.99}
    regions = {"task": "semantic", "decoder": RegionSettings(mirror=True), "graphs": NETWORK, "calibration": None}
    tiles = TileSettings(size_hw=(512, 640), overlap=0.25)
    card = model_card(example(**regions, metrics=metrics, files={"network.onnx": "0" * 64}, tiles=tiles))
    for words in (
        "Answers with the class of each pixel, and the connected regions of a class as objects, for: benign",
        "128 x 96 pixels (width x height) and at their mirror images.",
        "Images larger than 640 x 512 pixels are looked at in windows of that size, of which neighbours have ",
        "from a score of 0.5 on",
        "| mean Dice of an image | 0.900 |",
        "| mean Dice of an image, benign | 0.910 |",
        "| Dice of all images' pixels together, malignant | 0.500 |",
        "| mean share of an image's pixels with the right class | 0.990 |",
    ):
        assert words in card
    classes = {"task": "classification", "decoder": ClassifierSettings(), "graphs": NETWORK}
    metrics = {"accuracy": 0.8, "sensitivity/benign": 0.7}
    card = model_card(example(**classes, metrics=metrics, files={"network.onnx": "0" * 64}))
    assert "the percentage of each class of the image as a whole, for: benign, malignant." in card
    assert (
        "| share of images with the right class | 0.800 |\n| share of its images with the right class, benign |" in card
    )
    assert "score" not in card.partition("## Intended use")[0]


def test_a_card_without_figures_or_calibration_says_so() -> None:
    card = model_card(example(metrics={}, calibration=None))
    assert "Not evaluated." in card
    assert "must not be read as percentages" in card


def test_about_reads_toml_and_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "about.toml"
    path.write_text('intended_use = "Research."\nlimits = ["a", "b"]\n')
    assert load_about(path) == About(intended_use="Research.", limits=("a", "b"))
    assert About().limits == (NOT_A_DEVICE,)
    for text, place in (("limit = 1", "about.toml, limit"), ("limits = 3", "about.toml, limits"), ("=", "about.toml")):
        path.write_text(text)
        with pytest.raises(ExportRefused, match=place):
            load_about(path)
    with pytest.raises(ExportRefused, match="No such file"):
        load_about(tmp_path / "missing.toml")
