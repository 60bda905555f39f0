"""The shipped model answers as well as it did: its figures on fixed images, beside those written down."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("faster_coco_eval")

from maskstream.data.dataset import Dataset
from maskstream.data.formats.format import ReadOptions
from maskstream.data.formats.isic import read
from maskstream.evaluation.evaluate import judge_deployed
from maskstream.inference.load import load_model

GOLDEN = tomllib.loads((Path(__file__).parent / "golden" / "accuracy.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def dataset(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The images of the rule in accuracy.toml, through the importer."""
    source, folder = shared_data / "isic2017", tmp_path_factory.mktemp("isic2017")
    with (source / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["image_id"])
    of_class = {
        malignant: [row for row in rows if row["split"] == "val" and row["malignant"] == malignant]
        for malignant in ("1", "0")
    }
    chosen = [row for several in of_class.values() for row in several[: GOLDEN["images_of_each_class"]]]
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(chosen)
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (folder / kind).mkdir()
        for row in chosen:
            (folder / kind / f"{row['image_id']}.{suffix}").symlink_to(source / kind / f"{row['image_id']}.{suffix}")
    return read(folder, ReadOptions())


@pytest.fixture(scope="module")
def figures(dataset: Dataset) -> dict[str, float | int | str]:
    return judge_deployed(load_model("lesions", threads=2), dataset, dataset.images)


def test_the_images_are_those_that_were_judged(dataset: Dataset) -> None:
    names = [record.name for record in dataset.images]
    assert len(names) == 2 * GOLDEN["images_of_each_class"]
    assert (names[0], names[-1]) == (GOLDEN["first_image"], GOLDEN["last_image"])


@pytest.mark.parametrize("figure", GOLDEN["figures"])
def test_the_shipped_model_is_as_good_as_it_was(figure: str, figures: dict[str, float | int | str]) -> None:
    golden = GOLDEN["figures"][figure]
    assert figures[figure] == pytest.approx(golden["value"], abs=golden["tolerance"])


def test_the_model_is_the_one_that_was_judged() -> None:
    assert load_model("lesions", threads=1).sha256 == GOLDEN["model_sha256"]
