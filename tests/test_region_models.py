"""Networks that name a class for each pixel: sizes, weights, what they refuse, and that they deploy as they train."""

from __future__ import annotations

import io
import socket
from typing import get_args

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from maskstream.errors import RecipeError
from maskstream.training.models.graph_part import GraphPart
from maskstream.training.models.original_unet import OriginalUnet, check_size
from maskstream.training.models.region_graphs import graphs
from maskstream.training.models.unet import RegionNetwork, build_region_model, encoder_of
from maskstream.training.recipe import PlainSegmentationModel, UnetModel, Upsampling

TABLE = (
    "572 570 568 284 282 280 140 138 136 68 66 64 32 30 28 "
    "56 54 52 104 102 100 200 198 196 392 390 388"
)  # fmt: skip
"""Sides of the maps in figure 1 of the paper, from the input tile to the output."""


def plain(architecture: str, **changes: object) -> PlainSegmentationModel:
    return PlainSegmentationModel.model_validate({"architecture": architecture, "channels": 4, **changes})


MODELS = [
    *(plain("original-unet", upsampling=kind) for kind in get_args(Upsampling)),
    *(plain("encoder-decoder", upsampling=kind) for kind in get_args(Upsampling)),
    plain("full-resolution"),
    UnetModel(architecture="unet", encoder="mobilenet_v2"),
]


def name_of(model: PlainSegmentationModel | UnetModel) -> str:
    return f"{model.architecture}-{getattr(model, 'upsampling', '')}"


def built(
    model: PlainSegmentationModel | UnetModel, outputs: int = 1, size_hw: tuple[int, int] = (20, 36)
) -> RegionNetwork:
    torch.manual_seed(0)
    return build_region_model(model, outputs, size_hw)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here reaches for the network: not the library when it is imported, not a model when it is built."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_original_unet_has_the_published_sizes() -> None:
    sides: list[int] = []
    model = OriginalUnet(2, channels=2).eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.MaxPool2d):
            module.register_forward_hook(lambda *call: sides.append(call[-1].shape[-1]))
    model.encoder[0].register_forward_pre_hook(lambda _, maps: sides.append(maps[0].shape[-1]))
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 388, 388)).shape == (1, 2, 388, 388)
    assert sides == [*map(int, TABLE.split()), 388]  # the last one is the 1x1 convolution


def test_the_original_unet_has_the_published_channels_and_parameters() -> None:
    model = OriginalUnet(2)
    assert [block[0].out_channels for block in model.encoder] == [64, 128, 256, 512, 1024]
    assert [block[0].in_channels for block in model.decoder] == [1024, 512, 256, 128]
    assert parameters(model) == 31_031_745 + 65
    model.encoder[0][0] = nn.Conv2d(1, 64, 3)  # one colour, as in the paper
    assert parameters(model) == 31_030_658


