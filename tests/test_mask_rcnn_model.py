"""Mask R-CNN in training: torchvision's losses and layout, context and labels, and the graphs of its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models import detection, resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.misc import FrozenBatchNorm2d

from maskstream.core.frame import Frame
from maskstream.errors import RecipeError
from maskstream.inference.mask_rcnn import MaskRcnnSegmenter, MaskRcnnSettings, make_anchors
from maskstream.inference.preprocess import Preprocessing
from maskstream.training.models.mask_rcnn import MaskRcnn, Target, backbone_of, dice_loss, widened
from maskstream.training.models.mask_rcnn_graphs import PyramidPool, graphs
from maskstream.training.models.mask_rcnn_parts import BACKBONES
from maskstream.training.recipe import MaskRcnnModel
from maskstream.training.torch_runtime import TorchRuntime

SIZE_HW = (64, 96)
COCO = MaskRcnnSettings(anchor_sizes=((32,), (64,), (128,), (256,), (512,)), anchor_strides=(4, 8, 16, 32, 64))
LABELS = ((0, 2), (1,))
"""Nevus and keratosis are class 0, melanoma class 1."""


def build(
    backbone: str = "mobilenet-v2", labels: tuple[tuple[int, ...], ...] = ((0,), (1,)), **changes: Any
) -> MaskRcnn:
    """A small model on a backbone; torch's generator decides its weights."""
    strides = BACKBONES[backbone].strides
    anchors = MaskRcnnSettings(anchor_sizes=tuple((4.0 * stride,) for stride in strides), anchor_strides=strides)
    facts: dict[str, Any] = {"pyramid_channels": 16, "settings": anchors}
    return MaskRcnn(labels, MaskRcnnModel(architecture="mask-rcnn", backbone=backbone, **(facts | changes)))


def target(*boxes: tuple[int, int, int, int], class_ids: tuple[int, ...] | None = None) -> Target:
    """Objects that fill their boxes; only their classes are known."""
    masks = torch.zeros(len(boxes), *SIZE_HW, dtype=torch.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
    ids = torch.tensor(class_ids or [0] * len(boxes), dtype=torch.int64)
    return Target(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), masks, ids, torch.full_like(ids, -1))


def images(count: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, *SIZE_HW, generator=torch.Generator().manual_seed(seed))


def torchvisions(kind: str, **changes: Any) -> MaskRCNN:
    """torchvision's Mask R-CNN that neither scales nor normalises its input."""
    plain: dict[str, Any] = {"min_size": 64, "max_size": 96, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]} | changes
    if kind == "frozen":
        backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), 5)
        model = MaskRCNN(backbone, 3, **plain)
    else:
        make = detection.maskrcnn_resnet50_fpn if kind == "v1" else detection.maskrcnn_resnet50_fpn_v2
        model = make(weights=None, weights_backbone=None, num_classes=3, **plain)
    model.transform.torch_choice = lambda sizes: sizes[0]  # its only use of the generator that is not training's own
    return model


def few_samples(model: Any) -> None:
    """Fewer proposals and boxes a step, which time is saved by and nothing else."""
    model.rpn._pre_nms_top_n = model.rpn._post_nms_top_n = {"training": 40, "testing": 40}
    model.roi_heads.fg_bg_sampler.batch_size_per_image = 24


