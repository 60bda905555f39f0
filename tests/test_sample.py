"""The synthetic clips: deterministic, seekable, and with truth that fits the picture."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskstream.core import boxes, masks
from maskstream.errors import SourceError
from maskstream.media.sample import CLASSES, LEAST_VISIBLE, SampleClip, parse_sample
from maskstream.media.sample_motion import bump, chain, inverse, similarity
from maskstream.media.sample_paint import Mole
from maskstream.media.sample_scene import Scene, place_mole

SMALL = (96, 128)


def small(seed: int, moles: int | None = None, frame_count: int = 90) -> SampleClip:
    return SampleClip(seed, SMALL, frame_count, Fraction(30), moles)


def test_a_frame_is_the_same_whichever_way_it_is_reached() -> None:
    frames = list(small(4).frames(start=87))
    assert [frame.index for frame in frames] == [87, 88, 89]
    assert frames[1].time_s == pytest.approx(88 / 30)
    again, longer = small(4), small(4, frame_count=500)
    for frame in reversed(frames):
        assert np.array_equal(frame.image, again.image(frame.index))
        assert np.array_equal(frame.image, longer.image(frame.index))
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.shape == (*SMALL, 3)


def test_a_recorded_clip_is_painted_alike_everywhere() -> None:
    """A machine or NumPy that draws other numbers makes another clip, and every published figure moves."""
    assert not np.array_equal(small(1).image(0), small(2).image(0))
    image, truth = small(5).render(10)
    assert truth.track_ids.tolist() == [1, 2, 3]
    assert [mole.class_name for mole in truth] == ["malignant", "benign", "benign"]
    assert truth.areas_px == pytest.approx([387, 300, 280], abs=2)
    assert image.reshape(-1, 3).mean(axis=0) == pytest.approx([171.7, 127.66, 97.57], abs=0.3)


def test_the_truth_says_what_the_picture_shows() -> None:
    """Pixels inside are darker than the skin just outside, for every mole of some clips."""
    for seed in range(12):
        image, truth = small(seed).render(0)
        grey = image.mean(axis=2)
        everything = truth.union_mask()
        for mole in truth:
            inside = mole.mask.dense(SMALL)
            x1, y1, x2, y2 = mole.box_xyxy.astype(int)
            around = np.zeros(SMALL, bool)
            around[max(0, y1 - 4) : y2 + 4, max(0, x1 - 4) : x2 + 4] = True
            assert grey[inside].mean() < 0.93 * grey[around & ~everything].mean()


@given(seed=st.integers(0, 10_000), index=st.integers(0, 600))
@settings(max_examples=25, deadline=None)
def test_truth_is_well_formed(seed: int, index: int) -> None:
    truth = small(seed, frame_count=601).truth(index)
    assert truth.classes == CLASSES
    assert len(set(truth.track_ids.tolist())) == len(truth) <= 3
    assert set(truth.track_ids.tolist()) <= {1, 2, 3}
    total = 0
    for mole in truth:
        assert mole.score == 1
        assert sorted(mole.probabilities.tolist()) == [0, 1]
        assert np.array_equal(mole.box_xyxy, boxes.from_mask(mole.mask.dense(SMALL)))
        total += mole.mask.area_px
    assert total == np.count_nonzero(truth.union_mask()), "a pixel belongs to one mole"


def test_a_mask_is_exact_at_pixel_centres() -> None:
    """A disc of radius 10 at (30.25, 20.5): the pixels whose centre is nearer than 10, and no other."""
    disc = Mole("nevus", np.ones(1024, np.float32), np.zeros((26, 26, 3), np.uint8))
    layer = place_mole(disc, similarity(10, 0.7, np.array([30.25, 20.5])), (40, 60))
    y, x = np.mgrid[0:40, 0:60] + 0.5
    expected = np.hypot(x - 30.25, y - 20.5) < 10
    found = np.zeros((40, 60), bool)
    found[layer.slices] = layer.inside
    assert np.array_equal(found, expected)
    assert layer.full_area_px == pytest.approx(np.pi * 100)


def test_a_mole_out_of_view_leaves_and_returns_with_its_id() -> None:
    clip = small(0, moles=1, frame_count=400)
    counts = {seed: _presence(small(seed, 1, 240)) for seed in range(8)}
    assert clip.truth(0).track_ids.tolist() == [1]
    gone = [presence for presence in counts.values() if not all(presence)]
    assert gone, "some clips lose the mole for a while"
    for presence in gone:
        assert presence[0]
        assert _longest_gap(presence) < 2 * 30


def _presence(clip: SampleClip) -> list[bool]:
    return [len(clip.truth(index)) > 0 for index in range(clip.frame_count)]


def _longest_gap(presence: list[bool]) -> int:
    return max(len(run) for run in "".join("x" if here else "." for here in presence).split("x"))


def test_some_moles_pass_each_other() -> None:
    crossings = 0
    for seed in range(12):
        clip = small(seed, moles=2)
        first, last = clip.truth(0), clip.truth(89)
        if len(first) == len(last) == 2:
            before, after = (t.boxes_xyxy[:, 0] + t.boxes_xyxy[:, 2] for t in (first, last))
            crossings += bool((before[0] - before[1]) * (after[0] - after[1]) < 0)
    assert crossings >= 3


def test_widths_span_the_promised_range() -> None:
    widths = []
    for seed in range(60):
        truth = small(seed).truth(0)
        widths += ((truth.boxes_xyxy[:, 2] - truth.boxes_xyxy[:, 0]) / SMALL[1]).tolist()
    assert min(widths) < 0.12
    assert 0.4 < max(widths) <= 0.55


def test_the_later_of_two_overlapping_moles_is_on_top() -> None:
    clip = next(c for c in (small(seed, 2) for seed in range(40)) if _overlap(c))
    index = _overlap(clip)
    assert index is not None
    truth = clip.truth(index)
    assert masks.intersection_px(*truth.masks) == 0


def _overlap(clip: SampleClip) -> int | None:
    """A frame in which the first mole loses area to the second and both are far from the frame's edge."""
    for index in range(0, clip.frame_count, 5):
        truth = clip.truth(index)
        shown = clip.shown(index)
        central = len(truth) == 2 and truth.boxes_xyxy.min() > 3 and (truth.boxes_xyxy[:, 2:] < (125, 93)).all()
        if central and shown[0].visible < 0.97:
            return index
    return None


