"""Splits: sizes and classes by hand, groups and copies whole, stable when a dataset grows; the proof."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from maskstream.cli.data.split import split as split_command
from maskstream.data.dataset import NO_SPLITS, Dataset, ImageRecord, LeftOut, Provenance
from maskstream.data.duplicates.fingerprints import fingerprint
from maskstream.data.formats import isic, label_csv, onehot_csv
from maskstream.data.formats.format import ReadOptions
from maskstream.data.splits.groups import group_keys
from maskstream.data.splits.proof import prove, stale
from maskstream.data.splits.split import SplitRule, folds, one_fold, shares_of, split_dataset
from maskstream.data.splits.stratify import assign
from maskstream.errors import DatasetError

EIGHTY_TWENTY = {"train": 0.8, "test": 0.2}
PLAIN = SplitRule(EIGHTY_TWENTY, seed=42, duplicates=False)
TOGETHER = SplitRule(EIGHTY_TWENTY, seed=42)


def sizes(place: Mapping[str, str]) -> dict[str, int]:
    return dict(Counter(place.values()))


def class_counts(place: Mapping[str, str], strata: Mapping[str, list[str]]) -> dict[tuple[str, str], int]:
    return dict(Counter((split, label) for name, split in place.items() for label in strata[name]))


def alone(strata: Mapping[str, object]) -> dict[str, str]:
    return {name: name for name in strata}


# --- assign


def test_a_hundred_images_in_80_and_20() -> None:
    strata = {f"{i}": ["b" if i < 50 else "m"] for i in range(100)}
    place = assign(alone(strata), strata, EIGHTY_TWENTY, seed=1)
    assert sizes(place) == {"train": 80, "test": 20}
    assert class_counts(place, strata) == {
        ("train", "b"): 40, ("train", "m"): 40, ("test", "b"): 10, ("test", "m"): 10,
    }  # fmt: skip


def test_images_without_a_class_are_a_stratum_of_their_own() -> None:
    strata = {f"{i}": [["a"], ["a", "b"], [""]][i % 3] for i in range(300)}
    place = assign(alone(strata), strata, EIGHTY_TWENTY, seed=5)
    assert class_counts(place, strata) == {
        ("train", "a"): 160, ("train", "b"): 80, ("train", ""): 80,
        ("test", "a"): 40, ("test", "b"): 20, ("test", ""): 20,
    }  # fmt: skip


def test_no_images_make_no_splits() -> None:
    assert assign({}, {}, EIGHTY_TWENTY, seed=0) == {}


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=6),
    tenths=st.sampled_from([(8, 2), (9, 1), (5, 5), (7, 1, 2), (2, 2, 2, 2, 2)]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60)
def test_single_images_are_off_by_less_than_one(counts: list[int], tenths: tuple[int, ...], seed: int) -> None:
    strata = {f"{label}-{i}": [f"{label}"] for label, count in enumerate(counts) for i in range(count)}
    shares = {f"s{i}": part / 10 for i, part in enumerate(tenths)}
    if len(strata) < len(shares) * 10:  # where a share is below one image, no split is left empty comes first
        return
    place = assign(alone(strata), strata, shares, seed)
    found, by_class = sizes(place), class_counts(place, strata)
    for split, share in shares.items():
        assert abs(found.get(split, 0) - share * len(strata)) < 1
        for label, count in enumerate(counts):
            assert abs(by_class.get((split, f"{label}"), 0) - share * count) <= 1 + 1e-6


@given(group_sizes=st.lists(st.integers(1, 12), min_size=10, max_size=40), seed=st.integers(0, 1000), data=st.data())
@settings(max_examples=60)
def test_groups_stay_whole_and_sizes_within_the_largest_group(
    group_sizes: list[int], seed: int, data: st.DataObject
) -> None:
    groups = {f"{g}/{i}": f"{g}" for g, size in enumerate(group_sizes) for i in range(size)}
    strata = {name: [data.draw(st.sampled_from("abc"))] for name in groups}
    shares = {"train": 0.7, "val": 0.1, "test": 0.2}
    place = assign(groups, strata, shares, seed)
    assert set(place) == set(groups)
    assert set(place.values()) == set(shares)
    assert len({(groups[name], split) for name, split in place.items()}) == len(group_sizes)
    for split, share in shares.items():
        assert abs(sizes(place)[split] - share * len(groups)) <= max(group_sizes)
    shuffled = list(groups)
    random.Random(seed).shuffle(shuffled)
    assert assign({name: groups[name] for name in shuffled}, strata, shares, seed) == place


def test_what_is_kept_stays_and_the_new_make_up_for_it() -> None:
    strata = {f"{i:03}": ["a"] for i in range(100)}
    kept = {f"{i:03}": "train" for i in range(70)}
    place = assign(alone(strata), strata, EIGHTY_TWENTY, 3, kept)
    assert {name: place[name] for name in kept} == kept
    assert sizes(place) == {"train": 80, "test": 20}


def test_few_move_when_a_set_grows_and_is_split_from_scratch() -> None:
    strata = {f"{i}": [str(i % 7)] for i in range(2200)}
    before = assign(alone(strata), dict(list(strata.items())[:2000]) | strata, EIGHTY_TWENTY, 1)
    smaller = dict(list(strata.items())[:2000])
    first = assign(alone(smaller), smaller, EIGHTY_TWENTY, 1)
    stay = sum(before[name] == first[name] for name in smaller) / len(smaller)
    assert stay > 0.97  # two random splits of 80/20 agree in 68 %
    assert assign(alone(smaller), smaller, EIGHTY_TWENTY, 2) != first


def test_many_classes_an_image_come_out_even() -> None:
    rng = random.Random(0)
    strata = {f"{i}": [str(c) for c in range(20) if rng.random() < 0.1] or [""] for i in range(1000)}
    place = assign(alone(strata), strata, EIGHTY_TWENTY, 1)
    assert sizes(place) == {"train": 800, "test": 200}
    total, test = Counter(c for found in strata.values() for c in found), class_counts(place, strata)
    assert max(abs(test.get(("test", c), 0) - 0.2 * n) for c, n in total.items()) < 1.5


def test_hash_randomisation_changes_nothing() -> None:
    script = (
        "from maskstream.data.splits.stratify import assign; s={str(i): ['ab'[i%2], 'c'] for i in range(50)};"
        "print(sorted(assign({n: n for n in s}, s, {'train': .8, 'test': .2}, 9).items()))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


# --- datasets


def image(folder: Path, name: str, seed: int, **more: object) -> ImageRecord:
    """A record of noise in 12 x 16 blocks, which no other seed resembles."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(blocks.repeat(8, 0).repeat(8, 1)).save(path)
    return ImageRecord(seed + 1, name, path, None, **more)  # type: ignore[arg-type]


