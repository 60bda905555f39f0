"""The training loop on a handful of synthetic images: it learns, resumes to the same numbers, and stops on nonsense."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.models import mobilenet_v2

from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.errors import CheckpointError, MaskstreamError, OutputError, RecipeError
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.media.sample import SampleClip
from maskstream.training import loop
from maskstream.training.checkpoint import load_initial, load_into, load_weights, recipe_of
from maskstream.training.loop import build_model, learning_rate, total_loss, train
from maskstream.training.models import PyramidPool, Target, dice_loss
from maskstream.training.recipe import AugmentationRecipe, Recipe, SyntheticRecipe, load_recipe
from maskstream.training.tensors import BatchDraws, Draw, TrainingImages, collate, synthetic_scene

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

RECIPES = Path(__file__).parents[1] / "recipes"
SIZE_HW = (96, 128)
RECIPE = Recipe(
    name="tiny",
    seed=3,
    input_size_hw=SIZE_HW,
    classes=("benign", "malignant"),
    labels={"nevus": "benign", "melanoma": "malignant", "seborrheic_keratosis": "benign"},
    positive="malignant",
    epochs=2,
    batch_size=2,
    precision="32-true",
    workers=0,
    select_by=("mean_jaccard",),
    settings=MaskRcnnSettings(anchor_sizes=((12, 20), (32, 48), (72, 104))),
    synthetic=SyntheticRecipe(share=0.3, scenes=3),
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six images for training (one without an object) and four for validation."""
    folder = tmp_path_factory.mktemp("made")
    records = [_record(folder, number) for number in range(10)]
    made = Dataset(
        folder=folder,
        classes=RECIPE.classes,
        images=tuple(records),
        splits={"train": tuple(r.name for r in records[:6]), "val": tuple(r.name for r in records[6:])},
        left_out=(),
        splits_made_by="in the order of their seeds",
        provenance=Provenance(name="made", source="made", licence="CC0-1.0", licence_url="", importer="test"),
    )
    return made.save(tmp_path_factory.mktemp("dataset") / "data")


def _record(folder: Path, number: int) -> ImageRecord:
    image, truth = SampleClip(seed=number, size_hw=SIZE_HW, moles=0 if number == 0 else 1).render(0)
    path = folder / f"image-{number}.png"
    Image.fromarray(image).save(path)
    annotations = [
        Annotation.from_mask(int(class_id), mask, SIZE_HW)
        for class_id, mask in zip(truth.class_ids, truth.masks, strict=True)
    ]
    label = "melanoma" if any(a.class_id for a in annotations) else "nevus"
    return ImageRecord(number + 1, path.name, path, SIZE_HW, tuple(annotations), attributes={"label": label})


@pytest.fixture(scope="module")
def finished(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unbroken run."""
    run = tmp_path_factory.mktemp("runs") / "unbroken"
    train(RECIPE, dataset, run)
    return run


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_checkpoints_logs_and_its_origin(finished: Path, dataset: Dataset) -> None:
    weights, facts = load_weights(finished / "best.safetensors")
    load_into(build_model(RECIPE), weights, "best")
    assert recipe_of(facts, finished) == RECIPE
    assert facts["data_sha256"] == dataset.content_sha256()
    assert [row["epoch"] for row in _rows(finished / "validation.csv")] == ["1", "2"]
    assert list((finished / "tensorboard").glob("events*"))
    assert json.loads((finished / "run.json").read_text())["data_sha256"] == dataset.content_sha256()
    assert not list(finished.glob("*.pt*")), "no pickle is written"


def test_resume_goes_on_to_the_same_numbers(
    finished: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run broken off in its second epoch and resumed has bit-equal weights and the same validation."""

    def power_cut(total: Any, losses: Any, step: int) -> None:
        if step == 4:
            raise KeyboardInterrupt

    run = tmp_path / "broken"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "_refuse_nan", power_cut)
        train(RECIPE, dataset, run)
    assert load_weights(run / "resume.safetensors")[1]["progressed"]["step"] == 3
    train(RECIPE, dataset, run, resume=True)
    expected, resumed = (load_file(folder / "last.safetensors") for folder in (finished, run))
    assert all(torch.equal(expected[name], resumed[name]) for name in expected)
    assert _rows(run / "validation.csv") == _rows(finished / "validation.csv")


def test_a_folder_with_a_run_is_not_overwritten(finished: Path, dataset: Dataset) -> None:
    with pytest.raises(OutputError, match="--resume"):
        train(RECIPE, dataset, finished)


