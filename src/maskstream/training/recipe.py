"""The recipe: everything that shapes a training run, in one file.

Sizes are pixels (height, width); probabilities and shares lie in 0..1. What a model is made of stands in `model`, and
decides the task. A run trains in one stage or several, each with its own length, learning rate and trained layers.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from maskstream.inference.mask_rcnn import MaskRcnnSettings

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Task = Literal["instance", "semantic", "classification"]
Upsampling = Literal["nearest", "bilinear", "bicubic", "unpooling", "transposed"]


class Part(BaseModel):
    """A block of a recipe: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MaskRcnnModel(Part):
    """Mask R-CNN, put together from torchvision's parts.

    Attributes
    ----------
    pyramid_channels : of the feature pyramid's maps; 256 in torchvision's models.
    norm : of every batch norm in it: "frozen" keeps statistics and scales as the initial weights have them, which
        small batches need; "batch" trains them, which a backbone without initial weights needs.
    class_head : "box": the box head tells the classes apart, as torchvision does; "context": the box head only
        separates objects from background, and a head that sees the object with its surroundings names the class.
    boxes_per_image : proposals that teach the heads in a step, a quarter of them on objects; null: 64 for mobilenet-v2,
        torchvision's 512 for the others.
    settings : anchors, proposals and suppression: what shapes the answer besides the weights. As many `anchor_sizes`
        and `anchor_strides` as the backbone has levels: 4, 8, 16, 32, 64 for ResNets, 8, 16, 32 for mobilenet-v2 and
        32, 32, 64 for mobilenet-v3.
    """

    task: ClassVar[Task] = "instance"
    architecture: Literal["mask-rcnn"]
    backbone: Literal["resnet50", "resnet101", "resnet50-v2", "mobilenet-v2", "mobilenet-v3"] = "resnet50"
    pyramid_channels: Count = 256
    norm: Literal["frozen", "batch"] = "frozen"
    class_head: Literal["box", "context"] = "box"
    boxes_per_image: Count | None = None
    settings: MaskRcnnSettings = MaskRcnnSettings()


class UnetModel(Part):
    """A U-Net of segmentation_models_pytorch; `encoder` is a name of that library, such as vgg16 or resnet34."""

    task: ClassVar[Task] = "semantic"
    architecture: Literal["unet"]
    encoder: str = "resnet34"


class PlainSegmentationModel(Part):
    """The networks that introductions to segmentation teach.

    Attributes
    ----------
    architecture : "original-unet": Ronneberger et al. 2015, unpadded; `input_size_hw` is what comes out (388 of the 572
        that go in); "encoder-decoder": pools and grows again without skips; "full-resolution": convolutions only.
    channels : of the first level (doubled a level), or of every layer at full resolution.
    upsampling : of the networks that pool; "unpooling" puts each value where its maximum was.
    """

    task: ClassVar[Task] = "semantic"
    architecture: Literal["original-unet", "encoder-decoder", "full-resolution"]
    channels: Count = 64
    upsampling: Upsampling = "transposed"


class SmallCnnModel(Part):
    """3x3 convolutions with ReLU and 2x2 max-pooling, one dense layer, one output."""

    task: ClassVar[Task] = "classification"
    architecture: Literal["small-cnn"]
    channels: Annotated[tuple[Count, ...], Field(min_length=1)] = (28, 64, 128)
    dense: Count = 64


class TransferModel(Part):
    """A classifier of torchvision with a new last layer; `backbone` is a name of torchvision, such as mobilenet_v2."""

    task: ClassVar[Task] = "classification"
    architecture: Literal["torchvision"]
    backbone: str = "mobilenet_v2"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    norm: Literal["frozen", "batch"] = "frozen"


Model = Annotated[
    MaskRcnnModel | UnetModel | PlainSegmentationModel | SmallCnnModel | TransferModel,
    Field(discriminator="architecture"),
]


class TilesRecipe(Part):
    """Windows into which images larger than them are cut, in training and in use.

    Attributes
    ----------
    size_hw : of a window in source pixels; it is scaled to the network's input.
    overlap : least share of a side that neighbours have in common.
    empty_share : of the windows without an object, how many an epoch sees.
    """

    size_hw: tuple[Count, Count]
    overlap: Annotated[float, Field(ge=0, lt=0.9)] = 0.2
    empty_share: Share = 1.0