def dataset_of(folder: Path, images: list[ImageRecord], **more: object) -> Dataset:
    numbered = tuple(replace(record, image_id=i + 1) for i, record in enumerate(images))
    provenance = Provenance(name="d", source="", licence="", licence_url="", importer="test")
    return Dataset(folder, ("benign", "malignant"), numbered, {}, (), NO_SPLITS, provenance, **more)  # type: ignore[arg-type]


def some_images(folder: Path, count: int, first: int = 0) -> list[ImageRecord]:
    return [image(folder, f"{i:03}.png", i, class_id=int(i % 5 == 0)) for i in range(first, first + count)]


def split_of(dataset: Dataset) -> dict[str, str]:
    return {name: split for split, names in dataset.splits.items() for name in names}


def test_copies_stay_together_and_the_proof_says_so(tmp_path: Path) -> None:
    images = some_images(tmp_path, 30)
    for i in range(10):
        with Image.open(tmp_path / f"{i:03}.png") as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / f"copy{i}.jpg", quality=60)
        images.append(ImageRecord(99, f"copy{i}.jpg", tmp_path / f"copy{i}.jpg", None, class_id=int(i % 5 == 0)))
    dataset = dataset_of(tmp_path, images)
    done = split_dataset(dataset, TOGETHER)
    place = split_of(done)
    assert all(place[f"{i:03}.png"] == place[f"copy{i}.jpg"] for i in range(10))
    assert sizes(place) == {"train": 32, "test": 8}
    proof = prove(done)
    assert (proof.leaks, proof.groups_torn, stale(done, proof)) == (0, 0, [])
    assert proof.duplicates is not None
    assert (proof.duplicates.compared, proof.duplicates.threshold) == (40, 0.5)
    assert done.split_proof["splits"]["test"] == {"images": 8, "groups": 8, "classes": {"benign": 6, "malignant": 2}}
    torn = replace(done, splits={"train": ("000.png",), "test": ("copy0.jpg", "001.png")})
    found = prove(torn)
    assert found.leaks == 1
    assert found.duplicates is not None
    assert found.duplicates.pairs[0]["how"] == "the same picture, mirrored left to right"
    assert any(line.startswith("duplicates: states") for line in stale(torn, found))


