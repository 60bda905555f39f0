"""The training loop on a handful of small images: what a run leaves, and that it is the same however it was cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import assert_same_run, make_dataset, make_recipe, rows
from warm_command import WarmCommand

from maskstream.data.dataset import Dataset
from maskstream.errors import CheckpointError, MaskstreamError, OutputError, RecipeError, SourceError
from maskstream.reports.training_page import write_training_page
from maskstream.training import loop
from maskstream.training.checkpoint import load_into, load_weights, recipe_of
from maskstream.training.devices import Devices
from maskstream.training.folds import cross_validate
from maskstream.training.loop import train
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import load_recipe, shipped_recipes
from maskstream.training.resolve import resolve
from maskstream.training.run_state import RunState
from maskstream.training.tasks import make_task
from maskstream.training.validation import Validator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

CPU = Devices("cpu")
TWO_STAGES = [
    {"name": "heads", "trains": "heads", "epochs": 1, "learning_rate": 1e-2},
    {"name": "all", "steps": 4, "learning_rate": 1e-3},
]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.load(make_dataset(tmp_path_factory.mktemp("objects") / "data"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset.load(make_dataset(tmp_path_factory.mktemp("classes") / "data", "classes"))


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCommand]:
    with WarmCommand(tmp_path_factory.mktemp("commands")) as command:
        yield command


@pytest.fixture(autouse=True)
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing curves takes longer than training so little."""
    monkeypatch.setattr(loop, "write_training_page", lambda run: run)


def begin(recipe: Recipe, dataset: Dataset, run: Path, **more: Any) -> Path:
    """Train, as the command does."""
    train(resolve(recipe, dataset), dataset, run, devices=CPU, **more)
    return run


