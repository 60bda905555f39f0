"""Datasets whose images are frames of videos: which they are, who is who in them, and what their figures say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from maskstream.core.classes import Classes
from maskstream.core.detections import Detections
from maskstream.core.masks import CroppedMask
from maskstream.data.dataset import Annotation, Dataset, ImageRecord, Provenance
from maskstream.data.formats.format import ReadOptions
from maskstream.data.formats.mask_folder.read import read
from maskstream.errors import DatasetError
from maskstream.evaluation.answers import ObjectAnswers, SegmenterAnswers
from maskstream.evaluation.videos.film import HEADLINE, VideoEvaluation, video_evaluation
from maskstream.evaluation.videos.video_frames import videos_of
from maskstream.evaluation.videos.video_truth import VideoTruth
from maskstream.inference.load import load_model
from maskstream.media.sample import CLASSES, SampleClip

SIZE_HW = (48, 64)


class Answers:
    """Says of each image what it is told to say."""

    name, calibration = "told", None
    facts: dict[str, str] = {}  # noqa: RUF012 (the protocol's attribute)
    task: Literal["instance"] = "instance"
    score_threshold, max_detections = 0.5, 100

    def __init__(self, answers: dict[str, Detections], classes: Classes = CLASSES) -> None:
        self._answers, self.classes = answers, classes

    def detections(self, record: ImageRecord, score_floor: float) -> Detections:
        return self._answers[record.name]


def objects(*items: tuple[CroppedMask, float, float], size_hw: tuple[int, int] = SIZE_HW) -> Detections:
    """Found objects: mask, score, probability of being malignant."""
    n = len(items)
    malignant = np.array([item[2] for item in items], np.float32)
    corners = [(m.x0, m.y0, m.x0 + m.bitmap.shape[1], m.y0 + m.bitmap.shape[0]) for m, _, _ in items]
    return Detections(
        boxes_xyxy=np.array(corners, np.float32).reshape(n, 4),
        masks=tuple(item[0] for item in items),
        scores=np.array([item[1] for item in items], np.float32),
        probabilities=np.stack([1 - malignant, malignant], axis=1).reshape(n, 2),
        track_ids=np.zeros(n, np.int64),
        classes=CLASSES,
        size_hw=size_hw,
    )


def square(x: int, y: int, side: int = 16) -> CroppedMask:
    return CroppedMask(np.ones((side, side), bool), x, y)


def record(name: str, *annotations: Annotation, folder: Path = Path(), **attributes: Any) -> ImageRecord:
    return ImageRecord(0, name, folder / name, SIZE_HW, annotations, attributes=attributes)


def labelled(mask: CroppedMask, class_id: int = 0, **attributes: Any) -> Annotation:
    return Annotation.from_mask(class_id, mask, SIZE_HW, attributes)


def saved(folder: Path, images: list[ImageRecord], classes: Classes = CLASSES) -> Dataset:
    """A dataset of these images, in the order of their names; pictures that are not there are made, all grey."""
    rng = np.random.default_rng(1)
    numbered = []
    for number, image in enumerate(sorted(images, key=lambda image: image.name), start=1):
        path = folder / "pictures" / image.name
        if not image.has_file:
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(90, 160, (*image.size_hw, 3)).astype(np.uint8))
        numbered.append(
            ImageRecord(
                number,
                image.name,
                image.path if image.has_file else path,
                image.size_hw,
                image.annotations,
                attributes=image.attributes,
            )
        )
    provenance = Provenance(name="films", source="", licence="CC0-1.0", licence_url="", importer="test")
    made = Dataset(folder, classes, tuple(numbered), {"test": tuple(r.name for r in numbered)}, (), "hand", provenance)
    return made.save(folder / "dataset")


def origin(video: str, index: int, time_s: float) -> dict[str, Any]:
    return {"video": video, "index": index, "time_s": time_s, "sha256": ""}


def test_images_of_videos_say_so_or_are_said_to_be() -> None:
    stated = [record(f"{n}.png", frame=origin("a.mp4", n, n / 30)) for n in (3, 1, 2)]
    (video,) = videos_of(stated)
    assert (video.name, [image.name for image in video.frames]) == ("a.mp4", ["1.png", "2.png", "3.png"])
    assert (video.times_s, video.stated, video.step_s) == ((1 / 30, 2 / 30, 3 / 30), True, pytest.approx(1 / 30))
    numbered = [record(name) for name in ("swan/00010.jpg", "swan/00005.jpg", "goat_1.png", "goat_2.png", "other.png")]
    assert videos_of(numbered) == ()
    swan, goat = videos_of(numbered, asked=True)
    assert (swan.name, goat.name) == ("swan", "goat")
    assert (swan.times_s, swan.stated) == (pytest.approx((0.2, 0.4)), False)


def test_frames_far_apart_and_lone_frames_are_no_video() -> None:
    sparse = [record(f"{n}.png", frame=origin("a.mp4", n, 5.0 * n)) for n in range(4)]
    assert videos_of(sparse) == ()
    assert len(videos_of(sparse, asked=True)) == 1
    assert videos_of(sparse[:1], asked=True) == ()
    assert videos_of([]) == ()


def test_broken_frames_are_told() -> None:
    with pytest.raises(DatasetError, match=r"video swan: .* frame 1 twice \(swan/1.jpg, swan/01.jpg\)"):
        videos_of([record("swan/1.jpg"), record("swan/01.jpg")], asked=True)
    with pytest.raises(DatasetError, match="expected video, index and time_s of the frame, found 'first'"):
        videos_of([record("a.png", frame="first")])


def truth_of(*frames: tuple[Annotation, ...]) -> VideoTruth:
    (video,) = videos_of([record(f"clip/{n}.png", *frame) for n, frame in enumerate(frames)], asked=True)
    return VideoTruth.of(video, CLASSES)


def test_objects_are_told_apart_by_track_id_or_class() -> None:
    here, there = square(2, 2), square(30, 20)
    by_id = truth_of((labelled(here, track_id=7), labelled(there, track_id="x")), (labelled(here, track_id="x"),))
    assert by_id.names == {1: "7", 2: "x"}
    assert by_id.numbers == {"clip/0.png": (1, 2), "clip/1.png": (2,)}
    by_class = truth_of((labelled(here, 1), labelled(there, 0)), (labelled(here, 0),), ())
    assert by_class.names == {1: "malignant", 2: "benign"}
    assert by_class.numbers == {"clip/0.png": (1, 2), "clip/1.png": (2,), "clip/2.png": ()}
    # a COCO file may say it beside the attributes that are ours
    in_coco = truth_of((labelled(here, coco={"track_id": 3}), labelled(there, coco={"track_id": 4})), ())
    assert in_coco.names == {1: "3", 2: "4"}


@pytest.mark.parametrize(
    "frame, message",
    [
        ((labelled(square(2, 2)), labelled(square(30, 20))), "found 2 objects of benign without; write what tells"),
        ((labelled(square(2, 2), track_id=1), labelled(square(30, 20))), "a track_id of every object, found one"),
        ((labelled(square(2, 2), track_id=1), labelled(square(30, 20), track_id=1)), "found 1 2 times"),
        ((Annotation(0, (), (0.0, 0.0, 9.0, 9.0), 81.0),), "expected a mask of every object, found a box alone"),
    ],
)
def test_unclear_objects_are_told(frame: tuple[Annotation, ...], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        truth_of(frame, ())


def still(folder: Path, frames: int = 12) -> tuple[Dataset, dict[str, Detections]]:
    """Two videos of one benign and one malignant square that stand still, found as they are."""
    images, answers = [], {}
    for video in ("left", "right"):
        for n in range(frames):
            masks = square(4, 6), square(36, 20)
            annotations = [labelled(mask, class_id, track_id=class_id) for class_id, mask in enumerate(masks)]
            name = f"{video}/{n:03}.png"
            images.append(record(name, *annotations, frame=origin(video, n, n / 30)))
            answers[name] = objects((masks[0], 0.9, 0.2), (masks[1], 0.8, 0.9))
    return saved(folder, images), answers


def judge_videos(answers: ObjectAnswers, dataset: Dataset, records: Sequence[ImageRecord]) -> VideoEvaluation:
    """Every frame of the videos among the images, asked for and judged."""
    evaluation = video_evaluation(answers, dataset, records, asked=True)
    assert evaluation is not None
    for record in evaluation.records:
        found = answers.detections(record, answers.score_threshold)
        evaluation.add(record, found.select(found.scores >= answers.score_threshold))
    return evaluation


def test_what_is_found_as_it_is_has_perfect_figures(tmp_path: Path) -> None:
    dataset, answers = still(tmp_path)
    metrics = judge_videos(Answers(answers), dataset, dataset.records("test")).metrics()
    ones = {"J", "F", "JF", "J_recall", "F_recall", "HOTA", "DetA", "AssA", "LocA", "MOTA", "IDF1"}
    ones |= {"frame_class_accuracy", "track_class_accuracy"}
    assert {key: metrics[key] for key in ones} == pytest.approx(dict.fromkeys(ones, 1.0))
    zeros = {
        "J_decay",
        "F_decay",
        "area_jitter",
        "true_area_jitter",
        "percentage_jitter",
        "id_switches",
        "tracking_gain",
    }
    assert {key: metrics[key] for key in zeros} == pytest.approx(dict.fromkeys(zeros, 0.0))
    counts = {"n_videos": 2, "n_video_frames": 24, "n_video_objects": 4, "n_tracks": 4, "n_class_hits": 48}
    assert {key: metrics[key] for key in counts} == counts
    assert (metrics["video_undefined"], metrics["video_times"]) == ("none", "as the dataset tells")
    assert metrics["video_step_s"] == pytest.approx(1 / 30, abs=1e-6)


def test_nothing_found_leaves_out_what_is_not_defined(tmp_path: Path) -> None:
    dataset, answers = still(tmp_path)
    nothing = {name: objects() for name in answers}
    metrics = judge_videos(Answers(nothing), dataset, dataset.images).metrics()
    assert {key: metrics[key] for key in ("J", "F", "HOTA", "MOTA", "IDF1")} == dict.fromkeys(
        ("J", "F", "HOTA", "MOTA", "IDF1"), 0.0
    )
    undefined = ["LocA", "area_jitter", "percentage_jitter", "frame_class_accuracy", "track_class_accuracy"]
    undefined += ["tracking_gain"]
    assert metrics["video_undefined"] == ", ".join(undefined)
    assert not metrics.keys() & set(undefined)


def test_tracking_mends_a_class_that_flickers(tmp_path: Path) -> None:
    """In every fourth frame the benign square is called malignant and is found a quarter smaller."""
    dataset, answers = still(tmp_path)
    for number, name in enumerate(answers):
        if number % 4 == 3:
            small = CroppedMask(np.ones((12, 16), bool), 4, 6)
            answers[name] = objects((small, 0.9, 0.7), (square(36, 20), 0.8, 0.9))
    judged = judge_videos(Answers(answers), dataset, dataset.images)
    metrics = judged.metrics()
    assert metrics["frame_class_accuracy"] == pytest.approx(1 - 6 / 48)
    assert metrics["track_class_accuracy"] == 1.0
    assert metrics["tracking_gain"] == pytest.approx(6 / 48)
    assert metrics["id_switches"] == 0
    assert metrics["J"] == pytest.approx(1 - 0.25 / 8)
    table = {table.name: table for table in judged.tables()}["video_objects"]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["video"], row["object"], row["class"]) for row in rows[:2]] == [
        ("left", "0", "benign"),
        ("left", "1", "malignant"),
    ]
    assert rows[0]["area_jitter"] > 0.1
    assert rows[0]["percentage_jitter"] > 0.1
    assert rows[0]["true_area_jitter"] == rows[1]["area_jitter"] == rows[1]["percentage_jitter"] == 0


def test_headlines_of_videos_go_together_with_the_figures(tmp_path: Path) -> None:
    dataset, answers = still(tmp_path)
    for number, name in enumerate(answers):
        if name.startswith("right") and number % 2:
            answers[name] = objects((square(6, 6), 0.9, 0.2))
    judged = judge_videos(Answers(answers), dataset, dataset.images)
    metrics = judged.metrics()
    assert judged.headline(np.array([0, 1])) == {key: metrics[key] for key in HEADLINE if key in metrics}
    assert judged.headline(np.array([0, 0]))["HOTA"] == pytest.approx(1)
    assert judged.headline(np.array([1]))["HOTA"] < metrics["HOTA"] < 1
    assert judged.headline(np.zeros(0, np.int64)) == {}
    assert judged.groups() == ["video left", "video right"]
    table = {table.name: table for table in judged.tables()}["videos"]
    left, right = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (left["video"], left["frames"], left["tracks"], left["J"]) == ("left", 12, 2, pytest.approx(1))
    assert right["J"] == judged.headline(np.array([1]))["J"]


def test_frames_come_in_order_and_all_of_them(tmp_path: Path) -> None:
    dataset, answers = still(tmp_path)
    told = Answers(answers)
    shuffled = dataset.images[::-1]
    evaluation = video_evaluation(told, dataset, shuffled)
    assert evaluation is not None
    extra = record("still.png")
    ordered = evaluation.in_order([extra, *shuffled])
    assert ordered == (*evaluation.records, extra)
    evaluation.add(extra, objects())
    with pytest.raises(ValueError, match="out of order"):
        evaluation.add(ordered[1], answers[ordered[1].name])
    evaluation.add(ordered[0], answers[ordered[0].name])
    with pytest.raises(ValueError, match="23 frames of videos are still to come"):
        evaluation.metrics()


def test_stills_are_no_videos(tmp_path: Path) -> None:
    dataset = saved(tmp_path, [record("a.png", labelled(square(2, 2))), record("b.png")])
    assert video_evaluation(Answers({}), dataset, dataset.images) is None
    with pytest.raises(DatasetError, match="expected images that are frames of videos"):
        video_evaluation(Answers({}), dataset, dataset.images, asked=True)


def test_what_lies_in_a_crowd_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    crowd = Annotation.from_mask(0, CroppedMask(np.ones((20, 20), bool), 40, 0), SIZE_HW)
    crowd = Annotation(0, crowd.segmentation, crowd.box_xyxy, crowd.area_px, iscrowd=True)
    images = [record(f"clip/{n}.png", labelled(square(4, 6)), crowd) for n in range(3)]
    dataset = saved(tmp_path, images)
    found = objects((square(4, 6), 0.9, 0.1), (square(42, 2, 8), 0.8, 0.1), (square(36, 30, 8), 0.8, 0.1))
    told = Answers({image.name: found for image in images})
    metrics = judge_videos(told, dataset, dataset.images).metrics()
    assert (metrics["n_tracks"], metrics["n_video_objects"], metrics["MOTA"]) == (2, 1, 0.0)


def clip_dataset(folder: Path, clip: SampleClip) -> Dataset:
    """The frames of a sample clip with their exact truth."""
    images = []
    for n in range(clip.frame_count):
        picture, truth = clip.render(n)
        path = folder / "clip" / f"{n:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture[..., ::-1])
        annotations = tuple(
            Annotation.from_mask(item.class_id, item.mask, clip.size_hw, {"track_id": item.track_id}) for item in truth
        )
        attributes = {"frame": origin(clip.name, n, clip.time_s(n))}
        images.append(ImageRecord(0, f"clip/{n:03}.png", path, clip.size_hw, annotations, attributes=attributes))
    return saved(folder, images)


def test_the_bundled_model_on_a_sample_clip(tmp_path: Path) -> None:
    clip = SampleClip(seed=7, size_hw=(240, 320), frame_count=16, moles=2)
    dataset = clip_dataset(tmp_path, clip)
    judged = judge_videos(SegmenterAnswers(load_model("lesions")), dataset, dataset.images)
    metrics = judged.metrics()
    assert metrics["n_video_objects"] == len({i for n in range(16) for i in clip.truth(n).track_ids.tolist()})
    assert metrics["J"] > 0.8
    assert metrics["F"] > 0.7
    assert metrics["HOTA"] > 0.7
    assert metrics["IDF1"] > 0.9
    assert 0 < metrics["area_jitter"] < 0.2
    assert 0 < metrics["percentage_jitter"] < 0.3
    assert metrics["video_undefined"] == "none"


def test_the_films_of_davis_have_one_object_each(shared_data: Path) -> None:
    dataset = read(shared_data / "davis2016", ReadOptions())
    records = [image for image in dataset.images if image.group in {"blackswan", "libby"}]
    evaluation = video_evaluation(Answers({}, dataset.classes), dataset, records, asked=True)
    assert isinstance(evaluation, VideoEvaluation)
    assert [(video.name, len(video.frames)) for video in evaluation.videos] == [("blackswan", 50), ("libby", 49)]
    found = np.random.default_rng(3)
    for image in evaluation.records:
        (annotation,) = image.annotations
        mask = annotation.mask(image.size_hw)
        kernel = np.ones((int(found.integers(2, 6)),) * 2, np.uint8)
        bitmap = cv2.erode(mask.bitmap.astype(np.uint8), kernel) > 0
        one = objects((CroppedMask(bitmap, mask.x0, mask.y0), 0.9, 0.0), size_hw=image.size_hw)
        evaluation.add(
            image,
            Detections(
                one.boxes_xyxy,
                one.masks,
                one.scores,
                np.ones((1, 1), np.float32),
                one.track_ids,
                dataset.classes,
                one.size_hw,
            ),
        )
    metrics = evaluation.metrics()
    assert (metrics["n_video_objects"], metrics["n_tracks"], metrics["n_video_frames"]) == (2, 2, 99)
    assert (metrics["video_times"], metrics["video_step_s"]) == ("0.04 s a frame number", 0.04)
    assert 0.7 < metrics["J"] < 0.95 < metrics["F"] <= 1
    assert "frame_class_accuracy" not in metrics
    assert metrics["video_undefined"] == "none"