def test_an_output_pixel_of_the_original_unet_sees_only_its_surroundings() -> None:
    """Unpadded, so it does not matter where a tile ends: the overlap-tile strategy of the paper's figure 2."""
    model = OriginalUnet(1, channels=2).eval()
    tile = torch.randn(1, 3, 220, 236)
    with torch.no_grad():
        whole = model.tile(tile)
        corner = model.tile(tile[..., 16:, 32:])
    assert whole.shape == (1, 1, 36, 52)
    torch.testing.assert_close(corner, whole[..., 16:, 32:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size_hw", [(388, 388), (4, 4), (372, 20), (404, 1028)])
def test_sizes_that_come_out_whole(size_hw: tuple[int, int]) -> None:
    check_size(size_hw)


@pytest.mark.parametrize(
    "size_hw, below, above",
    [((384, 388), [372, 388], [388, 388]), ((256, 257), [244, 244], [260, 260]), ((1, 5), [4, 4], [4, 20])],
)
def test_other_sizes_are_refused_with_the_nearest(size_hw: tuple[int, int], below: list[int], above: list[int]) -> None:
    with pytest.raises(RecipeError) as error:
        built(plain("original-unet"), size_hw=size_hw)
    assert error.value.remedy == f"choose {below} or {above}"
    for nearest in (below, above):
        check_size((nearest[0], nearest[1]))
    with pytest.raises(RecipeError, match="sides of 4"):
        OriginalUnet(1, channels=2)(torch.zeros(1, 3, *size_hw))


@pytest.mark.parametrize("model", MODELS, ids=name_of)
@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_have_the_images_size_and_teach_every_weight(
    model: PlainSegmentationModel | UnetModel, outputs: int
) -> None:
    network = built(model, outputs)
    logits = network(torch.randn(2, 3, 20, 36))
    assert logits.shape == (2, outputs, 20, 36)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("model", [m for m in MODELS if m.architecture != "original-unet"], ids=name_of)
@pytest.mark.parametrize("size_hw", [(1, 1), (37, 50), (64, 33)])
def test_padded_networks_take_any_size(model: PlainSegmentationModel | UnetModel, size_hw: tuple[int, int]) -> None:
    network = built(model, 2, size_hw).eval()
    with torch.no_grad():
        logits = network(torch.randn(1, 3, *size_hw))
    assert logits.shape == (1, 2, *size_hw)
    assert logits.isfinite().all()


@pytest.mark.parametrize("model", MODELS, ids=name_of)
def test_the_encoder_is_a_part_of_the_model_and_not_its_head(model: PlainSegmentationModel | UnetModel) -> None:
    network = built(model)
    encoder = encoder_of(network)
    assert 0 < parameters(encoder) < parameters(network)
    assert any(module is encoder for module in network.children())


class Together(nn.Module):
    """Networks that look at the same image: one export for all of them is faster than one each."""

    def __init__(self, parts: list[GraphPart]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part.module for part in parts)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(part(image)[0] for part in self.parts)


def test_onnxruntime_answers_as_torch_does() -> None:
    models = [*((model, 3) for model in MODELS), (plain("full-resolution"), 1)]
    parts = [graphs(built(model, outputs), (20, 36))["network"] for model, outputs in models]
    image = torch.randn(1, 3, 20, 36)
    together = Together(parts).eval()
    file = io.BytesIO()
    torch.onnx.export(together, (image,), dynamo=True, optimize=False, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = together(image)
    assert len(answers) == len(models)
    for (model, outputs), answer, true in zip(models, answers, expected, strict=True):
        assert true.shape == (1, max(outputs - 1, 1), 20, 36)
        np.testing.assert_allclose(answer, true.numpy(), atol=1e-4, err_msg=name_of(model))


def test_probabilities_leave_the_background_out() -> None:
    network = built(plain("full-resolution"), 3).eval()
    image = torch.randn(1, 3, 20, 36)
    with torch.no_grad():
        (answer,) = graphs(network, (20, 36))["network"].module(image)
        torch.testing.assert_close(answer, network(image).softmax(dim=1)[:, 1:])
        one = built(plain("full-resolution"), 1).eval()
        torch.testing.assert_close(graphs(one, (20, 36))["network"].module(image)[0], one(image).sigmoid())


def test_a_unet_answers_as_the_library_does_with_the_same_weights() -> None:
    from segmentation_models_pytorch import Unet as LibraryUnet

    ours = built(UnetModel(architecture="unet", encoder="resnet18"), 2).eval()
    theirs = LibraryUnet("resnet18", encoder_weights=None, classes=2).eval()
    theirs.load_state_dict(ours.state_dict())
    image = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize(
    "encoder, nearest",
    [
        ("resnet43", "resnet34"),
        ("mobilenetv2", "mobilenet_v2"),
        ("timm-mobilenetv3_small_100", "tu-mobilenetv3_small_100"),
        ("vgg-16", "vgg16"),
    ],
)
def test_an_unknown_encoder_is_refused_with_the_nearest(encoder: str, nearest: str) -> None:
    with pytest.raises(RecipeError, match=rf"the nearest are .*\b{nearest}\b"):
        built(UnetModel(architecture="unet", encoder=encoder))


def test_encoders_that_suit_no_unet_are_refused() -> None:
    with pytest.raises(RecipeError, match="strides 2 to 32"):
        built(UnetModel(architecture="unet", encoder="tu-vit_tiny_patch16_224"))
    with pytest.raises(RecipeError, match="such as resnet34"):
        built(UnetModel(architecture="unet", encoder="?"))