def break_off(patch: pytest.MonkeyPatch, owner: Any, name: str, call: int) -> None:
    """Let a function raise at its n-th call, as a power cut would: before it has done anything."""
    whole, calls = getattr(owner, name), iter(range(1, 1000))

    def broken(*arguments: Any, **more: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return whole(*arguments, **more)

    patch.setattr(owner, name, broken)


# what a run leaves


@pytest.mark.parametrize("task", ["instance", "semantic", "classification"])
def test_a_run_leaves_checkpoints_tables_a_page_and_its_origin(
    task: str, objects: Dataset, classes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "write_training_page", write_training_page)
    dataset = classes if task == "classification" else objects
    recipe = resolve(make_recipe(task, optimiser__ema_decay=0.5), dataset)
    best = train(recipe, dataset, tmp_path / "run", devices=CPU)
    run = best.parent
    weights, facts = load_weights(best)
    load_into(make_task(recipe).build_model(), weights, best)
    assert recipe_of(facts, best) == recipe == load_recipe(run / "recipe.yaml")
    assert recipe.classes == ("cat", "dog")
    known = json.loads((run / "run.json").read_text())
    assert known["data_sha256"] == facts["data_sha256"] == dataset.content_sha256()
    assert known["seed"] == 3
    assert known["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert set(known["git"]) == {"commit", "changed"}
    assert [row["step"] for row in rows(run / "steps.csv")] == ["1", "2", "3", "4", "5", "6"]
    assert [row["epoch"] for row in rows(run / "validation.csv")] == ["1", "2"]
    for row in [*rows(run / "steps.csv"), *rows(run / "validation.csv")]:
        assert float(row["loss"]) == pytest.approx(sum(float(row[name]) for name in row if name.startswith("loss_")))
    assert {path.name for path in run.iterdir()} == {
        "best.safetensors", "last.safetensors", "resume.safetensors", "stages", "recipe.yaml", "run.json", "train.log",
        "steps.csv", "validation.csv", "samples", "tensorboard", "report.html", "curves.png",
    }  # fmt: skip


def test_training_learns(objects: Dataset, tmp_path: Path) -> None:
    """A red and a blue square on grey: the first loss falls to less than half."""
    stages = [{"epochs": 8, "learning_rate": 2e-2}]
    recipe = make_recipe("semantic", stages=stages, model__channels=8, loss={"weights": {"cross_entropy": 1}})
    losses = [float(row["loss"]) for row in rows(begin(recipe, objects, tmp_path / "run") / "steps.csv")]
    assert np.mean(losses[-3:]) < 0.5 * losses[0]


def test_validation_can_do_without_losses(objects: Dataset, tmp_path: Path) -> None:
    run = begin(make_recipe(validation__losses=False), objects, tmp_path / "run")
    assert not [name for name in rows(run / "validation.csv")[0] if name.startswith("loss")]


def test_validation_every_other_epoch_and_at_the_end(objects: Dataset, tmp_path: Path) -> None:
    recipe = make_recipe(validation__every=2, stages=[{"epochs": 3, "learning_rate": 1e-3}])
    run = begin(recipe, objects, tmp_path / "run")
    assert [row["epoch"] for row in rows(run / "validation.csv")] == ["2", "3"]


# the same however it was cut

SEMANTIC = make_recipe(
    "semantic",
    optimiser__ema_decay=0.7,
    data={"batch_size": 1, "accumulate": 2, "workers": 0},
    augmentation={"horizontal_flip": 0.5, "rotation_degrees": 30, "copy_paste": 0.5, "noise": 0.5},
    stages=TWO_STAGES,
)
MOMENTS = {
    "before the first step": (loop, "refuse_nan", 1),
    "in the second epoch": (loop, "refuse_nan", 14),
    "in the first validation": (Validator, "judge", 2),
    "before the best is written": (RunState, "save_answer", 2),
    "before the epoch's state is written": (RunState, "save", 4),
    "before the page is written": (loop, "write_training_page", 1),
    "before the stage's end is written": (RunState, "end_stage", 1),
    "in the second stage": (loop, "refuse_nan", 11),
    "before the last stage's end is written": (RunState, "end_stage", 2),
}


@pytest.fixture(scope="module")
def unbroken(objects: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begin(SEMANTIC, objects, tmp_path_factory.mktemp("unbroken") / "run")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_goes_on_as_if_it_had_never_been_broken_off(
    moment: str, unbroken: Path, objects: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages, two batches a step, an average, augmentation with copy-paste."""
    run = tmp_path / "run"
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off(patch, *MOMENTS[moment])
        begin(SEMANTIC, objects, run)
    begin(SEMANTIC, objects, run, resume=True)
    assert_same_run(run, unbroken)
    begin(SEMANTIC, objects, run, resume=True)
    assert_same_run(run, unbroken)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_with_dropout_goes_on_with_the_same_numbers(
    workers: int, classes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pretrained classifier's dropout in two stages; loaded in this process or another one."""
    model = {"architecture": "torchvision", "backbone": "shufflenet_v2_x0_5", "dropout": 0.5, "norm": "batch"}
    augmentation = {"rotation_degrees": 90, "hair": 0.5, "brightness": 0.3}
    recipe = make_recipe("classification", model=model, stages=TWO_STAGES, augmentation=augmentation)
    whole = begin(recipe, classes, tmp_path / "whole")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"workers": workers})})
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off(patch, loop, "refuse_nan", 9)
        begin(recipe, classes, tmp_path / "run")
    assert_same_run(begin(recipe, classes, tmp_path / "run", resume=True), whole)


