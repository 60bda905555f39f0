"""Duplicates: what is edited is found again, what only looks alike is not; on planted pairs and on real images."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from maskstream.core import likeness
from maskstream.core.union_find import UnionFind
from maskstream.data.duplicates import search as duplicates
from maskstream.data.duplicates.fingerprints import fingerprint
from maskstream.data.duplicates.search import DuplicatePair, find_duplicates, search
from maskstream.data.records import ImageRecord

SEVEN = {
    "ISIC_0012175", "ISIC_0012271", "ISIC_0012887", "ISIC_0013163", "ISIC_0013417", "ISIC_0012970", "ISIC_0012221",
}  # fmt: skip
"""The images that are known to have a copy in another of ISIC 2017's official splits."""


def scene(seed: int, size_hw: tuple[int, int] = (150, 200)) -> Image.Image:
    """Blobs of many sizes: detail at every scale, as in a photograph."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((*size_hw, 3), np.float32)
    for sigma in (1, 2, 4, 8, 16, 32):
        noise = cv2.GaussianBlur(rng.normal(0, sigma, pixels.shape).astype(np.float32), (0, 0), sigma)
        pixels += noise * np.sqrt(sigma)
    pixels = 128 + 40 * (pixels - pixels.mean()) / pixels.std()
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def record(folder: Path, name: str) -> ImageRecord:
    return ImageRecord(1, name, folder / name, None)


def pairs_of(folder: Path, *names: str) -> list[DuplicatePair]:
    return find_duplicates([record(folder, name) for name in names])


def folder_of(shared_data: Path, name: str) -> list[ImageRecord]:
    folder = shared_data / name
    return [record(folder, path.name) for path in sorted(folder.iterdir())]


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "half": lambda image: image.resize((image.width // 2, image.height // 2)),
    "double": lambda image: image.resize((image.width * 2, image.height * 2)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "gamma": lambda image: image.point([round(255 * (v / 255) ** 0.6) for v in range(256)] * 3),
    "mirrored left to right": ImageOps.mirror,
    "mirrored top to bottom": ImageOps.flip,
    "turned by 180 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned clockwise": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned counterclockwise": lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found_and_said_how(tmp_path: Path, edit: str) -> None:
    scene(1).save(tmp_path / "a.png")
    EDITS[edit](scene(1)).save(tmp_path / "b.jpg", quality=30)
    scene(2).save(tmp_path / "c.png")
    (pair,) = pairs_of(tmp_path, "c.png", "b.jpg", "a.png")
    assert (pair.a, pair.b, pair.kind) == ("a.png", "b.jpg", "near")
    assert duplicates.NEAR <= pair.similarity < 1
    # `how` says what must be done to b to lie over a, so the two turns are each other's way back
    assert pair.how == "the same picture" + (f", {edit}" if edit in likeness.VIEWS[1:] else "")


def test_the_same_bytes_and_the_same_pixels_are_identical(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    scene(1).save(tmp_path / "c.bmp")
    found = {
        (pair.a, pair.b): (pair.kind, pair.similarity, pair.how)
        for pair in pairs_of(tmp_path, "a.png", "b.png", "c.bmp")
    }
    assert found == {
        ("a.png", "b.png"): ("identical", 1.0, "the same bytes"),
        ("a.png", "c.bmp"): ("identical", 1.0, "the same pixels in another file"),
        ("b.png", "c.bmp"): ("identical", 1.0, "the same pixels in another file"),
    }


def test_nothing_one_image_and_blank_ones_have_no_duplicates(tmp_path: Path) -> None:
    assert find_duplicates([]) == []
    for name, grey in {"a.png": 10, "b.png": 200, "c.png": 0}.items():
        Image.new("L", (64, 48), grey).save(tmp_path / name)
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    assert pairs_of(tmp_path, "a.png") == []
    assert pairs_of(tmp_path, "a.png", "b.png", "c.png", "dot.png") == []


def test_a_common_frame_and_a_blob_in_the_middle_are_no_likeness(tmp_path: Path) -> None:
    """As in dermoscopy: black corners, a dark round thing on bright skin; only the fine structure differs."""
    rows, columns = np.mgrid[:192, :256]
    names = [f"{seed}.png" for seed in range(4)]
    for seed, name in enumerate(names):
        skin = np.asarray(scene(seed, (192, 256)), np.float32) / 4 + 140
        inside = 1 / (1 + np.exp((np.hypot(rows - 96 - seed, columns - 128 + seed) - 40 - 2 * seed) / 4))
        skin *= 1 - 0.6 * inside[:, :, None]
        skin[np.hypot(rows - 96, columns - 128) > 120] = 0
        Image.fromarray(skin.clip(0, 255).astype(np.uint8)).save(tmp_path / name)
    prints = fingerprint([record(tmp_path, name) for name in names])
    flat = prints.descriptors.reshape(4, -1)
    assert (flat @ flat.T).min() > duplicates.WORTH_A_LOOK  # the first measure alone would call them alike
    assert pairs_of(tmp_path, *names) == []


def test_nearly_equal_thumbnails_are_near_whatever_they_show(tmp_path: Path) -> None:
    """A faint ramp with two different textures, coarse enough to be seen in a thumbnail."""
    ramp = np.tile(np.linspace(100, 140, 160, dtype=np.float32), (120, 1))
    for seed in (1, 2):
        texture = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 30, ramp.shape), (0, 0), 5)
        Image.fromarray((ramp + texture).clip(0, 255).astype(np.uint8)).save(tmp_path / f"{seed}.png")
    (pair,) = pairs_of(tmp_path, "1.png", "2.png")
    assert (pair.kind, pair.how[:20]) == ("near", "thumbnails differ by")
    assert 0.98 < pair.similarity < 1


def test_blurred_copies_are_found_by_the_little_that_is_left(tmp_path: Path) -> None:
    for seed in range(3):
        blurred = cv2.GaussianBlur(np.asarray(scene(seed)), (0, 0), 12)
        Image.fromarray(blurred).save(tmp_path / f"{seed}.png")
        ImageOps.mirror(ImageEnhance.Brightness(Image.fromarray(blurred)).enhance(1.3)).save(
            tmp_path / f"{seed}.jpg", quality=30
        )
    found = pairs_of(tmp_path, *(f"{seed}{suffix}" for seed in range(3) for suffix in (".png", ".jpg")))
    assert [(pair.a, pair.b) for pair in found] == [(f"{seed}.jpg", f"{seed}.png") for seed in range(3)]
    assert {pair.how for pair in found} == {"the same picture, mirrored left to right, as far as its few details tell"}


def test_missing_and_broken_images_are_passed_over_and_told(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    scene(1).save(tmp_path / "b.jpg")
    (tmp_path / "broken.png").write_bytes((tmp_path / "a.png").read_bytes()[:400])
    (tmp_path / "text.jpg").write_text("no image")
    names = ["a.png", "b.jpg", "broken.png", "text.jpg", "later.png"]
    prints = fingerprint([record(tmp_path, name) for name in names])
    assert (prints.names, prints.absent) == (("a.png", "b.jpg"), ("later.png",))
    assert [(finding.image, finding.code) for finding in prints.unreadable] == [
        ("broken.png", "unreadable-image"),
        ("text.jpg", "unreadable-image"),
    ]
    assert prints.unreadable[1].found == "a file that is no image of a known format"
    assert [(pair.a, pair.b) for pair in search(prints).pairs] == [("a.png", "b.jpg")]


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    scene(1).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.jpg", quality=95, exif=exif)
    assert [pair.how for pair in pairs_of(tmp_path, "a.png", "b.jpg")] == ["the same picture"]


def test_neither_order_nor_progress_changes_the_answer(tmp_path: Path) -> None:
    for seed in range(3):
        scene(seed).save(tmp_path / f"{seed}.png")
        scene(seed).save(tmp_path / f"{seed}.jpg", quality=60)
    names = sorted(path.name for path in tmp_path.iterdir())
    told: list[tuple[int, int | None]] = []
    backwards = find_duplicates([record(tmp_path, name) for name in names[::-1]], lambda *step: told.append(step))
    assert backwards == pairs_of(tmp_path, *names)
    assert [(pair.a, pair.b) for pair in backwards] == [(f"{seed}.jpg", f"{seed}.png") for seed in range(3)]
    assert told[0] == (1, 12)
    assert told[-1] == (12, 12)


def test_only_pairs_that_are_apart_are_looked_at(tmp_path: Path) -> None:
    scene(1).save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    scene(1).save(tmp_path / "c.jpg")
    shutil.copy(tmp_path / "c.jpg", tmp_path / "d.jpg")
    prints = fingerprint([record(tmp_path, name) for name in ("a.png", "b.png", "c.jpg", "d.jpg")])

    def across(**split_of: str) -> list[tuple[str, str]]:
        named = {name: split_of[name[0]] for name in prints.names if name[0] in split_of}
        return [(pair.a[0], pair.b[0]) for pair in search(prints, apart=named).pairs]

    assert across(a="x", b="x", c="x", d="x") == []
    assert across(a="x", b="y", c="x", d="x") == [("a", "b"), ("b", "c"), ("b", "d")]
    assert across(a="x", d="y") == [("a", "d")]
    assert across() == []


def test_a_large_set_is_linked_without_naming_every_pair(tmp_path: Path) -> None:
    names = [f"{number:02}.png" for number in range(30)]
    for number, name in enumerate(names):
        ImageEnhance.Brightness(scene(1)).enhance(0.8 + number / 100).save(tmp_path / name)
    found = pairs_of(tmp_path, *names)
    sets = UnionFind(len(names))
    for pair in found:
        sets.join(names.index(pair.a), names.index(pair.b))
    assert sets.size(0) == 30
    assert len(found) < 30 * 29 // 2


def test_the_closest_pair_that_is_none_is_told(tmp_path: Path) -> None:
    """Half of the picture is the same."""
    first, second = np.asarray(scene(1)).copy(), np.asarray(scene(2))
    Image.fromarray(first).save(tmp_path / "a.png")
    first[-50:] = second[-50:]
    Image.fromarray(first).save(tmp_path / "b.png")
    result = search(fingerprint([record(tmp_path, name) for name in ("a.png", "b.png")]))
    for pair in (*result.pairs, result.closest):
        assert pair is None or 0 < pair.similarity < 0.9


@given(index=st.integers(0, 7), seed=st.integers(0, 50))
@settings(max_examples=25)
def test_descriptors_follow_the_views_of_the_image(index: int, seed: int) -> None:
    square = np.random.default_rng(seed).integers(0, 256, (64, 64), np.uint8)
    seen: NDArray[np.uint8] = likeness.view(square, index)
    direct = likeness.descriptors(seen[None])
    derived = likeness.view_of_descriptors(likeness.descriptors(square[None]), index)
    assert np.allclose(direct, derived, atol=1e-4)
    assert np.isclose(np.linalg.norm(direct), 1)


def test_the_views_are_what_they_are_called() -> None:
    square = np.arange(9, dtype=np.uint8).reshape(3, 3)
    expected = (
        square, square[:, ::-1], square[::-1], square[::-1, ::-1],
        square.T, np.rot90(square, -1), np.rot90(square), np.rot90(square.T, 2),
    )  # fmt: skip
    for index, view in enumerate(expected):
        assert np.array_equal(likeness.view(square, index), view), likeness.VIEWS[index]


def test_a_shifted_and_stretched_square_is_brought_back() -> None:
    square = np.asarray(scene(3, (144, 144)).convert("L"))
    matrix = np.array([[1.04, 0.01, -3.0], [-0.01, 0.97, 2.0]], np.float32)
    moved = cv2.warpAffine(square, matrix, (144, 144), borderMode=cv2.BORDER_REFLECT)
    found = likeness.agreement(square, moved, blur_px=2, block_px=12)
    assert found.score > 0.9
    assert np.abs(found.matrix - matrix).max() < 0.1
    assert likeness.agreement(square, np.asarray(scene(4, (144, 144)).convert("L")), blur_px=2, block_px=12).score < 0.2
    doubled = likeness.scaled(found.matrix, 2)
    # the centre of the small square's pixel (10, 20) is that of the large one's pixels (20..21, 40..41)
    small, large = found.matrix @ (10, 20, 1), doubled @ (20.5, 40.5, 1)
    assert np.allclose(large, 2 * small + 0.5, atol=1e-3)


def test_all_known_pairs_of_isic_2017_are_found_and_no_look_alike(shared_data: Path) -> None:
    """30 pairs across the official splits: the seven known ones and 23 more, each looked at (docs/splits.md)."""
    with (shared_data / "isic2017" / "labels.csv").open(newline="") as file:
        split_of = {f"{row['image_id']}.jpg": row["split"] for row in csv.DictReader(file)}
    found = find_duplicates(folder_of(shared_data, "isic2017/images"))
    assert len(found) == 48
    assert [pair.kind for pair in found].count("identical") == 6
    across = [pair for pair in found if split_of[pair.a] != split_of[pair.b]]
    named = {Path(name).stem for pair in across for name in (pair.a, pair.b)}
    assert len(across) == 30
    assert named >= SEVEN


def test_duplicates_in_ham10000_are_of_one_lesion(shared_data: Path) -> None:
    with (shared_data / "ham10000_mel_bcc" / "labels.csv").open(newline="") as file:
        lesion = {f"{row['image_id']}.jpg": row["lesion_id"] for row in csv.DictReader(file)}
    found = find_duplicates(folder_of(shared_data, "ham10000_mel_bcc/images"))
    assert len(found) >= 30
    assert all(lesion[pair.a] == lesion[pair.b] for pair in found)


@pytest.mark.parametrize("name", ["lungs_montgomery/images", "coco128/images"])
def test_there_are_no_duplicates_among_patients_and_photographs(shared_data: Path, name: str) -> None:
    assert find_duplicates(folder_of(shared_data, name)) == []