class DataRecipe(Part):
    """Which images are learned from, and how they are drawn.

    Attributes
    ----------
    train, val : names of the dataset's splits.
    test_images : names of images that are neither learned from nor validated on, whatever their split.
    val_images : names of images that are validated on; the rest of both splits is learned from.
    batch_size : images of one step, over all devices; `accumulate` of them in turn make one step of the optimiser.
    balance : how strongly rare labels are drawn more often: 0 as they come, 1 all labels equally often.
    workers : processes that load and augment; 0 does it in the training process.
    cache_mb : memory of each of them for images that are decoded and fitted.
    limit : use the first so many images of each split only; null: all.
    """

    train: str = "train"
    val: str = "val"
    test_images: tuple[str, ...] = ()
    val_images: tuple[str, ...] = ()
    tiles: TilesRecipe | None = None
    batch_size: Count = 8
    accumulate: Count = 1
    balance: Share = 0.0
    workers: Annotated[int, Field(ge=0)] = 1
    cache_mb: NotNegative = 1024.0
    limit: Count | None = None


class AugmentationRecipe(Part):
    """How much an image changes from epoch to epoch; everything is off unless the recipe turns it on.

    Attributes
    ----------
    horizontal_flip, vertical_flip : their probabilities.
    rotation_degrees, shear_degrees : drawn from -x..x.
    shift : drawn from -x..x of the side, down and across.
    scale : range of the zoom; above 1 magnifies.
    large_scale_jitter : range of a zoom drawn on a logarithmic scale, after which a window of the input's size is cut
        or filled (Ghiasi et al. 2021); replaces `scale`.
    crop : probability of cutting out a part with `crop_share` of the area or more and enlarging it.
    brightness, contrast, saturation : factor drawn from 1 - x..1 + x. hue : turned by -x..x of the circle.
    blur, noise, jpeg, hair, dark_corners : their probabilities.
    copy_paste : probability of pasting objects of another image (Ghiasi et al. 2021).
    """

    horizontal_flip: Share = 0.0
    vertical_flip: Share = 0.0
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    shear_degrees: Annotated[float, Field(ge=0, le=45)] = 0.0
    shift: Share = 0.0
    scale: tuple[Positive, Positive] = (1.0, 1.0)
    large_scale_jitter: tuple[Positive, Positive] | None = None
    crop: Share = 0.0
    crop_share: Annotated[float, Field(gt=0, le=1)] = 0.6
    brightness: Share = 0.0
    contrast: Share = 0.0
    saturation: Share = 0.0
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    blur: Share = 0.0
    noise: Share = 0.0
    jpeg: Share = 0.0
    hair: Share = 0.0
    dark_corners: Share = 0.0
    copy_paste: Share = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("scale", "large_scale_jitter"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                raise ValueError(f"{name} must go from the smaller to the larger, not from {limits[0]} to {limits[1]}")
        return self


class SyntheticRecipe(Part):
    """Synthetic skin clips mixed in, so that several lesions in one image and plain skin are seen too.

    `share` of the images an epoch are synthetic, `plain_share` of those show skin without a lesion. Seeds start at
    `first_seed`, far from those that tests and figures use.
    """

    share: Share = 0.12
    plain_share: Share = 0.25
    first_seed: int = 1_000_000
    scenes: Count = 600


class LossRecipe(Part):
    """What is minimised.

    Attributes
    ----------
    weights : of each loss by its name. Regions and classes: sums of bce, cross_entropy, dice, focal, tversky. Mask
        R-CNN: its own components (class, box, mask, rpn_class, rpn_box, and object), each 1 unless it stands here.
    class_weights : of each class in the losses that go pixel by pixel or image by image; "balanced": inverse to how
        often it is seen in training; `background` may be named for regions.
    focal_gamma : Lin et al. 2017.
    tversky_alpha, tversky_beta : weights of false positives and of misses, Salehi et al. 2017.
    """

    weights: dict[str, NotNegative] = Field(default_factory=dict)
    class_weights: Literal["balanced"] | dict[str, Positive] | None = None
    focal_gamma: NotNegative = 2.0
    tversky_alpha: NotNegative = 0.3
    tversky_beta: NotNegative = 0.7


class OptimiserRecipe(Part):
    """How weights move.

    Attributes
    ----------
    momentum : of SGD.
    gradient_clip : largest norm of all gradients together; null for none.
    ema_decay : of the averaged weights, which are validated and saved; 0 saves the weights as they are.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: NotNegative = 0.02
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    gradient_clip: Positive | None = 5.0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Stage(Part):
    """One leg of a run, with an optimiser of its own.

    Attributes
    ----------
    epochs, steps : its length; one of the two.
    learning_rate : its peak.
    trains : "heads": everything but the part that initial weights are made for (backbone or encoder); or "all".
    schedule : after the warm-up, half a cosine down to a hundredth of the peak; or by `decay_factor` at each of
        `decay_at` (shares of the stage); or constant.
    warmup_share : of the stage, in which the rate grows from `warmup_factor` of its peak.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "all"
    epochs: Count | None = None
    steps: Count | None = None
    learning_rate: Positive
    trains: Literal["all", "heads"] = "all"
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    decay_at: tuple[Share, ...] = ()
    decay_factor: Share = 0.1
    warmup_share: Share = 0.1
    warmup_factor: Share = 0.0

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"stage {self.name!r} needs either epochs or steps")
        return self


