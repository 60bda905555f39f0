"""Initial weights: files of the real layouts, made from torchvision's own models, into every kind of model."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models import detection

from maskstream.errors import CheckpointError
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.training.checkpoint import save_weights
from maskstream.training.initial import load_initial
from maskstream.training.models.classifier import build_classifier, features_of
from maskstream.training.models.mask_rcnn import MaskRcnn, backbone_of
from maskstream.training.models.mask_rcnn_parts import BACKBONES
from maskstream.training.recipe import MaskRcnnModel, TransferModel

MAKERS = {
    "resnet50": models.resnet50,
    "resnet101": models.resnet101,
    "resnet50-v2": models.resnet50,
    "mobilenet-v2": models.mobilenet_v2,
    "mobilenet-v3": models.mobilenet_v3_large,
}


def mask_rcnn(backbone: str = "mobilenet-v2", classes: int = 2, **changes: Any) -> MaskRcnn:
    strides = BACKBONES[backbone].strides
    settings = MaskRcnnSettings(anchor_sizes=tuple((8.0 * s,) for s in strides), anchor_strides=strides)
    model = MaskRcnnModel(architecture="mask-rcnn", backbone=backbone, settings=settings, **changes)
    return MaskRcnn(tuple((index,) for index in range(classes)), model)


def start(model: MaskRcnn, weights: str | Path) -> list[str]:
    """Load, and return what was told."""
    notes: list[str] = []
    load_initial(model, backbone_of(model), str(weights), notes.append)
    return notes


@functools.cache
def published(backbone: str) -> dict[str, Tensor]:
    """A file of torchvision's classification models, with the values of a fresh model."""
    return dict(MAKERS[backbone](weights=None).state_dict())


def write(folder: Path, weights: dict[str, Tensor]) -> Path:
    save_file(weights, folder / "weights.safetensors", metadata={"format": "pt"})
    return folder / "weights.safetensors"


@pytest.mark.parametrize("norm", ["frozen", "batch"])
@pytest.mark.parametrize("backbone", MAKERS)
def test_a_classifiers_file_fills_the_backbone_of_a_detector(backbone: str, norm: str, tmp_path: Path) -> None:
    weights = published(backbone)
    model = mask_rcnn(backbone, norm=norm, pyramid_channels=16)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    notes = start(model, write(tmp_path, weights))
    prefix = "features." if "mobilenet" in backbone else ""
    for name, tensor in backbone_of(model).state_dict().items():
        assert torch.equal(tensor, weights[prefix + name]), name
    rest = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("backbone.body.")}
    assert all(torch.equal(tensor, before[name]) for name, tensor in rest.items())
    assert "the rest is left as initialised" in notes[-1]


def test_the_real_mobilenet_file_fills_a_detector(shared_data: Path) -> None:
    path = shared_data.parent / "weights/mobilenet_v2_imagenet.safetensors"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    model = mask_rcnn(pyramid_channels=16)
    start(model, path)
    variance = backbone_of(model).state_dict()["0.1.running_var"]
    assert not torch.equal(variance, torch.ones_like(variance))


@pytest.mark.parametrize("name", ["vgg16", "resnet34", "mobilenet_v2"])
def test_a_classifiers_file_fills_an_encoder(name: str, tmp_path: Path) -> None:
    model = smp.Unet(name, encoder_weights=None)
    made = models.vgg16 if name == "vgg16" else models.get_model_builder(name)
    with torch.device("meta"):
        weights = made(weights=None).state_dict()
    weights = {
        key: torch.rand(tensor.shape).to(tensor.dtype) for key, tensor in weights.items() if tensor.numel() < 1e7
    }
    load_initial(model, model.encoder, str(write(tmp_path, weights)), lambda note: None)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in model.encoder.state_dict().items())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "mobilenet_v3_small", "swin_t", "densenet121"])
