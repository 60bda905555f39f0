"""Networks that name a class for each pixel: U-Nets of segmentation_models_pytorch, and the way to all of them."""

from __future__ import annotations

import difflib
from typing import Any

from torch import Tensor, nn

from maskstream.errors import RecipeError
from maskstream.training.models.borders import filled
from maskstream.training.models.encoder_decoder import EncoderDecoder
from maskstream.training.models.full_resolution import FullResolution
from maskstream.training.models.original_unet import OriginalUnet, check_size
from maskstream.training.recipe import PlainSegmentationModel, UnetModel

DEPTH_STRIDE = 32
"""Image pixels per pixel of an encoder's deepest map."""


class Unet(nn.Module):
    """Images (b, 3, H, W) of any size -> logits (b, outputs, H, W), by segmentation_models_pytorch's U-Net.

    Images are filled up inside to multiples of 32, since encoders differ in how they round, and a skip of another size
    would be shifted. The parts keep the names that they have there, and so do the weights.

    Parameters
    ----------
    encoder : a name of the library: its own (`segmentation_models_pytorch.encoders.get_encoder_names`), or `tu-` and a
        name of timm. Weights are random: nothing is downloaded.

    Raises
    ------
    RecipeError : there is no such encoder, or the library cannot build a U-Net on it.
    """

    def __init__(self, outputs: int, encoder: str) -> None:
        super().__init__()
        network = _library_unet(outputs, encoder)
        self.encoder: nn.Module = network.encoder
        self.decoder: nn.Module = network.decoder
        self.segmentation_head: nn.Module = network.segmentation_head

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        maps = self.decoder(self.encoder(filled(images, DEPTH_STRIDE)))
        logits: Tensor = self.segmentation_head(maps)
        return logits[..., :height, :width]


RegionNetwork = Unet | OriginalUnet | EncoderDecoder | FullResolution


def build_region_model(
    model: UnetModel | PlainSegmentationModel, outputs: int, input_size_hw: tuple[int, int]
) -> RegionNetwork:
    """An untrained network: images (b, 3, H, W), normalised -> logits (b, outputs, H, W) of the same pixels.

    Parameters
    ----------
    outputs : 1 for one class against the background (a sigmoid), else one a class after the background's (a softmax).
    input_size_hw : H and W, which the original U-Net is particular about.

    Raises
    ------
    RecipeError : there is no such encoder, or the size does not suit the network.
    """
    match model:
        case UnetModel():
            return Unet(outputs, model.encoder)
        case PlainSegmentationModel(architecture="original-unet"):
            check_size(input_size_hw)
            return OriginalUnet(outputs, model.channels, model.upsampling)
        case PlainSegmentationModel(architecture="encoder-decoder"):
            return EncoderDecoder(outputs, model.channels, model.upsampling)
        case _:
            return FullResolution(outputs, model.channels)


def encoder_of(model: RegionNetwork) -> nn.Module:
    """The part that initial weights of a backbone fill: the way down, or all but the last layer at full resolution."""
    return model.encoder


def _library_unet(outputs: int, encoder: str) -> Any:
    # importing it takes seconds, which only those who ask for it should wait
    import timm
    from segmentation_models_pytorch import Unet as LibraryUnet
    from segmentation_models_pytorch.encoders import get_encoder_names

    # its `timm-` names are deprecated in favour of `tu-`
    known = [name for name in get_encoder_names() if not name.startswith("timm-")]
    known += [f"tu-{name}" for name in timm.list_models()]
    if encoder not in known:
        near = difflib.get_close_matches(encoder.replace("timm-", "tu-"), known, n=3, cutoff=0.4)
        raise RecipeError(
            "model.encoder",
            expected="an encoder of segmentation_models_pytorch",
            found=repr(encoder),
            remedy=f"the nearest are {', '.join(near)}" if near else "such as resnet34, vgg16 or mobilenet_v2",
        )
    try:
        return LibraryUnet(encoder, encoder_weights=None, in_channels=3, classes=outputs)
    except (ValueError, RuntimeError, AssertionError, AttributeError, TypeError, KeyError) as error:
        raise RecipeError(
            "model.encoder",
            expected="an encoder with maps at strides 2 to 32",
            found=f"{encoder!r}: {error}",
            remedy="choose a convolutional one, such as resnet34",
        ) from error
