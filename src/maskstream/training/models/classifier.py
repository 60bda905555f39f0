"""Classifiers: the small convolutional network of introductions, and torchvision's with a new last layer."""

from __future__ import annotations

import difflib
import itertools

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.errors import RecipeError
from maskstream.training.recipe import SmallCnnModel, TransferModel

_UNFIT = frozenset({"googlenet", "inception_v3", "maxvit_t", "squeezenet1_0", "squeezenet1_1"})
"""Networks of torchvision without one dense last layer, with further outputs, or made for a single input size."""


class Classifier(nn.Module):
    """Images (b, 3, H, W) -> logits (b, outputs): `features` and one new dense layer on top of them.

    Attributes
    ----------
    features : images -> (b, n). Of a torchvision network it is all but the last layer, with the names of its own state
        dict: `load_state_dict` takes torchvision's weights without the last layer's two tensors.
    head : the new last layer.
    """

    def __init__(self, features: nn.Module, width: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (b, outputs)."""
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits


def build_classifier(model: SmallCnnModel | TransferModel, outputs: int, input_size_hw: tuple[int, int]) -> Classifier:
    """The untrained network of a recipe.

    Parameters
    ----------
    outputs : 1 for two classes, whose logit is that of the second one; else one a class.
    input_size_hw : height and width of the images in pixels.

    Raises
    ------
    RecipeError : a name that torchvision does not know, or images that the network cannot take.
    """
    if isinstance(model, SmallCnnModel):
        return _small_cnn(model, outputs, input_size_hw)
    return _torchvision(model, outputs, input_size_hw)


def features_of(model: Classifier) -> nn.Module:
    """Everything below the last layer: what initial weights fill, and what stages that train heads leave as it is."""
    return model.features


def _small_cnn(model: SmallCnnModel, outputs: int, input_size_hw: tuple[int, int]) -> Classifier:
    """Convolutions take a pixel from each edge, as Keras' `Conv2D` does unless told otherwise: 224, 222, 111, 109..."""
    height, width = input_size_hw
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise((3, *model.channels)):
        layers += [nn.Conv2d(before, after, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        height, width = (height - 2) // 2, (width - 2) // 2
    if min(height, width) < 1:
        raise RecipeError(
            "input_size_hw",
            expected=f"images that {len(model.channels)} convolutions with pooling leave something of",
            found=f"{input_size_hw[0]} x {input_size_hw[1]}",
            remedy="enlarge the input or take fewer channels",
        )
    layers += [nn.Flatten(), nn.Linear(model.channels[-1] * height * width, model.dense), nn.ReLU(inplace=True)]
    return Classifier(nn.Sequential(*layers), model.dense, outputs)


def _torchvision(model: TransferModel, outputs: int, input_size_hw: tuple[int, int]) -> Classifier:
    _check_name(model.backbone)
    # a vision transformer learns a code for each place, so it is made for one size
    sized = {"image_size": input_size_hw[0]} if model.backbone.startswith("vit_") else {}
    try:
        backbone = models.get_model(model.backbone, weights=None, **sized)
        last = _take_last_layer(backbone)
        if model.norm == "frozen":
            _freeze_norms(backbone)
        _try_out(backbone, input_size_hw)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise RecipeError(
            "input_size_hw",
            expected=f"images that {model.backbone} can take",
            found=f"{input_size_hw[0]} x {input_size_hw[1]} ({error})",
            remedy="choose another size, such as [224, 224], or another backbone",
        ) from error
    return Classifier(backbone, last.in_features, outputs, model.dropout)


def _check_name(name: str) -> None:
    known = [known for known in models.list_models(module=models) if known not in _UNFIT]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise RecipeError(
            "model.backbone",
            expected="a classifier of torchvision with a dense last layer",
            found=repr(name),
            remedy=f"did you mean {' or '.join(near)}?" if near else f"take one of {', '.join(known)}",
        )


def _take_last_layer(backbone: nn.Module) -> nn.Linear:
    """Take out the last dense layer, and a dropout right before it: the new layer has its own."""
    *_, (path, last) = ((name, part) for name, part in backbone.named_modules() if isinstance(part, nn.Linear))
    folder, _, name = path.rpartition(".")
    parent = backbone.get_submodule(folder)
    setattr(parent, name, nn.Identity())
    if isinstance(parent, nn.Sequential) and len(parent) > 1 and isinstance(parent[-2], nn.Dropout):
        parent[-2] = nn.Identity()
    return last


def _freeze_norms(module: nn.Module) -> None:
    """Batch norm with the statistics and scales that it has or is given by initial weights, for good."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, child.eps)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen)
        else:
            _freeze_norms(child)


@torch.no_grad()
def _try_out(backbone: nn.Module, input_size_hw: tuple[int, int]) -> None:
    """Run it once, so that a size which does not fit is told before the first step."""
    backbone.eval()(torch.zeros(1, 3, *input_size_hw))
    backbone.train()