@pytest.mark.parametrize(
    ("kind", "backbone", "norm"),
    [("v1", "resnet50", "batch"), ("frozen", "resnet50", "frozen"), ("v2", "resnet50-v2", "batch")],
)
def test_losses_equal_torchvisions_for_the_same_weights_images_and_seed(kind: str, backbone: str, norm: str) -> None:
    torch.manual_seed(1)
    theirs = torchvisions(kind).train()
    for part in theirs.backbone.body.modules():  # without statistics to freeze, residuals would add up
        if isinstance(part, FrozenBatchNorm2d):
            part.weight.fill_(0.3)
    ours = build(backbone, norm=norm, pyramid_channels=256, settings=COCO).train()
    ours.load_state_dict(theirs.state_dict())
    few_samples(theirs)
    few_samples(ours)
    batch = images()
    targets = [
        target((8, 10, 40, 50), (45, 15, 78, 60), (5, 40, 20, 62), class_ids=(0, 1, 1)),
        target((20, 20, 70, 60), class_ids=(1,)),
    ]
    truth = [{"boxes": t.boxes, "labels": t.class_ids + 1, "masks": t.masks} for t in targets]
    torch.manual_seed(2)
    expected = theirs(list(batch), truth)
    torch.manual_seed(2)
    losses = ours(batch, targets)
    names = {
        "class": "loss_classifier",
        "box": "loss_box_reg",
        "mask": "loss_mask",
        "rpn_class": "loss_objectness",
        "rpn_box": "loss_rpn_box_reg",
    }
    assert losses.keys() == names.keys()
    for name, theirs_name in names.items():
        assert losses[name].item() == pytest.approx(expected[theirs_name].item(), rel=1e-5), name
        assert losses[name] > 0


def test_as_many_samples_teach_as_in_torchvision() -> None:
    with torch.device("meta"):
        theirs, ours = torchvisions("v1"), build("resnet50", settings=COCO)
    for part in ("rpn", "roi_heads"):
        samplers = [getattr(model, part).fg_bg_sampler for model in (ours, theirs)]
        assert samplers[0].__dict__ == samplers[1].__dict__
        matchers = [getattr(model, part).proposal_matcher for model in (ours, theirs)]
        assert matchers[0].__dict__ == matchers[1].__dict__
    assert ours.rpn._pre_nms_top_n["training"] == theirs.rpn._pre_nms_top_n["training"]
    assert ours.rpn._post_nms_top_n["training"] == theirs.rpn._post_nms_top_n["training"]


def test_the_layout_is_torchvisions() -> None:
    """Names and shapes, of every detector of torchvision that there is a backbone for."""
    with torch.device("meta"):
        pairs = {
            "resnet50": detection.maskrcnn_resnet50_fpn(weights=None, weights_backbone=None),
            "resnet50-v2": detection.maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None),
            "mobilenet-v3": detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None),
        }
        sizes = {"mobilenet-v3": ((32, 64, 128, 256, 512),) * 3}
        for backbone, theirs in pairs.items():
            strides = BACKBONES[backbone].strides
            anchors = MaskRcnnSettings(anchor_sizes=sizes.get(backbone, COCO.anchor_sizes), anchor_strides=strides)
            classes = tuple((index,) for index in range(90))
            ours = build(backbone, classes, norm="batch", pyramid_channels=256, settings=anchors)
            expected = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
            own = {name: tensor.shape for name, tensor in ours.state_dict().items()}
            if backbone == "mobilenet-v3":  # torchvision has no masks on it
                own = {name: shape for name, shape in own.items() if ".mask_" not in name}
            assert own == expected, backbone


@pytest.mark.parametrize(
    ("backbone", "class_head"),
    [
        *((backbone, "box") for backbone in BACKBONES if backbone != "resnet50"),
        ("mobilenet-v2", "context"),
        ("resnet50", "context"),
    ],
)
def test_every_backbone_trains_with_and_without_objects(backbone: str, class_head: str) -> None:
    """Every weight gets a gradient, so that several processes agree on what to exchange, and none is NaN."""
    torch.manual_seed(0)
    model = build(backbone, class_head=class_head, norm="batch").train()
    both, neither = [target((10, 10, 40, 50)), target()], [target(), target()]
    for targets in (both, neither):
        model.zero_grad()
        losses = model(images(), targets)
        torch.stack([*losses.values()]).sum().backward()
        assert all(torch.isfinite(loss) for loss in losses.values())
        assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
        assert all(torch.isfinite(weight.grad).all() for weight in model.parameters() if weight.grad is not None)
    assert losses["mask"] == losses["box"] == losses["rpn_box"] == 0
    assert ("object" in losses) == (class_head == "context")
    statistics = [buffer for name, buffer in model.named_buffers() if "running" in name]
    assert all(torch.isfinite(buffer).all() for buffer in statistics)


