"""Mask R-CNN on a MobileNetV2 feature pyramid, put together from torchvision's parts.

    image -> backbone -> pyramid (strides 8, 16, 32) -> region proposals
          -> box head: object or background, and a finer box
          -> class head: which class, seen with the surroundings
          -> mask head: 28x28 probabilities inside the box

Detection is class-agnostic: the box head only separates objects from background, so that
score = 1 - P(background), and the class head says which class an object has. It looks at the backbone's last
map in a box `context_scale` times as large as the object, since a lesion is judged by its surroundings too.

torchvision's labels keep 0 for the background; that `+1` lives in this folder and in `export/` only.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v2
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, project_masks_on_boxes
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign, roi_align
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.inference.mask_rcnn import MaskRcnnSettings

STAGES = {"6": ("0", 32), "13": ("1", 96), "18": ("2", 1280)}
"""Taps of MobileNetV2's `features`: index -> (pyramid level, channels), at strides 8, 16 and 32."""

PYRAMID_CHANNELS = 128
BOX_FEATURES = 256
CONTEXT_BINS = 3
DROPOUT = 0.2
MASKS_PER_IMAGE = 6
"""Proposals of an image whose masks are trained in one step: this head costs most."""
OBJECT = 1
"""torchvision's label of an object; 0 is the background."""

Losses = dict[str, Tensor]


class Target(NamedTuple):
    """The truth of one image in network pixels.

    Attributes
    ----------
    boxes : (n, 4) float32 xyxy.
    masks : (n, H, W) uint8.
    class_ids : (n,) int64, 0-based ids of the classes that the model answers with.
    label_ids : (n,) int64, ids of the finer labels inside the model; -1 where only the class is known.
    """

    boxes: Tensor
    masks: Tensor
    class_ids: Tensor
    label_ids: Tensor

    def to(self, device: torch.device) -> Target:
        """The same truth on another device."""
        return Target(*(tensor.to(device) for tensor in self))


