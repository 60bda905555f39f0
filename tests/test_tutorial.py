"""The commands of docs/datasets.md, run as they stand, and the numbers that the page gives."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from maskstream.cli.main import app
from maskstream.data.dataset import Dataset

PAGE = Path(__file__).parents[1] / "docs" / "datasets.md"
ERRORS_FOUND, WARNINGS_FOUND = 4, 3


def sections() -> dict[str, list[str]]:
    """The commands of each section, by its heading."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        heading, *lines = part.splitlines()
        commands = [line.strip() for line in lines if line.startswith("    maskstream ")]
        if commands:
            found[heading] = commands
    return found


def run(heading: str, data: Path, expected: dict[str, int] | None = None) -> dict[str, str]:
    """Run the commands of a section in the current folder; standard output by command.

    `expected` holds exit codes other than 0, by the command's words.
    """
    outputs = {}
    for command in sections()[heading]:
        words = command.replace('"', "").replace("DATA/", f"{data}/").split()[1:]
        result = CliRunner().invoke(app, words)
        name = command.removeprefix("maskstream ")
        assert result.exit_code == (expected or {}).get(name, 0), (command, result.output, result.exception)
        outputs[name] = result.stdout
    return outputs


def counts(folder: str) -> tuple[int, int]:
    """Images and objects of a dataset."""
    images = Dataset.load(folder).images
    return len(images), sum(len(image.annotations) for image in images)


def sizes(folder: str) -> dict[str, int]:
    """Images of each split; that the proof shows nothing torn is asserted."""
    dataset = Dataset.load(folder)
    proof: Any = dataset.split_proof
    assert (proof["groups_torn"], proof["torn"]) == (0, [])
    assert (proof["duplicates"]["identical_pairs"], proof["duplicates"]["near_pairs"]) == (0, 0)
    return {split: len(members) for split, members in dataset.splits.items()}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_section_with_commands_is_run_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [heading for heading in sections() if f'run("{heading}"' not in source] == []


def test_film_to_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labelme = tmp_path / "bin" / "labelme"  # a person who opens it and closes it again
    labelme.parent.mkdir()
    labelme.write_text("#!/bin/sh\nexit 0\n")
    labelme.chmod(0o755)
    monkeypatch.setenv("PATH", f"{labelme.parent}:{os.environ['PATH']}")
    run("Film to labels", tmp_path)
    with (tmp_path / "picked" / "frames.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["kept"] for row in rows) == {"yes": 8, "no": 142}
    dataset = Dataset.load("lesions")
    assert counts("lesions") == (8, 8)
    assert len({image.group for image in dataset.images}) == 1
    assert {a.attributes["provenance"] for image in dataset.images for a in image.annotations} == {"model"}


def test_lungs(shared_data: Path) -> None:
    outputs = run("Lungs: mask pictures", shared_data)
    assert "recognised mask_folder" in outputs["data import DATA/lungs_montgomery --classes lung --out lungs"]
    assert "0 errors, 0 warnings" in outputs["data check lungs"]
    assert (counts("lungs"), Dataset.load("lungs").classes) == ((138, 138), ("lung",))
    assert sizes("lungs") == {"train": 124, "test": 14}
    assert len(list(Path("lungs-masks/masks").rglob("*.png"))) == 138
    assert Path("lungs-stats/report.html").is_file()


def test_oil_tanks(shared_data: Path) -> None:
    run("Oil tanks: boxes", shared_data, {"data check tanks": ERRORS_FOUND})
    assert (counts("tanks"), counts("tanks-mended")) == ((20, 2978), (20, 2976))
    assert sizes("tanks-mended") == {"train": 16, "test": 4}
    lines = [line for path in Path("tanks-yolo/labels").rglob("*.txt") for line in path.read_text().splitlines()]
    assert len(lines) == 2976
    assert {len(line.split()) for line in lines} == {5}


def test_balloons(shared_data: Path) -> None:
    outputs = run("Balloons: VIA", shared_data)
    assert "0 errors, 0 warnings" in outputs["data check balloons"]
    assert counts("balloons") == (13, 50)
    assert sizes("balloons") == {"train": 9, "val": 2, "test": 2}
    documents = list(Path("balloons-labelme").rglob("*.json"))
    assert sum(len(json.loads(path.read_text())["shapes"]) for path in documents) == 50


def test_coco(shared_data: Path) -> None:
    outputs = run("COCO", shared_data, {"data check coco128": WARNINGS_FOUND})
    assert "0 errors, 12 warnings" in outputs["data check coco128"]
    assert (counts("coco128"), len(Dataset.load("coco128").classes)) == ((128, 939), 80)
    assert Dataset.load("coco128").heading.category_ids[-1] == 90
    assert sizes("coco128") == {"train": 102, "val": 13, "test": 13}
    assert "pixels hidden by other objects" in outputs["data export coco128 --format mask_folder --out coco128-masks"]


def test_isic_2017(shared_data: Path) -> None:
    run("ISIC 2017: official splits", shared_data, {"data check isic2017": WARNINGS_FOUND})
    dataset = Dataset.load("isic2017")
    assert {split: len(members) for split, members in dataset.splits.items()} == {
        "train": 1952,
        "val": 148,
        "test": 600,
    }
    assert Counter("near" in entry.reason for entry in dataset.left_out) == {True: 30, False: 20}
    masks = {split: len(list(Path("isic2017-masks", split, "masks").glob("*.png"))) for split in dataset.splits}
    assert masks == {"train": 1952, "val": 148, "test": 600}
    assert sizes("isic2017-own") == {"train": 1911, "val": 273, "test": 546}


def test_a_class_for_each_image(shared_data: Path) -> None:
    run("Melanoma or carcinoma: a class for each image", shared_data)
    classes = Counter(image.class_id for image in Dataset.load("isic2019").images)
    assert classes == {0: 4522, 1: 3323}
    assert sum(classes.values()) == 7845
    assert sizes("isic2019") == {"train": 6276, "test": 1569}
    assert len(next(Path("isic2019-table").glob("*.csv")).read_text().splitlines()) == 7846
    dataset = Dataset.load("mel-bcc")
    assert (len(dataset.images), len({image.group for image in dataset.images})) == (1627, 941)
    assert sorted(sizes("mel-bcc").values()) == [325, 325, 325, 326, 326]
    assert len(list(Path("mel-bcc-folders").rglob("*.jpg"))) == 1627


def test_labelme(shared_data: Path) -> None:
    run("labelme", shared_data, {"data check labelme": WARNINGS_FOUND})
    assert counts("labelme") == (10, 36)
    sizes("labelme")
    for path in (shared_data / "labelme").rglob("*.json"):
        again = Path("labelme-again") / path.relative_to(shared_data / "labelme")
        assert json.loads(again.read_text()) == json.loads(path.read_text())


def test_films_with_masks(shared_data: Path) -> None:
    run("Films with a mask for every frame", shared_data)
    assert counts("davis") == (333, 333)
    assert sum(sizes("davis").values()) == 333
    for split, members in Dataset.load("davis").splits.items():
        assert members
        entries = json.loads(Path("davis-coco", split, "annotations.json").read_text())["images"]
        assert [entry["file_name"] for entry in entries] == list(members)
