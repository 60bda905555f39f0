"""Folders of masks: which mask is whose, what pixels mean, exact pixels both ways, what is refused, the real sets."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskstream.core import masks
from maskstream.data.dataset import Dataset
from maskstream.data.formats.format import ReadOptions, WriteOptions, assemble
from maskstream.data.formats.mask_folder import read as mask_folder
from maskstream.data.formats.mask_folder.objects import parts, separate
from maskstream.data.formats.mask_folder.pairs import pair, video_of
from maskstream.data.formats.mask_folder.pixels import MaskKind
from maskstream.data.formats.mask_folder.write import colour
from maskstream.data.listing import Listing, list_folder
from maskstream.data.records import Annotation, ImageRecord
from maskstream.errors import DatasetError, SourceError

HEIGHT, WIDTH = 40, 50
LEVELS = np.zeros((HEIGHT, WIDTH), np.uint8)
LEVELS[5:20, 5:25] = 1
LEVELS[8:12, 10:14] = 0
LEVELS[25:35, 10:45] = 2
LEVELS[3, 40] = 2
"""Two classes: one with a hole, one with a single pixel apart from the rest."""


def picture(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def folder_of_masks(folder: Path, *levels: np.ndarray, masks_in: str = "masks") -> Path:
    """Images a.png, b.png ... and masks of the same names in a second folder."""
    for name, pixels in zip("abcdefgh", levels):
        picture(np.zeros((*pixels.shape[:2], 3), np.uint8), folder / "images" / f"{name}.png")
        picture(pixels, folder / masks_in / f"{name}.png")
    return folder


def read(folder: Path, **options: object) -> Dataset:
    return mask_folder.read(folder, ReadOptions(**options))


def drawn(dataset: Dataset, index: int = 0) -> dict[str, np.ndarray]:
    """The pixels of each class of an image."""
    record = dataset.images[index]
    found: dict[str, np.ndarray] = {}
    for annotation in record.annotations:
        name = dataset.classes[annotation.class_id]
        pixels = annotation.mask(record.size_hw).dense(record.size_hw)
        found[name] = found.get(name, np.zeros(record.size_hw, bool)) | pixels
    return found


def said(dataset: Dataset) -> dict[str, str]:
    return {finding.code: finding.found for finding in dataset.provenance.findings}


def rgb(levels: np.ndarray, *colours: tuple[int, int, int]) -> np.ndarray:
    return np.array([(0, 0, 0), *colours], np.uint8)[levels]


RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        ("a.jpg a_mask.png b.jpg b_segmentation.png", "a.jpg=a_mask.png b.jpg=b_segmentation.png"),
        ("images/a.jpg masks/a_mask.png", "a.jpg=masks/a_mask.png"),
        ("images/a.jpg masks/a.jpg.png", "a.jpg=masks/a.jpg.png"),
        ("img/a.JPG GT/a.PNG", "a.JPG=GT/a.PNG"),
        ("JPEGImages/film/0.jpg Annotations/film/0.png", "film/0.jpg=Annotations/film/0.png"),
        ("train/images/a.jpg train/masks/a.png", "train/a.jpg=train/masks/a.png"),
        ("images/train/a.jpg labels/train/a.png", "train/a.jpg=labels/train/a.png"),
        ("train/a.jpg train_masks/a_mask.gif", "train/a.jpg=train_masks/a_mask.gif"),
        ("Data/I_0.jpg Part1_GroundTruth/I_0_segmentation.png", "Data/I_0.jpg=Part1_GroundTruth/I_0_segmentation.png"),
        ("a.png a_mask.png a_mask_1.png", "a.png=a_mask.png+a_mask_1.png"),
        ("images/a.jpg masks/cat/a.png masks/dog/a.png", "a.jpg=masks/cat/a.png+masks/dog/a.png"),
        ("images/a.jpg images/a_gt.jpg masks/a.png masks/a_gt.png", "a.jpg=masks/a.png a_gt.jpg=masks/a_gt.png"),
        ("x/a.jpg x/a_mask.png y/a.jpg y/a_mask.png", "x/a.jpg=x/a_mask.png y/a.jpg=y/a_mask.png"),
        ("images/a.jpg images/b.jpg masks/a.png masks/z.png", "a.jpg=masks/a.png b.jpg="),
        ("images/f/0.jpg masks/g/0.png images/h/0.jpg masks/h/0.png", "f/0.jpg= h/0.jpg=masks/h/0.png"),
        ("a.jpg x/a_mask.png", "a.jpg=x/a_mask.png"),
        ("a.jpg b.jpg labels/a.txt", "a.jpg= b.jpg="),
        ("", ""),
    ],
)  # fmt: skip
def test_masks_find_their_images(names: str, pairs: str) -> None:
    root = Path("/source")
    found = pair(Listing(root, tuple(names.split())))
    shown = [
        f"{image.name}={'+'.join(mask.path.relative_to(root).as_posix() for mask in image.masks)}"
        for image in found.images
    ]
    assert " ".join(shown) == pairs


def test_a_second_folder_of_the_same_letters_written_otherwise() -> None:
    composed, apart = (unicodedata.normalize(form, "Läsion") for form in ("NFC", "NFD"))
    found = pair(Listing(Path("/source"), (f"images/{composed}.jpg", f"masks/{apart}.png")))
    assert len(found.paired) == 1


@pytest.mark.parametrize(
    ("pattern", "names", "count"),
    [
        ("{stem}_foo.png", "a.jpg a_foo.png sub/b.jpg sub/b_foo.png", 2),
        ("odd/{stem}.bmp", "x/a.jpg odd/a.bmp", 1),
        ("SegmentationClass/{stem}.png", "JPEGImages/a.jpg SegmentationClass/a.png SegmentationObject/a.png", 1),
        ("{stem}.png", "a.jpg a.png", 1),
        ("odd/{class}/{stem}.png", "images/a.jpg odd/cat/a.png", 1),
        ("{stem}/mask.png", "a.jpg a/mask.png", 1),
    ],
)
def test_any_other_pattern_is_named(pattern: str, names: str, count: int) -> None:
    found = pair(Listing(Path("/source"), tuple(names.split())), pattern)
    assert len(found.paired) == len(found.images) == count
    assert {mask.class_name for image in found.images for mask in image.masks} == {
        "cat" if "class" in pattern else None
    }


@pytest.mark.parametrize(
    "pattern",
    ["masks/a.png", "../{stem}.png", "/masks/{stem}.png", "{stem}{stem}.png", "{name}.png", "a\\{stem}.png"],
)
def test_a_pattern_that_leads_elsewhere_or_is_none_is_refused(pattern: str) -> None:
    listing = Listing(Path("/source"), ("a.jpg", "a_mask.png"))
    with pytest.raises(DatasetError, match=r"--masks: expected a path inside the source with \{stem\} once"):
        pair(listing, pattern)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "images/a.jpg images/a.png masks/a.png",
            "masks/a.png: expected one image for the mask, found images/a.jpg and",
        ),
        ("a.jpg a.png a_mask.png", "a_mask.png: expected one image for the mask, found a.jpg and a.png"),
        (
            "JPEGImages/a.jpg SegmentationClass/a.png SegmentationObject/a.png",
            "SegmentationClass/a.png: expected one mask",
        ),
        ("a.jpg a_mask.png a_segmentation.png", "a_mask.png: expected one mask for each image"),
    ],
)
def test_what_is_not_clear_is_an_error_that_names_both(names: str, message: str) -> None:
    listing = Listing(Path("/source"), tuple(names.split()))
    with pytest.raises(DatasetError, match=message):
        pair(listing)
    assert "masks, though not whose" in (mask_folder.recognise(listing) or "")


def test_frames_of_a_film_are_a_group() -> None:
    names = ["swan/0001.jpg", "swan/0002.jpg", "cow/frame_1.jpg", "train/0001.jpg", "benign/b (1).png", "0001.jpg"]
    names += ["mixed/0001.jpg", "mixed/left.jpg", "val2017/0003.jpg"]
    assert video_of(names) == {"swan/0001.jpg": "swan", "swan/0002.jpg": "swan", "cow/frame_1.jpg": "cow"}


@pytest.mark.parametrize("top", [255, 1, 38])
def test_two_valued_masks_are_one_object_of_one_class(tmp_path: Path, top: int) -> None:
    dataset = read(folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8) * top))
    assert dataset.classes == ("object",)
    (annotation,) = dataset.images[0].annotations
    assert np.array_equal(drawn(dataset)["object"], LEVELS > 0)
    assert annotation.area_px == 15 * 20 - 16 + 10 * 35 + 1
    assert annotation.box_xyxy == (5.0, 3.0, 45.0, 35.0)
    assert said(dataset) == {"mask-kind": "1 binary masks (they have two values); objects: one a mask"}
    assert dataset.provenance.arguments["mask_kind"] == "binary"
    assert read(tmp_path, classes=("lung",)).classes == ("lung",)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_two_valued_masks_of_every_pixel_kind(tmp_path: Path, mode: str) -> None:
    folder_of_masks(tmp_path, np.zeros_like(LEVELS))
    grey = Image.fromarray((LEVELS > 0).astype(np.uint8) * 255)
    made = Image.fromarray((LEVELS > 0).astype(np.uint16) * 65535) if mode == "I;16" else grey.convert(mode)
    made.save(tmp_path / "masks" / "a.png")
    assert np.array_equal(drawn(read(tmp_path))["object"], LEVELS > 0)


def test_each_connected_part_is_an_object_on_request(tmp_path: Path) -> None:
    dataset = read(folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8) * 255), split_parts=True)
    assert sorted(a.area_px for a in dataset.images[0].annotations) == [1, 15 * 20 - 16, 10 * 35]
    assert parts(masks.EMPTY) == []


def test_blurred_edges_and_jpeg_make_no_classes(tmp_path: Path) -> None:
    sharp = (LEVELS > 0).astype(np.uint8) * 255
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1)
    folder_of_masks(tmp_path, blurred, sharp)
    Image.fromarray(sharp).save(tmp_path / "masks" / "b.jpg", quality=80)
    (tmp_path / "masks" / "b.png").unlink()
    dataset = read(tmp_path)
    assert dataset.classes == ("object",)
    assert np.array_equal(drawn(dataset, 0)["object"], blurred > 127)
    assert masks.iou(masks.crop(drawn(dataset, 1)["object"]), masks.crop(sharp > 0)) > 0.97
    edges = int(np.count_nonzero((blurred > 0) & (blurred < 255)))
    noise = int(np.isin(np.asarray(Image.open(tmp_path / "masks" / "b.jpg")), (0, 255), invert=True).sum())
    assert said(dataset)["blurred-mask-edges"].startswith(f"{edges + noise} pixels of such levels in 2 images")


def test_index_masks_with_names(tmp_path: Path) -> None:
    levels = LEVELS.copy()
    levels[38:, :] = 255
    dataset = read(folder_of_masks(tmp_path, levels), classes=("cat", "dog"))
    assert dataset.classes == ("cat", "dog")
    assert np.array_equal(drawn(dataset)["cat"], LEVELS == 1)
    assert np.array_equal(drawn(dataset)["dog"], LEVELS == 2)
    ignored = masks.from_rle(dataset.images[0].attributes["mask_folder"]["ignored"])
    assert (ignored.y0, ignored.area_px) == (38, 2 * WIDTH)
    assert said(dataset)["ignored-pixels"] == "100 pixels of the number 255, of no certain class, in 1 images"


def test_index_masks_keep_their_palette_indices_and_lose_the_name_of_the_background(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, LEVELS)
    indexed = Image.fromarray(LEVELS)
    indexed.putpalette([255, 255, 255, 9, 9, 9, 9, 9, 9])  # two classes of one colour, white background
    indexed.save(tmp_path / "masks" / "a.png")
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\ncat\ndog\n", encoding="utf-8-sig")
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert np.array_equal(drawn(dataset)["dog"], LEVELS == 2)


def test_levels_could_be_classes_or_objects(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, LEVELS)
    with pytest.raises(DatasetError, match=r"levels .* found 2 levels \(1, 2\) and 0 names .* --mask-kind index"):
        read(tmp_path)
    indexed = read(tmp_path, mask_kind="index")
    assert indexed.classes == ("1", "2")
    assert np.array_equal(drawn(indexed)["2"], LEVELS == 2)
    objects = read(tmp_path, mask_kind="instance-colour", classes=("cell",))
    assert objects.classes == ("cell",)
    assert [a.area_px for a in objects.images[0].annotations] == [15 * 20 - 16, 351]
    with pytest.raises(DatasetError, match=r"--mask-kind: expected binary, index, .* found 'semantic'"):
        read(tmp_path, mask_kind="semantic")


def test_an_object_of_a_film_keeps_its_colour_as_its_track(tmp_path: Path) -> None:
    for number, levels in enumerate((LEVELS, np.where(LEVELS == 2, 2, 0).astype(np.uint8), LEVELS)):
        picture(np.zeros((*LEVELS.shape, 3), np.uint8), tmp_path / "images" / "swan" / f"{number:04}.png")
        picture(levels, tmp_path / "masks" / "swan" / f"{number:04}.png")
    dataset = read(tmp_path, mask_kind="instance-colour", classes=("bird",))
    tracks = [[annotation.attributes["track_id"] for annotation in image.annotations] for image in dataset.images]
    assert tracks == [[1, 2], [2], [1, 2]]
    single = read(folder_of_masks(tmp_path / "single", LEVELS), mask_kind="instance-colour", classes=("bird",))
    assert [annotation.attributes for annotation in single.images[0].annotations] == [{}, {}]


def test_single_objects_in_16_bits_and_in_a_folder_that_says_so(tmp_path: Path) -> None:
    deep = LEVELS.astype(np.uint16) * 300
    dataset = read(folder_of_masks(tmp_path, deep, masks_in="instance_masks"))
    assert dataset.provenance.arguments["mask_kind"] == "instance-colour"
    assert [a.area_px for a in dataset.images[0].annotations] == [284, 351]


def test_colours_of_classes(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, rgb(LEVELS, RED, GREEN))
    with pytest.raises(
        DatasetError, match=r"whether the 2 colours of the masks are classes or single objects, found 0"
    ):
        read(tmp_path)
    for options in (
        {"classes": ("cat", "dog")},
        {"colours": {GREEN: "dog", RED: "cat"}},
        {"colours": {RED: "cat", GREEN: "dog", BLUE: "emu", (0, 0, 0): "background"}},
        {"mask_kind": "class-colour", "classes": ("cat", "dog")},
    ):
        dataset = read(tmp_path, **options)
        assert np.array_equal(drawn(dataset)["dog"], LEVELS == 2), options
        assert np.array_equal(drawn(dataset)["cat"], LEVELS == 1), options
    # the first area is red: a single pixel, as the green one above it, is none
    assert read(tmp_path, mask_kind="class-colour").classes == ("#c80000", "#00c800")


def test_colours_of_classes_listed_in_a_file(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, rgb(LEVELS, RED, GREEN))
    (tmp_path / "label_colors.txt").write_text("# r g b\n0 0 0 Background\n200 0 0\tgreat cat\r\n0, 200, 0, dog\n")
    dataset = read(tmp_path)
    assert dataset.classes == ("great cat", "dog")
    assert np.array_equal(drawn(dataset)["great cat"], LEVELS == 1)


def test_a_colour_that_is_not_listed_is_an_error_and_edges_are_none(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, rgb(LEVELS, RED, GREEN))
    with pytest.raises(DatasetError, match=r"a\.png: expected only \(0, 0, 0\), \(200, 0, 0\), found \(0, 200, 0\)"):
        read(tmp_path, colours={RED: "cat"})
    # brown, halfway to black, is a class of its own
    blurred = cv2.GaussianBlur(rgb(LEVELS, RED, GREEN), (3, 3), 0)
    picture(blurred, tmp_path / "masks" / "a.png")
    dataset = read(tmp_path, colours={RED: "cat", GREEN: "dog", (100, 0, 0): "emu"})
    assert "emu" not in drawn(dataset)
    assert masks.iou(masks.crop(drawn(dataset)["cat"]), masks.crop(LEVELS == 1)) > 0.85
    assert "blurred-mask-edges" in said(dataset)


def test_colours_in_a_jpeg(tmp_path: Path) -> None:
    levels = np.kron(LEVELS, np.ones((4, 4), np.uint8))
    folder_of_masks(tmp_path, levels)
    (tmp_path / "masks" / "a.png").unlink()
    Image.fromarray(rgb(levels, RED, GREEN)).save(tmp_path / "masks" / "a.jpg", quality=85)
    dataset = read(tmp_path, colours={RED: "cat", GREEN: "dog", (100, 0, 0): "emu"})
    assert masks.iou(masks.crop(drawn(dataset)["cat"]), masks.crop(levels == 1)) > 0.95
    with pytest.raises(DatasetError, match=r"a\.jpg: expected only .* found "):
        read(tmp_path, colours={RED: "cat"})
    Image.fromarray(levels).save(tmp_path / "masks" / "a.jpg")
    with pytest.raises(DatasetError, match=r"a\.jpg: expected a file that keeps numbers .* found a \.jpg file"):
        read(tmp_path, mask_kind="index", classes=("cat", "dog"))


def test_objects_with_blurred_edges_are_refused(tmp_path: Path) -> None:
    blurred = cv2.GaussianBlur(
        np.kron(rgb(LEVELS, (200, 90, 10), (30, 200, 90)), np.ones((4, 4, 1), np.uint8)), (0, 0), 2
    )
    folder_of_masks(tmp_path, blurred)
    with pytest.raises(DatasetError, match=r"a\.png: expected objects with sharp edges, found \d+ colours"):
        read(tmp_path, mask_kind="instance-colour")


def test_a_mask_of_another_kind_among_two_valued_ones_is_refused(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, *[(LEVELS > 0).astype(np.uint8) * 255] * 2, masks_in="masks")
    for strange, found in (
        (LEVELS, "areas of 1"),
        (LEVELS * 100, "areas of 100"),
        (rgb(LEVELS, RED, GREEN), "colours"),
    ):
        picture(strange, tmp_path / "masks" / "b.png")
        with pytest.raises(
            DatasetError, match=rf"b\.png: expected a mask of 0 and 255, as the others are, found {found}"
        ):
            read(tmp_path, mask_kind="binary")


def test_numbers_beyond_the_classes_are_an_error(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, LEVELS * 3)
    with pytest.raises(DatasetError, match=r"a\.png: expected only 0, 1, 2, 255, found [36]; name every class"):
        read(tmp_path, classes=("cat", "dog"), mask_kind="index")


def test_several_classes_for_two_valued_masks_are_an_error(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8) * 255)
    with pytest.raises(DatasetError, match=r"expected one class for two-valued masks, found 2: cat, dog"):
        read(tmp_path, classes=("cat", "dog"))


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, np.zeros_like(LEVELS), masks_in="unused")
    picture((LEVELS == 1).astype(np.uint8) * 255, tmp_path / "masks" / "cat" / "a.png")
    picture((LEVELS == 2).astype(np.uint8) * 255, tmp_path / "masks" / "dog" / "a.png")
    (tmp_path / "unused" / "a.png").unlink()
    dataset = read(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert np.array_equal(drawn(dataset)["dog"], LEVELS == 2)
    (tmp_path / "classes.txt").write_text("emu\ndog\ncat\n")
    assert read(tmp_path).classes == ("emu", "dog", "cat")
    assert np.array_equal(drawn(read(tmp_path))["dog"], LEVELS == 2)
    (tmp_path / "classes.txt").write_text("emu\ndog\n")
    with pytest.raises(DatasetError, match=r"expected folders of the classes emu, dog, found 'cat'"):
        read(tmp_path)


def test_images_without_masks_masks_without_images_and_empty_masks_are_told(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8), np.zeros_like(LEVELS), LEVELS, LEVELS)
    (tmp_path / "masks" / "c.png").unlink()
    (tmp_path / "images" / "d.png").unlink()
    dataset = read(tmp_path)
    assert [(image.name, len(image.annotations)) for image in dataset.images] == [
        ("a.png", 1),
        ("b.png", 0),
        ("c.png", 0),
    ]
    told = {
        f.code: (f.severity.value, Path(f.place).relative_to(tmp_path).as_posix()) for f in dataset.provenance.findings
    }
    assert told == {
        "mask-kind": ("note", "."),
        "image-without-mask": ("warning", "images/c.png"),
        "mask-without-image": ("warning", "masks/d.png"),
        "empty-mask": ("note", "masks/b.png"),
    }


def test_a_mask_of_another_size_is_named_and_turned_masks_fit(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8) * 255)
    turned = picture((LEVELS.T > 0).astype(np.uint8) * 255, tmp_path / "masks" / "a.png")
    with pytest.raises(DatasetError, match=rf"a\.png: expected {HEIGHT} x {WIDTH} pixels .*, found {WIDTH} x {HEIGHT}"):
        read(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 8  # to be turned a quarter to the left on reading
    Image.fromarray(np.rot90((LEVELS > 0).astype(np.uint8) * 255, -1).copy()).save(turned, exif=exif)
    assert np.array_equal(drawn(read(tmp_path))["object"], LEVELS > 0)


def test_damaged_files_and_folders_without_masks_are_named(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8) * 255, (LEVELS > 0).astype(np.uint8) * 255)
    mask = tmp_path / "masks" / "b.png"
    mask.write_bytes(mask.read_bytes()[:60])
    with pytest.raises(SourceError, match=r"b\.png: expected an image that can be read"):
        read(tmp_path)
    with pytest.raises(
        DatasetError, match=r"expected masks with the names of their images, found 1 images and 0 masks"
    ):
        mask.unlink()
        (tmp_path / "masks" / "a.png").unlink()
        (tmp_path / "images" / "b.png").unlink()
        read(tmp_path)
    with pytest.raises(DatasetError, match="expected a folder, found nothing"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("classes.txt", "cat\ncat\n", r"classes\.txt: expected a name of a class in each line, found 'cat' twice"),
        ("classes.txt", "\n", r"classes\.txt: expected a name of a class in each line, found none"),
        ("label_colors.txt", "1 2 cat\n", r"label_colors\.txt: line 1: expected red, green, blue .*, found '1 2 cat'"),
        ("label_colors.txt", "1 2 3 a\n1 2 3 b\n", r"line 2: expected each colour once, found 1 2 3 again"),
        ("label_colors.txt", "1 2 300 a\n", r"line 1: expected red, green, blue up to 255"),
        ("instances.csv", "image,colour,class\na.png,red,cat\n", r"instances\.csv: line 2, colour: .*, found 'red'"),
        ("instances.csv", "image,class\na.png,cat\n", r"instances\.csv: line 1: expected a column colour"),
        ("instances.csv", "image,colour,class\na.png,#ffffff,cat\n", r"colours that instances\.csv lists .* found \("),
    ],
)
def test_a_broken_legend_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    folder_of_masks(tmp_path, rgb(LEVELS, RED, GREEN))
    (tmp_path / name).write_text(text)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    folder_of_masks(tmp_path, (LEVELS > 0).astype(np.uint8) * 255)
    (tmp_path / "masks" / "loop").symlink_to(tmp_path, target_is_directory=True)
    dataset = read(tmp_path)
    assert len(dataset.images[0].annotations) == 1
    assert "unlisted-folder" in said(dataset)


def test_images_in_a_folder_elsewhere_and_progress(tmp_path: Path) -> None:
    folder_of_masks(tmp_path / "labels of x", (LEVELS > 0).astype(np.uint8) * 255, (LEVELS > 0).astype(np.uint8) * 255)
    (tmp_path / "labels of x" / "images").rename(tmp_path / "pictures")
    told: list[tuple[int, int | None]] = []
    dataset = read(tmp_path / "labels of x", images=tmp_path / "pictures", on_progress=lambda *step: told.append(step))
    assert [image.path.parent for image in dataset.images] == [tmp_path / "pictures"] * 2
    assert [len(image.annotations) for image in dataset.images] == [1, 1]
    assert told == [(1, 2), (2, 2)]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.randoms(use_true_random=False))
def test_pixels_taken_apart_are_those_of_each_code(height: int, width: int, codes: int, random: object) -> None:
    pixels = np.array([[random.randint(0, codes) for _ in range(width)] for _ in range(height)], np.int32)  # type: ignore[attr-defined]
    found = dict(separate(pixels))
    assert set(found) == set(np.unique(pixels).tolist()) - {0}
    for code, mask in found.items():
        assert np.array_equal(mask.dense((height, width)), pixels == code)
        tight = masks.crop(pixels == code)
        assert (mask.x0, mask.y0, mask.bitmap.shape) == (tight.x0, tight.y0, tight.bitmap.shape)


def test_every_number_has_a_colour_of_its_own() -> None:
    assert [colour(n) for n in range(4)] == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert len({colour(n) for n in range(5000)}) == 5000
    assert len({colour(n) for n in range((1 << 24) - 100, 1 << 24)}) == 100


def dataset_of(folder: Path, classes: tuple[str, ...], *objects: list[tuple[int, np.ndarray]]) -> Dataset:
    """Images `nested/bild ä.png` and so on, with these objects."""
    records = []
    for number, found in enumerate(objects):
        name = f"nested/bild ä{number}.png"
        picture(np.zeros((HEIGHT, WIDTH, 3), np.uint8), folder / name)
        annotations = [Annotation.from_mask(c, masks.crop(m), (HEIGHT, WIDTH)) for c, m in found if m.any()]
        records.append(ImageRecord(number + 1, name, folder / name, (HEIGHT, WIDTH), tuple(annotations)))
    return assemble(folder, "test", classes, records)


def round_trip(dataset: Dataset, kind: MaskKind, folder: Path) -> tuple[Dataset, dict[str, str]]:
    folder.mkdir()
    findings = mask_folder.write(dataset, folder, WriteOptions(mask_kind=kind))
    return mask_folder.read(folder, ReadOptions()), {finding.code: finding.found for finding in findings}


CLASSES = ("cat", "traffic light", "N/A")


@pytest.mark.parametrize("kind", MaskKind)
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000))
def test_what_is_written_comes_back_pixel_by_pixel(
    tmp_path_factory: pytest.TempPathFactory, kind: MaskKind, seed: int
) -> None:
    """Objects without overlap: classes, pixels and, in the kind that has them, objects."""
    rng = np.random.default_rng(seed)
    objects: list[list[tuple[int, np.ndarray]]] = []
    for _ in range(3):
        labels = np.kron(rng.integers(0, 5, (HEIGHT // 10, WIDTH // 10)), np.ones((10, 10), int))
        labels[rng.random((HEIGHT, WIDTH)) < 0.05] = 0
        objects.append([(int(rng.integers(3)), labels == number) for number in range(1, 5)])
    folder = tmp_path_factory.mktemp("masks")
    dataset = dataset_of(folder / "source", CLASSES, *objects)
    again, lost = round_trip(dataset, kind, folder / "out")
    assert again.classes == CLASSES
    assert [image.name for image in again.images] == [image.name for image in dataset.images]
    assert set(lost) <= {"merged-objects"}
    for index, before in enumerate(dataset.images):
        pixels, expected = drawn(again, index), drawn(dataset, index)
        assert pixels.keys() == expected.keys()
        assert all(np.array_equal(pixels[name], expected[name]) for name in expected)
        if kind is MaskKind.INSTANCE_COLOUR:
            areas = [sorted((a.class_id, a.area_px) for a in r.annotations) for r in (before, again.images[index])]
            assert areas[0] == areas[1]


def square(top: int, left: int, side: int) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[top : top + side, left : left + side] = True
    return pixels


@pytest.mark.parametrize(
    ("kind", "hidden", "merged"),
    [
        (MaskKind.BINARY, None, "2 of 4 objects merged with others of their class"),
        (MaskKind.INDEX, (100, 0), "2 of 4 objects merged with others of their class"),
        (MaskKind.CLASS_COLOUR, (100, 0), "2 of 4 objects merged with others of their class"),
        (MaskKind.INSTANCE_COLOUR, (125, 1), None),
    ],
)
def test_what_overlap_costs_is_told_in_pixels(
    tmp_path: Path, kind: MaskKind, hidden: tuple[int, int] | None, merged: str | None
) -> None:
    """A cat of 20 x 20 under a light of 10 x 10; two cats of 5 x 5 at one place."""
    objects = [(0, square(0, 0, 20)), (1, square(5, 5, 10)), (0, square(30, 30, 5)), (0, square(30, 30, 5))]
    dataset = dataset_of(tmp_path / "source", CLASSES, objects)
    again, lost = round_trip(dataset, kind, tmp_path / "out")
    assert lost.get("merged-objects") == merged
    if hidden is None:
        assert "hidden-pixels" not in lost
        assert drawn(again)["cat"].sum() == 400 + 25
    else:
        assert lost["hidden-pixels"].startswith(f"{hidden[0]} pixels hidden by other objects in 1 images")
        assert lost["hidden-pixels"].endswith(f"{hidden[1]} objects or classes of an image hidden wholly")
        assert drawn(again)["cat"].sum() == 300 + 25
    assert drawn(again)["traffic light"].sum() == 100


def test_pixels_to_ignore_come_back_in_index_masks(tmp_path: Path) -> None:
    levels = LEVELS.copy()
    levels[38:, :] = 255
    dataset = read(folder_of_masks(tmp_path / "source", levels), classes=("cat", "dog"))
    again, _ = round_trip(dataset, MaskKind.INDEX, tmp_path / "out")
    assert again.images[0].attributes == dataset.images[0].attributes
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png")), levels)
    _, lost = round_trip(dataset, MaskKind.CLASS_COLOUR, tmp_path / "colours")
    assert lost["not-in-masks"] == "pixels to ignore (1)"


@pytest.mark.parametrize("kind", MaskKind)
@pytest.mark.parametrize("classes", [("cat",), CLASSES])
def test_images_without_objects_come_back(tmp_path: Path, kind: MaskKind, classes: tuple[str, ...]) -> None:
    dataset = dataset_of(tmp_path / "source", classes, [(0, square(3, 3, 9))], [])
    again, lost = round_trip(dataset, kind, tmp_path / "out")
    assert again.classes == classes
    assert [len(image.annotations) for image in again.images] == [1, 0]
    assert lost == {}


@pytest.mark.parametrize("kind", MaskKind)
def test_a_folder_of_each_split_comes_back_as_one_dataset(tmp_path: Path, kind: MaskKind) -> None:
    dataset = dataset_of(
        tmp_path / "source", CLASSES, [(0, square(3, 3, 9))], [(1, square(3, 3, 9)), (2, square(20, 3, 9))]
    )
    for split, record in zip(("train", "test"), dataset.images, strict=True):
        (tmp_path / "out" / split).mkdir(parents=True)
        mask_folder.write(dataset.with_images([record]), tmp_path / "out" / split, WriteOptions(mask_kind=kind))
    again = read(tmp_path / "out")
    assert again.classes == CLASSES
    assert again.splits == {"train": ("train/nested/bild ä0.png",), "test": ("test/nested/bild ä1.png",)}
    by_split = {image.name.partition("/")[0]: {a.class_id for a in image.annotations} for image in again.images}
    assert by_split == {"train": {0}, "test": {1, 2}}
    (tmp_path / "out" / "test" / "classes.txt").write_text("emu\n")
    if kind is not MaskKind.CLASS_COLOUR:
        with pytest.raises(
            DatasetError, match=r"classes\.txt: expected the same classes as in the other file of its kind"
        ):
            read(tmp_path / "out")


def test_what_masks_cannot_say_is_told(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path / "source", ("cat",), [(0, square(3, 3, 9))])
    (record,) = dataset.images
    bare = Annotation(0, (), (1.0, 1.0, 5.0, 5.0), 16.0, attributes={"score": 1})
    changed = ImageRecord(1, record.name, record.path, record.size_hw, (*record.annotations, bare), "film", {}, 0)
    _, lost = round_trip(dataset.with_images([changed]), MaskKind.INDEX, tmp_path / "out")
    assert lost == {
        "object-without-mask": "1 objects that are a box alone, or empty",
        "not-in-masks": "groups (1), classes of whole images (1), attributes of objects (1)",
    }


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (MaskKind.INDEX, lambda d: (d.classes, ["a.png", "a.jpg"]), "stems of their own, found a.png and a.jpg"),
        (MaskKind.INDEX, lambda d: (("a\nb",), None), "names of classes of one line .* found"),
        (MaskKind.INDEX, lambda d: (("background",), None), "do not mean background, found 'background'"),
        (MaskKind.INDEX, lambda d: (tuple(map(str, range(300))), None), "at most 254 classes .*, found 300"),
        (MaskKind.BINARY, lambda d: (("a/b", "a:b"), None), "classes with folders of their own, found 'a/b' and 'a:b'"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, kind: MaskKind, change: Callable[[Dataset], tuple[tuple[str, ...], list[str] | None]], message: str
) -> None:
    dataset = dataset_of(tmp_path, ("cat",), [], [])
    classes, names = change(dataset)
    records = [
        ImageRecord(i, name, tmp_path / name, (4, 4))
        for i, name in enumerate(names or [record.name for record in dataset.images])
    ]
    with pytest.raises(DatasetError, match=message):
        mask_folder.write(assemble(tmp_path, "test", classes, records), tmp_path / "out", WriteOptions(mask_kind=kind))
    with pytest.raises(DatasetError, match="--mask-kind: expected binary, index"):
        mask_folder.write(dataset, tmp_path / "out", WriteOptions(mask_kind="rainbow"))


def test_the_lungs(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "lungs_montgomery"
    why = mask_folder.recognise(list_folder(source))
    assert why == "masks of 138 of 138 images, such as masks/MCUCXR_0001_0_mask.png"
    dataset = read(source, classes=("lungs",))
    assert dataset.classes == ("lungs",)
    assert [len(image.annotations) for image in dataset.images] == [1] * 138
    for record in dataset.images[::20]:
        expected = np.asarray(Image.open(source / "masks" / f"{Path(record.name).stem}_mask.png")) > 127
        assert np.array_equal(record.annotations[0].mask(record.size_hw).dense(record.size_hw), expected)
    assert said(dataset).keys() == {"mask-kind", "blurred-mask-edges"}
    halves = read(source, split_parts=True)
    assert sum(len(image.annotations) for image in halves.images) >= 2 * 138
    part = dataset.with_images(dataset.images[:5])
    again, lost = round_trip(part, MaskKind.BINARY, tmp_path / "out")
    assert lost == {}
    assert all(np.array_equal(drawn(part, i)["lungs"], drawn(again, i)["lungs"]) for i in range(5))


def test_the_films_of_davis(shared_data: Path) -> None:
    dataset = read(shared_data / "davis2016")
    assert len(dataset.images) == 333
    assert {image.group for image in dataset.images} == {"blackswan", "car-shadow", "cows", "goat", "libby"}
    assert dataset.images[0].name == "blackswan/00000.jpg"
    assert all(image.size_hw == (480, 854) for image in dataset.images)


def test_the_lesions_at_full_resolution(shared_data: Path) -> None:
    dataset = read(shared_data / "isic2017_fullres")
    assert [len(image.annotations) for image in dataset.images] == [1] * 10
    assert all(image.group is None for image in dataset.images)


def test_other_real_sets_are_no_mask_folders(shared_data: Path) -> None:
    for name in ("balloon_via", "coco128", "ham10000_mel_bcc", "isic2019", "labelme", "oil_tanks", "pictures"):
        assert mask_folder.recognise(list_folder(shared_data / name)) is None, name
