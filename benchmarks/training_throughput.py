"""Images a second of maskstream's training loop beside the one that torchvision's detection reference trains with.

    python benchmarks/training_throughput.py --data DATASET [--size 192 256] [--batch 8] [--out figures.json]

Three arms take turns in one process, and every turn sees the same images in the same batches:

reference   torchvision_reference.py, float32
32-true     `maskstream.training.loop.Trainer` with what `maskstream train` gives it, float32
bf16-mixed  the same with bfloat16 where autocast allows it

The same in all: the network, module for module, and its first weights (backbone, pyramid, anchors, sampling, heads,
frozen norms); the size of its input; the images of each batch; flips at one half and nothing else; the number of
loading processes and of threads; SGD with momentum 0.9 and decay 1e-4. The rate is so small that the proposals of all
arms stay alike.

Not the same: whatever a loop is. The reference would draw batches of equal aspect, but is given maskstream's; it draws
masks by maskstream's code, not by pycocotools; it stretches images, where maskstream keeps their aspect and pads.
Maskstream also clips gradients, averages weights (EMA 0.998), computes with `channels_last`, writes steps.csv and
TensorBoard, and drops objects of less than 16 pixels. It keeps no decoded images here, so that its turns are like a
first epoch; --cache-mb 1024, which recipes have unless they say otherwise, lets later turns be like later epochs.

Timed from the end of the warm-up steps to the end of the last one, waits for data and logs within; starting, validating
and saving are not. A ratio is that of one turn to the reference's of the same round. On a machine that computes other
things too, with OMP_NUM_THREADS=1, images per second of processor time (of the training process, not of those that
load) say more than images per second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
import torchvision
from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign
from torchvision_reference import reference_loader, train_one_epoch

from maskstream.core.files import write_json
from maskstream.data.dataset import Dataset, ImageRecord
from maskstream.inference.mask_rcnn import MaskRcnnSettings
from maskstream.training.batches import COLOURS, Batch, Batches
from maskstream.training.devices import Devices, make_fabric
from maskstream.training.draws import BatchDraws
from maskstream.training.initial import load_initial
from maskstream.training.loop import Trainer
from maskstream.training.models.mask_rcnn import MaskRcnn
from maskstream.training.optimise import WeightAverage
from maskstream.training.recipe import (
    AugmentationRecipe,
    DataRecipe,
    MaskRcnnModel,
    OptimiserRecipe,
    Recipe,
    Stage,
)
from maskstream.training.run_log import RunLog
from maskstream.training.run_state import Progressed, RunState
from maskstream.training.stages import legs
from maskstream.training.stopping import StopRequest
from maskstream.training.tasks import TrainingTask, make_task

T = TypeVar("T")
REFERENCE = "reference"
LEARNING_RATE, MOMENTUM, DECAY = 1e-6, 0.9, 1e-4
RESNET_SETTINGS = MaskRcnnSettings(
    anchor_sizes=((32,), (64,), (128,), (256,), (512,)), anchor_strides=(4, 8, 16, 32, 64)
)


class Enough(Exception):
    """The loop has done the steps of its turn."""


@dataclass
class Clock:
    """Stands between a loop and its batches: notes when each was asked for and came, and ends the loop."""

    steps: int
    asked: list[tuple[float, float]] = field(default_factory=list)  # wall clock, and processor time of this process
    waits: list[float] = field(default_factory=list)

    def watch(self, batches: Iterable[T]) -> Iterator[T]:
        iterator = iter(batches)
        while True:
            self.asked.append((time.perf_counter(), time.process_time()))
            if len(self.waits) == self.steps:
                raise Enough
            batch = next(iterator)
            self.waits.append(time.perf_counter() - self.asked[-1][0])
            yield batch

    def figures(self, warmup: int, batch_size: int) -> dict[str, float]:
        seconds, processor_s = (end - begin for begin, end in zip(self.asked[warmup], self.asked[-1], strict=True))
        images = (self.steps - warmup) * batch_size
        return {
            "images_per_s": images / seconds,
            "images_per_processor_s": images / processor_s,
            "data_share": sum(self.waits[warmup:]) / seconds,
        }


Turn = Callable[[Clock], None]


def reference_arm(recipe: Recipe, model: MaskRcnn, records: list[ImageRecord], device: torch.device) -> Turn:
    """The reference, with the batches that maskstream's arms draw."""
    height, width = recipe.input_size_hw
    transform = GeneralizedRCNNTransform(
        min(height, width), max(height, width), list(COLOURS.mean), list(COLOURS.std), fixed_size=(width, height)
    )
    for name in ("box_roi_pool", "mask_roi_pool"):  # torchvision's own, whatever pools regions in maskstream
        pool = getattr(model.roi_heads, name)
        own = MultiScaleRoIAlign(pool.featmap_names, pool.output_size, pool.sampling_ratio)
        setattr(model.roi_heads, name, own)
    network = GeneralizedRCNN(model.backbone, model.rpn, model.roi_heads, transform).to(device)
    batches = [[draw.index for draw in draws] for draws in BatchDraws([()] * len(records), recipe)]
    loader = reference_loader(records, batches, recipe.data.workers)

    def turn(clock: Clock) -> None:
        optimiser = torch.optim.SGD(network.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=DECAY)
        train_one_epoch(network, optimiser, loader, device, clock.watch)

    return turn


class ClockedBatches(Batches):
    """The batches of a run, watched by a clock."""

    clock: Clock

    def of_epoch(self, *place: Any) -> Iterator[tuple[list[Batch], float]]:
        return self.clock.watch(super().of_epoch(*place))