@pytest.mark.parametrize("class_head", ["box", "context"])
def test_boxes_without_area_are_left_out(class_head: str) -> None:
    """An object between two others that is a line: the losses are those without it."""
    model = build(class_head=class_head)
    solid = [target((10, 10, 40, 50), (45, 15, 78, 60), class_ids=(1, 0))]
    with_line = [target((10, 10, 40, 50), (30, 30, 30, 60), (45, 15, 78, 60), class_ids=(1, 1, 0))]
    torch.manual_seed(3)
    expected = model.eval()(images(1), solid)
    torch.manual_seed(3)
    losses = model(images(1), with_line)
    assert losses == expected
    only_a_line = model(images(1), [target((30, 30, 30, 60))])
    assert all(torch.isfinite(loss) for loss in only_a_line.values())


def test_losses_are_there_in_evaluation_too() -> None:
    """For the loss of validation images: no dropout, and running statistics stay as they are."""
    model = build(class_head="context", norm="batch").eval()
    before = [buffer.clone() for buffer in model.buffers()]
    answers = []
    for _ in range(2):
        torch.manual_seed(3)
        answers.append(model(images(), [target((10, 10, 40, 50)), target()]))
    assert answers[0] == answers[1]
    assert all(torch.equal(old, new) for old, new in zip(before, model.buffers(), strict=True))
    assert not model.class_head.training


def test_half_precision_keeps_anchors_boxes_and_losses_exact() -> None:
    """bfloat16 has 8 bits: a box at 301 would be moved to 300 or 302."""
    model = build("resnet50").to(memory_format=torch.channels_last)
    seen: list[Tensor] = []
    model.roi_heads.box_roi_pool.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[1]))
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(images(1).to(memory_format=torch.channels_last), [target((9, 11, 60, 50))])
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert seen[0].dtype == torch.float32
    assert (seen[0] == torch.tensor([9.0, 11.0, 60.0, 50.0])).all(dim=1).any()
    assert not torch.equal(seen[0], seen[0].bfloat16().float())


def test_training_moves_every_loss_down() -> None:
    """A dozen steps on two images, with torchvision's losses: the model can learn."""
    torch.manual_seed(0)
    model = build(norm="batch").train()
    batch, targets = images(), [target((10, 10, 40, 50), class_ids=(1,)), target((40, 20, 75, 60))]
    for image, truth in zip(batch, targets, strict=True):
        image[truth.class_ids[0], truth.masks[0].bool()] = 2.0
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    history = []
    for _ in range(14):
        optimiser.zero_grad()
        losses = model(batch, targets)
        total = torch.stack([*losses.values()]).sum()
        total.backward()
        optimiser.step()
        history.append(total.item())
    assert np.mean(history[-3:]) < 0.7 * np.mean(history[:3])


