"""Classifiers in PyTorch: shapes and parameters counted by hand, torchvision's weights, and the deployed graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torchvision import models
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.core.calibration import Calibration
from maskstream.core.frame import Frame
from maskstream.errors import RecipeError
from maskstream.inference.classifier import ClassifierSettings, ImageClassifier
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.models.classifier import Classifier, build_classifier, features_of
from maskstream.training.models.classifier_graphs import graphs
from maskstream.training.recipe import SmallCnnModel, TransferModel

SMALL = SmallCnnModel(architecture="small-cnn")
TWO, THREE = ("bcc", "melanoma"), ("a", "b", "c")


def _transfer(backbone: str, **changes: object) -> TransferModel:
    return TransferModel(architecture="torchvision", backbone=backbone, **changes)  # type: ignore[arg-type]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _tiny(outputs: int) -> Classifier:
    torch.manual_seed(0)
    return build_classifier(SmallCnnModel(architecture="small-cnn", channels=(4, 8), dense=6), outputs, (32, 32))


def test_parameters_of_the_small_cnn_by_hand() -> None:
    model = build_classifier(SMALL, 1, (224, 224))
    # 224 -> 222 -> 111 -> 109 -> 54 -> 52 -> 26 without padding
    by_hand = [
        3 * 3 * 3 * 28 + 28,
        3 * 3 * 28 * 64 + 64,
        3 * 3 * 64 * 128 + 128,
        26 * 26 * 128 * 64 + 64,
        64 * 1 + 1,
    ]
    assert by_hand == [784, 16_192, 73_856, 5_537_856, 65]
    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert [_count(layer) for layer in layers] == by_hand
    assert _count(model) == 5_628_753


def test_layers_of_the_small_cnn() -> None:
    names = [type(layer).__name__ for layer in features_of(build_classifier(SMALL, 1, (64, 48))).children()]  # type: ignore[attr-defined]
    assert names == ["Conv2d", "ReLU", "MaxPool2d"] * 3 + ["Flatten", "Linear", "ReLU"]


@pytest.mark.parametrize("size_hw, outputs", [((64, 48), 1), ((22, 22), 5)])
def test_logits_of_the_small_cnn(size_hw: tuple[int, int], outputs: int) -> None:
    assert build_classifier(SMALL, outputs, size_hw)(torch.zeros(2, 3, *size_hw)).shape == (2, outputs)


def test_an_input_that_pooling_uses_up() -> None:
    with pytest.raises(RecipeError, match="21 x 64; enlarge the input"):
        build_classifier(SMALL, 1, (21, 64))


@pytest.mark.parametrize(
    "backbone",
    [
        "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "mnasnet0_5", "mobilenet_v2",
        "mobilenet_v3_small", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "swin_t",
    ],
)  # fmt: skip
def test_families_of_torchvision(backbone: str) -> None:
    model = build_classifier(_transfer(backbone), 3, (64, 64)).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    plain = models.get_model(backbone, weights=None)
    *_, last = [part for part in plain.modules() if isinstance(part, nn.Linear)]
    statistics = sum(2 * part.num_features for part in plain.modules() if isinstance(part, nn.BatchNorm2d))
    assert _count(features_of(model)) == _count(plain) - _count(last) - statistics
    assert _count(model.head) == 3 * (last.in_features + 1)
    own = {key for key in plain.state_dict() if not key.endswith("num_batches_tracked")}
    assert own - set(features_of(model).state_dict()) == {
        f"{name}.{kind}" for name, part in plain.named_modules() if part is last for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("backbone", ["vit_b_16", "vgg11", "wide_resnet50_2", "resnext50_32x4d"])
def test_large_families_of_torchvision(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without memory for their weights."""
    monkeypatch.setattr("maskstream.training.models.classifier._try_out", lambda *_: None)
    with torch.device("meta"):
        model = build_classifier(_transfer(backbone, norm="batch"), 3, (64, 64)).eval()
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


def test_features_answer_as_torchvision_with_its_weights() -> None:
    torch.manual_seed(0)
    plain = models.resnet18(weights=None).eval()
    for part in plain.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    weights = {key: value for key, value in plain.state_dict().items() if not key.startswith("fc.")}
    plain.fc = nn.Identity()
    image = torch.randn(1, 3, 64, 64)
    for norm in ("frozen", "batch"):
        model = build_classifier(_transfer("resnet18", norm=norm), 2, (64, 64)).eval()
        features_of(model).load_state_dict(weights)
        with torch.no_grad():
            torch.testing.assert_close(features_of(model)(image), plain(image), rtol=1e-4, atol=1e-5)


def test_imagenet_weights_of_the_real_layout(shared_data: object) -> None:
    weights = load_file(str(shared_data.parent / "weights" / "mobilenet_v2_imagenet.safetensors"))  # type: ignore[attr-defined]
    model = build_classifier(_transfer("mobilenet_v2"), 1, (224, 224))
    missing, unexpected = features_of(model).load_state_dict(weights, strict=False)
    assert missing == []
    assert sorted(unexpected) == ["classifier.1.bias", "classifier.1.weight"]


