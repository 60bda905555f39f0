"""Export: whole folders only, the same answers as PyTorch, and a gate that refuses others."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from maskstream.core.boxes import Boxes
from maskstream.core.calibration import Calibration
from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask
from maskstream.core.segmenter import FakeSegmenter
from maskstream.errors import ExportRefused, OutputError

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from test_manifest import example  # noqa: E402

from maskstream.core.files import whole_folder  # noqa: E402
from maskstream.export.about import NOT_A_DEVICE, About, load_about  # noqa: E402
from maskstream.export.calibrate import VIEWS, View, pooled_sd  # noqa: E402
from maskstream.export.card import model_card  # noqa: E402
from maskstream.export.model_folder import write_checked  # noqa: E402
from maskstream.export.parity import check_parity  # noqa: E402
from maskstream.inference.load import DeployedModel, load_model  # noqa: E402
from maskstream.inference.manifest import ModelFacts  # noqa: E402
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter, MaskRcnnSettings  # noqa: E402
from maskstream.training.models import MaskRcnn, graphs  # noqa: E402
from maskstream.training.validation import TorchRuntime  # noqa: E402

CLASSES = ("benign", "malignant")
SIZE_HW = (96, 128)
BACKGROUND = 2.4
SETTINGS = MaskRcnnSettings(proposals=20)


def facts() -> ModelFacts:
    values = dict(example(decoder=SETTINGS, calibration=None, metrics={}))
    return ModelFacts(**{name: values[name] for name in ModelFacts.model_fields})


def untrained() -> MaskRcnn:
    """Random weights from a fixed seed: several objects in noise, nothing in a plain image."""
    torch.manual_seed(1)
    model = MaskRcnn(((0, 2), (1,)), SETTINGS).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
        model.rpn.head.bbox_pred.weight.mul_(0.01)
        model.roi.mask_predictor.mask_fcn_logits.bias.fill_(3)
        predictor = model.roi.box_predictor.cls_score
        predictor.weight.mul_(2)
        predictor.bias.copy_(torch.tensor([BACKGROUND, -BACKGROUND]))
    return model


def torch_model(model: MaskRcnn) -> MaskRcnnSegmenter:
    known = facts()
    return MaskRcnnSegmenter(
        known.name, CLASSES, TorchRuntime(graphs(model, SIZE_HW)), known.preprocessing, SETTINGS, score_threshold=0.5
    )


def pictures(count: int) -> list[Frame]:
    """A plain image and `count` - 1 with blobs and noise, of several sizes."""
    rng = np.random.default_rng(0)
    frames = [Frame(np.full((60, 80, 3), (124, 116, 104), np.uint8), 0, 0.0, "plain")]
    for index in range(1, count):
        size_hw = [(96, 128), (150, 110), (400, 600)][index % 3]
        image = rng.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
        frames.append(Frame(image, index, 0.0, f"noise {index}"))
    return frames


@pytest.fixture(scope="module")
def model() -> MaskRcnn:
    return untrained()


@pytest.fixture(scope="module")
def folder(model: MaskRcnn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model"
    with whole_folder(path) as temporary:
        write_checked(graphs(model, SIZE_HW), facts(), torch_model(model), pictures(50), temporary)
    return path


def refuse(model: MaskRcnn, deployed: DeployedModel, match: str) -> None:
    with pytest.raises(ExportRefused, match=match) as caught:
        check_parity(torch_model(model), deployed, pictures(50))
    assert "\n" not in str(caught.value)


def test_the_gate_passes_and_has_seen_objects_and_their_absence(model: MaskRcnn, folder: Path) -> None:
    parity = check_parity(torch_model(model), load_model(folder, threads=1), pictures(50))
    assert parity.frames == 50
    assert parity.empty_frames >= 1
    assert parity.objects >= 50
    assert parity.box_px < 0.05
    assert parity.score < 1e-4
    assert parity.probability < 1e-4
    assert parity.mask_iou >= 0.99


def test_the_folder_is_whole_small_and_names_no_place_of_this_machine(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    graph_files = {f"{role}.onnx" for role in ("trunk", "box_head", "class_head", "mask_head")}
    assert names == graph_files | {"manifest.json", "MODEL_CARD.md"}
    assert load_model(folder, threads=1).manifest.files.keys() == names - {"manifest.json"}
    for name in graph_files:
        assert b"site-packages" not in (folder / name).read_bytes()
        onnx.checker.check_model(folder / name)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "part, factor, match",
    [
        ("roi.box_predictor.cls_score", 1.01, "scores within 0.001"),
        ("roi.box_predictor.bbox_pred", 3.0, "boxes within 0.5 px|the same objects"),
        ("class_head.1", 1.1, "class probabilities within 0.001"),
        ("roi.mask_predictor.mask_fcn_logits", -1.0, "masks with an IoU of at least 0.99|the same objects"),
        ("rpn.head.bbox_pred", 3.0, "nothing found|the same objects|boxes within"),
    ],
)
def test_the_gate_refuses_other_weights(model: MaskRcnn, folder: Path, part: str, factor: float, match: str) -> None:
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.get_submodule(part).weight.mul_(factor)
    refuse(other, load_model(folder, threads=1), match)


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


def small_parts(*, trap: bool = False) -> dict[str, torch.nn.Module]:
    """Parts that export in a moment; a trapped class head answers otherwise once it is exported."""
    return {
        "trunk": SmallTrunk(),
        "box_head": SmallHead((2,), (2, 4)),
        "class_head": SmallHead((2,), trap=trap),
        "mask_head": SmallHead((4, 4)),
    }


def small_facts() -> ModelFacts:
    anchors = MaskRcnnSettings(anchor_sizes=((32,),), anchor_ratios=(1.0,), anchor_strides=(32,))
    return facts().model_copy(update={"decoder": anchors})


def export_small(parts: dict[str, torch.nn.Module], folder: Path) -> None:
    known = small_facts()
    runtime = TorchRuntime(small_parts())
    reference = MaskRcnnSegmenter("small", CLASSES, runtime, known.preprocessing, known.decoder, score_threshold=0.5)
    with whole_folder(folder) as temporary:
        write_checked(parts, known, reference, flat_pictures(), temporary)


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

    with pytest.raises(ExportRefused, match="role class_head: expected a part that PyTorch can write") as caught:
        export_small(small_parts() | {"class_head": Unexportable()}, tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


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
        assert check_parity(reference, objects(boxes, scores), pictures(50)).objects == 98
        return
    with pytest.raises(ExportRefused, match=match):
        check_parity(reference, objects(boxes, scores), pictures(50))


def test_the_gate_wants_fifty_images_and_one_without_objects() -> None:
    same = objects([HERE], [0.9])
    with pytest.raises(ExportRefused, match="found 49, 1 of them"):
        check_parity(same, same, pictures(49))
    with pytest.raises(ExportRefused, match="found 50, 0 of them"):
        check_parity(same, same, pictures(51)[1:])
    with pytest.raises(ExportRefused, match="found 0, 0 of them"):
        check_parity(same, same, [])
    finds_more = FakeSegmenter(lambda frame: same.segment([Frame(frame.image, 1, 0.0, "")])[0], CLASSES)
    with pytest.raises(ExportRefused, match="plain: expected nothing found, as by PyTorch, found 1 objects"):
        check_parity(same, finds_more, pictures(50))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size_hw", [(1, 1), (48, 64)])
def test_views_keep_size_and_type(view: View, size_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    seen = view.of(image)
    assert seen.shape == image.shape
    assert seen.dtype == np.uint8


def test_views_do_what_they_say() -> None:
    image: NDArray[np.uint8] = np.zeros((41, 61, 3), np.uint8)
    image[10:15, 40:45] = 100
    np.testing.assert_array_equal(View().of(image), image)
    np.testing.assert_array_equal(View(mirror=True).of(image), image[:, ::-1])
    np.testing.assert_array_equal(View(turn_degrees=180).of(image), image[::-1, ::-1])
    np.testing.assert_array_equal(View(gain=0.5).of(image), image // 2)
    assert View(gain=3.0).of(image).max() == 255
    moved = View(shift=(-6 / 61, 4 / 41)).of(image)
    np.testing.assert_array_equal(moved[14:19, 34:39], image[10:15, 40:45])
    middle = np.roll(image, (8, -12), axis=(0, 1)).astype(np.uint8)
    assert View(zoom=2.0).of(middle).astype(int).sum() == pytest.approx(4 * middle.astype(int).sum(), rel=0.02)


def test_pooled_sd_by_hand() -> None:
    groups: list[Boxes] = [np.array([1.0, 3.0]), np.array([10.0, 10.0, 13.0]), np.array([5.0]), np.array([])]
    assert pooled_sd(groups) == pytest.approx(np.sqrt((2 + 6) / 3))
    assert pooled_sd([]) == 0.0
    assert pooled_sd([np.array([4.0])]) == 0.0


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