@pytest.mark.parametrize(
    ("backbone", "changes", "message"),
    [
        (
            "resnet50",
            {},
            r"anchor_sizes: expected a list of sizes for each of the 5 levels of resnet50, at strides 4, 8,",
        ),
        (
            "mobilenet-v3",
            {"anchor_strides": (8, 16, 32)},
            r"anchor_strides: expected \[32, 32, 64\], found \[8, 16, 32\]",
        ),
        ("mobilenet-v2", {"anchor_sizes": ((8,), (16, 24), (32,))}, "expected as many sizes in each level"),
        ("mobilenet-v2", {"anchor_sizes": ((), (), ())}, "expected as many sizes in each level"),
    ],
)
def test_anchors_that_do_not_fit_the_backbone_are_refused(backbone: str, changes: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build(backbone, settings=MaskRcnnSettings(**changes))


def test_finer_labels_need_a_head_that_learns_them() -> None:
    with pytest.raises(RecipeError, match="3 labels of 2 classes"):
        build(labels=LABELS)


def test_labels_are_merged_to_classes() -> None:
    """Nevus 0.5 and keratosis 0.3 make benign 0.8."""
    log_labels = torch.tensor([[0.5, 0.2, 0.3]]).log()
    merged = build(labels=LABELS, class_head="context").merge_labels(log_labels).exp()
    torch.testing.assert_close(merged, torch.tensor([[0.8, 0.2]]))


def test_an_object_counts_once_however_many_boxes_see_it() -> None:
    """Two boxes of one object and one of another: weights 1/2, 1/2 and 1; label known, class known alone."""
    model = build(labels=LABELS, class_head="context")
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
    model.label_logits = lambda context, boxes: logits  # type: ignore[method-assign]
    truth = target((10, 10, 40, 50), (45, 15, 78, 60), class_ids=(1, 0))._replace(label_ids=torch.tensor([1, -1]))
    loss = model._class_loss(torch.zeros(1), [torch.zeros(3, 4)], [torch.tensor([0, 0, 1])], [truth])
    logs = logits.log_softmax(dim=1)
    benign = torch.logsumexp(logs[2, [0, 2]], dim=0)
    torch.testing.assert_close(loss, -(0.5 * logs[0, 1] + 0.5 * logs[1, 1] + benign) / 2)


def test_dice_loss_of_hand_made_masks() -> None:
    """Half of four pixels found: Dice (2 * 2 + 1) / (2 + 4 + 1); a perfect mask 0; two empty masks 0."""
    truth, half, nothing = torch.ones(1, 2, 2), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), torch.zeros(1, 2, 2)
    assert dice_loss(half, truth).item() == pytest.approx(1 - 5 / 7)
    assert dice_loss(truth, truth).item() == 0
    assert dice_loss(nothing, nothing).item() == 0


def test_boxes_are_widened_around_their_centres() -> None:
    boxes = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    torch.testing.assert_close(widened(boxes, 1.5), torch.tensor([[5.0, 10.0, 35.0, 70.0]]))
    assert widened(boxes[:0], 1.5).shape == (0, 4)


