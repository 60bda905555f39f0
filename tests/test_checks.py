"""Every fault that is planted is found, under its own code and at its place; a clean dataset has none."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_faults import COPIES, PLANTS, SIZE_HW, checked, clean_dataset, name_of, picture, plant, serious

from maskstream.core.masks import CroppedMask
from maskstream.data.checks.check import check_folder
from maskstream.data.checks.kinds import KINDS
from maskstream.data.checks.splits import check_duplicates
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.data.findings import Finding, Severity
from maskstream.data.formats import boxes_csv
from maskstream.data.formats.format import ReadOptions
from maskstream.data.importing import import_dataset
from maskstream.data.splits.proof import prove
from maskstream.errors import DatasetError

NUMBER = 2
"""Of the image that is spoilt; it is in the training split."""

CONSEQUENCES = {"outside-image:box": {"some-boxes-only"}, "beyond-edge:box": {"box-mismatch"}}
"""What else may rightly be said of a fault."""


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clean_dataset(tmp_path_factory.mktemp("clean") / "clean")


@pytest.fixture
def dataset(clean: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(clean, tmp_path / "dataset"))


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_clean_dataset_has_no_finding(clean: Path) -> None:
    findings, answer = checked(clean)
    assert findings == []
    assert answer.fixable == Counter()
    assert len(answer.dataset.images) == 12


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(1, 10**6))
def test_no_clean_dataset_has_a_finding(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    findings, _ = checked(clean_dataset(tmp_path_factory.mktemp("clean") / "clean", seed))
    assert findings == []


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found_and_nothing_else(dataset: Path, name: str) -> None:
    plant(dataset, (name, NUMBER))
    findings, _ = checked(dataset)
    code = name.partition(":")[0]
    others = {found.code for found in findings} - {code}
    assert others <= CONSEQUENCES.get(name, set()), findings
    (found,) = [found for found in findings if found.code == code]
    if code in KINDS:
        assert found.severity is KINDS[code].severity
        assert found.image == name_of(NUMBER) or code in {
            "stray-image",
            "stray-file",
            "some-boxes-only",
            "group-across-splits",
        }
    assert found.place.startswith(str(dataset))
    assert found.expected
    assert found.found
    assert found.remedy


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_found_within_and_across_splits(dataset: Path, name: str) -> None:
    make_copy, code = COPIES[name]
    content = json.loads((dataset / "annotations.json").read_text())
    make_copy(dataset, content, NUMBER)
    findings, answer = checked(dataset)
    found = next(found for found in findings if found.code == code)
    other = answer.pairs[0].b
    assert found.image == name_of(NUMBER)
    assert other in found.found
    assert {found.code for found in findings} <= {code, "size-mismatch"}


per_image = st.lists(
    st.sampled_from(
        sorted(
            set(PLANTS)
            - {"stray-image", "stray-file", "group-across-splits", "image-without-label", "unknown-split-name"}
        )
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=per_image, numbers=st.permutations(range(12)))
def test_each_of_many_faults_is_found_with_its_image(
    clean: Path, tmp_path_factory: pytest.TempPathFactory, faults: list[str], numbers: list[int]
) -> None:
    folder = Path(shutil.copytree(clean, tmp_path_factory.mktemp("spoilt") / "dataset"))
    planted = list(zip(faults, numbers))
    plant(folder, *planted)
    findings, _ = checked(folder)
    found = {(finding.code, finding.image) for finding in findings} | {(f.code, None) for f in findings}
    for name, number in planted:
        code = name.partition(":")[0]
        is_of_image = code in KINDS and code != "some-boxes-only"
        assert (code, name_of(number) if is_of_image else None) in found
    spoilt = {name_of(number) for _, number in planted}
    assert all(image is None or image in spoilt for _, image in serious(findings))


def test_the_object_is_named_by_its_number_and_class(dataset: Path) -> None:
    plant(dataset, ("degenerate-box", 4))
    (found,) = checked(dataset)[0]
    assert found.place == f"{dataset / 'annotations.json'}: image 04.png: object 2 of 2 (dog)"
    assert found.found == "0 x 20 px at x 50, y 3"
    assert found.fix == "draws the box around the mask, or drops an object without one"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("splits.json", "{"),
        ("splits.json", "[]"),
        ("splits.json", '{"splits": {"train": [1]}}'),
        ("dataset.json", "no"),
    ],
)
def test_a_broken_file_does_not_hide_what_is_wrong_with_labels(dataset: Path, name: str, content: str) -> None:
    plant(dataset, ("short-polygon", NUMBER))
    (dataset / name).write_text(content)
    findings, answer = checked(dataset)
    assert [found.code for found in findings] == ["broken-file", "short-polygon"]
    assert findings[0].place.startswith(str(dataset / name))
    assert answer.broken_files == (findings[0],)


def test_broken_labels_are_the_one_finding(dataset: Path) -> None:
    (dataset / "annotations.json").write_text('{"images": [')
    findings: list[Finding] = []
    assert check_folder(dataset, findings.append) is None
    (found,) = findings
    assert (found.code, found.severity) == ("broken-file", Severity.ERROR)
    assert "line 1 column 12" in found.found


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_that_is_no_dataset_is_an_error(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "folder").mkdir()
    with pytest.raises(DatasetError, match=r"folder: expected a dataset folder, with annotations\.json, found no"):
        check_folder(tmp_path / "folder", print)


def test_names_that_lead_outside_are_found_and_not_followed(dataset: Path) -> None:
    (dataset.parent / "secret.png").write_bytes((dataset / "images" / name_of(0)).read_bytes())
    content = json.loads((dataset / "annotations.json").read_text())
    content["images"][NUMBER]["file_name"] = "../../secret.png"
    edit(dataset / "annotations.json", **content)
    codes = Counter(found.code for found in checked(dataset)[0])
    # its two objects are of no image now, its file is named by nobody, nor is its name in the split anybody's
    assert codes == {
        "path-outside": 1, "unknown-image": 2, "unknown-split-name": 1, "stray-image": 1, "edited-file": 1
    }  # fmt: skip


def test_hashes_of_other_files_are_not_followed(dataset: Path) -> None:
    edit(dataset / "dataset.json", sha256={"../secret": "0" * 64, "/etc/passwd": "0" * 64})
    assert checked(dataset)[0] == []


def test_edits_by_hand_are_told(dataset: Path) -> None:
    splits = dataset / "splits.json"
    splits.write_text(splits.read_text() + "\n")
    (found,) = checked(dataset)[0]
    assert (found.code, found.place) == ("edited-file", str(splits))


def test_two_images_with_one_id_or_name(dataset: Path) -> None:
    content = json.loads((dataset / "annotations.json").read_text())
    content["images"].append(content["images"][0] | {"id": 99})
    content["images"].append(content["images"][0] | {"file_name": "other.png"})
    edit(dataset / "annotations.json", **content)
    codes = [found.code for found in checked(dataset)[0]]
    assert codes == ["repeated-file-name", "repeated-id", "edited-file"]


def test_names_that_clash_elsewhere(tmp_path: Path) -> None:
    names = ("Caf\u00e9.png", "cafe\u0301.png", "a.png", "a.jpg", "b.png")
    for seed, name in enumerate(names):
        picture(seed).save(tmp_path / name)
    images = tuple(
        ImageRecord(seed, name, tmp_path / name, SIZE_HW, (square(seed % 2),)) for seed, name in enumerate(names)
    )
    found = {finding.code: finding.found for finding in check_in_memory(tmp_path, images)}
    assert found["name-clash"] == "'Caf\u00e9.png' and 'cafe\u0301.png'"
    assert found["shared-stem"] == "'a.png' and 'a.jpg'"


def test_a_missing_image_whose_name_differs_in_case_is_pointed_out(dataset: Path) -> None:
    image = dataset / "images" / name_of(NUMBER)
    image.rename(image.with_name("IMAGE 02.PNG"))
    findings = {found.code: found for found in checked(dataset)[0]}
    assert set(findings) == {"image-missing", "stray-image"}
    assert "while 'image 02.png' is missing" in findings["stray-image"].found


def square(class_id: int, side_px: int = 20) -> Annotation:
    return Annotation.from_mask(class_id, CroppedMask(np.ones((side_px, side_px), bool), 3, 4), SIZE_HW)


def check_in_memory(
    folder: Path, images: tuple[ImageRecord, ...], classes: tuple[str, ...] = ("cat", "dog"), **values: Any
) -> list[Finding]:
    """Findings of a dataset with these images, saved."""
    provenance = Provenance(name="x", source="x", licence="x", licence_url="", importer="test")
    dataset = Dataset(folder, classes, images, values.get("splits", {}), (), "hand", provenance).save(folder / "saved")
    return checked(dataset.folder)[0]


def many(folder: Path, counts: tuple[int, ...]) -> tuple[ImageRecord, ...]:
    """One image for each object; of class i there are counts[i]."""
    class_ids = [class_id for class_id, count in enumerate(counts) for _ in range(count)]
    for number in range(len(class_ids)):
        picture(number).save(folder / f"{number}.png")
    return tuple(
        ImageRecord(number, f"{number}.png", folder / f"{number}.png", SIZE_HW, (square(class_id),))
        for number, class_id in enumerate(class_ids)
    )


@pytest.mark.parametrize(
    ("counts", "code", "found"),
    [
        ((2, 2), None, ""),
        ((5, 2), None, ""),
        ((6, 2), "class-imbalance", "3.0 to 1 (cat 6, dog 2)"),
        ((20, 2), "strong-class-imbalance", "10.0 to 1 (cat 20, dog 2)"),
        ((3, 0), "unused-class", "none"),
    ],
)
def test_imbalance_is_told_from_3_to_1_and_warned_of_from_10_to_1(
    tmp_path: Path, counts: tuple[int, int], code: str | None, found: str
) -> None:
    findings = [(f.code, f.found) for f in check_in_memory(tmp_path, many(tmp_path, counts)) if f.code != "no-splits"]
    assert findings == ([(code, found)] if code else [])


def test_classes_that_differ_in_case_or_spaces_only(tmp_path: Path) -> None:
    findings = check_in_memory(tmp_path, many(tmp_path, (2, 2, 2)), ("Oil tank", "oil-tank ", "ship"))
    assert [(f.code, f.found) for f in findings if f.code != "no-splits"] == [
        ("similar-classes", "'Oil tank' and 'oil-tank '")
    ]


def test_splits_that_are_empty_or_lack_a_class(tmp_path: Path) -> None:
    splits = {"train": ("0.png", "1.png", "2.png", "3.png"), "test": ("4.png", "5.png"), "val": ()}
    findings = check_in_memory(tmp_path, many(tmp_path, (3, 3)), splits=splits)
    assert [(f.code, f.found) for f in findings] == [("class-not-in-split", "none of cat"), ("empty-split", "none")]


def test_a_dataset_without_images(tmp_path: Path) -> None:
    assert [found.code for found in check_in_memory(tmp_path, ())] == ["no-images", "no-splits"]


def test_images_to_come_are_one_finding(tmp_path: Path) -> None:
    images = tuple(ImageRecord(i, f"{i}.jpg", tmp_path / f"{i}.jpg", None, class_id=i % 2) for i in range(100))
    findings = check_in_memory(tmp_path, images)
    assert [(f.code, f.found) for f in findings] == [
        ("images-to-fetch", "100 of 100 not there yet"), ("no-splits", "none")
    ]  # fmt: skip


def test_shapes_in_images_of_unknown_size(tmp_path: Path) -> None:
    parts = np.array([[1.0, 1], [5, 5]]), np.array([[1.0, 1], [5, 5], [9, 9]])
    annotations = tuple(Annotation(0, (part,), (1.0, 1.0, 9.0, 9.0), 0.0) for part in parts)
    images = (ImageRecord(1, "a.jpg", tmp_path / "a.jpg", None, annotations),)
    codes = {found.code for found in check_in_memory(tmp_path, images, ("cat",))}
    assert codes == {"short-polygon", "flat-polygon", "images-to-fetch", "no-splits"}


def test_what_an_import_found_is_told_again(dataset: Path) -> None:
    met = Finding(
        code="mask-without-image", severity=Severity.WARNING, place="masks/x.png", expected="an image", found="none",
        remedy="add it", fix="does something",
    )  # fmt: skip
    provenance = json.loads((dataset / "dataset.json").read_text())
    edit(dataset / "dataset.json", **(provenance | {"findings": [met.model_dump(mode="json")]}))
    assert checked(dataset)[0] == [met.model_copy(update={"fix": None})]


def test_left_out_copies_are_no_finding(dataset: Path) -> None:
    COPIES["brighter"][0](dataset, {}, NUMBER)
    splits = json.loads((dataset / "splits.json").read_text())
    splits["splits"]["train"].remove(name_of(NUMBER))
    splits["left_out"].append({"image": name_of(NUMBER), "split": "train", "reason": "brighter copy"})
    edit(dataset / "splits.json", **splits)
    edit(dataset / "dataset.json", sha256={})
    findings, answer = checked(dataset)
    assert findings == []
    assert [(pair.a, pair.b) for pair in answer.pairs] == [(name_of(NUMBER), name_of(11))]


def test_copies_do_not_hide_that_a_proof_is_outdated(dataset: Path) -> None:
    whole = Dataset.load(dataset)
    proven = replace(whole, split_proof=prove(whole).model_dump()).save(dataset.parent / "proven").folder
    COPIES["brighter"][0](proven, {}, NUMBER)
    findings = {found.code: found for found in checked(proven)[0]}
    assert set(findings) == {"near-duplicate-across-splits", "outdated-proof"}
    assert "duplicates: states" in findings["outdated-proof"].found


def test_the_oil_tanks_have_two_degenerate_boxes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "oil_tanks"
    found = checked(boxes_csv.FORMAT.read(source, ReadOptions()).save(tmp_path / "tanks").folder)[0]
    boxes = [finding for finding in found if finding.code == "degenerate-box"]
    assert [finding.found for finding in boxes] == ["13 x -77 px at x 884, y 901", "9 x 0 px at x 1782, y 1932"]
    assert {finding.severity for finding in found if finding not in boxes} == {Severity.NOTE}


def test_what_is_said_of_coco128(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "coco128"
    findings = checked(import_dataset(str(source), tmp_path / "coco", "coco").dataset.folder)[0]
    assert Counter(serious(findings)) == Counter(
        {
            ("unused-class", None): 9,
            ("image-without-label", "000000000250.jpg"): 1,
            ("image-without-label", "000000000508.jpg"): 1,
            ("strong-class-imbalance", None): 1,
        }
    )


def test_nothing_serious_is_said_of_the_lungs(shared_data: Path, tmp_path: Path) -> None:
    imported = import_dataset(str(shared_data / "lungs_montgomery"), tmp_path / "lungs").dataset
    assert serious(checked(imported.folder)[0]) == []


def test_a_size_beyond_all_images_fills_no_memory(dataset: Path) -> None:
    content = json.loads((dataset / "annotations.json").read_text())
    content["images"][NUMBER] |= {"height": 10**6, "width": 10**6}
    polygon, mask = content["annotations"][2 * NUMBER : 2 * NUMBER + 2]
    polygon |= {"segmentation": [[0, 0, 1e6, 0, 1e6, 1e6]], "bbox": [0, 0, 1e6, 1e6], "area": 5e11}
    mask |= {"segmentation": {"size": [10**6, 10**6], "counts": [0, 10**12]}, "bbox": [0, 0, 1e6, 1e6], "area": 1e12}
    edit(dataset / "annotations.json", **content)
    edit(dataset / "dataset.json", sha256={})
    assert serious(checked(dataset)[0]) == [("size-mismatch", name_of(NUMBER))]


def test_a_label_of_10_mb(dataset: Path) -> None:
    angles = np.linspace(0, 2 * np.pi, 300_000, endpoint=False)
    points = np.column_stack([40 + 20 * np.cos(angles), 32 + 20 * np.sin(angles)])
    content = json.loads((dataset / "annotations.json").read_text())
    entry = content["annotations"][2 * NUMBER]
    entry["segmentation"] = [points.ravel().tolist()]
    del entry["bbox"], entry["area"]
    edit(dataset / "annotations.json", **content)
    edit(dataset / "dataset.json", sha256={})
    assert (dataset / "annotations.json").stat().st_size > 10_000_000
    assert checked(dataset)[0] == []


def test_isic_2017_has_copies_across_its_official_splits(shared_data: Path, tmp_path: Path) -> None:
    imported = import_dataset(str(shared_data / "isic2017"), tmp_path / "isic").dataset
    findings, answer = checked(imported.folder)
    assert {code for code, _ in serious(findings)} == {"duplicate-image"}
    official = dict(imported.splits)
    for entry in imported.left_out:
        official[entry.split] = (*official[entry.split], entry.image)
    whole = replace(imported, splits=official, left_out=())
    known = {entry.image for entry in imported.left_out if "near-duplicate" in entry.reason}
    assert len(known) == 30
    told = [found for found in check_duplicates(whole, answer.pairs) if found.severity is Severity.ERROR]
    assert len(told) == 30
    assert all(any(name in f"{found.image} {found.found}" for found in told) for name in known)
