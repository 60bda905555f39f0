"""Mask R-CNN, put together from torchvision's parts, for every backbone and both ways to tell classes apart.

    images -> backbone (body, feature pyramid) -> region proposals
           -> box head: background or which class, and a finer box
           -> mask head: 28x28 probabilities inside the box

With `class_head: box` this is torchvision's Mask R-CNN: the same names and shapes of weights, the same losses. With
`class_head: context` (docs/adr/0005-class-head-with-context.md) boxes and masks are class-agnostic: the box head only
separates objects from background, and a class head of its own looks at the backbone's last map in a box
`context_scale` times as large as the object, since a lesion is judged by its surroundings too.

torchvision's labels keep 0 for the background; that `+1` lives in this folder only.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import fastrcnn_loss, project_masks_on_boxes
from torchvision.ops import roi_align

from maskstream.errors import RecipeError
from maskstream.training.models.mask_rcnn_parts import (
    BACKBONES,
    build_backbone,
    build_roi_heads,
    build_rpn,
    check_levels,
)
from maskstream.training.recipe import MaskRcnnModel

OBJECT = 1
"""torchvision's label of an object that has no class yet; 0 is the background."""
CONTEXT_BINS = 3
CONTEXT_STRIDE = 32
DROPOUT = 0.2
MASKS_PER_IMAGE = 6
"""Class-agnostic masks of an image that are trained in one step: this head costs most."""

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

    def solid(self) -> Target:
        """Without the objects whose boxes have no area: a logarithm of their size would be no number."""
        kept = (self.boxes[:, 2:] > self.boxes[:, :2]).all(dim=1)
        return self if bool(kept.all()) else Target(*(tensor[kept] for tensor in self))