def test_mask_rcnn_with_synthetic_scenes_goes_on_with_the_same_numbers(
    objects: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe(
        "instance",
        synthetic={"share": 0.5, "scenes": 2},
        optimiser__ema_decay=0.9,
        stages=[{"steps": 5, "learning_rate": 1e-3}],
    )
    whole = begin(recipe, objects, tmp_path / "whole")
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off(patch, loop, "refuse_nan", 9)  # twice a step: its loss, its gradient
        begin(recipe, objects, tmp_path / "run")
    assert load_weights(tmp_path / "run" / "resume.safetensors")[1]["progressed"]["step"] == 4
    assert_same_run(begin(recipe, objects, tmp_path / "run", resume=True), whole)


def test_a_run_goes_on_with_half_the_batch_twice(
    classes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the advice on memory says."""
    recipe = make_recipe("classification")  # a network without batch norm
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off(patch, Validator, "judge", 3)
        begin(recipe, classes, tmp_path / "run")
    halved = make_recipe("classification", data={"batch_size": 1, "accumulate": 2, "workers": 0, "cache_mb": 1})
    run = begin(halved, classes, tmp_path / "run", resume=True)
    expected = rows(begin(recipe, classes, tmp_path / "whole") / "steps.csv")
    assert [float(row["loss"]) for row in rows(run / "steps.csv")] == pytest.approx(
        [float(row["loss"]) for row in expected], rel=1e-4
    )


def test_accumulated_batches_equal_a_larger_one(classes: Dataset, tmp_path: Path) -> None:
    """The network has no batch norm; the losses are means over images."""
    runs = []
    for size, times in ((6, 1), (3, 2), (1, 6)):
        recipe = make_recipe("classification", data={"batch_size": size, "accumulate": times, "workers": 0})
        runs.append(begin(recipe, classes, tmp_path / f"{size}"))
    weights = [load_file(run / "last.safetensors") for run in runs]
    for other in weights[1:]:
        for name, value in weights[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)


# stages, and which checkpoint is the best


def test_a_stage_alone_and_then_another_in_its_place(objects: Dataset, tmp_path: Path) -> None:
    """Stage by stage gives what one call gives; a stage that is replaced begins where the one before it has ended."""
    whole = begin(make_recipe(stages=TWO_STAGES), objects, tmp_path / "whole")
    run = begin(make_recipe(stages=TWO_STAGES), objects, tmp_path / "run", stage="heads")
    assert len(rows(run / "steps.csv")) == 3
    heads = (run / "stages" / "heads.safetensors").read_bytes()
    begin(make_recipe(stages=TWO_STAGES), objects, run, stage="all")
    for name in ("last.safetensors", "best.safetensors"):
        assert load_file(run / name).keys() == load_file(whole / name).keys()
    assert_same_run(run, whole)

    faster = [TWO_STAGES[0], TWO_STAGES[1] | {"learning_rate": 3e-3}]
    begin(make_recipe(stages=faster), objects, run, stage="all")
    assert_same_run(run, begin(make_recipe(stages=faster), objects, tmp_path / "faster"))
    assert (run / "stages" / "heads.safetensors").read_bytes() == heads
    assert rows(run / "steps.csv")[:3] == rows(whole / "steps.csv")[:3]
    assert load_recipe(run / "recipe.yaml").stages[1].learning_rate == 3e-3


def test_a_stage_cannot_begin_after_another_recipe_s_stages(objects: Dataset, tmp_path: Path) -> None:
    run = begin(make_recipe(stages=TWO_STAGES), objects, tmp_path / "run", stage="heads")
    longer = make_recipe(stages=[TWO_STAGES[0] | {"epochs": 2}, TWO_STAGES[1]])
    with pytest.raises(CheckpointError, match=r"another one \(stages\)"):
        begin(longer, objects, run, stage="all")
    with pytest.raises(CheckpointError, match="stage heads at its end"):
        begin(make_recipe(stages=TWO_STAGES), objects, tmp_path / "none", stage="all")
    with pytest.raises(RecipeError, match="one of heads, all"):
        begin(make_recipe(stages=TWO_STAGES), objects, tmp_path / "none", stage="tail")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("mode", "expected"), [("max", 3), ("min", 2)])
def test_the_best_checkpoint_is_chosen_by_a_metric(
    mode: str, expected: int, objects: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores 0.5, 0.5 (the check before the first step comes before), 0.2, 0.7, none, 0.6."""
    scores = iter([0.5, 0.5, 0.2, 0.7, None, 0.6])
    monkeypatch.setattr(Validator, "judge", lambda *_: {"score": s} if (s := next(scores)) is not None else {"x": 0.1})
    recipe = make_recipe(validation={"best": ["score"], "mode": mode}, stages=[{"epochs": 5, "learning_rate": 1e-3}])
    run = begin(recipe, objects, tmp_path / "run")
    assert load_weights(run / "best.safetensors")[1]["epoch"] == expected
    assert load_weights(run / "last.safetensors")[1]["epoch"] == 5
    with pytest.raises(StopIteration):
        next(scores)


def test_a_stage_ends_early_and_the_next_begins_in_its_place(
    objects: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No better after epoch 1: two more are waited for, then stage two begins at the step that it would have had."""
    monkeypatch.setattr(Validator, "judge", lambda *_: {"score": 0.5})
    stages = [{"name": "one", "epochs": 6, "learning_rate": 1e-3}, {"name": "two", "epochs": 1, "learning_rate": 1e-3}]
    recipe = make_recipe(validation={"best": ["score"], "patience": 2}, stages=stages)
    run = begin(recipe, objects, tmp_path / "run")
    assert [int(row["step"]) for row in rows(run / "steps.csv")] == [*range(1, 10), 19, 20, 21]
    assert [row["epoch"] for row in rows(run / "validation.csv")] == ["1", "2", "3", "7"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        break_off(patch, RunState, "end_stage", 1)
        begin(recipe, objects, tmp_path / "broken")
    assert_same_run(begin(recipe, objects, tmp_path / "broken", resume=True), run)


def test_folds_are_trained_and_summed_up(classes: Dataset, tmp_path: Path) -> None:
    names = [record.name for record in classes.images]
    folded = Dataset.load(
        make_dataset(tmp_path / "folds", "classes", splits={f"fold-{number}": 3 for number in range(1, 4)})
    )
    assert [record.name for record in folded.images] == names
    recipe = make_recipe("classification")

    def run_fold(recipe: Recipe, dataset: Dataset, run: Path, resume: bool) -> Path:
        return begin(recipe, dataset, run, resume=resume)

    result = cross_validate(recipe, folded, tmp_path / "runs", run_fold)
    accuracy = result["metrics"]["accuracy"]
    assert len(accuracy["folds"]) == 3
    assert accuracy["mean"] == pytest.approx(np.mean(accuracy["folds"]))
    assert accuracy["sd"] == pytest.approx(np.std(accuracy["folds"], ddof=1))
    assert json.loads((tmp_path / "runs" / "folds.json").read_text())["metrics"] == result["metrics"]


# images that are odd


def test_batches_without_any_object_train(objects: Dataset, tmp_path: Path) -> None:
    """One image a step: the fifth shows nothing."""
    recipe = make_recipe(
        "instance", data={"batch_size": 1, "workers": 0}, stages=[{"epochs": 1, "learning_rate": 1e-3}]
    )
    steps = rows(begin(recipe, objects, tmp_path / "run") / "steps.csv")
    assert len(steps) == 6
    assert sum(float(row["loss_mask"]) == 0 for row in steps) == 1
    assert all(np.isfinite(float(row["loss"])) for row in steps)


@pytest.mark.parametrize("task", ["instance", "semantic"])
def test_one_image_to_learn_from_and_one_to_validate_on(task: str, tmp_path: Path) -> None:
    dataset = Dataset.load(make_dataset(tmp_path / "two", classes=("cat",), splits={"train": 1, "val": 1}))
    recipe = make_recipe(task, data={"batch_size": 4, "workers": 0}, stages=[{"epochs": 2, "learning_rate": 1e-3}])
    assert len(rows(begin(recipe, dataset, tmp_path / "run") / "steps.csv")) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_is_broken_in_the_night_is_named(workers: int, tmp_path: Path) -> None:
    dataset = Dataset.load(make_dataset(tmp_path / "data"))
    broken = dataset.records("train")[3].path
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(SourceError, match=broken.name):
        begin(make_recipe(data={"batch_size": 2, "workers": workers}), dataset, tmp_path / "run")


# what stops a run


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_batch(objects: Dataset, tmp_path: Path) -> None:
    stages = [{"epochs": 2, "learning_rate": 1e30, "warmup_share": 0, "schedule": "constant"}]
    recipe = make_recipe(stages=stages, optimiser__name="sgd")
    with pytest.raises(MaskstreamError, match=r"training step 2: expected losses and gradients that are fin") as caught:
        begin(recipe, objects, tmp_path / "run")
    kept, facts = load_weights(tmp_path / "run" / "failed-step-2.safetensors")
    assert kept["pixels"].shape == (2, 64, 64, 3)
    assert kept["pixels"].dtype == torch.uint8
    assert len(facts["images"]) == 2
    for name in facts["images"]:
        assert name in str(caught.value)
    assert len(rows(tmp_path / "run" / "steps.csv")) == 1


def test_a_gradient_that_is_no_number_stops_the_run_before_the_weights_are_spoilt(
    objects: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root has no slope at zero: its value is a number, its gradient is not."""
    task = type(make_task(resolve(make_recipe(), objects)))
    monkeypatch.setattr(
        task, "total", lambda _, losses: sum(losses.values()) + (0.0 * next(iter(losses.values()))).sqrt()
    )
    with pytest.raises(MaskstreamError, match="gradient"):
        begin(make_recipe(optimiser__gradient_clip=None), objects, tmp_path / "run")
    weights = load_file(tmp_path / "run" / "resume.safetensors")
    assert all(value.isfinite().all() for value in weights.values())


def test_a_folder_with_a_run_is_not_overwritten(unbroken: Path, objects: Dataset) -> None:
    with pytest.raises(OutputError, match="--resume"):
        begin(SEMANTIC, objects, unbroken)


def test_another_recipe_or_dataset_does_not_go_on(unbroken: Path, objects: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the recipe that the run began with, found another one \(seed\)"):
        begin(SEMANTIC.model_copy(update={"seed": 4}), objects, unbroken, resume=True)
    other = Dataset.load(make_dataset(tmp_path / "other", splits={"train": 5, "val": 4}))
    with pytest.raises(CheckpointError, match="the dataset that the run began with"):
        begin(SEMANTIC, other, unbroken, resume=True)


# the recipes that ship

KINDS: dict[str, dict[str, Any]] = {
    "coco-finetune": {"classes": ("screw", "nut")},
    "isic-cnn-scratch": {"kind": "classes", "classes": ("bcc", "mel")},
    "isic-transfer": {"kind": "classes", "classes": ("bcc", "mel")},
    "lesions": {"classes": ("benign", "malignant"), "label": "melanoma"},
    "lungs-unet-mobilenet": {"classes": ("lung",)},
    "lungs-unet-vgg16": {"classes": ("lung",)},
    "oil-tanks-staged": {"classes": ("oil-storage-tank",), "size_hw": (200, 200)},
    "skin-mask-rcnn-r101": {"classes": ("benign", "malignant")},
}


def test_every_shipped_recipe_is_smoked() -> None:
    assert set(KINDS) == set(shipped_recipes())


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_runs(name: str, tmp_path: Path, warm: WarmCommand) -> None:
    data = make_dataset(tmp_path / "data", **KINDS[name])
    images = ["--set", "data.test_images=[]", "--set", "data.val_images=[]"]
    arguments = ["--smoke", "--initial-weights", "", "--device", "cpu", *(images if "tanks" in name else [])]
    done = warm.run("train", name, "--data", data, "--out", tmp_path / "run", *arguments)
    assert done.code == 0, done.stderr
    assert (tmp_path / "run" / "best.safetensors").is_file()
    stages = load_recipe(tmp_path / "run" / "recipe.yaml").stages
    assert len(rows(tmp_path / "run" / "steps.csv")) == 2 * len(stages)
    shutil.rmtree(tmp_path / "run")  # up to 2 GB of weights