def test_a_classifiers_file_fills_a_classifier(name: str, tmp_path: Path) -> None:
    """All but the last layer, also where that is called as ours is (`head` of swin_t)."""
    weights = models.get_model(name, weights=None).state_dict()
    model = build_classifier(TransferModel(architecture="torchvision", backbone=name), 1, (64, 64))
    load_initial(model, features_of(model), str(write(tmp_path, weights)), lambda note: None)
    filled = features_of(model).state_dict()
    assert all(torch.equal(tensor, weights[key]) for key, tensor in filled.items())


def test_a_detectors_file_fills_an_encoder(tmp_path: Path) -> None:
    """The backbone of a Mask R-CNN is a ResNet like any other."""
    detector = mask_rcnn("resnet50", pyramid_channels=16)
    model = smp.Unet("resnet50", encoder_weights=None)
    load_initial(model, model.encoder, str(write(tmp_path, detector.state_dict())), lambda note: None)
    assert torch.equal(model.encoder.conv1.weight, detector.backbone.body.conv1.weight)


def older(name: str) -> str:
    """A name of today's layout as the published file of maskrcnn_resnet50_fpn has it."""
    if name.startswith("roi_heads.mask_head."):
        layer, kind = int(name.split(".")[2]), name.rpartition(".")[2]
        return f"roi_heads.mask_head.mask_fcn{layer + 1}.{kind}"
    if name.startswith("rpn.head.conv."):
        return name.replace("conv.0.0.", "conv.")
    if name.startswith("backbone.fpn."):
        return name.replace(".0.weight", ".weight").replace(".0.bias", ".bias")
    return name


@pytest.fixture(scope="module")
def coco() -> dict[str, Tensor]:
    """torchvision's Mask R-CNN of 91 classes, in the layout that it publishes, counters left out."""
    model = detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    weights = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("num_batches_tracked")}
    return {older(name): tensor for name, tensor in weights.items()}


COCO_ANCHORS = {
    "anchor_sizes": ((32.0,), (64.0,), (128.0,), (256.0,), (512.0,)),
    "anchor_strides": (4, 8, 16, 32, 64),
}


def coco_model(classes: int, backbone: str = "resnet50", **changes: Any) -> MaskRcnn:
    settings = MaskRcnnSettings(**COCO_ANCHORS)
    model = MaskRcnnModel(architecture="mask-rcnn", backbone=backbone, settings=settings, **changes)
    return MaskRcnn(tuple((index,) for index in range(classes)), model)


def test_the_coco_layout_fits_90_classes_as_it_is(coco: dict[str, Tensor], tmp_path: Path) -> None:
    model = coco_model(90)
    notes = start(model, write(tmp_path, coco))
    own = model.state_dict()
    assert len(own) == len(coco)
    assert all(torch.equal(tensor, coco[older(name)]) for name, tensor in own.items())
    assert notes == [f"{tmp_path / 'weights.safetensors'} fills the whole model"]


def test_the_coco_layout_leaves_the_last_layers_of_another_class_count(coco: dict[str, Tensor], tmp_path: Path) -> None:
    model = coco_model(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    notes = start(model, write(tmp_path, coco))
    left = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, coco[older(name)])}
    layers = {"box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits"}
    assert {name.rpartition(".")[0].removeprefix("roi_heads.") for name in left} == layers
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in left)
    assert len(notes) == 4
    assert notes[0].startswith("roi_heads.box_predictor.cls_score has 91 outputs in")
    assert notes[0].endswith("and 3 here: left as initialised")
    assert notes[1].startswith("roi_heads.box_predictor.bbox_pred has 364 outputs in")


def test_the_coco_layout_starts_a_model_with_context(coco: dict[str, Tensor], tmp_path: Path) -> None:
    model = coco_model(2, class_head="context")
    notes = start(model, write(tmp_path, coco))
    assert any(note.startswith("class_head is not in") for note in notes)
    assert torch.equal(model.backbone.fpn.inner_blocks[0][0].weight, coco["backbone.fpn.inner_blocks.0.weight"])


