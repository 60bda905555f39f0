"""Qualities and fingerprints: what changes them, what does not, and by how much."""

from __future__ import annotations

import io
import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from maskstream.core.detections import Detections
from maskstream.core.frame import Frame
from maskstream.core.masks import EMPTY, CroppedMask, crop
from maskstream.tracking.percentages import COPY_BITS
from maskstream.tracking.views import Observation, observe

CLASSES = ("benign", "malignant")
SIZE_HW = (240, 320)

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def lesion(angle: float = 0.0, zoom: float = 1.0, shift_xy: tuple[float, float] = (0, 0)) -> tuple[Image, Mask]:
    """An uneven brown mole on skin with fine texture, seen by a camera that turns, zooms and moves."""
    rng = np.random.default_rng(3)
    height, width = SIZE_HW
    texture = cv2.GaussianBlur(rng.normal(0, 40, (2 * height, 2 * width)), (0, 0), 1.2)
    canvas = np.array([205.0, 165.0, 145.0]) + texture[..., None]
    shape = np.zeros((2 * height, 2 * width), np.uint8)
    cv2.ellipse(shape, (width, height), (70, 48), 20, 0, 360, 255, -1)
    cv2.circle(shape, (width + 40, height + 30), 30, 255, -1)
    canvas[shape > 0] -= (90, 85, 80)
    for centre, radius, depth in (((-30, -10), 18, 40), ((25, 15), 14, -35), ((5, -25), 12, 30)):
        spot = cv2.circle(np.zeros(shape.shape, np.uint8), (width + centre[0], height + centre[1]), radius, 255, -1)
        canvas[spot > 0] -= depth
    camera = cv2.getRotationMatrix2D((float(width), float(height)), angle, zoom)
    camera[:, 2] += np.array([width / 2 + shift_xy[0] - width, height / 2 + shift_xy[1] - height])
    image = cv2.warpAffine(
        cv2.GaussianBlur(canvas, (0, 0), 0.7), camera, (width, height), borderMode=cv2.BORDER_REFLECT
    )
    mask = cv2.warpAffine(shape, camera, (width, height)) > 127
    return np.clip(image, 0, 255).astype(np.uint8), mask