def test_plain_skin_has_no_truth() -> None:
    image, truth = small(3, moles=0).render(0)
    assert len(truth) == 0
    assert truth.size_hw == SMALL
    assert image.std() > 1
    assert 0 < LEAST_VISIBLE < 1


def test_it_is_a_source() -> None:
    with small(9, moles=1, frame_count=3) as clip:
        frames = list(clip)
    assert len(clip) == len(frames) == 3
    assert clip.duration_s == pytest.approx(0.1)
    assert (clip.kind, clip.live, clip.damaged, clip.warnings) == ("video", False, 0, [])
    assert {frame.source for frame in frames} == {clip.name}
    assert len(clip.content_sha256()) == 64
    assert clip.content_sha256() != small(9, moles=2, frame_count=3).content_sha256()
    with pytest.raises(IndexError, match="frame 3 of a sample clip with 3 frames"):
        clip.render(3)


@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 10**6),
    size_hw=st.tuples(st.integers(64, 4096), st.integers(64, 4096)),
    rate=st.fractions(1, 1000, max_denominator=1001),
    moles=st.none() | st.integers(0, 3),
)
def test_names_are_addresses(
    seed: int, frames: int, size_hw: tuple[int, int], rate: Fraction, moles: int | None
) -> None:
    clip = SampleClip(seed, size_hw, frames, rate, moles)
    back = parse_sample(clip.name)
    assert (back.seed, back.frame_count, back.size_hw, back.frame_rate, back.moles) == (
        seed,
        frames,
        size_hw,
        rate,
        moles,
    )


def test_the_bare_address_is_the_default_clip() -> None:
    assert parse_sample("sample:lesions").name == SampleClip().name


@pytest.mark.parametrize(
    "address, wording",
    [
        ("sample:lesion", "expected sample:lesions"),
        ("lesions?seed=1", "expected sample:lesions"),
        ("sample:lesions?sede=1", "found 'sede'"),
        ("sample:lesions?seed=1&seed=2", "found 'seed' twice"),
        ("sample:lesions?seed=", "expected seed written like 7, found ''"),
        ("sample:lesions?seed=-1", "found '-1'"),
        ("sample:lesions?size=480", "height x width"),
        ("sample:lesions?size=480x63", "expected 64 to 4096, found 63"),
        ("sample:lesions?size=480x9000", "expected 64 to 4096, found 9000"),
        ("sample:lesions?frames=0", "frames: expected 1 to"),
        ("sample:lesions?rate=30/0", "found '30/0'"),
        ("sample:lesions?rate=0", "rate: expected 1/1000 to 1000, found 0"),
        ("sample:lesions?moles=4", "moles: expected 0 to 3, found 4"),
        ("sample:lesions?seed=99999999999", "seed: expected 0 to"),
    ],
)
def test_bad_addresses_are_refused(address: str, wording: str) -> None:
    with pytest.raises(SourceError) as refusal:
        parse_sample(address)
    assert wording in str(refusal.value)
    assert "\n" not in str(refusal.value)


@given(
    scale=st.floats(0.01, 100),
    angle=st.floats(-7, 7),
    shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_affine_maps_undo_each_other(scale: float, angle: float, shift: tuple[float, float]) -> None:
    there = similarity(scale, angle, np.array(shift))
    identity = chain(there, inverse(there))
    assert identity == pytest.approx(np.array([[1.0, 0, 0], [0, 1, 0]]), abs=1e-6)


def test_bump_rises_holds_and_falls() -> None:
    times = [0.0, 1.0, 1.25, 1.5, 1.9, 2.25, 2.5, 5.0, 11.25]
    assert [bump(t, 1, 0.5, 0.5, 10) for t in times] == pytest.approx([0, 0, 0.5, 1, 1, 0.5, 0, 0, 0.5])


def test_a_scene_of_two_sizes_is_arranged_alike() -> None:
    """The texture differs, since it has another number of pixels; where the moles are does not."""
    small_scene, large_scene = (
        Scene(np.random.Generator(np.random.PCG64(11)), size_hw, 2) for size_hw in (SMALL, (192, 256))
    )
    for little, big in zip(small_scene.shown(0.5), large_scene.shown(0.5), strict=True):
        assert little.kind == big.kind
        assert little.mask.area_px == pytest.approx(big.mask.area_px / 4, rel=0.35)