def test_ignored_duplicates_are_not_looked_for_and_the_proof_says_it(tmp_path: Path) -> None:
    done = split_dataset(dataset_of(tmp_path, some_images(tmp_path, 10)), PLAIN)
    assert (done.split_proof["duplicates"], done.split_rule["duplicates"]) == (None, "ignore")
    assert str(prove(done)).endswith("duplicates across splits were not looked for")
    assert sizes(split_of(done)) == {"train": 8, "test": 2}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("group", {"a/p1_1.png": "lesion 1"}),
        ("lesion_id", {"a/p1_1.png": "lesion 1"}),
        ("camera", {"a/p1_1.png": "5", "b/p1_2.png": "6"}),
        ("site", {"b/p1_2.png": "arm"}),
        ("folder", {"a/p1_1.png": "a", "b/p1_2.png": "b", "b/x.png": "b"}),
        (r"name:(p\d)_", {"a/p1_1.png": "p1", "b/p1_2.png": "p1"}),
        ("none", {}),
    ],
)
def test_group_keys(key: str, expected: dict[str, str]) -> None:
    records = [
        ImageRecord(1, "a/p1_1.png", Path("a"), None, group="lesion 1", attributes={"camera": 5}),
        ImageRecord(2, "b/p1_2.png", Path("b"), None, attributes={"camera": 6, "label_csv": {"site": "arm"}}),
        ImageRecord(3, "b/x.png", Path("c"), None, attributes={"label_csv": {"site": ""}}),
    ]
    dataset = dataset_of(Path("d"), records)
    columns = dataset.provenance.model_copy(update={"arguments": {"group_column": "lesion_id"}})
    assert group_keys(replace(dataset, provenance=columns), key) == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("patient", "--group: expected group, folder, none, name:REGEX or an attribute (camera), found 'patient'"),
        ("name:(", "--group: expected a regular expression after name:, found missing ), unterminated subpattern"),
        ("name:abc", "--group: expected one pair of brackets after name:, found 0 in 'abc'"),
        (
            "name:(z)",
            "--group: expected an expression that fits the images' names, found none that fits '(z)'",
        ),
    ],
)
def test_wrong_group_keys(key: str, message: str) -> None:
    dataset = dataset_of(Path("d"), [ImageRecord(1, "a.png", Path("a"), None, attributes={"camera": 5})])
    with pytest.raises(DatasetError) as caught:
        group_keys(dataset, key)
    assert str(caught.value).startswith(message)


def test_films_are_not_torn(tmp_path: Path) -> None:
    images = [image(tmp_path, f"film{i % 6}/{i}.png", i) for i in range(30)]
    done = split_dataset(dataset_of(tmp_path, images), replace(TOGETHER, group="folder"))
    place = split_of(done)
    assert len({(name.split("/")[0], split) for name, split in place.items()}) == 6
    assert sizes(place) == {"train": 25, "test": 5}
    assert (done.split_proof["groups"], done.split_proof["groups_torn"]) == (6, 0)


def test_fewer_groups_than_splits_is_an_error(tmp_path: Path) -> None:
    images = [image(tmp_path, f"film/{i}.png", i) for i in range(4)]
    with pytest.raises(DatasetError, match="expected at least 2 groups for 2 splits, found 1, which must not be torn"):
        split_dataset(dataset_of(tmp_path, images), replace(PLAIN, group="folder"))


def test_a_class_in_one_group_alone_is_told(tmp_path: Path) -> None:
    images = [image(tmp_path, f"{i}.png", i, class_id=int(i == 3)) for i in range(10)]
    proof = prove(split_dataset(dataset_of(tmp_path, images), PLAIN))
    lacking = {"train": ["malignant"]} if "malignant" in proof.splits["test"].classes else {"test": ["malignant"]}
    assert proof.lacking == lacking