def test_the_second_version_of_the_coco_layout_fits(tmp_path: Path) -> None:
    """From a .pth file, with the counters of batch norm that our frozen one does not have."""
    weights = detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, num_classes=3).state_dict()
    torch.save({"model": weights, "epoch": 3}, tmp_path / "weights.pth")
    model = coco_model(2, "resnet50-v2")
    assert start(model, tmp_path / "weights.pth")[-1].endswith("fills the whole model")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_faster_rcnn_starts_everything_but_masks(tmp_path: Path) -> None:
    weights = detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None).state_dict()
    settings = MaskRcnnSettings(anchor_sizes=((32, 64, 128, 256, 512),) * 3, anchor_strides=(32, 32, 64))
    model = MaskRcnn(
        ((0,),), MaskRcnnModel(architecture="mask-rcnn", backbone="mobilenet-v3", norm="batch", settings=settings)
    )
    notes = start(model, write(tmp_path, weights))
    assert sum("is not in" in note for note in notes) == 2
    assert torch.equal(model.rpn.head.cls_logits.weight, weights["rpn.head.cls_logits.weight"])


def test_another_architecture_is_refused(coco: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"backbone\.fpn\.inner_blocks\.0\.1\.weight is missing"):
        start(coco_model(90, "resnet50-v2"), write(tmp_path, coco))


def test_other_anchors_are_refused(coco: dict[str, Tensor], tmp_path: Path) -> None:
    """Their count is no class count: such a layer is not left as it is."""
    spoilt = coco | {"rpn.head.cls_logits.weight": torch.zeros(5, 256, 1, 1)}
    with pytest.raises(CheckpointError, match=r"rpn\.head\.cls_logits\.weight has shape \(5, 256, 1, 1\) instead of"):
        start(coco_model(90), write(tmp_path, spoilt))


def test_a_deeper_backbone_is_refused(tmp_path: Path) -> None:
    """ResNet-101 has every layer of ResNet-50, in the same shape, and more."""
    with pytest.raises(CheckpointError, match=r"layer3\.\d+\.\S+ is left over"):
        start(mask_rcnn("resnet50", pyramid_channels=16), write(tmp_path, published("resnet101")))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda weights: weights.pop("features.0.0.weight"), "0.0.weight is missing"),
        (lambda weights: weights.update({"features.0.0.weight": torch.zeros(1)}), r"has shape \(1,\) instead of \(32"),
    ],
)
def test_weights_that_do_not_fit_are_named_and_change_nothing(tmp_path: Path, spoil: Any, message: str) -> None:
    weights = dict(published("mobilenet-v2"))
    spoil(weights)
    model = mask_rcnn(pyramid_channels=16)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        start(model, write(tmp_path, weights))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"layers such as 0\.0\.weight, .*found query"):
        start(mask_rcnn(pyramid_channels=16), write(tmp_path, {"query": torch.zeros(3)}))