class MaskRcnn(nn.Module):
    """See the module's docstring.

    Parameters
    ----------
    labels_of_class : for each class that the model answers with, the finer labels that it stands for
        (indices of the context class head's outputs): ((0, 2), (1,)) makes class 0 of labels 0 and 2.
    model : backbone, heads, anchors and limits.

    Raises
    ------
    RecipeError : anchors that do not fit the backbone's levels, or finer labels without a head that learns them.
    """

    def __init__(self, labels_of_class: tuple[tuple[int, ...], ...], model: MaskRcnnModel) -> None:
        super().__init__()
        check_levels(model)
        self.labels_of_class = labels_of_class
        self.settings = model.settings
        self.class_agnostic = model.class_head == "context"
        if not self.class_agnostic and labels_of_class != tuple((index,) for index in range(len(labels_of_class))):
            raise RecipeError(
                "labels",
                expected="no finer labels with model.class_head box",
                found=f"{sum(map(len, labels_of_class))} labels of {len(labels_of_class)} classes",
                remedy="take class_head context, which learns them, or leave labels out",
            )
        self.backbone = build_backbone(model)
        self.rpn = build_rpn(model)
        self.roi_heads = build_roi_heads(model, 1 + (OBJECT if self.class_agnostic else len(labels_of_class)))
        if self.class_agnostic:
            channels = list(BACKBONES[model.backbone].taps.values())[-1]
            self.class_head = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(channels, sum(map(len, labels_of_class))))

    def train(self, mode: bool = True) -> Self:
        """As ever, but proposals always give their losses, so that those of validation images can be computed."""
        super().train(mode)
        self.rpn.train()
        return self

    def features(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Pyramid maps by level, and the body's last map, of images (b, 3, H, W)."""
        maps: dict[str, Tensor] = self.backbone.body(images)
        return self.backbone.fpn(maps), list(maps.values())[-1]

    def forward(self, images: Tensor, targets: list[Target]) -> Losses:
        """The losses of one batch: class, box, mask, rpn_class, rpn_box, and object where boxes are class-agnostic."""
        targets = [target.solid() for target in targets]
        height, width = images.shape[-2:]
        sizes_hw = [(height, width)] * len(targets)
        levels, context = self.features(images)
        truth = [self._truth(target) for target in targets]
        proposals, rpn_losses = self.rpn(ImageList(images, sizes_hw), levels, truth)
        proposals, matched, labels, box_targets = self.roi_heads.select_training_samples(proposals, truth)
        pooled = self.roi_heads.box_roi_pool(levels, proposals, sizes_hw)
        logits, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled))
        label_loss, box_loss = fastrcnn_loss(logits.float(), deltas.float(), labels, box_targets)

        positive = [torch.where(label > 0)[0] for label in labels]
        boxes = [proposal[rows] for proposal, rows in zip(proposals, positive, strict=True)]
        matches = [match[rows] for match, rows in zip(matched, positive, strict=True)]
        losses = {"object": label_loss} if self.class_agnostic else {}
        return losses | {
            "class": self._class_loss(context, boxes, matches, targets) if self.class_agnostic else label_loss,
            "box": box_loss,
            "mask": self._mask_loss(levels, boxes, matches, targets, sizes_hw),
            "rpn_class": rpn_losses["loss_objectness"],
            "rpn_box": rpn_losses["loss_rpn_box_reg"],
        }

    def _truth(self, target: Target) -> dict[str, Any]:
        """A target as torchvision's parts take it."""
        return {"boxes": target.boxes, "labels": self._labels(target), "masks": target.masks}

    def _labels(self, target: Target) -> Tensor:
        return torch.full_like(target.class_ids, OBJECT) if self.class_agnostic else target.class_ids + 1

    def _class_loss(self, context: Tensor, boxes: list[Tensor], matches: list[Tensor], targets: list[Target]) -> Tensor:
        """Cross-entropy of the finer label where it is known, else of the class; each object counts once."""
        log_labels = F.log_softmax(self.label_logits(context, boxes).float(), dim=1)
        if not len(log_labels):
            return log_labels.sum()
        label_ids = torch.cat([t.label_ids[m] for t, m in zip(targets, matches, strict=True)])
        class_ids = torch.cat([t.class_ids[m] for t, m in zip(targets, matches, strict=True)])
        shares = torch.cat([1.0 / torch.bincount(m)[m] for m in matches if len(m)])
        known = label_ids >= 0
        log_label = log_labels.gather(1, label_ids.clamp(min=0)[:, None])[:, 0]
        log_class = self.merge_labels(log_labels).gather(1, class_ids[:, None])[:, 0]
        return -(shares * torch.where(known, log_label, log_class)).sum() / shares.sum()

    def _mask_loss(
        self,
        levels: dict[str, Tensor],
        boxes: list[Tensor],
        matches: list[Tensor],
        targets: list[Target],
        sizes_hw: list[tuple[int, int]],
    ) -> Tensor:
        """Binary cross-entropy of each box's own class; class-agnostic masks have the Dice loss as well.

        Cross-entropy alone weighs pixels, so that a small error around a large lesion hides a large one around a small
        lesion; the Dice loss (V-Net, Milletari 2016) weighs objects, as the overlap does by which masks are judged.
        """
        if self.class_agnostic:
            boxes = [b[:MASKS_PER_IMAGE] for b in boxes]
            matches = [m[:MASKS_PER_IMAGE] for m in matches]
        labels = torch.cat([self._labels(t)[m] for t, m in zip(targets, matches, strict=True)])
        pooled = self.roi_heads.mask_roi_pool(levels, boxes, sizes_hw)
        logits: Tensor = self.roi_heads.mask_predictor(self.roi_heads.mask_head(pooled))
        logits = logits[torch.arange(len(labels), device=labels.device), labels].float()
        if not len(logits):
            return logits.sum()
        side = logits.shape[-1]
        truth = torch.cat(
            [project_masks_on_boxes(t.masks, b, m, side) for t, b, m in zip(targets, boxes, matches, strict=True)]
        )
        loss = F.binary_cross_entropy_with_logits(logits, truth)
        return loss + dice_loss(logits.sigmoid(), truth) if self.class_agnostic else loss

    def label_logits(self, context: Tensor, boxes: list[Tensor]) -> Tensor:
        """Logits (n, labels) of the finer labels for boxes in network pixels, a list an image."""
        wide = [widened(b, self.settings.context_scale) for b in boxes]
        pooled = roi_align(context, wide, CONTEXT_BINS, 1 / CONTEXT_STRIDE, sampling_ratio=2, aligned=True)
        logits: Tensor = self.class_head(pooled.mean(dim=(2, 3)))
        return logits

    def merge_labels(self, log_labels: Tensor) -> Tensor:
        """Log probabilities (n, classes) from log probabilities (n, labels)."""
        groups = [log_labels[:, list(group)].logsumexp(dim=1) for group in self.labels_of_class]
        return torch.stack(groups, dim=1)


def backbone_of(model: MaskRcnn) -> nn.Module:
    """The part that a classifier's weights fill: the backbone without its pyramid."""
    body: nn.Module = model.backbone.body
    return body


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