def test_images_that_are_not_there_are_split_and_counted() -> None:
    images = [ImageRecord(i, f"{i}.jpg", Path("nowhere") / f"{i}.jpg", None, class_id=i % 2) for i in range(50)]
    done = split_dataset(dataset_of(Path("d"), images), TOGETHER)
    assert sizes(split_of(done)) == {"train": 40, "test": 10}
    assert done.split_proof["duplicates"] | {"method": ""} == {
        "identical_pairs": 0, "near_pairs": 0, "pairs": [], "closest": None, "method": "", "threshold": 0.5,
        "thumbnail_grey_levels": 4.0, "compared": 0, "not_there": 50, "unreadable": [],
    }  # fmt: skip


def test_unreadable_images_are_split_and_named(tmp_path: Path) -> None:
    images = some_images(tmp_path, 10)
    images[3].path.write_text("no image")
    done = split_dataset(dataset_of(tmp_path, images), TOGETHER)
    assert done.split_proof["duplicates"]["unreadable"] == ["003.png"]
    assert "003.png" in split_of(done)


# --- growth


def test_the_same_rule_keeps_what_is_there_and_places_the_new(tmp_path: Path) -> None:
    images = some_images(tmp_path, 40)
    first = split_dataset(dataset_of(tmp_path, images), TOGETHER)
    assert split_of(split_dataset(first, TOGETHER)) == split_of(first)
    grown = replace(first, images=(*first.images, *some_images(tmp_path, 10, first=40)))
    second = split_dataset(grown, TOGETHER)
    assert split_of(first).items() <= split_of(second).items()
    assert sizes(split_of(second)) == {"train": 40, "test": 10}


def test_an_earlier_version_is_kept_and_new_copies_follow_it(tmp_path: Path) -> None:
    first = split_dataset(dataset_of(tmp_path, some_images(tmp_path, 20)), TOGETHER)
    copies = []
    for name, split in split_of(first).items():
        with Image.open(tmp_path / name) as picture:
            picture.save(tmp_path / f"new-{split}-{name}.jpg", quality=50)
        copies.append(ImageRecord(1, f"new-{split}-{name}.jpg", tmp_path / f"new-{split}-{name}.jpg", None))
    grown = dataset_of(tmp_path, [*first.images, *copies])
    second = split_dataset(grown, TOGETHER, keep=first)
    assert split_of(first).items() <= split_of(second).items()
    assert all(name.startswith(f"new-{split}") for name, split in split_of(second).items() if name.startswith("new"))
    with pytest.raises(DatasetError, match="expected the splits train, val, test, found train, test"):
        split_dataset(grown, replace(TOGETHER, shares=shares_of([70, 10, 20])), keep=first)


def test_of_two_old_copies_the_test_image_stays(tmp_path: Path) -> None:
    images = some_images(tmp_path, 10)
    first = split_dataset(dataset_of(tmp_path, images), PLAIN)
    in_train, in_test = first.splits["train"][0], first.splits["test"][0]
    shutil.copy(tmp_path / in_train, tmp_path / in_test)
    second = split_dataset(dataset_of(tmp_path, images), TOGETHER, keep=first)
    assert second.splits["test"] == first.splits["test"]
    assert second.left_out == (LeftOut(image=in_train, split="train", reason="duplicate of a test image"),)
    assert prove(second).leaks == 0
    again = split_dataset(second, TOGETHER, anew=True)
    assert (again.left_out, len(split_of(again))) == ((), 10)


def test_a_new_image_that_would_join_two_splits_is_left_out(tmp_path: Path) -> None:
    """It is a copy of a test image and of the film of a train image."""
    images = [image(tmp_path, f"{i:03}.png", i, group=f"film {i // 2}") for i in range(20)]
    first = split_dataset(dataset_of(tmp_path, images), TOGETHER)
    in_train, in_test = first.splits["train"][0], first.splits["test"][0]
    film = next(record.group for record in images if record.name == in_train)
    shutil.copy(tmp_path / in_test, tmp_path / "new.png")
    new = ImageRecord(1, "new.png", tmp_path / "new.png", None, group=film)
    second = split_dataset(dataset_of(tmp_path, [*images, new]), TOGETHER, keep=first)
    assert split_of(second) == split_of(first)
    reason = "duplicate of a test image and of one group with a train image"
    assert second.left_out == (LeftOut(image="new.png", split="train", reason=reason),)