def test_a_checkpoint_or_run_folder_fills_everything(tmp_path: Path) -> None:
    trained = mask_rcnn(pyramid_channels=16)
    save_weights(tmp_path / "last.safetensors", trained.state_dict(), {"recipe": {}})
    for place in (tmp_path, tmp_path / "last.safetensors"):
        model = mask_rcnn(pyramid_channels=16)
        assert start(model, place)[-1].endswith("fills the whole model")
        assert all(torch.equal(tensor, trained.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_folders_best_checkpoint_comes_first(tmp_path: Path) -> None:
    best, last = mask_rcnn(pyramid_channels=16), mask_rcnn(pyramid_channels=16)
    save_weights(tmp_path / "last.safetensors", last.state_dict(), {"recipe": {}})
    save_weights(tmp_path / "best.safetensors", best.state_dict(), {"recipe": {}})
    start(last, tmp_path)
    assert torch.equal(last.rpn.head.cls_logits.weight, best.rpn.head.cls_logits.weight)


def test_a_checkpoint_of_other_classes_leaves_the_last_layers(tmp_path: Path) -> None:
    save_weights(tmp_path / "best.safetensors", mask_rcnn(classes=3, pyramid_channels=16).state_dict(), {"recipe": {}})
    notes = start(mask_rcnn(classes=1, pyramid_channels=16), tmp_path)
    assert [note.split(" in ")[0] for note in notes[:-1]] == [
        "roi_heads.box_predictor.cls_score has 4 outputs",
        "roi_heads.box_predictor.bbox_pred has 16 outputs",
        "roi_heads.mask_predictor.mask_fcn_logits has 4 outputs",
    ]


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "best.safetensors", mask_rcnn(pyramid_channels=24).state_dict(), {"recipe": {}})
    with pytest.raises(CheckpointError, match=r"has shape \(24, 24, 3, 3\) instead of \(16, 16, 3, 3\)"):
        start(mask_rcnn(pyramid_channels=16), tmp_path)


def test_a_checkpoint_is_no_mere_backbone(tmp_path: Path) -> None:
    """A run of another task has other layers, and says so instead of filling what happens to fit."""
    save_weights(tmp_path / "best.safetensors", published("mobilenet-v2"), {"recipe": {}})
    with pytest.raises(CheckpointError, match="is missing"):
        start(mask_rcnn(pyramid_channels=16), tmp_path)


def test_a_missing_or_cut_file_is_an_error(tmp_path: Path) -> None:
    model = mask_rcnn(pyramid_channels=16)
    whole = write(tmp_path, published("mobilenet-v2")).read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    torch.save(published("mobilenet-v2"), tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:100_000])
    (tmp_path / "empty").mkdir()
    for name in ("none.safetensors", "none.pth", "cut.safetensors", "cut.pth", "empty"):
        with pytest.raises(CheckpointError, match=name):
            start(model, tmp_path / name)


class Harmful:
    """What an unpickled object could do; never called."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickled object was run",))


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    torch.save({"model": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(CheckpointError, match="other Python objects, which could run code"):
        start(mask_rcnn(pyramid_channels=16), tmp_path / "harmful.pth")


@pytest.mark.parametrize("content", [{"model": {"epoch": 3}}, [torch.zeros(1)], {"epoch": 3}])
def test_a_pth_file_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="expected tensors by name"):
        start(mask_rcnn(pyramid_channels=16), tmp_path / "weights.pth")


def test_the_older_form_of_pth_files_is_read(tmp_path: Path) -> None:
    torch.save(published("mobilenet-v2"), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    model = mask_rcnn(pyramid_channels=16)
    start(model, tmp_path / "old.pth")
    assert torch.equal(backbone_of(model).state_dict()["0.0.weight"], published("mobilenet-v2")["features.0.0.weight"])


def test_older_names_of_densenet_are_known(tmp_path: Path) -> None:
    """torchvision's files of DenseNet say `norm.1` where its models say `norm1`."""
    model = nn.Sequential()
    model.add_module("features", models.densenet121(weights=None).features)
    weights = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2.") if "denselayer" in name else name: tensor
        for name, tensor in models.densenet121(weights=None).state_dict().items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in weights
    load_initial(model, model.features, str(write(tmp_path, weights)), lambda note: None)
    filled = model.features.denseblock1.denselayer1.conv2.weight
    assert torch.equal(filled, weights["features.denseblock1.denselayer1.conv.2.weight"])


def test_offline_refuses_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKSTREAM_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="MASKSTREAM_OFFLINE=1"):
        start(mask_rcnn(pyramid_channels=16), "torchvision:MobileNet_V2_Weights.IMAGENET1K_V1")


def test_an_unknown_name_of_torchvision_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="expected torchvision weights"):
        start(mask_rcnn(pyramid_channels=16), "torchvision:MobileNet_V9_Weights.IMAGENET1K_V1")


def test_torchvisions_weights_are_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The download replaced by what it would give."""
    monkeypatch.setattr(models.MobileNet_V2_Weights, "get_state_dict", lambda self, **_: published("mobilenet-v2"))
    monkeypatch.delenv("MASKSTREAM_OFFLINE", raising=False)
    model = mask_rcnn(pyramid_channels=16)
    notes = start(model, "torchvision:MobileNet_V2_Weights.IMAGENET1K_V1")
    assert "fills the pretrained part" in notes[0]
