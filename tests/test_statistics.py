"""A dataset in numbers, against tables computed by hand, numpy on dense masks and pycocotools."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from small_datasets import SIZE_HW, box_alone, classified, crowd, dataset, mixed, nothing, one_class, record, rectangle

from maskstream.core.masks import crop, to_rle
from maskstream.data.dataset import Annotation, ImageRecord
from maskstream.data.formats.coco.folder import read
from maskstream.data.formats.format import ReadOptions
from maskstream.data.statistics import colours as colour_statistics
from maskstream.data.statistics.collect import collect
from maskstream.data.statistics.colours import ColourHistogram, ImageColours, count_colours
from maskstream.data.statistics.tables import write_tables

# pycocotools 2 and NumPy 2: its own business, not ours
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

PLACES = ("train", "test", "left out", "in no split")


def test_counts_by_class_and_place(tmp_path):
    found = collect(mixed(tmp_path))
    assert found.places == PLACES
    assert found.instances().tolist() == [[2, 1, 0, 0], [1, 0, 1, 1]]
    assert found.instances(crowd=True).tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]
    assert found.images_with().tolist() == [[2, 1, 0, 0], [1, 0, 1, 1]]
    assert found.images_of().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert found.images_at().tolist() == [2, 2, 1, 1]
    assert found.images.objects.tolist() == [2, 1, 1, 0, 1, 1]
    assert found.images.crowds.tolist() == [0, 1, 0, 0, 0, 0]
    assert found.group_sizes == {"film a": 3, "film b": 1, "film c": 1}
    assert found.torn_groups == ("film a",)
    assert found.label_makers == {"model": 1, "person": 1}


def test_an_image_with_several_objects_of_a_class_counts_once(tmp_path):
    images = [record(tmp_path, 1, [rectangle(0, 0, 0, 1, 1), rectangle(0, 4, 4, 1, 1)])]
    found = collect(dataset(tmp_path, images))
    assert found.instances().sum(axis=1).tolist() == [2, 0]
    assert found.images_with().sum(axis=1).tolist() == [1, 0]


def test_sizes_shapes_and_places_of_objects(tmp_path):
    objects = collect(mixed(tmp_path)).objects
    assert objects.image.tolist() == [0, 0, 1, 1, 2, 4, 5]
    assert objects.class_id.tolist() == [0, 1, 0, 0, 0, 1, 1]
    assert objects.crowd.tolist() == [False, False, True, False, False, False, False]
    assert objects.area_px.tolist() == [16, 50, 100, 8, 1, 200, 8]
    assert objects.area_share == pytest.approx(np.array([16, 50, 100, 8, 1, 200, 8]) / 200)
    assert objects.equivalent_diameter_px[0] == pytest.approx(4.513516668)  # 2 sqrt(16 / pi)
    assert objects.aspect == pytest.approx([1, 2, 4, 0.5, 1, 2, 2])
    # x: (2 + 6) / 2 / 20; y: (2 + 6) / 2 / 10
    assert objects.centres[0] == pytest.approx([0.2, 0.4])
    assert objects.centres[1] == pytest.approx([0.75, 0.25])


def test_centres_fall_into_fields_rows_first(tmp_path):
    found = collect(mixed(tmp_path))
    # centres without the crowd: (.2, .4) (.75, .25) (.3, .8) (.025, .05) (.5, .5) (.5, .5)
    assert found.centre_counts(2).tolist() == [[2, 1], [1, 2]]
    assert found.centre_counts(4)[3].tolist() == [0, 1, 0, 0]


def test_bounds_of_small_medium_and_large_are_coco_s(tmp_path):
    areas = [0, 1023, 1024, 9215, 9216, 20_000]
    annotations = [Annotation(0, (np.zeros((3, 2)),), (0, 0, 1, 1), float(area)) for area in areas]
    assert collect(dataset(tmp_path, [record(tmp_path, 1, annotations)])).size_classes() == (2, 2, 2)


def test_boxes_alone_have_the_area_of_the_box_and_degenerate_ones_no_aspect(tmp_path):
    found = collect(one_class(tmp_path))
    assert found.objects.box_alone.tolist() == [True, True]
    assert found.objects.area_px.tolist() == [18, 0]
    assert found.objects.aspect[0] == 2
    assert np.isnan(found.objects.aspect[1])
    assert found.colours.objects[0].pixels == 0
    assert found.colours.background.pixels == 0
    assert found.colours.images_read == 1


def test_nothing_gives_nothing(tmp_path):
    found = collect(nothing(tmp_path))
    assert found.instances().shape == (0, 2)
    assert found.images_at().tolist() == [0, 0]
    assert found.size_classes() == (0, 0, 0)
    assert found.centre_counts(3).sum() == 0
    assert found.images.distinct_sizes() == []
    assert found.colours.images_read == 0


def test_images_without_objects(tmp_path):
    found = collect(dataset(tmp_path, [record(tmp_path, 1)]))
    assert found.instances().tolist() == [[0, 0], [0, 0]]
    assert found.objects.area_share.shape == (0,)
    assert found.objects.centres.shape == (0, 2)
    assert found.colours.background.pixels == 200


def test_images_with_classes_some_of_them_not_there(tmp_path):
    found = collect(classified(tmp_path))
    assert found.images_of().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert found.missing == ("3.png",)
    assert found.unreadable == {}
    assert found.images.size_hw.tolist() == [[10, 20], [5, 4], [0, 0]]
    assert found.colours.images_read == 2
    assert found.colours.of_classes[0].mean.tolist() == [200, 10, 0]
    assert found.colours.of_classes[0].spread.tolist() == [0, 0, 0]
    assert found.colours.of_classes[1].pixels == 20


def test_what_cannot_be_read_is_told_and_counted(tmp_path):
    images = [record(tmp_path, number, [rectangle(0, 0, 0, 2, 2)]) for number in (1, 2)]
    wrong_size = ImageRecord(3, "3.png", images[1].path, (99, 99), (rectangle(0, 0, 0, 2, 2, (99, 99)),))
    wrong_mask = ImageRecord(4, "4.png", images[1].path, None, (rectangle(0, 0, 0, 2, 2, (7, 7)),))
    images[0].path.write_bytes(b"no image")
    found = collect(dataset(tmp_path, [*images, wrong_size, wrong_mask]))
    assert list(found.unreadable) == ["1.png", "3.png", "4.png"]
    assert "expected 99 x 99 pixels" in found.unreadable["3.png"]
    assert "expected 7 x 7 pixels" in found.unreadable["4.png"]
    assert found.instances().sum() == 4
    assert found.colours.images_read == 1
    assert found.colours.objects[0].pixels == 4


def test_a_broken_image_of_unknown_size_has_none(tmp_path):
    (tmp_path / "1.png").write_bytes(b"")
    images = [ImageRecord(1, "1.png", tmp_path / "1.png", None, (rectangle(0, 0, 0, 2, 2),))]
    found = collect(dataset(tmp_path, images), colour_images=0)
    assert list(found.unreadable) == ["1.png"]
    assert np.isnan(found.objects.area_share).tolist() == [True]
    assert found.objects.area_px.tolist() == [4]
    assert found.centre_counts(2).sum() == 0
    assert found.colours is None


def test_distinct_sizes_come_most_frequent_first(tmp_path):
    sizes = [(4, 6), (8, 8), (8, 8), (6, 4)]
    images = [record(tmp_path, number, size_hw=size_hw) for number, size_hw in enumerate(sizes)]
    assert collect(dataset(tmp_path, images)).images.distinct_sizes() == [((8, 8), 2), ((4, 6), 1), ((6, 4), 1)]


def test_a_sample_for_colours_is_of_its_size_and_always_the_same(tmp_path):
    images = [record(tmp_path, number, size_hw=(2, 2)) for number in range(30)]
    told = []
    found = [collect(dataset(tmp_path, images), colour_images=7, on_progress=lambda *a: told.append(a)) for _ in "ab"]
    assert found[0].colours.images_read == found[0].colour_images == 7
    assert found[0].colours.background.pixels == 28
    assert np.array_equal(found[0].colours.background.counts, found[1].colours.background.counts)
    assert told[:30] == [(done, 30) for done in range(1, 31)]


def test_missing_images_are_not_chosen_for_colours(tmp_path):
    images = [record(tmp_path, number, size_hw=(2, 2)) for number in range(10)]
    for image in images[:6]:
        image.path.unlink()
    found = collect(dataset(tmp_path, images), colour_images=4)
    assert found.colours.images_read == 4
    assert len(found.missing) == 6


def test_crowds_are_neither_object_nor_background(tmp_path):
    pixels = np.zeros((*SIZE_HW, 3), np.uint8)
    pixels[:5] = 100
    pixels[5:] = 50
    pixels[6:8, 2:6] = 200
    images = [record(tmp_path, 1, [crowd(0, 0, 0, 20, 5), rectangle(1, 2, 6, 4, 2)], pixels=pixels)]
    colours = collect(dataset(tmp_path, images)).colours
    assert [histogram.pixels for histogram in colours.objects] == [0, 8]
    assert colours.objects[1].mean.tolist() == [200, 200, 200]
    assert colours.background.mean.tolist() == [50, 50, 50]
    assert colours.background.pixels == 100 - 8
    assert np.isnan(colours.objects[0].mean).all()
    assert np.isnan(colours.objects[0].spread).all()


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(0, 4))
def test_colours_are_numpy_s_on_dense_masks(seed, height, width, count):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    dense = random.random((count, height, width)) < 0.3
    class_ids = random.integers(0, 2, count)
    annotations = [
        Annotation(int(class_id), to_rle(crop(mask), (height, width)), (0, 0, 1, 1), 1.0)
        for class_id, mask in zip(class_ids, dense, strict=True)
    ]
    shown = ImageRecord(1, "a", Path("a"), (height, width), tuple(annotations))
    found = ImageColours.of(shown, image)
    for class_id in (0, 1):
        pixels = np.concatenate([image[mask] for mask in dense[class_ids == class_id]] or [np.zeros((0, 3), np.uint8)])
        histogram = ColourHistogram(found.objects.get(class_id, np.zeros((3, 256), np.int64)))
        assert histogram.pixels == len(pixels)
        if len(pixels):
            assert histogram.mean == pytest.approx(pixels.mean(axis=0))
            assert histogram.spread == pytest.approx(pixels.std(axis=0), abs=1e-9)
    outside = image[~dense.any(axis=0)]
    for channel in range(3):
        assert found.background[channel].tolist() == np.bincount(outside[:, channel], minlength=256).tolist()


def test_large_images_are_counted_in_blocks(monkeypatch):
    random = np.random.default_rng(0)
    image, mask = random.integers(0, 256, (33, 10, 3), np.uint8), random.random((33, 10)) < 0.5
    whole = count_colours(image, mask)
    monkeypatch.setattr(colour_statistics, "_BLOCK_PX", 40)
    assert np.array_equal(count_colours(image, mask), whole)
    assert whole.sum(axis=1).tolist() == 3 * [mask.sum()]
    assert count_colours(image[:0]).sum() == 0


def test_shares_add_up_to_one_in_equal_bins():
    counts = np.zeros((3, 256), np.int64)
    counts[:, 0], counts[:, 7], counts[:, 8], counts[:, 255] = 1, 1, 2, 4
    shares = ColourHistogram(counts).shares(32)
    assert shares[0, :2].tolist() == [0.25, 0.25]
    assert shares[:, -1].tolist() == [0.5, 0.5, 0.5]
    assert ColourHistogram().shares(32).sum() == 0


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables(tmp_path):
    small = mixed(tmp_path)
    write_tables(tmp_path, small, collect(small))
    classes = rows_of(tmp_path / "classes.csv")
    assert [row["class"] for row in classes] == ["benign", "malignant", "(all)"]
    names = ("images", "instances", "crowds", "image_labels", "median_area_px", "median_area_share")
    assert [[row[name] for name in names] for row in classes] == [
        ["3", "3", "1", "0", "8", "0.04"],
        ["3", "3", "0", "0", "50", "0.25"],
        ["5", "6", "1", "0", "12", "0.06"],
    ]
    assert [classes[2][f"{kind} {place}"] for place in PLACES for kind in ("images", "instances")] == [
        "2", "3", "1", "1", "1", "1", "1", "1",
    ]  # fmt: skip
    assert classes[0]["colour_px"] == "25"
    images = rows_of(tmp_path / "images.csv")
    assert images[4] == {
        "image": "5.png", "split": "", "left_out_because": "near-duplicate of 1.png", "group": "film c", "class": "",
        "width_px": "20", "height_px": "10", "objects": "1", "crowds": "0",
    }  # fmt: skip
    assert [row["split"] for row in images] == ["train", "train", "test", "test", "", ""]
    objects = rows_of(tmp_path / "objects.csv")
    assert len(objects) == 7
    assert objects[1] == {
        "image": "1.png", "split": "train", "group": "film a", "class": "malignant", "crowd": "0", "mask": "1",
        "x1_px": "10", "y1_px": "0", "x2_px": "20", "y2_px": "5", "area_px": "50", "area_share": "0.25",
        "equivalent_diameter_px": "7.97884561", "aspect_width_by_height": "2", "centre_x": "0.75", "centre_y": "0.25",
    }  # fmt: skip
    assert [row["crowd"] for row in objects] == ["0", "0", "1", "0", "0", "0", "0"]
    totals = json.loads((tmp_path / "summary.json").read_text())
    assert (totals["images"], totals["objects"], totals["crowds"], totals["images_without_objects"]) == (6, 6, 1, 1)
    assert totals["instances_by_class"] == {"benign": 3, "malignant": 3}
    assert totals["images_by_split"] == dict(zip(PLACES, (2, 2, 1, 1), strict=True))
    assert totals["groups_in_several_splits"] == 1


@pytest.mark.parametrize("make", [nothing, classified, one_class])
def test_tables_of_odd_datasets_are_whole(tmp_path, make):
    small = make(tmp_path / "source")
    found = collect(small, colour_images=0)
    write_tables(tmp_path, small, found)
    assert len(rows_of(tmp_path / "images.csv")) == len(small.images)
    assert len(rows_of(tmp_path / "classes.csv")) == len(small.classes) + 1
    assert len(rows_of(tmp_path / "objects.csv")) == sum(len(image.annotations) for image in small.images)


def test_unknown_values_are_empty_cells(tmp_path):
    small = classified(tmp_path)
    write_tables(tmp_path, small, collect(small))
    last = rows_of(tmp_path / "images.csv")[2]
    assert (last["width_px"], last["height_px"], last["class"]) == ("", "", "malignant")
    assert rows_of(tmp_path / "classes.csv")[0]["median_area_px"] == ""


def test_coco128_against_pycocotools(shared_data):
    source = shared_data / "coco128"
    found = collect(read(source, ReadOptions()), colour_images=12)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(source / "instances.json")
    assert len(found.images.place) == len(reference.imgs) == 128
    for row, category in enumerate(reference.loadCats(sorted(reference.getCatIds()))):
        theirs = reference.loadAnns(reference.getAnnIds(catIds=category["id"], iscrowd=False))
        assert found.instances()[row].sum() == len(theirs)
        assert found.images_with()[row].sum() == len({entry["image_id"] for entry in theirs})
    assert found.instances().sum() == 929
    assert found.instances(crowd=True).sum() == 10
    ranges = [(0, 32**2), (32**2, 96**2), (96**2, 1e10)]
    areas = [a["area"] for a in reference.loadAnns(reference.getAnnIds(iscrowd=False))]
    assert found.size_classes() == tuple(sum(low <= area < high for area in areas) for low, high in ranges)
    assert found.colours.images_read == 12


def test_areas_of_coco128_are_those_of_pycocotools_masks(shared_data):
    source = shared_data / "coco128"
    coco128 = read(source, ReadOptions())
    found = collect(coco128, colour_images=0)
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(source / "instances.json")
    row = 0
    for image in coco128.images[:30]:
        for entry in reference.loadAnns(reference.getAnnIds(imgIds=image.image_id)):
            assert found.objects.area_px[row] == entry["area"]
            pixels = int(reference.annToMask(entry).sum())
            # the file states the area of the polygon; of large objects the pixels are that to within 3 %
            if pixels > 1000:
                assert found.objects.area_px[row] == pytest.approx(pixels, rel=0.03)
            row += 1
    assert row > 100


def test_box_alone_leaves_the_background_of_its_image_out(tmp_path):
    images = [record(tmp_path, 1, [box_alone(0, 0, 0, 5, 5), rectangle(1, 6, 0, 2, 2)]), record(tmp_path, 2)]
    colours = collect(dataset(tmp_path, images)).colours
    assert colours.background.pixels == 200
    assert colours.objects[1].pixels == 4