def test_what_is_left_out_for_good_stays_out(tmp_path: Path) -> None:
    reserved = LeftOut(image="000.png", split="train", reason="reserved for film tests")
    near = LeftOut(image="001.png", split="train", reason="near-duplicate of a test image")
    dataset = replace(dataset_of(tmp_path, some_images(tmp_path, 11)), left_out=(reserved, near))
    assert split_dataset(dataset, PLAIN).left_out == (reserved, near)
    done = split_dataset(dataset, PLAIN, anew=True)
    assert done.left_out == (reserved,)
    assert sizes(split_of(done)) == {"train": 8, "test": 2}


def test_splits_by_another_rule_are_replaced_only_when_asked(tmp_path: Path) -> None:
    dataset = replace(
        dataset_of(tmp_path, some_images(tmp_path, 10)),
        splits={"train": ("000.png",)},
        splits_made_by="the official ones",
    )
    with pytest.raises(DatasetError, match="found splits made by: the official ones; --anew replaces them"):
        split_dataset(dataset, PLAIN)
    done = split_dataset(dataset, PLAIN, anew=True)
    assert done.splits_made_by == (
        "maskstream data split --ratios 0.8,0.2 --names train,test --group group --seed 42 --duplicates ignore"
    )
    with pytest.raises(DatasetError, match="--anew"):
        split_dataset(done, replace(PLAIN, seed=1))


def test_folds(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path, some_images(tmp_path, 25))
    done = split_dataset(dataset, SplitRule(folds(5), duplicates=False))
    assert {split: len(names) for split, names in done.splits.items()} == {f"fold-{i}": 5 for i in range(1, 6)}
    assert {tuple(counts["classes"].values()) for counts in done.split_proof["splits"].values()} == {(4, 1)}
    second = one_fold(done, "fold-2")
    assert {split: len(names) for split, names in second.splits.items()} == {"train": 20, "val": 5}
    assert second.splits["val"] == done.splits["fold-2"]
    assert done.splits_made_by == "maskstream data split --folds 5 --group group --seed 0 --duplicates ignore"


@pytest.mark.parametrize(
    ("ratios", "names", "expected"),
    [
        ([0.8, 0.2], (), {"train": 0.8, "test": 0.2}),
        ([70, 10, 20], (), {"train": 0.7, "val": 0.1, "test": 0.2}),
        ([0.5, 0.5], ("a", "b"), {"a": 0.5, "b": 0.5}),
    ],
)
def test_shares(ratios: list[float], names: tuple[str, ...], expected: dict[str, float]) -> None:
    assert shares_of(ratios, names) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ratios", "names", "message"),
    [
        ([0.8, 0.3], (), "--ratios: expected numbers that sum to 1 (or to 100), found 0.8,0.3, which sum to 1.1"),
        ([1.0], (), "--ratios: expected two or more positive numbers, found 1"),
        ([1.2, -0.2], (), "--ratios: expected two or more positive numbers, found 1.2,-0.2"),
        ([float("nan"), 0.2], (), "--ratios: expected two or more positive numbers, found nan,0.2"),
        ([0.25] * 4, (), "--names: expected 4 different names, one a ratio, found none"),
        ([0.5, 0.5], ("a", "a"), "--names: expected 2 different names, one a ratio, found a,a"),
    ],
)
def test_wrong_ratios(ratios: list[float], names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        shares_of(ratios, names)
    assert str(caught.value).startswith(message)
    with pytest.raises(DatasetError, match="--folds: expected 2 or more, found 1"):
        folds(1)


# --- the command


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    images = some_images(tmp_path / "source", 20)
    return dataset_of(tmp_path / "source", images).save(tmp_path / "dataset").folder


def call(*arguments: object) -> str:

    app = typer.Typer()
    app.command()(split_command)
    result = CliRunner().invoke(
        app, [str(argument) for argument in arguments], catch_exceptions=False, env={"COLUMNS": "200"}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_writes_splits_and_shows_the_proof(saved: Path) -> None:
    labels = (saved / "annotations.json").read_bytes()
    shown = call(saved, "--ratios", "0.8,0.2", "--seed", 42)
    assert "proof: 0 groups (by group), 0 torn; 20 images compared, across splits 0 identical and 0 near-" in shown
    assert (saved / "annotations.json").read_bytes() == labels
    written = json.loads((saved / "splits.json").read_text())
    assert {split: len(names) for split, names in written["splits"].items()} == {"train": 16, "test": 4}
    assert written["rule"] == {
        "command": "maskstream data split", "shares": EIGHTY_TWENTY, "group": "group", "seed": 42,
        "duplicates": "together",
    }  # fmt: skip
    loaded = Dataset.load(saved)
    assert stale(loaded, prove(loaded)) == []
    call(saved, "--ratios", "0.8,0.2", "--seed", 42)
    assert json.loads((saved / "splits.json").read_text()) == written
    with pytest.raises(DatasetError, match="--anew"):
        call(saved, "--folds", 4)
    assert "fold-4" in call(saved, "--folds", 4, "--anew")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ratios", "much"], "--ratios: expected numbers with commas between them, found 'much'"),
        (["--folds", 3, "--ratios", "0.5,0.5"], "--folds: expected no --ratios and no --names"),
    ],
)
def test_the_command_refuses_wrong_options(saved: Path, options: list[object], message: str) -> None:
    before = (saved / "splits.json").read_bytes()
    with pytest.raises(DatasetError) as caught:
        call(saved, *options)
    assert str(caught.value).startswith(message)
    assert (saved / "splits.json").read_bytes() == before