class MaskRcnn(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    labels_of_class : for each class that the model answers with, the finer labels that it stands for
        (indices of the class head's outputs): ((0, 2), (1,)) makes class 0 of labels 0 and 2.
    settings : anchors, thresholds and limits, shared with the decoder that runs without PyTorch.
    """

    def __init__(
        self,
        labels_of_class: tuple[tuple[int, ...], ...],
        settings: MaskRcnnSettings,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.labels_of_class = labels_of_class
        features = mobilenet_v2(weights=None, norm_layer=FrozenBatchNorm2d).features
        self.backbone = IntermediateLayerGetter(features, {tap: level for tap, (level, _) in STAGES.items()})
        self.pyramid = FeaturePyramidNetwork([channels for _, channels in STAGES.values()], PYRAMID_CHANNELS)
        anchors = AnchorGenerator(settings.anchor_sizes, (settings.anchor_ratios,) * len(settings.anchor_sizes))
        per_place = anchors.num_anchors_per_location()[0]
        self.rpn = RegionProposalNetwork(
            anchors,
            RPNHead(PYRAMID_CHANNELS, per_place),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=128,
            positive_fraction=0.5,
            pre_nms_top_n={"training": 400, "testing": settings.proposals_before_nms},
            post_nms_top_n={"training": 200, "testing": settings.proposals},
            nms_thresh=settings.proposal_nms_iou,
        )
        levels = [level for level, _ in STAGES.values()]
        self.roi = RoIHeads(
            MultiScaleRoIAlign(levels, 7, 2),
            TwoMLPHead(PYRAMID_CHANNELS * 49, BOX_FEATURES),
            FastRCNNPredictor(BOX_FEATURES, OBJECT + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=64,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=settings.score_floor,
            nms_thresh=settings.nms_iou,
            detections_per_img=settings.max_detections,
            mask_roi_pool=MultiScaleRoIAlign(levels, 14, 2),
            mask_head=MaskRCNNHeads(PYRAMID_CHANNELS, (PYRAMID_CHANNELS,) * 4, 1),
            mask_predictor=MaskRCNNPredictor(PYRAMID_CHANNELS, PYRAMID_CHANNELS, OBJECT + 1),
        )
        labels = sum(len(group) for group in labels_of_class)
        self.class_head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(STAGES["18"][1], labels))

    def features(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Pyramid maps by level, and the backbone's last map, of images (b, 3, H, W)."""
        maps = self.backbone(images)
        return self.pyramid(maps), maps["2"]

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        """The five losses of Mask R-CNN (class, box, mask, RPN class, RPN box) of one batch."""
        height, width = images.shape[-2:]
        sizes_hw = [(height, width)] * len(targets)
        maps, context = self.features(images)
        truth: list[dict[str, Any]] = [
            {"boxes": t.boxes, "labels": torch.full_like(t.class_ids, OBJECT), "masks": t.masks} for t in targets
        ]
        proposals, rpn_losses = self.rpn(ImageList(images, sizes_hw), maps, truth)
        proposals, matched, labels, box_targets = self.roi.select_training_samples(proposals, truth)

        pooled = self.roi.box_roi_pool(maps, proposals, sizes_hw)
        logits, deltas = self.roi.box_predictor(self.roi.box_head(pooled))
        object_loss, box_loss = fastrcnn_loss(logits.float(), deltas.float(), labels, box_targets)

        positive = [torch.where(label > 0)[0] for label in labels]
        boxes = [p[rows] for p, rows in zip(proposals, positive, strict=True)]
        matches = [m[rows] for m, rows in zip(matched, positive, strict=True)]
        return {
            "loss_object": object_loss,
            "loss_class": self._class_loss(context, boxes, matches, targets),
            "loss_box": box_loss,
            "loss_mask": self._mask_loss(maps, boxes, matches, targets, sizes_hw),
            "loss_rpn_class": rpn_losses["loss_objectness"],
            "loss_rpn_box": rpn_losses["loss_rpn_box_reg"],
        }

    def _class_loss(self, context: Tensor, boxes: list[Tensor], matches: list[Tensor], targets: list[Target]) -> Tensor:
        """Cross-entropy of the finer label where it is known, else of the class; each object counts once."""
        if not sum(len(b) for b in boxes):
            return context.sum() * 0.0
        log_labels = F.log_softmax(self.label_logits(context, boxes).float(), dim=1)
        label_ids = torch.cat([t.label_ids[m] for t, m in zip(targets, matches, strict=True)])
        class_ids = torch.cat([t.class_ids[m] for t, m in zip(targets, matches, strict=True)])
        shares = torch.cat([1.0 / torch.bincount(m)[m] for m in matches if len(m)])
        known = label_ids >= 0
        log_label = log_labels.gather(1, label_ids.clamp(min=0)[:, None])[:, 0]
        log_class = self.merge_labels(log_labels).gather(1, class_ids[:, None])[:, 0]
        return -(shares * torch.where(known, log_label, log_class)).sum() / shares.sum()

    def _mask_loss(
        self,
        maps: dict[str, Tensor],
        boxes: list[Tensor],
        matches: list[Tensor],
        targets: list[Target],
        sizes_hw: list[tuple[int, int]],
    ) -> Tensor:
        """Binary cross-entropy plus Dice loss inside at most `MASKS_PER_IMAGE` boxes an image.

        Cross-entropy alone weighs pixels, so that a small error around a large lesion hides a large one around a small
        lesion; the Dice loss (V-Net, Milletari 2016) weighs objects, as the overlap does by which masks are judged.
        """
        boxes = [b[:MASKS_PER_IMAGE] for b in boxes]
        matches = [m[:MASKS_PER_IMAGE] for m in matches]
        pooled = self.roi.mask_roi_pool(maps, boxes, sizes_hw)
        logits: Tensor = self.roi.mask_predictor(self.roi.mask_head(pooled))[:, OBJECT].float()
        if not len(logits):
            return logits.sum()
        side = logits.shape[-1]
        truth = torch.cat(
            [project_masks_on_boxes(t.masks, b, m, side) for t, b, m in zip(targets, boxes, matches, strict=True)]
        )
        return F.binary_cross_entropy_with_logits(logits, truth) + dice_loss(logits.sigmoid(), truth)

    def label_logits(self, context: Tensor, boxes: list[Tensor]) -> Tensor:
        """Logits (n, labels) of the finer labels for boxes in network pixels, a list an image."""
        wide = [widened(b, self.settings.context_scale) for b in boxes]
        pooled = roi_align(context, wide, CONTEXT_BINS, 1 / 32, sampling_ratio=2, aligned=True)
        logits: Tensor = self.class_head(pooled.mean(dim=(2, 3)))
        return logits

    def merge_labels(self, log_labels: Tensor) -> Tensor:
        """Log probabilities (n, classes) from log probabilities (n, labels)."""
        groups = [log_labels[:, list(group)].logsumexp(dim=1) for group in self.labels_of_class]
        return torch.stack(groups, dim=1)


def dice_loss(probabilities: Tensor, truth: Tensor) -> Tensor:
    """One minus the mean soft Dice coefficient of masks (n, H, W) in 0..1; 0 for two empty masks."""
    common = (probabilities * truth).sum(dim=(1, 2))
    total = probabilities.sum(dim=(1, 2)) + truth.sum(dim=(1, 2))
    return (1 - (2 * common + 1) / (total + 1)).mean()


def widened(boxes: Tensor, scale: float) -> Tensor:
    """Boxes (n, 4) grown around their centres by `scale`."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]) * (scale / 2)
    return torch.cat([centres - halves, centres + halves], dim=1)


class Trunk(nn.Module):
    """Role `trunk`: image (1, 3, H, W) -> objectness (a,), deltas (a, 4), context map, pyramid maps."""

    def __init__(self, model: MaskRcnn) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps, context = self.model.features(image)
        levels = list(maps.values())
        objectness, deltas = self.model.rpn.head(levels)
        objectness, deltas = concat_box_prediction_layers(objectness, deltas)
        return (objectness[:, 0].float(), deltas.float(), context.float(), *(level.float() for level in levels))


class BoxHead(nn.Module):
    """Role `box_head`: boxes (n, 4), pyramid maps -> logits (n, 2), background first; deltas (n, 2, 4)."""

    def __init__(self, model: MaskRcnn, input_size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.pool = PyramidPool(model.roi.box_roi_pool, input_size_hw)

    def forward(self, boxes: Tensor, *levels: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.pool(levels, boxes)
        logits, deltas = self.model.roi.box_predictor(self.model.roi.box_head(pooled))
        return logits.float(), deltas.float().reshape(-1, OBJECT + 1, 4)


class ClassHead(nn.Module):
    """Role `class_head`: boxes (n, 4), context map -> class probabilities given an object (n, c)."""

    def __init__(self, model: MaskRcnn) -> None:
        super().__init__()
        self.model = model

    def forward(self, boxes: Tensor, context: Tensor) -> tuple[Tensor]:
        logits = self.model.label_logits(context, [boxes]).float()
        return (self.model.merge_labels(F.log_softmax(logits, dim=1)).exp(),)


class MaskHead(nn.Module):
    """Role `mask_head`: boxes (n, 4), pyramid maps -> mask probabilities (n, 28, 28)."""

    def __init__(self, model: MaskRcnn, input_size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.model = model
        self.pool = PyramidPool(model.roi.mask_roi_pool, input_size_hw)

    def forward(self, boxes: Tensor, *levels: Tensor) -> tuple[Tensor]:
        pooled = self.pool(levels, boxes)
        logits = self.model.roi.mask_predictor(self.model.roi.mask_head(pooled))
        return (logits[:, OBJECT].float().sigmoid(),)


class PyramidPool(nn.Module):
    """What MultiScaleRoIAlign computes, without its scattered writes, which ONNX exports badly.

    Every level pools every box and each box keeps its own level's answer: for the few boxes of one image
    that is cheaper than a branch.
    """

    def __init__(self, pool: MultiScaleRoIAlign, input_size_hw: tuple[int, int]) -> None:
        super().__init__()
        self.bins = pool.output_size
        self.sampling_ratio = pool.sampling_ratio
        self.canonical_level, self.canonical_scale = pool.canonical_level, pool.canonical_scale
        self.input_size_hw = input_size_hw

    def forward(self, levels: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
        strides = [self.input_size_hw[0] / level.shape[-2] for level in levels]
        first = torch.log2(torch.tensor(strides[0])).item()
        # Feature Pyramid Networks (Lin et al. 2017), equation 1
        sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        wanted = torch.floor(self.canonical_level + torch.log2(sides / self.canonical_scale + 1e-6))
        wanted = wanted.clamp(first, first + len(levels) - 1) - first
        rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], dim=1)
        pooled = [
            roi_align(level, rois, self.bins, 1 / stride, self.sampling_ratio)
            for level, stride in zip(levels, strides, strict=True)
        ]
        result: Tensor = pooled[0]
        for index, answer in enumerate(pooled[1:], start=1):
            result = torch.where((wanted == index)[:, None, None, None], answer, result)
        return result


def graphs(model: MaskRcnn, input_size_hw: tuple[int, int]) -> dict[str, nn.Module]:
    """The parts that the decoder calls, by role, in evaluation mode."""
    model.eval()
    parts: dict[str, nn.Module] = {
        "trunk": Trunk(model),
        "box_head": BoxHead(model, input_size_hw),
        "class_head": ClassHead(model),
        "mask_head": MaskHead(model, input_size_hw),
    }
    return {role: part.eval() for role, part in parts.items()}
