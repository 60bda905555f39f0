"""The parts of Mask R-CNN, from torchvision, for every backbone; names and shapes are those of torchvision's models.

Under half precision the networks compute in it, while anchors, boxes and losses stay float32: torchvision places
anchors in the type of the maps, and bfloat16 knows no odd numbers above 256.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor, nn
from torchvision.models import mobilenet_v2, mobilenet_v3_large, resnet50, resnet101
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.errors import RecipeError
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.training.models.region_pooling import RegionPooling
from maskstream.training.recipe import MaskRcnnModel

BOX_BINS, MASK_BINS = 7, 14


class Sampling(NamedTuple):
    """How much of an image one training step looks at.

    Attributes
    ----------
    anchors : that teach the proposals, half of them on objects if there are so many.
    before_nms, proposals : best anchors of a level, and how many of them suppression leaves an image.
    boxes : that teach the heads, a quarter of them on objects if there are so many.
    """

    anchors: int
    before_nms: int
    proposals: int
    boxes: int


AS_TORCHVISION = Sampling(anchors=256, before_nms=2000, proposals=2000, boxes=512)
SMALL = Sampling(anchors=128, before_nms=400, proposals=200, boxes=64)


class Backbone(NamedTuple):
    """A network of torchvision and where it is tapped.

    Attributes
    ----------
    make : builds it.
    taps : child -> channels of its map, from the finest map to the coarsest, which has stride 32.
    strides : of the levels in network pixels; one more than taps where proposals see a level that nothing is pooled
        from.
    box_features : width of the box head.
    """

    make: Any
    taps: dict[str, int]
    strides: tuple[int, ...]
    box_features: int = 1024
    sampling: Sampling = AS_TORCHVISION

    @property
    def pooled(self) -> list[str]:
        """Names of the levels that regions are pooled from."""
        return [str(level) for level in range(len(self.taps))]


_RESNET = {"layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
_RESNET_STRIDES = (4, 8, 16, 32, 64)
WITH_NORM = "resnet50-v2"
"""The backbone whose pyramid and heads have batch norm and are deeper (torchvision's v2, Li et al. 2021)."""
BACKBONES = {
    "resnet50": Backbone(resnet50, _RESNET, _RESNET_STRIDES),
    "resnet101": Backbone(resnet101, _RESNET, _RESNET_STRIDES),
    WITH_NORM: Backbone(resnet50, _RESNET, _RESNET_STRIDES),
    "mobilenet-v2": Backbone(mobilenet_v2, {"6": 32, "13": 96, "18": 1280}, (8, 16, 32), 256, SMALL),
    "mobilenet-v3": Backbone(mobilenet_v3_large, {"13": 160, "16": 960}, (32, 32, 64)),
}


def check_levels(model: MaskRcnnModel) -> None:
    """Compare a recipe's anchors with the levels of its backbone.

    Raises
    ------
    RecipeError : another number of levels, other strides, or more sizes in one level than in another.
    """
    strides, settings = BACKBONES[model.backbone].strides, model.settings
    levels = f"the {len(strides)} levels of {model.backbone}, at strides {', '.join(map(str, strides))}"
    remedy = f"give {len(strides)} lists of sizes in network pixels, from the finest level to the coarsest"
    if len(settings.anchor_sizes) != len(strides):
        found = f"{len(settings.anchor_sizes)}: {settings.anchor_sizes}"
        raise RecipeError(
            "model.settings.anchor_sizes", expected=f"a list of sizes for each of {levels}", found=found, remedy=remedy
        )
    if len({len(sizes) for sizes in settings.anchor_sizes}) > 1 or not settings.anchor_sizes[0]:
        found = str(settings.anchor_sizes)
        raise RecipeError(
            "model.settings.anchor_sizes", expected="as many sizes in each level", found=found, remedy=remedy
        )
    if settings.anchor_strides != strides:
        raise RecipeError(
            "model.settings.anchor_strides",
            expected=str(list(strides)),
            found=str(list(settings.anchor_strides)),
            remedy=f"give the strides of {model.backbone}",
        )


def build_backbone(model: MaskRcnnModel) -> BackboneWithFPN:
    """Body and pyramid: images (b, 3, H, W) -> maps by level."""
    spec = BACKBONES[model.backbone]
    made = spec.make(weights=None, norm_layer=_norm(model))
    backbone = BackboneWithFPN(
        getattr(made, "features", made),
        return_layers=dict(zip(spec.taps, spec.pooled, strict=True)),
        in_channels_list=list(spec.taps.values()),
        out_channels=model.pyramid_channels,
        norm_layer=_norm(model) if model.backbone == WITH_NORM else None,
    )
    if len(spec.strides) == len(spec.taps):
        backbone.fpn.extra_blocks = None
    return backbone


def build_rpn(model: MaskRcnnModel) -> RegionProposalNetwork:
    """Maps by level -> proposals and the two losses of proposals."""
    spec, settings = BACKBONES[model.backbone], model.settings
    anchors = _Anchors(settings.anchor_sizes, (settings.anchor_ratios,) * len(settings.anchor_sizes))
    per_place = len(settings.anchor_sizes[0]) * len(settings.anchor_ratios)
    before_nms, proposals = spec.sampling.before_nms, spec.sampling.proposals
    return RegionProposalNetwork(
        anchors,
        _RpnHead(model.pyramid_channels, per_place, conv_depth=2 if model.backbone == WITH_NORM else 1),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=spec.sampling.anchors,
        positive_fraction=0.5,
        pre_nms_top_n={"training": before_nms, "testing": before_nms},
        post_nms_top_n={"training": proposals, "testing": proposals},
        nms_thresh=settings.proposal_nms_iou,
    )


def build_roi_heads(model: MaskRcnnModel, outputs: int) -> RoIHeads:
    """Box head and mask head with `outputs` classes, background included."""
    spec, settings, channels = BACKBONES[model.backbone], model.settings, model.pyramid_channels
    if model.backbone == WITH_NORM:
        size = (channels, BOX_BINS, BOX_BINS)
        box_head = FastRCNNConvFCHead(size, [channels] * 4, [spec.box_features], norm_layer=_norm(model))
    else:
        box_head = TwoMLPHead(channels * BOX_BINS**2, spec.box_features)
    return RoIHeads(
        RegionPooling(spec.pooled, BOX_BINS, 2),
        box_head,
        FastRCNNPredictor(spec.box_features, outputs),
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=model.boxes_per_image or spec.sampling.boxes,
        positive_fraction=0.25,
        bbox_reg_weights=None,
        **_unused(settings),
        mask_roi_pool=RegionPooling(spec.pooled, MASK_BINS, 2),
        mask_head=MaskRCNNHeads(
            channels, (channels,) * 4, 1, norm_layer=_norm(model) if model.backbone == WITH_NORM else None
        ),
        mask_predictor=MaskRCNNPredictor(channels, channels, outputs),
    )


def _unused(settings: MaskRcnnSettings) -> dict[str, float]:
    """What torchvision's own decoder asks for; here `inference/mask_rcnn.py` decodes."""
    return {
        "score_thresh": settings.score_floor,
        "nms_thresh": settings.nms_iou,
        "detections_per_img": settings.max_detections,
    }


def _norm(model: MaskRcnnModel) -> type[nn.Module]:
    frozen: type[nn.Module] = FrozenBatchNorm2d
    return frozen if model.norm == "frozen" else nn.BatchNorm2d


class _Anchors(AnchorGenerator):  # type: ignore[misc]  # torchvision has no types
    """Anchors in float32, whatever the maps are."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        # of a map it reads size, type and device: an empty one in float32 has them without a copy
        anchors: list[Tensor] = super().forward(image_list, [level[:0].float() for level in feature_maps])
        return anchors


class _RpnHead(RPNHead):  # type: ignore[misc]  # torchvision has no types
    """Objectness and deltas in float32, whatever the maps are."""

    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        objectness, deltas = super().forward(x)
        return [level.float() for level in objectness], [level.float() for level in deltas]
