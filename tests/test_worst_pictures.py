"""Pictures of the worst images: three panels of a bounded size, named by rank, in the colours of the classes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from fake_answers import CLASSES
from found_objects import disk, found
from small_datasets import record

from maskstream.core.classification import Classification
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.masks import crop
from maskstream.draw.palette import object_colour
from maskstream.draw.panels import PANEL_PX, SMALL_PX, resized, side_by_side
from maskstream.evaluation.failures.worst import Failure
from maskstream.evaluation.objects.instance import ImageTruth
from maskstream.reports.worst_pictures import picture_name, picture_of, write_worst

SIZE_HW = (480, 640)


def _failure(folder: Path, answer: Detections | Classification, name: str = "1.png") -> Failure:
    mask = crop(disk(SIZE_HW, 200, 240, 90))
    truth = ImageTruth(1, (mask,), (1,), SIZE_HW, (False,))
    shown = record(folder, 1, size_hw=SIZE_HW, pixels=np.full((*SIZE_HW, 3), 190, np.uint8))
    classified = isinstance(answer, Classification)
    return Failure(1, shown, "jaccard", 0.25, "malignant" if classified else truth, answer, "a reason in plain words")


def _near(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(axis=2) < 12).sum())


def test_image_truth_and_answer_stand_side_by_side(tmp_path: Path) -> None:
    picture = picture_of(_failure(tmp_path, found([disk(SIZE_HW, 420, 240, 60)], [0.1], [NO_TRACK])))
    width = picture.shape[1] // 3
    assert picture.shape[1] <= 3 * PANEL_PX + 40
    image, truth, answer = (picture[60:, n * width + 8 : (n + 1) * width - 8] for n in range(3))
    benign, malignant = (object_colour(NO_TRACK, class_id) for class_id in (0, 1))
    assert (_near(image, benign), _near(image, malignant)) == (0, 0)
    assert _near(truth, malignant) > 500 > 20 > _near(truth, benign)
    assert _near(answer, benign) > 500 > 20 > _near(answer, malignant)


def test_truth_without_an_object_and_an_answer_of_nothing_are_drawn_too(tmp_path: Path) -> None:
    failure = _failure(tmp_path, Detections.empty(CLASSES, SIZE_HW))
    empty = Failure(1, failure.record, "jaccard", 0, ImageTruth(1, (), (), SIZE_HW), failure.answer, "")
    assert picture_of(empty).shape == picture_of(failure).shape


def test_a_classifiers_picture_says_what_it_was_called(tmp_path: Path) -> None:
    answer = Classification(np.array([0.9, 0.1], np.float32), CLASSES)
    picture = picture_of(_failure(tmp_path, answer))
    band = picture[:28]
    assert max(picture.shape[:2]) <= PANEL_PX + 28
    assert (band < 90).any()


def test_the_table_names_every_picture_below_the_folder(tmp_path: Path) -> None:
    failure = _failure(tmp_path, found([disk(SIZE_HW, 420, 240, 60)], [0.1], [NO_TRACK]))
    table = write_worst([failure], tmp_path / "out")
    assert table.name == "worst"
    assert table.rows == ((1, "1.png", "jaccard", 0.25, "worst/001-1.jpg", "a reason in plain words"),)
    written = cv2.imread(str(tmp_path / "out" / "worst" / "001-1.jpg"))
    assert written is not None
    assert written.shape == picture_of(failure).shape
    (tmp_path / "out" / "worst" / "note.txt").write_text("mine")
    nothing = write_worst([], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "worst").iterdir()] == ["note.txt"]
    assert nothing.columns == ("rank", "image", "figure", "value", "picture", "why")


def test_picture_names_keep_what_file_systems_take(tmp_path: Path) -> None:
    failure = _failure(tmp_path, Detections.empty(CLASSES, SIZE_HW))
    object.__setattr__(failure.record, "name", "patient 7/ü:*?" + "x" * 300 + ".png")
    assert picture_name(failure) == "001--" + "x" * 59 + ".jpg"


def test_small_pictures_are_enlarged_and_large_ones_bounded() -> None:
    assert resized(np.zeros((20, 40, 3), np.uint8), 560).shape == (120, SMALL_PX, 3)
    assert resized(np.zeros((3000, 1000, 3), np.uint8), 560).shape == (560, 187, 3)
    assert resized(np.zeros((300, 400, 3), np.uint8), 560).shape == (300, 400, 3)
    assert side_by_side([("a title far too long for it", np.zeros((400, 12, 3), np.uint8))]).shape[1] == 12