# --- real data


def test_isic_2017_split_anew(shared_data: Path) -> None:
    dataset = isic.read(shared_data / "isic2017", ReadOptions())
    prints = fingerprint(dataset.images)
    assert prove(dataset, prints=prints).leaks == 0
    copies = [entry for entry in dataset.left_out if entry.reason.startswith("near-duplicate")]
    back = {split: (*names, *(e.image for e in copies if e.split == split)) for split, names in dataset.splits.items()}
    left = tuple(entry for entry in dataset.left_out if entry not in copies)
    official = prove(replace(dataset, splits=back, left_out=left), prints=prints).duplicates
    assert official is not None
    assert (official.identical_pairs, official.near_pairs) == (4, 26)
    rule = SplitRule(shares_of([0.7, 0.1, 0.2]), seed=42)
    with pytest.raises(DatasetError, match="official ISIC 2017 splits"):
        split_dataset(dataset, rule)
    done = split_dataset(dataset, rule, anew=True)
    assert {split: len(names) for split, names in done.splits.items()} == {"train": 1911, "val": 273, "test": 546}
    assert Counter(entry.reason for entry in done.left_out) == {"reserved for film tests": 20}
    assert prove(done, prints=prints).leaks == 0
    malignant = [counts["classes"]["malignant"] for counts in done.split_proof["splits"].values()]
    assert malignant == [358, 51, 102]  # of 511


def test_isic_2019_in_five_folds_before_its_images_are_there(shared_data: Path) -> None:
    source = shared_data / "isic2019" / "ISIC_2019_Training_GroundTruth.csv"
    dataset = onehot_csv.read(source, ReadOptions(classes=("MEL", "BCC")))
    done = split_dataset(dataset, SplitRule(folds(5)))
    sizes_found = [len(names) for names in done.splits.values()]
    assert (sum(sizes_found), min(sizes_found), max(sizes_found)) == (7845, 1569, 1569)
    assert {counts["classes"]["MEL"] for counts in done.split_proof["splits"].values()} == {904, 905}
    assert done.split_proof["duplicates"]["not_there"] == 7845


def test_ham10000_by_lesion(shared_data: Path) -> None:
    dataset = label_csv.read(shared_data / "ham10000_mel_bcc", ReadOptions())
    done = split_dataset(dataset, replace(TOGETHER, group="lesion_id"))
    assert {split: counts["images"] for split, counts in done.split_proof["splits"].items()} == {
        "train": 1302,
        "test": 325,
    }
    assert (done.split_proof["groups"], done.split_proof["groups_torn"]) == (536, 0)
    careless = split_dataset(dataset, replace(PLAIN, group="none"))
    by_lesion = replace(careless, split_rule={**careless.split_rule, "group": "lesion_id"})
    assert prove(by_lesion).groups_torn > 150