class ValidationRecipe(Part):
    """When the model is judged, and which checkpoint is the best.

    Attributes
    ----------
    every : epochs between validations.
    losses : also compute the losses on the validation images, as `loss` and `loss_<component>`.
    best : metrics whose mean chooses `best`; empty: the latest.
    mode : whether that mean should be large or small.
    patience : validations without a better one after which the stage ends; null: none end it.
    keep_epochs : keep a checkpoint of every epoch, as `epochs/epoch-003.safetensors`, not only the best and the last.
    """

    every: Count = 1
    losses: bool = True
    best: tuple[str, ...] = ()
    mode: Literal["max", "min"] = "max"
    patience: Count | None = None
    keep_epochs: bool = False


class Recipe(Part):
    """One training run.

    Attributes
    ----------
    about : what the recipe is for, in a sentence.
    classes : what the model answers with, in the order of their ids; empty: the dataset's own.
    labels : finer labels that a context class head learns, each with its class; read from the image attribute `label`.
        Empty: the classes.
    positive : the class whose percentage is judged and calibrated, or null.
    initial_weights : a checkpoint or run folder; a safetensors or weights-only .pth file in torchvision's layout of the
        whole model or of its backbone; `torchvision:NAME`, which torchvision downloads; or null for none.
    score_threshold : score from which an object counts as found in validation.
    precision : "bf16-mixed" or "32-true".
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    about: str = ""
    seed: Annotated[int, Field(ge=0)] = 0
    classes: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    positive: str | None = None
    model: Model
    input_size_hw: tuple[Count, Count]
    initial_weights: str | None = None
    data: DataRecipe = DataRecipe()
    augmentation: AugmentationRecipe = AugmentationRecipe()
    synthetic: SyntheticRecipe | None = None
    loss: LossRecipe = LossRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    validation: ValidationRecipe = ValidationRecipe()
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    score_threshold: Share = 0.5

    @property
    def task(self) -> Task:
        """What the model answers with."""
        return self.model.task

    @property
    def label_names(self) -> tuple[str, ...]:
        """The finer labels, or the classes where there are none."""
        return tuple(self.labels) or self.classes

    @property
    def labels_of_class(self) -> tuple[tuple[int, ...], ...]:
        """For each class the ids of its labels, in the order of `label_names`."""
        owners = list(self.labels.values()) or list(self.classes)
        return tuple(tuple(i for i, owner in enumerate(owners) if owner == name) for name in self.classes)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stages need names that differ from each other, not {', '.join(names)}")
        if self.labels and set(self.labels.values()) != set(self.classes):
            unknown = ", ".join(sorted(set(self.labels.values()) ^ set(self.classes)))
            raise ValueError(f"labels must name each of the classes and no other: {unknown}")
        if self.labels and getattr(self.model, "class_head", None) != "context":
            raise ValueError("labels are learned by Mask R-CNN with class_head: context only; leave them out")
        if self.positive is not None and self.classes and self.positive not in self.classes:
            raise ValueError(f"positive must be one of {', '.join(self.classes)}, not {self.positive!r}")
        return self