def look(image: Image, mask: Mask | CroppedMask, box_shift: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Observation:
    cropped = mask if isinstance(mask, CroppedMask) else crop(mask)
    height, width = cropped.bitmap.shape
    box = np.array([cropped.x0, cropped.y0, cropped.x0 + width, cropped.y0 + height], np.float32) + box_shift
    found = Detections(
        boxes_xyxy=box[None].astype(np.float32),
        masks=(cropped,),
        scores=np.ones(1, np.float32),
        probabilities=np.full((1, 2), 0.5, np.float32),
        track_ids=np.ones(1, np.int64),
        classes=CLASSES,
        size_hw=(image.shape[0], image.shape[1]),
    )
    return observe(Frame(image, 0, 0.0, "test"), found)[0]


def bits_apart(a: Observation, b: Observation) -> int:
    return (int(a.view, 16) ^ int(b.view, 16)).bit_count()


def x264(image: Image, count: int, crf: int) -> list[Image]:
    """The image as a film of `count` frames, decoded again."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": str(crf)})
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def with_glare(image: Image, centre: tuple[int, int]) -> Image:
    bright = cv2.circle(image.copy(), centre, 16, (255, 255, 255), -1)
    return cv2.GaussianBlur(bright, (0, 0), 1.5).astype(np.uint8)


REFERENCE_IMAGE, REFERENCE_MASK = lesion()
REFERENCE = look(REFERENCE_IMAGE, REFERENCE_MASK)


def test_a_frame_without_detections_has_no_observations() -> None:
    frame = Frame(np.zeros((8, 8, 3), np.uint8), 0, 0.0, "test")
    assert observe(frame, Detections.empty(CLASSES, (8, 8))) == []


def test_a_view_is_64_bits_in_hexadecimal_and_a_quality_has_four_decimals() -> None:
    assert len(REFERENCE.view) == 16
    assert f"{int(REFERENCE.view, 16):016x}" == REFERENCE.view
    assert round(REFERENCE.quality, 4) == REFERENCE.quality
    assert 0.8 < REFERENCE.quality <= 1.0


def test_the_same_pixels_give_the_same_observation() -> None:
    assert look(REFERENCE_IMAGE.copy(), REFERENCE_MASK.copy()) == REFERENCE


@pytest.mark.parametrize("shift_xy", [(20, 0), (-35, 12), (40, 30)])
def test_where_the_object_lies_does_not_change_its_view(shift_xy: tuple[float, float]) -> None:
    moved = look(*lesion(shift_xy=shift_xy))
    assert bits_apart(moved, REFERENCE) <= 1
    assert moved.quality == pytest.approx(REFERENCE.quality, abs=0.01)


@pytest.mark.parametrize("crf", [18, 23, 28])
def test_a_codec_does_not_change_the_view(crf: int) -> None:
    decoded = x264(REFERENCE_IMAGE, count=24, crf=crf)
    assert len(decoded) == 24
    assert max(bits_apart(look(image, REFERENCE_MASK), REFERENCE) for image in decoded) <= COPY_BITS


def test_a_box_that_jitters_does_not_change_the_view() -> None:
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(40):
        left, top, right, bottom = (int(step) for step in rng.integers(-1, 2, 4))
        apart.append(bits_apart(look(REFERENCE_IMAGE, REFERENCE_MASK, (left, top, right, bottom)), REFERENCE))
    assert max(apart) <= COPY_BITS


@pytest.mark.parametrize(
    "image, mask",
    [
        lesion(angle=20),
        lesion(angle=90),
        lesion(angle=180),
        lesion(zoom=1.6),
        lesion(zoom=0.5),
        (cv2.GaussianBlur(REFERENCE_IMAGE, (0, 0), 4), REFERENCE_MASK),
        (with_glare(REFERENCE_IMAGE, (150, 110)), REFERENCE_MASK),
    ],
    ids=["turned 20", "turned 90", "turned 180", "nearer", "farther", "defocused", "glare"],
)
def test_a_different_look_is_a_different_view(image: Image, mask: Mask) -> None:
    assert bits_apart(look(image, mask), REFERENCE) > COPY_BITS


def test_glare_that_moves_is_a_different_view() -> None:
    one = look(with_glare(REFERENCE_IMAGE, (135, 110)), REFERENCE_MASK)
    other = look(with_glare(REFERENCE_IMAGE, (185, 130)), REFERENCE_MASK)
    assert bits_apart(one, other) > COPY_BITS


def test_quality_falls_with_defocus() -> None:
    qualities = [
        look(cv2.GaussianBlur(REFERENCE_IMAGE, (0, 0), sigma).astype(np.uint8), REFERENCE_MASK).quality
        for sigma in (0.3, 1, 2, 4, 8)
    ]
    assert qualities == sorted(qualities, reverse=True)
    assert qualities[-1] < 0.25 * qualities[0]


@pytest.mark.parametrize(
    "spoil, left_over",
    [(lambda image: image, 1.0), (np.zeros_like, 0.0), (lambda image: np.full_like(image, 255), 0.0)],
    ids=["as it is", "black", "white"],
)
def test_what_cannot_be_read_has_no_quality(spoil, left_over: float) -> None:  # type: ignore[no-untyped-def]
    assert look(spoil(REFERENCE_IMAGE), REFERENCE_MASK).quality == pytest.approx(REFERENCE.quality * left_over)


def test_quality_falls_by_the_share_under_glare() -> None:
    half = REFERENCE_IMAGE.copy()
    columns = np.flatnonzero(REFERENCE_MASK.any(axis=0))
    half[:, : (columns[0] + columns[-1]) // 2] = 255
    assert look(half, REFERENCE_MASK).quality < 0.6 * REFERENCE.quality


def test_an_object_cut_off_by_the_border_is_worth_less() -> None:
    columns = np.flatnonzero(REFERENCE_MASK.any(axis=0))
    start = (columns[0] + columns[-1]) // 2
    cut_image, cut_mask = REFERENCE_IMAGE[:, start:], REFERENCE_MASK[:, start:]
    whole_image, whole_mask = REFERENCE_IMAGE.copy(), REFERENCE_MASK.copy()
    whole_mask[:, :start] = False
    cut, whole = look(cut_image, cut_mask), look(whole_image, whole_mask)
    assert cut.view == whole.view
    # the cut is longer than the half's equivalent diameter, so the least share is left
    assert cut.quality == pytest.approx(0.25 * whole.quality, abs=1e-4)


@pytest.mark.parametrize(
    "box_xyxy",
    [(5, 5, 5, 5), (-9, -9, -3, -3), (400, 300, 500, 400), (2.4, 3.6, 3.1, 4.2), (10, 10, 5, 5), (0, 0, 320, 240)],
)
def test_strange_boxes_and_empty_masks_have_a_quality_too(box_xyxy: tuple[float, ...]) -> None:
    cropped = crop(REFERENCE_MASK)
    box = np.array(box_xyxy, np.float32) - np.array(
        [cropped.x0, cropped.y0, cropped.x0 + cropped.bitmap.shape[1], cropped.y0 + cropped.bitmap.shape[0]], np.float32
    )
    for mask in (cropped, EMPTY):
        offset = box if mask is cropped else np.array(box_xyxy, np.float32)
        found = look(REFERENCE_IMAGE, mask, tuple(offset))  # type: ignore[arg-type]
        assert 0.0 <= found.quality <= 1.0
        assert math.isfinite(found.quality)
    assert look(REFERENCE_IMAGE, EMPTY).quality == 0.0


def test_a_one_pixel_picture_has_an_observation() -> None:
    found = look(np.full((1, 1, 3), 90, np.uint8), np.ones((1, 1), bool))
    assert found.quality == 0.0
    assert len(found.view) == 16


def test_real_lesions_differ_from_each_other_but_not_from_their_copies(shared_data: Path) -> None:
    folder = shared_data / "isic2017"
    seen = []
    for path in sorted((shared_data / "isic2017_fullres").rglob("*.jpg"))[:5]:
        image = cv2.cvtColor(cv2.imread(str(folder / "images" / path.name)), cv2.COLOR_BGR2RGB).astype(np.uint8)
        mask_path = next((folder / "masks").glob(f"{path.stem}*"))
        mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE) > 127
        first = look(image, mask)
        assert max(bits_apart(look(copy, mask), first) for copy in x264(image, count=10, crf=23)) <= COPY_BITS
        seen.append(first)
    assert len(seen) == 5
    assert min(bits_apart(a, b) for i, a in enumerate(seen) for b in seen[:i]) > 2 * COPY_BITS
