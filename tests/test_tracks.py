"""The percentage of a track and its interval: copies do not count, different views do, and coverage is what it says."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskstream.core.calibration import Calibration, logit, sigmoid
from maskstream.core.detections import NO_TRACK, Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import CroppedMask, crop
from maskstream.tracking.percentages import APART_BITS, COPY_BITS, MOST_VIEWS, Percentage, Views
from maskstream.tracking.tracks import TrackBook, TrackSummary
from maskstream.tracking.views import Observation, observe

CLASSES = ("benign", "malignant")
CALIBRATION = Calibration("malignant", 0.9, -0.3, ((0.02, 0.005), (0.005, 0.03)), view_sd=0.65)
SIZE_HW = (48, 64)


def found(malignant: Sequence[float], track_ids: Sequence[int] | None = None, score: float = 0.9) -> Detections:
    """Objects of 4 x 5 pixels with the given calibrated probabilities of 'malignant'."""
    n = len(malignant)
    return Detections(
        boxes_xyxy=np.tile(np.array([10, 10, 15, 14], np.float32), (n, 1)),
        masks=tuple(CroppedMask(np.ones((4, 5), bool), 10, 10) for _ in range(n)),
        scores=np.full(n, score, np.float32),
        probabilities=np.array([[1 - p, p] for p in malignant], np.float32).reshape(n, 2),
        track_ids=np.array(track_ids or [1] * n, np.int64),
        classes=CLASSES,
        size_hw=SIZE_HW,
    )


def book_of(frames: Sequence[tuple[float, Observation]], calibration: Calibration | None = CALIBRATION) -> TrackBook:
    """A book of one track from probabilities and observations."""
    book = TrackBook(CLASSES, calibration)
    for index, (probability, observation) in enumerate(frames):
        book.add(index, index / 30, "film", found([probability]), [observation])
    return book


def summary_of(frames: Sequence[tuple[float, Observation]]) -> TrackSummary:
    (summary,) = book_of(frames).summaries()
    return summary


def malignant(summary: TrackSummary) -> tuple[float, float, float]:
    """Percentage, low and high."""
    percentage = summary.percentages["malignant"]
    assert percentage.low is not None
    assert percentage.high is not None
    return percentage.percent, percentage.low, percentage.high


def far_apart_views(count: int) -> list[str]:
    """Fingerprints at least `APART_BITS` bits from each other."""
    rng = np.random.default_rng(1)
    kept: list[int] = []
    while len(kept) < count:
        candidate = int.from_bytes(rng.bytes(8), "big")
        if all((candidate ^ other).bit_count() >= APART_BITS for other in kept):
            kept.append(candidate)
    return [f"{view:016x}" for view in kept]


VIEWS = far_apart_views(40)


def test_a_book_without_frames_has_no_tracks() -> None:
    book = TrackBook(CLASSES, CALIBRATION)
    assert book.summaries() == []
    assert book.rows() == []
    assert book.columns[:3] == ["track_id", "source", "class"]
    assert book.columns[-3:] == ["malignant_percent", "malignant_percent_low", "malignant_percent_high"]


def test_frames_without_objects_or_without_a_track_leave_no_track() -> None:
    book = TrackBook(CLASSES, CALIBRATION)
    book.add(0, 0.0, "film", Detections.empty(CLASSES, SIZE_HW), [])
    book.add(1, 0.1, "film", found([0.5], [NO_TRACK]), [Observation(1.0, VIEWS[0])])
    assert book.summaries() == []


def test_a_single_frame_by_hand() -> None:
    summary = summary_of([(0.25, Observation(0.8, VIEWS[0]))])
    log_odds = math.log(0.25 / 0.75)
    half_width = 1.959964 * math.sqrt(CALIBRATION.log_odds_variance(log_odds, 1))
    expected = [100 / (1 + math.exp(-x)) for x in (log_odds, log_odds - half_width, log_odds + half_width)]
    assert malignant(summary) == pytest.approx(expected)
    benign = summary.percentages["benign"]
    assert (benign.percent, benign.low, benign.high) == pytest.approx(
        (100 - expected[0], 100 - expected[2], 100 - expected[1])
    )
    assert (summary.class_name, summary.frames_seen, summary.views, summary.effective_views) == ("benign", 1, 1, 1.0)


def test_views_are_averaged_in_log_odds_by_quality_and_score() -> None:
    summary = summary_of([(0.2, Observation(0.3, VIEWS[0])), (0.6, Observation(0.9, VIEWS[1]))])
    log_odds = (0.3 * logit(np.float64(0.2)) + 0.9 * logit(np.float64(0.6))) / 1.2
    assert malignant(summary)[0] == pytest.approx(100 * float(sigmoid(log_odds)), abs=1e-4)
    # Kish: (0.3 + 0.9)^2 / (0.3^2 + 0.9^2)
    assert summary.effective_views == pytest.approx(1.6)
    assert summary.views == 2


def test_frames_of_one_view_are_averaged_by_quality_and_score_first() -> None:
    frames = [(0.2, Observation(0.3, VIEWS[0])), (0.6, Observation(0.9, VIEWS[0])), (0.5, Observation(0.9, VIEWS[1]))]
    first = (0.3 * logit(np.float64(0.2)) + 0.9 * logit(np.float64(0.6))) / 1.2
    assert malignant(summary_of(frames))[0] == pytest.approx(100 * float(sigmoid(first / 2)), abs=1e-4)


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.5, 0.97])
def test_a_still_repeated_300_times_is_the_still(probability: float) -> None:
    frame = (probability, Observation(0.7, VIEWS[0]))
    still, film = summary_of([frame]), summary_of([frame] * 300)
    assert malignant(film) == pytest.approx(malignant(still), abs=1e-9)
    assert (film.views, film.effective_views, film.frames_seen) == (1, 1.0, 300)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_order_and_copies_do_not_matter(data: st.DataObject) -> None:
    looks = data.draw(st.lists(st.tuples(st.floats(0.01, 0.99), st.floats(0.05, 1.0)), min_size=1, max_size=6))
    frames = [(p, Observation(quality, VIEWS[i])) for i, (p, quality) in enumerate(looks)]
    copies = data.draw(st.lists(st.integers(1, 5), min_size=len(frames), max_size=len(frames)))
    repeated = [frame for frame, count in zip(frames, copies, strict=True) for _ in range(count)]
    shuffled = data.draw(st.permutations(repeated))
    assert malignant(summary_of(shuffled)) == pytest.approx(malignant(summary_of(frames)), abs=1e-6)


def test_a_still_through_a_codec_is_the_still() -> None:
    image = mole()
    still, film = TrackBook(CLASSES, CALIBRATION), TrackBook(CLASSES, CALIBRATION)
    add_image(still, 0, image)
    for index, decoded in enumerate(x264_still(image, 300)):
        add_image(film, index, decoded)
    (one,), (many,) = still.summaries(), film.summaries()
    assert many.frames_seen == 300
    assert malignant(many) == pytest.approx(malignant(one), abs=1.0)
    assert many.effective_views < 1.1


def test_different_views_narrow_the_interval_but_never_below_the_calibrations_own_doubt() -> None:
    widths = []
    for count in (1, 2, 5, 10, 40):
        _, low, high = malignant(summary_of([(0.4, Observation(0.8, view)) for view in VIEWS[:count]]))
        widths.append(float(logit(np.float64(high / 100)) - logit(np.float64(low / 100))))
    floor = 2 * 1.96 * math.sqrt(CALIBRATION.log_odds_variance(float(logit(np.float64(0.4))), 1e12))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.75 * widths[0]
    assert floor < widths[-1] < 1.2 * floor


def test_a_slow_drift_is_worth_little_more_than_one_look() -> None:
    bits = np.zeros(64, bool)
    frames = []
    for step in range(COPY_BITS * 3):
        bits[step] = True
        frames.append((0.4, Observation(0.8, np.packbits(bits).tobytes().hex())))
    drift = summary_of(frames)
    assert drift.views == 3
    assert 1.0 < drift.effective_views < 1.5


def test_views_that_contradict_each_other_widen_the_interval() -> None:
    def width(low_probability: float, high_probability: float) -> float:
        frames = [(p, Observation(1.0, v)) for p, v in zip([low_probability, high_probability] * 10, VIEWS)]
        _, low, high = malignant(summary_of(frames))
        return float(logit(np.float64(high / 100)) - logit(np.float64(low / 100)))

    assert width(0.4, 0.6) == pytest.approx(width(0.5, 0.5), rel=1e-6)
    assert width(0.01, 0.99) > 2 * width(0.5, 0.5)


def test_quality_zero_everywhere_is_still_an_answer() -> None:
    blind = summary_of([(0.3, Observation(0.0, VIEWS[0])), (0.3, Observation(0.0, VIEWS[1]))])
    assert malignant(blind)[0] == pytest.approx(30, abs=1e-4)
    seen = summary_of([(0.9, Observation(0.0, VIEWS[0])), (0.3, Observation(0.5, VIEWS[1]))])
    assert malignant(seen)[0] == pytest.approx(30, abs=0.01)
    assert seen.effective_views == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_certain_probabilities_stay_finite(probability: float) -> None:
    percent, low, high = malignant(summary_of([(probability, Observation(0.9, view)) for view in VIEWS[:3]]))
    assert 0 <= low <= percent <= high <= 100
    assert percent == pytest.approx(100 * probability, abs=0.001)


def test_the_number_of_views_kept_is_bounded() -> None:
    rng = np.random.default_rng(2)
    frames = [(0.4, Observation(0.9, rng.bytes(8).hex())) for _ in range(500)]
    summary = summary_of(frames)
    assert summary.views == MOST_VIEWS
    assert summary.frames_seen == 500
    assert malignant(summary)[0] == pytest.approx(40, abs=1e-4)


def test_the_lines_alone_give_the_same_numbers_to_the_last_bit() -> None:
    rng = np.random.default_rng(4)
    frames = [(float(p), Observation(round(float(q), 4), rng.bytes(8).hex())) for p, q in rng.random((200, 2))]
    replayed = [(float(np.float32(repr(float(np.float32(p))))), Observation(o.quality, o.view)) for p, o in frames]
    assert book_of(frames).summaries() == book_of(replayed).summaries()


def test_more_classes_share_what_the_calibrated_one_leaves() -> None:
    views = Views(("nevus", "melanoma", "keratosis"), Calibration("melanoma", 1.0, 0.0, ((0.0, 0.0), (0.0, 0.0)), 0.5))
    views.add(int(VIEWS[0], 16), 1.0, np.array([0.45, 0.4, 0.15], np.float32))
    shares = views.percentages()
    assert [shares[name].percent for name in shares] == pytest.approx([45, 40, 15], abs=1e-4)
    for end in ("low", "high"):
        assert getattr(shares["nevus"], end) == pytest.approx(3 * getattr(shares["keratosis"], end))
    assert shares["nevus"].low == pytest.approx(0.75 * (100 - shares["melanoma"].high))


def test_a_model_of_one_class_and_a_class_that_takes_all() -> None:
    views = Views(("lesion",), Calibration("lesion", 1.0, 0.0, ((0.0, 0.0), (0.0, 0.0)), 0.5))
    views.add(0, 1.0, np.array([0.7], np.float32))
    assert views.percentages()["lesion"].percent == pytest.approx(70, abs=1e-4)
    assert malignant(summary_of([(1.0, Observation(1.0, VIEWS[0]))]))[2] <= 100


def test_without_a_calibration_there_is_no_interval() -> None:
    book = book_of([(0.2, Observation(0.5, VIEWS[0])), (0.4, Observation(0.5, VIEWS[1]))], calibration=None)
    (summary,) = book.summaries()
    percentage = summary.percentages["malignant"]
    assert (percentage.percent, percentage.low, percentage.high) == (pytest.approx(30, abs=1e-5), None, None)
    (row,) = book.rows()
    assert row["malignant_percent_low"] == row["malignant_percent_high"] == ""


def test_a_calibration_for_another_class_is_refused() -> None:
    with pytest.raises(KeyError, match="known: cat, dog"):
        TrackBook(("cat", "dog"), CALIBRATION)


def test_one_observation_a_detection() -> None:
    with pytest.raises(ValueError, match="zip"):
        TrackBook(CLASSES, CALIBRATION).add(0, 0.0, "film", found([0.5]), [])


def test_a_row_by_hand() -> None:
    book = TrackBook(CLASSES, CALIBRATION)
    book.add(10, 0.5, "a.mp4", found([0.9, 0.1], [7, 8], score=0.5), [Observation(0.4, VIEWS[0])] * 2)
    book.add(12, 0.6, "a.mp4", found([0.9], [7], score=0.7), [Observation(0.4, VIEWS[0])])
    book.add(14, 0.7, "a.mp4", found([0.9], [7], score=0.6), [Observation(0.2, VIEWS[0])])
    first, second = book.rows()
    assert list(first) == book.columns
    expected = {
        "track_id": 7,
        "source": "a.mp4",
        "class": "malignant",
        "first_frame": 10,
        "last_frame": 14,
        "first_time_s": 0.5,
        "last_time_s": 0.7,
        "frames_seen": 3,
        "mean_area_px": 20.0,
        "mean_score": 0.6,
        "views": 1,
        "best_frame": 12,
        "best_time_s": 0.6,
        "benign_percent": 10.0,
        "malignant_percent": 90.0,
    }
    assert {name: first[name] for name in expected} == expected
    assert (second["track_id"], second["class"], second["frames_seen"]) == (8, "benign", 1)


def test_tracks_of_another_source_and_tracks_long_unseen_are_finished() -> None:
    one = [Observation(0.5, VIEWS[0])]
    book = TrackBook(CLASSES, CALIBRATION, forget_after_s=0.2)
    book.add(0, 0.0, "a", found([0.5], [1]), one)
    for index in range(1, 8):
        book.add(index, index / 30, "a", found([0.5], [2]), one)
    book.add(0, 0.0, "b", found([0.5], [3]), one)
    assert [summary.track_id for summary in book.summaries()] == [1, 2, 3]
    assert list(book._open) == [3]
    for gone in (1, 2):
        with pytest.raises(ValueError, match=f"track {gone} comes back"):
            book.add(1, 0.1, "b", found([0.5], [gone]), one)


def test_a_short_disappearance_goes_on_with_the_same_track() -> None:
    one = [Observation(0.5, VIEWS[0])]
    book = TrackBook(CLASSES, CALIBRATION, forget_after_s=0.2)
    for index in (0, 5):
        book.add(index, index / 30, "a", found([0.5], [1]), one)
        for between in range(4):
            book.add(index + between + 1, (index + between + 1) / 30, "a", Detections.empty(CLASSES, SIZE_HW), [])
    (summary,) = book.summaries()
    assert (summary.first_frame, summary.last_frame, summary.frames_seen) == (0, 5, 2)


@pytest.mark.parametrize("drift_bits", [0.1, 1.0, 3.0])
def test_coverage_under_the_stated_model(drift_bits: float) -> None:
    """Of 300 simulated films the interval covers the truth as often as it says; frames as independent do not."""
    rng = np.random.default_rng(20)
    covered = [
        simulate_run(rng, bits, errors)
        for bits in (drifting_bits(rng, 60, drift_bits) for _ in range(15))
        for errors in shared_errors(rng, bits, runs=20)
    ]
    ours, naive = np.mean(covered, axis=0)
    # two and a half standard errors of a share of 0.95 in 300
    assert 0.918 <= ours <= 0.985
    assert naive < 0.4


def simulate_run(rng: np.random.Generator, bits: NDArray[np.bool_], errors: NDArray[np.float64]) -> tuple[bool, bool]:
    """Whether ours and the naive interval hold the truth, for one film of one lesion.

    `errors` are the network's, with standard deviation 1 and shared between frames as their fingerprints say; the
    lesion's own scatter is the calibration's `view_sd` on average over lesions. The true calibration differs from
    the fitted one by its covariance.
    """
    lesions_own_sd = CALIBRATION.view_sd * math.sqrt(4 / rng.chisquare(6))
    slope, bias = rng.multivariate_normal([CALIBRATION.slope, CALIBRATION.bias], CALIBRATION.covariance)
    raw = rng.normal(0, 2)
    truth = slope * raw + bias
    log_odds = CALIBRATION.slope * (raw + errors * lesions_own_sd / slope) + CALIBRATION.bias

    views = Views(CLASSES, CALIBRATION)
    for frame_bits, probability in zip(bits, sigmoid(log_odds), strict=True):
        fingerprint = int.from_bytes(np.packbits(frame_bits).tobytes(), "big")
        views.add(fingerprint, rng.uniform(0.3, 1.0), np.array([1 - probability, probability], np.float32))
    percentage = views.percentages()["malignant"]
    naive_half_width = 1.96 * log_odds.std(ddof=1) / math.sqrt(len(bits))
    return holds(percentage, truth), bool(abs(log_odds.mean() - truth) <= naive_half_width)


def shared_errors(rng: np.random.Generator, bits: NDArray[np.bool_], runs: int) -> NDArray[np.float64]:
    """Normal errors of standard deviation 1, shape (runs, frames), that copies share and views apart do not."""
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    shared = np.clip((APART_BITS - distances) / (APART_BITS - COPY_BITS), 0, 1)
    values, vectors = np.linalg.eigh(shared)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    root /= np.linalg.norm(root, axis=1, keepdims=True)
    return rng.normal(size=(runs, len(bits))) @ root.T


def drifting_bits(rng: np.random.Generator, frame_count: int, drift_bits: float) -> NDArray[np.bool_]:
    """Fingerprints (frames, 64) that change by about `drift_bits` bits a frame and jump now and then."""
    bits = rng.random(64) < 0.5
    frames = []
    for _ in range(frame_count):
        bits = bits.copy()
        bits[rng.integers(0, 64, rng.poisson(drift_bits))] ^= True
        if rng.random() < 0.01:
            bits ^= rng.random(64) < 0.25
        frames.append(bits)
    return np.array(frames)


def holds(percentage: Percentage, log_odds: float) -> bool:
    assert percentage.low is not None
    assert percentage.high is not None
    return percentage.low <= 100 * float(sigmoid(np.float64(log_odds))) <= percentage.high


def mole() -> NDArray[np.uint8]:
    """A round brown mole on textured skin, 180 x 240: symmetric, which is hardest for a fingerprint."""
    rng = np.random.default_rng(5)
    canvas = np.array([205.0, 165.0, 145.0]) + cv2.GaussianBlur(rng.normal(0, 30, (180, 240)), (0, 0), 1.0)[..., None]
    inside = cv2.circle(np.zeros((180, 240), np.uint8), (120, 90), 45, 255, -1) > 0
    canvas[inside] -= (80, 85, 80)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.7), 0, 255).astype(np.uint8)


def network(image: NDArray[np.uint8]) -> Detections:
    """What is darker than skin is a mole; the redder it is, the more malignant."""
    mask = cv2.GaussianBlur(image, (0, 0), 2)[..., 0] < 165
    cropped = crop(mask)
    red, green, _ = image[mask].mean(axis=0)
    probability = float(sigmoid(np.float64(0.05 * (red - green) - 2.5)))
    height, width = cropped.bitmap.shape
    box = [cropped.x0, cropped.y0, cropped.x0 + width, cropped.y0 + height]
    return Detections(
        boxes_xyxy=np.array([box], np.float32),
        masks=(cropped,),
        scores=np.array([0.95], np.float32),
        probabilities=np.array([[1 - probability, probability]], np.float32),
        track_ids=np.array([1], np.int64),
        classes=CLASSES,
        size_hw=(image.shape[0], image.shape[1]),
    )


def add_image(book: TrackBook, index: int, image: NDArray[np.uint8]) -> None:
    detections = network(image)
    book.add(index, index / 30, "film", detections, observe(Frame(image, index, index / 30, "film"), detections))


def x264_still(image: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """The image as an H.264 film of `count` frames, decoded again."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
