"""`maskstream models show`: models as text, from recipes, runs and model folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from typer.testing import CliRunner

from maskstream.cli.models import app
from maskstream.errors import CheckpointError, RecipeError
from maskstream.inference.load import bundled_models
from maskstream.inference.model_text import parameter_count
from maskstream.training.checkpoint import save_weights
from maskstream.training.model_text import _watched, find_recipe, layers, model_text
from maskstream.training.recipe import Recipe
from maskstream.training.recipe_file import dump_recipe

CNN = Recipe.model_validate(
    {
        "name": "tiny",
        "classes": ["bcc", "mel"],
        "model": {"architecture": "small-cnn", "channels": [2, 4], "dense": 3},
        "input_size_hw": [18, 14],
        "stages": [
            {"name": "top", "epochs": 1, "learning_rate": 0.1, "trains": "heads"},
            {"name": "whole", "epochs": 1, "learning_rate": 0.1},
        ],
    }
)
# 18 x 14 -> 16 x 12 -> 8 x 6 -> 6 x 4 -> 3 x 2: 2 * (27 + 1) = 56, 4 * (18 + 1) = 76, 3 * (24 + 1) = 75, 3 + 1 = 4
TABLE = """\
tiny: small-cnn for classification, classes bcc, mel, input 18 x 14

layer       type        output       parameters  trainable
----------------------------------------------------------
model       Classifier  1                   211        211
  features  Sequential  3                   207        207
    0       Conv2d      2 x 16 x 12          56         56
    1       ReLU        2 x 16 x 12           -          -
    2       MaxPool2d   2 x 8 x 6             -          -
    3       Conv2d      4 x 6 x 4            76         76
    4       ReLU        4 x 6 x 4             -          -
    5       MaxPool2d   4 x 3 x 2             -          -
    6       Flatten     24                    -          -
    7       Linear      3                    75         75
    8       ReLU        3                     -          -
  dropout   Dropout     3                     -          -
  head      Linear      1                     4          4