def maskstream_arm(
    task: TrainingTask,
    model: nn.Module,
    dataset: Dataset,
    records: list[ImageRecord],
    devices: Devices,
    run: Path,
    entered: contextlib.ExitStack,
) -> Turn:
    """What `maskstream.training.loop.train` puts together, without a validator: no turn is as long as an epoch."""
    recipe = task.recipe
    fabric = make_fabric(recipe, devices)
    batches = ClockedBatches(task, dataset, records)
    model = model.to(fabric.device, memory_format=torch.channels_last)
    average = WeightAverage(model, recipe.optimiser.ema_decay)
    state = RunState(run, recipe, dataset.content_sha256())
    (leg,) = legs(recipe, batches.steps_per_epoch)
    log = entered.enter_context(RunLog(run, recipe.name, leg.end, 0, batch_size=batches.images_per_step))
    stop = StopRequest(run)
    nobody: Any = None
    trainer = Trainer(fabric, task, model, average, batches, nobody, state, log, stop)

    def turn(clock: Clock) -> None:
        state.progressed = Progressed()
        batches.clock = clock
        trainer.run(leg, {})

    return turn


def recipe_of(given: argparse.Namespace, dataset: Dataset, precision: Any) -> Recipe:
    settings = MaskRcnnSettings() if given.backbone == "mobilenet-v2" else RESNET_SETTINGS
    return Recipe(
        name=precision,
        classes=tuple(dataset.classes),
        model=MaskRcnnModel(
            architecture="mask-rcnn",
            backbone=given.backbone,
            class_head="box",
            settings=settings,
        ),
        input_size_hw=tuple(given.size),
        data=DataRecipe(batch_size=given.batch, workers=given.workers, cache_mb=given.cache_mb),
        augmentation=AugmentationRecipe(horizontal_flip=0.5),
        optimiser=OptimiserRecipe(name="sgd", momentum=MOMENTUM, weight_decay=DECAY, ema_decay=0.998),
        stages=(Stage(epochs=1, learning_rate=LEARNING_RATE, schedule="constant"),),
        precision=precision,
    )


def build(task: TrainingTask, initial_weights: Path | None) -> Any:
    """The network, with the same weights each time."""
    torch.manual_seed(0)
    model = task.build_model()
    if initial_weights:
        load_initial(model, task.pretrained_part(model), str(initial_weights), lambda _: None)
    return model


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.is_file() else set()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "cpu_flags": [flag for flag in wanted if flag in flags],
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dataset folder")
    parser.add_argument("--split", default="train", help="or all")
    parser.add_argument("--images", type=int, default=240, help="the first so many of the split")
    parser.add_argument("--size", type=int, nargs=2, default=[192, 256], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="that are timed, of each turn")
    parser.add_argument("--warmup", type=int, default=4, help="steps before them")
    parser.add_argument("--turns", type=int, default=5, help="of each arm")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cache-mb", type=float, default=0, help="for decoded images, in maskstream's arms")
    parser.add_argument("--backbone", choices=["mobilenet-v2", "resnet50"], default="mobilenet-v2")
    parser.add_argument("--initial-weights", type=Path, help="file for the backbone; default: random ones")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if any(side % 32 for side in given.size):
        parser.error("--size: the reference pads sides to multiples of 32, so give such")
    return given


def take_turns(arms: dict[str, Turn], given: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Figures of every turn by arm; who begins changes from turn to turn."""
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    for number in range(given.turns):
        names = list(arms)
        first = number % len(names)
        for name in names[first:] + names[:first]:
            clock = Clock(given.warmup + given.steps)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Enough):
                arms[name](clock)
            figures[name].append(clock.figures(given.warmup, given.batch))
            print(f"turn {number + 1}: {name:<10} {figures[name][-1]['images_per_s']:8.2f} images/s", flush=True)
    return figures


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    given = arguments()
    dataset = Dataset.load(given.data)
    # the reference learns from images with objects only
    records = [r for r in dataset.records(given.split) if any(not a.iscrowd for a in r.annotations)][: given.images]
    if len(records) < (given.warmup + given.steps + 1) * given.batch:
        raise SystemExit(f"{len(records)} images with objects are fewer than the steps of one turn take")
    devices = Devices(given.device)
    device = torch.device(given.device)
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as entered:
        recipe = recipe_of(given, dataset, "32-true")
        arms = {REFERENCE: reference_arm(recipe, build(make_task(recipe), given.initial_weights), records, device)}
        for precision in ("32-true", "bf16-mixed"):
            task = make_task(recipe_of(given, dataset, precision))
            model, run = build(task, given.initial_weights), Path(temporary) / precision
            run.mkdir()
            with contextlib.redirect_stdout(io.StringIO()):
                arms[precision] = maskstream_arm(task, model, dataset, records, devices, run, entered)
        facts = machine(device)
        print(", ".join(f"{key} {value}" for key, value in facts.items()))
        figures = take_turns(arms, given)
    print("\n| arm | images/s | of the reference's | by processor time | waits for data |\n|---|---:|---:|---:|---:|")
    for name, turns in figures.items():
        ratios = {
            rate: [own[rate] / other[rate] for own, other in zip(turns, figures[REFERENCE], strict=True)]
            for rate in ("images_per_s", "images_per_processor_s")
        }
        columns = [spread([turn["images_per_s"] for turn in turns]), *map(spread, ratios.values())]
        share = statistics.median(turn["data_share"] for turn in turns)
        print(f"| {name} | {' | '.join(columns)} | {share:.0%} |")
    print("\nmedian (least to largest) over turns")
    if given.out:
        asked = {key: str(value) if isinstance(value, Path) else value for key, value in vars(given).items()}
        write_json(given.out, {"machine": facts, "arguments": asked, "turns": figures})


if __name__ == "__main__":
    main()