def test_resume_with_another_recipe_is_refused(finished: Path, dataset: Dataset) -> None:
    with pytest.raises(CheckpointError, match="the recipe that the run began with"):
        train(RECIPE.model_copy(update={"learning_rate": 1.0}), dataset, finished, resume=True)


def test_resume_of_nothing_is_an_error(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"resume\.safetensors"):
        train(RECIPE, dataset, tmp_path / "nothing", resume=True)


def test_an_infinite_loss_stops_the_run(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(MaskstreamError, match="finite losses"):
        train(RECIPE.model_copy(update={"learning_rate": 1e30, "warmup_share": 0.0}), dataset, tmp_path / "wild")


def test_a_batch_without_objects_trains() -> None:
    model = build_model(RECIPE)
    nothing = Target(
        torch.zeros(0, 4), torch.zeros(0, *SIZE_HW, dtype=torch.uint8), torch.zeros(0).long(), torch.zeros(0).long()
    )
    losses = model(torch.zeros(2, 3, *SIZE_HW), [nothing, nothing])
    total = total_loss(losses, RECIPE)
    total.backward()
    assert set(losses) == {"loss_object", "loss_class", "loss_box", "loss_mask", "loss_rpn_class", "loss_rpn_box"}
    assert losses["loss_class"] == 0
    assert losses["loss_mask"] == 0
    assert torch.isfinite(total)


def test_labels_are_merged_to_classes() -> None:
    """Nevus 0.5 and keratosis 0.3 make benign 0.8."""
    log_labels = torch.tensor([[0.5, 0.2, 0.3]]).log()
    merged = build_model(RECIPE).merge_labels(log_labels).exp()
    torch.testing.assert_close(merged, torch.tensor([[0.8, 0.2]]))


def test_pooling_for_export_equals_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    model = build_model(RECIPE)
    levels = {
        str(level): torch.randn(1, 128, SIZE_HW[0] // stride, SIZE_HW[1] // stride, generator=generator)
        for level, stride in enumerate((8, 16, 32))
    }
    corners = torch.rand(40, 2, generator=generator) * 60
    boxes = torch.cat([corners, corners + 2 + torch.rand(40, 2, generator=generator) * 300], dim=1)
    expected = model.roi.box_roi_pool(levels, [boxes], [SIZE_HW])
    pooled = PyramidPool(model.roi.box_roi_pool, SIZE_HW)(tuple(levels.values()), boxes)
    torch.testing.assert_close(pooled, expected)


def test_augmentation_moves_masks_and_boxes_with_the_image(dataset: Dataset) -> None:
    """A white square on black: whatever the draw, image and mask agree, and the box is tight."""
    changed = AugmentationRecipe(brightness=0, contrast=0, saturation=0, hue=0, blur=0)
    images = TrainingImages(dataset.records("train"), RECIPE.model_copy(update={"augmentation": changed}))
    square = torch.zeros(3, *SIZE_HW, dtype=torch.uint8)
    square[:, 40:60, 50:80] = 255
    images._fitted[0] = (square, square[:1] // 255, torch.tensor([1]), torch.tensor([1]))
    for seed in range(20):
        image, target = images[Draw(0, seed)]
        if not len(target.masks):
            continue
        mean, std = images.preprocessing.mean[0], images.preprocessing.std[0]
        bright = image[0] * std + mean > 0.75
        mask = target.masks[0].bool()
        assert (bright & mask).sum() / (bright | mask).sum() > 0.9
        x1, y1, x2, y2 = target.boxes[0].int().tolist()
        assert mask[y1:y2, x1:x2].sum() == mask.sum()
        assert mask[y1].any()
        assert mask[:, x2 - 1].any()


def test_draws_are_the_same_in_every_run_and_differ_between_epochs(dataset: Dataset) -> None:
    first, again = (BatchDraws(dataset.records("train"), RECIPE) for _ in range(2))
    assert list(first) == list(again)
    again.epoch = 1
    assert list(first) != list(again)
    again.epoch, again.first_batch = 0, 1
    assert list(first)[1:] == list(again)


def test_rare_labels_are_drawn_as_often_when_balanced(dataset: Dataset) -> None:
    records = [r for r in dataset.records("train") for _ in range(40)]
    draws = BatchDraws(records, RECIPE.model_copy(update={"balance": 1.0, "synthetic": None}))
    labels = [records[draw.index].attributes["label"] for batch in draws for draw in batch]
    before = [record.attributes["label"] for record in records]
    assert before.count("melanoma") != before.count("nevus")
    assert labels.count("melanoma") == pytest.approx(labels.count("nevus"), rel=0.15)


def test_synthetic_scenes_are_repeatable_and_some_are_plain() -> None:
    recipe = SyntheticRecipe(plain_share=0.5)
    scenes = [synthetic_scene(recipe, number) for number in range(12)]
    assert 0 < sum(not len(truth) for _, truth in scenes) < 12
    np.testing.assert_array_equal(scenes[3][0], synthetic_scene(recipe, 3)[0])


def test_collate_stacks_images_and_keeps_truths_apart(dataset: Dataset) -> None:
    images = TrainingImages(dataset.records("train"), RECIPE)
    batch, targets = collate([images[Draw(0, 1)], images[Draw(1, 1)]])
    assert batch.shape == (2, 3, *SIZE_HW)
    assert len(targets[0].boxes) == 0


def test_learning_rate_warms_up_and_falls() -> None:
    rates = [learning_rate(step, 100, RECIPE) for step in range(100)]
    assert rates[0] == pytest.approx(RECIPE.learning_rate / 10)
    assert max(rates) == pytest.approx(RECIPE.learning_rate)
    assert rates[-1] < 0.02 * RECIPE.learning_rate


def test_initial_weights_in_torchvisions_layout_are_loaded(tmp_path: Path) -> None:
    """A file with everything that torchvision's own has, classifier and counters included."""
    weights = mobilenet_v2(weights=None).state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    model = build_model(RECIPE)
    load_initial(model, str(tmp_path / "weights.safetensors"))
    loaded = model.backbone.state_dict()
    assert torch.equal(loaded["18.0.weight"], weights["features.18.0.weight"])
    assert torch.equal(loaded["0.1.running_var"], weights["features.0.1.running_var"])


def test_a_checkpoint_is_a_start_as_well(finished: Path) -> None:
    model = build_model(RECIPE)
    load_initial(model, str(finished / "best.safetensors"))
    expected = load_file(finished / "best.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_dice_loss_of_hand_made_masks() -> None:
    """Half of four pixels found: Dice (2 * 2 + 1) / (2 + 4 + 1); a perfect mask 0; two empty masks 0."""
    truth, half, nothing = torch.ones(1, 2, 2), torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), torch.zeros(1, 2, 2)
    assert dice_loss(half, truth).item() == pytest.approx(1 - 5 / 7)
    assert dice_loss(truth, truth).item() == 0
    assert dice_loss(nothing, nothing).item() == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda weights: weights.pop("features.0.0.weight"), "0.0.weight is missing"),
        (lambda weights: weights.update({"features.0.0.weight": torch.zeros(1)}), r"has shape \(1,\) instead of \(32"),
    ],
)
def test_initial_weights_that_do_not_fit_are_named(tmp_path: Path, spoil: Any, message: str) -> None:
    weights = mobilenet_v2(weights=None).state_dict()
    spoil(weights)
    save_file(weights, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_initial(build_model(RECIPE), str(tmp_path / "weights.safetensors"))


def test_a_cut_checkpoint_is_an_error(tmp_path: Path, finished: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((finished / "best.safetensors").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="a whole safetensors file"):
        load_weights(cut)


def test_offline_refuses_to_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASKSTREAM_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="MASKSTREAM_OFFLINE=1"):
        load_initial(build_model(RECIPE), "torchvision:MobileNet_V2_Weights.IMAGENET1K_V1")


def test_the_shipped_recipe_is_valid() -> None:
    recipe = load_recipe(RECIPES / "lesions.yaml")
    assert recipe.labels_of_class == ((0, 2), (1,))
    assert sum(p.numel() for p in build_model(recipe).parameters()) < 6_000_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "did you mean 'epochs'"),
        ("augmentation: {rotate: 3}", "augmentation.rotate"),
        ("epochs: 0", "greater than 0"),
        ("epochs: [", "a YAML file"),
        ("- 1", "found list"),
        ("positive: bad", "labels, positive"),
        ("labels: {nevus: benign}", "malignant"),
    ],
)
def test_a_wrong_recipe_is_explained(tmp_path: Path, text: str, message: str) -> None:
    base = {
        "name": "x",
        "classes": ["benign", "malignant"],
        "labels": {"nevus": "benign", "melanoma": "malignant"},
        "positive": "malignant",
    }
    key = text.split(":")[0]
    lines = [f"{name}: {json.dumps(value)}" for name, value in base.items() if name != key] if key != "- 1" else []
    path = tmp_path / "recipe.yaml"
    path.write_text("\n".join([*lines, text]))
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_a_missing_recipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")