def test_frozen_norm_stays_in_training() -> None:
    model = build_classifier(_transfer("resnet18"), 1, (64, 64)).train()
    norms = [part for part in model.modules() if isinstance(part, FrozenBatchNorm2d)]
    assert len(norms) == 20
    assert not [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    model(torch.randn(2, 3, 64, 64)).sum().backward()
    assert all(bool((norm.running_mean == 0).all()) for norm in norms)
    assert not {name for name, _ in model.named_parameters() if ".bn" in name}


def test_frozen_norm_keeps_the_constant_that_the_network_was_made_with() -> None:
    model = build_classifier(_transfer("efficientnet_v2_s"), 1, (32, 32))
    assert {part.eps for part in model.modules() if isinstance(part, FrozenBatchNorm2d)} == {1e-3}


def test_trained_norm_moves() -> None:
    model = build_classifier(_transfer("resnet18", norm="batch"), 1, (64, 64)).train()
    model(torch.randn(2, 3, 64, 64))
    assert features_of(model).bn1.running_mean.abs().sum() > 0  # type: ignore[union-attr,operator]


def test_one_dropout_before_the_last_layer() -> None:
    model = build_classifier(_transfer("mobilenet_v2", dropout=0.35), 1, (32, 32))
    assert [part.p for part in model.modules() if isinstance(part, nn.Dropout)] == [0.35]


@pytest.mark.parametrize(
    "name, remedy",
    [
        ("resnet-50", "did you mean resnet50"),
        ("mobilenetv2", "mobilenet_v2"),
        ("xyz", "take one of alexnet"),
        ("squeezenet1_0", "a dense last layer"),
    ],
)
def test_an_unknown_backbone_names_the_nearest(name: str, remedy: str) -> None:
    with pytest.raises(RecipeError, match=remedy):
        build_classifier(_transfer(name), 1, (64, 64))


@pytest.mark.parametrize("backbone, size_hw", [("alexnet", (20, 20)), ("vit_b_32", (50, 50))])
def test_a_size_that_the_backbone_cannot_take(backbone: str, size_hw: tuple[int, int]) -> None:
    with pytest.raises(
        RecipeError, match=f"input_size_hw: expected images that {backbone} can take, found {size_hw[0]}"
    ):
        build_classifier(_transfer(backbone), 1, size_hw)


def test_the_graph_of_two_classes_is_a_sigmoid() -> None:
    model, image = _tiny(1), torch.randn(1, 3, 32, 32)
    part = graphs(model, TWO, (32, 32))["network"]
    assert not part.module.training
    assert {name: tuple(tensor.shape) for name, tensor in part.inputs.items()} == {"image": (1, 3, 32, 32)}
    assert (part.outputs, part.dynamic_rows) == (("probabilities",), ())
    with torch.no_grad():
        (probabilities,) = part.module(image)
        positive = model(image).sigmoid()
    torch.testing.assert_close(probabilities, torch.cat([1 - positive, positive], dim=1))


def test_the_graph_of_more_classes_is_a_softmax() -> None:
    model, image = _tiny(3), torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        (probabilities,) = graphs(model, THREE, (32, 32))["network"].module(image)
        torch.testing.assert_close(probabilities, model(image).softmax(dim=1))


def test_outputs_must_be_those_of_the_classes() -> None:
    with pytest.raises(ValueError, match="3 outputs cannot answer with 2 classes"):
        graphs(_tiny(3), TWO, (32, 32))


class _Runtime:
    """PyTorch behind the decoder."""

    def __init__(self, model: Classifier, classes: tuple[str, ...]) -> None:
        self.module = graphs(model, classes, (32, 32))["network"].module

    @torch.no_grad()
    def run(self, role: str, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        assert role == "network"
        return tuple(output.numpy() for output in self.module(*map(torch.from_numpy, arrays)))


def _frame(image: np.ndarray) -> Frame:
    return Frame(image, 0, 0.0, "x")


def _classifier(mirror: bool = False, calibration: Calibration | None = None) -> ImageClassifier:
    model = _tiny(1)
    with torch.no_grad():
        model.head.weight.mul_(30)
    settings = ClassifierSettings(mirror=mirror)
    return ImageClassifier("m", TWO, _Runtime(model, TWO), Preprocessing((32, 32)), settings, calibration=calibration)


def test_the_decoder_answers_for_any_image_size() -> None:
    rng = np.random.default_rng(0)
    frames = [_frame(rng.integers(0, 256, (*size_hw, 3), np.uint8)) for size_hw in [(1, 1), (40, 90), (300, 20)]]
    for answer in _classifier().classify(frames):
        assert answer.classes == TWO
        assert answer.probabilities.dtype == np.float32
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-6)
        assert answer.probability_of(answer.class_name) == answer.probabilities.max()
    assert _classifier().classify([]) == []


def test_mirror_averages_both_sights() -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    plain = _classifier().classify([_frame(image), _frame(image[:, ::-1])])
    (both,) = _classifier(mirror=True).classify([_frame(image)])
    np.testing.assert_allclose(both.probabilities, np.mean([a.probabilities for a in plain], axis=0), rtol=1e-6)
    assert abs(plain[0].probabilities[0] - plain[1].probabilities[0]) > 1e-4


def test_calibration_is_applied_once() -> None:
    calibration = Calibration("melanoma", 0.5, 1.0, ((0.0, 0.0), (0.0, 0.0)), 0.0)
    frame = _frame(np.random.default_rng(2).integers(0, 256, (32, 32, 3), np.uint8))
    (raw,), (shown,) = _classifier().classify([frame]), _classifier(calibration=calibration).classify([frame])
    np.testing.assert_array_equal(shown.probabilities, calibration.apply(raw.probabilities[None], TWO)[0])
    assert shown.probability_of("melanoma") != raw.probability_of("melanoma")
