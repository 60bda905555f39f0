"""What `--fix` mends is found no more, what it does not mend stays, and the original is never touched."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_faults import COPIES, PLANTS, SIZE_HW, checked, clean_dataset, name_of, plant, tree_hash

from maskstream.data.checks.fixes import fix, mend
from maskstream.data.dataset import Annotation, Dataset, LeftOut
from maskstream.data.duplicates.search import DuplicatePair
from maskstream.data.splits.proof import prove
from maskstream.errors import DatasetError


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_dataset(tmp_path_factory.mktemp("clean") / "clean")


@pytest.fixture
def dataset(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "dataset"))


def mended(folder: Path) -> Dataset:
    return fix(checked(folder)[1]).save(folder.parent / "mended")


def test_a_clean_dataset_stays_as_it_is(clean: Path, tmp_path: Path) -> None:
    saved = fix(checked(clean)[1]).save(tmp_path / "mended")
    assert saved.content_sha256() == Dataset.load(clean).content_sha256()
    assert saved.provenance.edits == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    faults=st.lists(st.sampled_from(sorted(PLANTS)), min_size=1, max_size=6),
    copy=st.none() | st.sampled_from(sorted(COPIES)),
    numbers=st.permutations(range(12)),
)
def test_what_is_mended_is_found_no_more(
    clean: Path, tmp_path_factory: pytest.TempPathFactory, faults: list[str], copy: str | None, numbers: list[int]
) -> None:
    folder = Path(shutil.copytree(clean, tmp_path_factory.mktemp("spoilt") / "dataset"))
    if copy is not None:
        COPIES[copy][0](folder, {}, 2)
    plant(folder, *zip(faults, numbers))
    before = tree_hash(folder)
    findings, answer = checked(folder)
    saved = fix(answer).save(folder.parent / "mended")
    assert tree_hash(folder) == before
    again, _ = checked(saved.folder)
    assert [found for found in again if found.fix is not None] == []
    told = Counter((found.code, found.fix) for found in findings if found.fix is not None)
    assert saved.provenance.edits == tuple(
        f"check --fix: {code}: {what} ({count} {'time' if count == 1 else 'times'})"
        for (code, what), count in told.items()
    )
    # images go only where their files are missing or their entries are broken
    assert len(saved.images) >= 12 - sum(name.startswith("image-missing") for name in faults)


def test_what_a_person_must_decide_stays(dataset: Path) -> None:
    faults = ("self-crossing", "size-mismatch", "exif-doubtful", "near-repeated-object", "group-across-splits")
    plant(dataset, *zip(faults, (1, 2, 3, 4, 5)))
    saved = mended(dataset)
    assert sorted(found.code for found in checked(saved.folder)[0]) == sorted(faults)
    assert saved.content_sha256() == Dataset.load(dataset).save(dataset.parent / "copy").content_sha256()


def test_an_image_whose_file_is_missing_leaves_with_its_labels(dataset: Path) -> None:
    plant(dataset, ("image-missing", 2))
    saved = mended(dataset)
    assert name_of(2) not in {record.name for record in saved.images}
    assert len(saved.splits["train"]) == 5
    assert saved.provenance.edits == ("check --fix: image-missing: leaves the image out (1 time)",)


@pytest.mark.parametrize("number", [0, 7])
def test_an_image_in_two_splits_stays_where_figures_come_from(dataset: Path, number: int) -> None:
    plant(dataset, ("image-in-two-splits", number))
    splits = mended(dataset).splits
    holders = [split for split, names in splits.items() if name_of(number) in names]
    assert holders == (["test"] if number == 0 else ["val"])


def test_the_copy_of_a_test_image_leaves_training_and_says_why(dataset: Path) -> None:
    COPIES["mirrored"][0](dataset, {}, 2)
    saved = mended(dataset)
    reason = "copy or near-duplicate of image 11.png in test"
    assert saved.left_out == (LeftOut(image=name_of(2), split="train", reason=reason),)
    assert len(saved.splits["test"]) == 3
    assert len(saved.images) == 12


def test_copies_of_copies_leave_too_and_splits_of_other_names_are_not_touched(dataset: Path) -> None:
    def pairs(*numbers: tuple[int, int]) -> tuple[DuplicatePair, ...]:
        return tuple(DuplicatePair(name_of(a), name_of(b), "near", 0.9, "the same picture") for a, b in numbers)

    _, answer = checked(dataset)
    chain = replace(answer, pairs=pairs((0, 1), (1, 7), (7, 9), (3, 4)))
    assert [entry.image for entry in fix(chain).left_out] == [name_of(0), name_of(1), name_of(7)]
    folds = {f"fold{index}": names for index, names in enumerate(answer.dataset.splits.values())}
    assert fix(replace(chain, dataset=replace(answer.dataset, splits=folds))).left_out == ()


def test_a_proof_of_the_splits_is_renewed(dataset: Path) -> None:
    whole = Dataset.load(dataset)
    proven = replace(whole, split_proof=prove(whole).model_dump()).save(dataset.parent / "proven").folder
    assert checked(proven)[0] == []
    plant(proven, ("image-missing", 2))
    assert {"image-missing", "outdated-proof"} == {found.code for found in checked(proven)[0]}
    saved = mended(proven)
    assert checked(saved.folder)[0] == []
    assert saved.split_proof["splits"]["train"]["images"] == 5


@pytest.mark.parametrize("name", ["splits.json", "dataset.json"])
def test_a_broken_file_is_not_passed_over(dataset: Path, name: str) -> None:
    (dataset / name).write_text("{")
    with pytest.raises(DatasetError, match=rf"{name}: expected JSON"):
        fix(checked(dataset)[1])


def test_nothing_is_written_in_place(dataset: Path) -> None:
    plant(dataset, ("empty-mask", 2), ("stray-image", 3))
    before = tree_hash(dataset)
    saved = mended(dataset)
    assert tree_hash(dataset) == before
    assert not (saved.folder / "images" / "stray.png").exists()
    assert len(saved.images[2].annotations) == 1


def annotation(*parts: list[list[float]], box: tuple[float, ...] = (0, 0, 5, 5), area: float = 1) -> Annotation:
    x1, y1, x2, y2 = map(float, box)
    return Annotation(0, tuple(np.array(part, float).reshape(-1, 2) for part in parts), (x1, y1, x2, y2), area)


@pytest.mark.parametrize(
    ("before", "box", "area"),
    [
        (annotation([[1, 1], [5, 1], [5, 5], [1, 5]], [[2, 2], [3, 3]], box=(1, 1, 5, 5), area=16), (1, 1, 5, 5), 16),
        (annotation([[1, 1], [5, 1], [5, 5], [1, 5]], box=(1, 1, 1, 5), area=16), (1, 1, 5, 5), 16),
        (annotation([[-9, 1], [5, 1], [5, 5], [-9, 5]], box=(-9, 1, 5, 5), area=56), (0, 1, 5, 5), 20),
        (annotation(box=(70, 60, 90, 70), area=200), (70, 60, 80, 64), 40),
    ],
    ids=["short part", "degenerate box", "beyond the edge", "box beyond the edge"],
)
def test_mends_by_hand(before: Annotation, box: tuple[float, ...], area: float) -> None:
    after = mend(before, SIZE_HW)
    assert after is not None
    assert (after.box_xyxy, after.area_px) == (tuple(map(float, box)), area)


@pytest.mark.parametrize(
    "gone",
    [
        annotation([[1, 1], [5, 5]]),
        annotation([[1, 1], [5, 5], [9, 9]]),
        annotation([[90, 1], [99, 1], [99, 9]]),
        annotation([]),
        annotation(box=(5, 5, 5, 9)),
        annotation(box=(90, 5, 95, 9)),
        annotation([[1, 1], [5, 1.1], [1, 1.2]]),
    ],
    ids=["two points", "a line", "outside", "no point", "degenerate box", "box outside", "no pixel"],
)
def test_what_nothing_is_left_of_goes(gone: Annotation) -> None:
    assert mend(gone, SIZE_HW) is None


def test_a_slanted_slit_beyond_the_edge_leaves_no_trace() -> None:
    points = [[10, 10], [30, 10], [30, 30], [10, 30], [-37, 77.3], [-47, 97.3], [-37, 77.3], [10, 30]]
    after = mend(annotation(points, box=(-47, 10, 30, 97.3), area=400), SIZE_HW)
    assert after is not None
    assert after.mask(SIZE_HW).area_px == 400
    assert min(part.min() for part in after.segmentation if not isinstance(part, str)) == 0


def test_the_mended_file_is_json_that_names_the_edits(dataset: Path) -> None:
    plant(dataset, ("degenerate-box", 2), ("degenerate-box", 3))
    edits = json.loads((mended(dataset).folder / "dataset.json").read_text())["edits"]
    assert edits == [
        "check --fix: degenerate-box: draws the box around the mask, or drops an object without one (2 times)"
    ]