parameters: 211
trainable in stage whole: 211
size in float32: 0.00 MB
size as saved: 0.00 MB"""


def shown(*arguments):
    done = CliRunner().invoke(app, ["show", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_the_small_network_by_hand():
    assert model_text(CNN) == TABLE


def test_a_stage_that_trains_heads_leaves_the_features_out():
    text = model_text(CNN, depth=1, stage="top")
    assert [line.split() for line in text.splitlines()[4:7]] == [
        ["model", "Classifier", "1", "211", "4"],
        ["features", "Sequential", "3", "207", "0"],
        ["dropout", "Dropout", "3", "-", "-"],
    ]
    assert "trainable in stage top: 4" in text


def test_depth_0_is_the_model_alone():
    rows = model_text(CNN, depth=0).split("\n\n")[1].splitlines()
    assert [row.split()[0] for row in rows[2:]] == ["model"]


def test_layers_that_give_lists_and_are_called_twice_tell_how_many_tensors():
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.twice = nn.Linear(4, 2)
            self.never = nn.Linear(1, 1)

        def forward(self, x: torch.Tensor) -> dict[str, object]:
            return {"a": self.twice(x), "b": [self.twice(x), "no tensor"], "n": 3}

    model = Pair()
    calls = _watched(model, lambda: model(torch.zeros(5, 4)))
    assert calls == {"": [(2,), (2,)], "twice": [(2,), (2,)], "never": []}
    rows = list(layers(model, calls, {id(model.twice.bias)}))
    assert [(row.path, row.parameters, row.trainable) for row in rows] == [
        ("", 12, 10),
        ("twice", 10, 8),
        ("never", 2, 2),
    ]
    assert all(not module._forward_hooks for module in model.modules())


def test_a_layer_that_is_used_in_two_places_counts_once():
    shared = nn.Linear(2, 2)
    rows = list(layers(nn.Sequential(shared, nn.ReLU(), shared), {}, set()))
    assert [(row.path, row.parameters) for row in rows] == [("", 6), ("0", 6), ("1", 0)]


def test_mask_rcnn_has_the_parameters_of_torchvisions():
    """Its documentation gives 44 401 393 for `maskrcnn_resnet50_fpn`, whose 91 labels count the background."""
    recipe = Recipe.model_validate(
        {
            "name": "coco",
            "classes": [f"c{number}" for number in range(90)],
            "model": {
                "architecture": "mask-rcnn",
                "backbone": "resnet50",
                "settings": {"anchor_sizes": [[32], [64], [128], [256], [512]], "anchor_strides": [4, 8, 16, 32, 64]},
            },
            "input_size_hw": [128, 160],
            "stages": [{"epochs": 1, "learning_rate": 0.1}],
        }
    )
    text = model_text(recipe, depth=2)
    assert "parameters: 44,401,393" in text
    cells = {line.split()[0]: line.split() for line in text.splitlines() if line.startswith("  ")}
    assert cells["fpn"][2:7] == ["256", "x", "32", "x", "40"]
    assert cells["box_predictor"][2:5] == ["91", "(and", "1"]
    assert cells["mask_predictor"][2:7] == ["91", "x", "28", "x", "28"]


def test_a_unet_gives_what_goes_in():
    recipe = Recipe.model_validate(
        {
            "name": "lungs",
            "classes": ["lung"],
            "model": {"architecture": "unet", "encoder": "mobilenet_v2"},
            "input_size_hw": [64, 96],
            "stages": [{"epochs": 1, "learning_rate": 0.1}],
        }
    )
    assert "1 x 64 x 96" in model_text(recipe, depth=0)


@pytest.mark.parametrize(
    "changes, options, told",
    [
        ({"classes": ()}, {}, r"tiny: classes: .* found a recipe that leaves it to the dataset; say --classes N"),
        ({}, {"classes": 3}, r"--classes: expected the 2 classes of the recipe \(bcc, mel\), found 3"),
        ({}, {"stage": "middle"}, r"--stage middle: expected one of top, whole"),
    ],
)
def test_what_is_needed_is_said(changes, options, told):
    with pytest.raises(RecipeError, match=told):
        model_text(CNN.model_copy(update=changes), **options)


def test_classes_can_be_said_and_balanced_weights_need_no_dataset():
    loss = CNN.loss.model_copy(update={"class_weights": "balanced"})
    text = model_text(CNN.model_copy(update={"classes": (), "loss": loss}), classes=3)
    assert "classes class-1, class-2, class-3" in text
    assert text.splitlines()[4].split() == ["model", "Classifier", "3", "219", "219"]


@pytest.fixture
def run(tmp_path):
    """A run folder with a checkpoint that holds two numbers."""
    folder = tmp_path / "run"
    (folder).mkdir()
    (folder / "recipe.yaml").write_text(dump_recipe(CNN.model_copy(update={"name": "resolved"})))
    save_weights(folder / "last.safetensors", {"a": torch.zeros(2)}, {"recipe": CNN.model_dump(mode="json")})
    return folder


def test_a_run_a_checkpoint_and_a_recipe_file(run, tmp_path):
    size_mb = f"{(run / 'last.safetensors').stat().st_size / 1e6:.2f}"
    expected = TABLE.replace("as saved: 0.00 MB", f"as saved: {size_mb} MB ({run / 'last.safetensors'})")
    assert shown(run).rstrip() == expected
    assert shown(run / "last.safetensors").rstrip() == expected
    assert shown(run / "recipe.yaml").startswith("resolved: small-cnn")
    (run / "last.safetensors").unlink()
    assert shown(run).startswith("resolved: small-cnn")


def test_a_best_checkpoint_comes_first(run):
    (run / "best.safetensors").write_bytes((run / "last.safetensors").read_bytes())
    assert find_recipe(str(run))[1] == run / "best.safetensors"


@pytest.mark.parametrize(
    "name, error, told",
    [
        ("lungs-unet-vgg17", RecipeError, "did you mean 'lungs-unet-vgg16'"),
        ("nowhere/best.safetensors", RecipeError, "expected a recipe, found No such file"),
    ],
)
def test_a_name_that_is_nothing(name, error, told):
    with pytest.raises(error, match=told):
        find_recipe(name)


def test_weights_that_no_run_has_written(tmp_path):
    save_weights(tmp_path / "a.safetensors", {"a": torch.zeros(2)}, {})
    with pytest.raises(CheckpointError, match="expected a recipe in the metadata, found none"):
        find_recipe(str(tmp_path / "a.safetensors"))


def test_a_bundled_model_needs_no_pytorch():
    if "lesions" not in bundled_models():
        pytest.skip("needs the bundled model, which is not here")
    code = (
        "import sys; from maskstream.cli.models import app; app(['show', 'lesions'], standalone_mode=False); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "lesions 1: a deployed model for instance"
    assert done.stdout.splitlines()[-1] == "False"
    for told in ("classes: benign, malignant", "  input_size_hw: [192, 256]", "  positive: malignant", "trunk  "):
        assert told in done.stdout
    assert "2,998,749  12.05  image -> objectness, deltas, context, level_0, level_1, level_2" in done.stdout


def test_numbers_of_a_graph_are_those_of_its_initialisers(tmp_path):
    weights = [numpy_helper.from_array(np.zeros((3, 4), np.float32), "w"), numpy_helper.from_array(np.float32(2), "s")]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Mul", ["m", "s"], ["y"])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [image], [found], weights)), str(tmp_path / "g.onnx"))
    assert parameter_count(Path(tmp_path / "g.onnx")) == 13