@settings(max_examples=25, deadline=None)
@given(
    strides=st.sampled_from([(8, 16, 32), (4, 8, 16, 32), (32, 32), (16,)]),
    size_hw=st.tuples(st.integers(64, 260), st.integers(64, 260)),
    seed=st.integers(0, 10_000),
)
def test_pooling_for_export_equals_torchvisions(strides: tuple[int, ...], size_hw: tuple[int, int], seed: int) -> None:
    """Any levels, input sizes that are no multiples of a stride, boxes from a point to beyond the image."""
    generator = torch.Generator().manual_seed(seed)
    levels = {
        str(index): torch.randn(1, 4, -(-size_hw[0] // stride), -(-size_hw[1] // stride), generator=generator)
        for index, stride in enumerate(strides)
    }
    corners = torch.rand(40, 2, generator=generator) * 60
    sizes = torch.rand(40, 2, generator=generator) * torch.tensor([0, 20, 300, 900]).repeat(10)[:, None]
    boxes = torch.cat([corners, corners + sizes], dim=1)
    boxes[:3] = torch.tensor([[0.0, 0, 112, 112], [0, 0, 224, 224], [3, 3, 451, 451]])  # where the level changes
    pool = MultiScaleRoIAlign(list(levels), 7, 2)
    expected = pool(levels, [boxes], [size_hw])
    torch.testing.assert_close(PyramidPool(pool, size_hw)(tuple(levels.values()), boxes), expected)


@pytest.mark.parametrize("class_head", ["box", "context"])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_graphs_tell_their_inputs_and_outputs(backbone: str, class_head: str) -> None:
    parts = graphs(build(backbone, class_head=class_head), SIZE_HW)
    spec = BACKBONES[backbone]
    levels = tuple(f"level_{index}" for index in range(len(spec.taps)))
    context = ("context",) if class_head == "context" else ()
    assert parts["trunk"].outputs == ("objectness", "deltas", *context, *levels)
    assert set(parts) == {"trunk", "box_head", "mask_head"} | ({"class_head"} if context else set())
    anchors = make_anchors(
        MaskRcnnSettings(anchor_sizes=tuple((4.0 * s,) for s in spec.strides), anchor_strides=spec.strides), SIZE_HW
    )
    channels = 1 if context else 2
    outputs = {
        role: dict(zip(part.outputs, part.module(*part.inputs.values()), strict=True)) for role, part in parts.items()
    }
    assert outputs["trunk"]["deltas"].shape == anchors.shape
    assert outputs["trunk"]["objectness"].shape == anchors.shape[:1]
    assert outputs["box_head"]["logits"].shape == (3, 1 + channels)
    assert outputs["box_head"]["box_deltas"].shape == (3, 1 + channels, 4)
    assert outputs["mask_head"]["mask_probabilities"].shape == (3, channels, 28, 28)
    for role in ("box_head", "mask_head"):
        assert tuple(parts[role].inputs) == ("boxes", *levels)
        assert parts[role].dynamic_rows == ("boxes",)
    if context:
        torch.testing.assert_close(outputs["class_head"]["class_probabilities"].sum(dim=1), torch.ones(3))
    assert not any(part.module.training for part in parts.values())


def test_the_decoder_finds_what_torchvision_finds() -> None:
    """Where one class takes it all, suppression across classes is suppression within it: the same objects come out."""
    torch.manual_seed(5)
    limits = {"rpn_pre_nms_top_n_test": 1000, "rpn_post_nms_top_n_test": 1000, "box_detections_per_img": 20}
    anchors = AnchorGenerator(((8,), (16,), (32,), (40,), (48,)), ((1.0,),) * 5)
    theirs = torchvisions("v1", rpn_anchor_generator=anchors, rpn_nms_thresh=1.0, **limits).eval()
    with torch.no_grad():
        theirs.roi_heads.box_predictor.cls_score.bias.copy_(torch.tensor([0.0, -30.0, 1.0]))
        theirs.roi_heads.box_predictor.bbox_pred.weight.mul_(0.1)  # boxes near their anchors, none of them tiny
    decoder = MaskRcnnSettings(
        anchor_sizes=anchors.sizes,
        anchor_ratios=(1.0,),
        anchor_strides=COCO.anchor_strides,
        proposal_nms_iou=1.0,
        proposals_before_nms=1000,
        proposals=1000,
        max_detections=20,
        nested_factor=1.0,
    )
    ours = build("resnet50", norm="batch", pyramid_channels=256, settings=decoder)
    ours.load_state_dict(theirs.state_dict())
    pixels = (images(1)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    model = MaskRcnnSegmenter(
        "model",
        ("a", "b"),
        TorchRuntime(graphs(ours, SIZE_HW)),
        Preprocessing(SIZE_HW, mean=(0, 0, 0), std=(1, 1, 1)),
        decoder,
        score_threshold=0.05,
    )
    with torch.no_grad():
        (expected,) = theirs([torch.from_numpy(pixels).permute(2, 0, 1) / 255])
    (found,) = model.segment([Frame(pixels, 0, 0.0, "test")])
    np.testing.assert_allclose(found.scores, expected["scores"], atol=1e-5)
    distances = np.abs(found.boxes_xyxy[:, None] - expected["boxes"].numpy()[None]).max(axis=2)
    assert distances.min(axis=0).max() < 1e-3, "in whatever order equal scores come"
    assert set(found.class_ids) == {1}


def test_the_backbone_is_what_a_classifier_fills() -> None:
    model = build("resnet50")
    assert isinstance(backbone_of(model), nn.Module)
    children = {name.split(".")[0] for name in backbone_of(model).state_dict()}
    assert children == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
