"""Found objects drawn over their image: fill, outline, box and label, one steady colour an object."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskstream.core.detections import Detection, Detections
from maskstream.core.masks import CroppedMask
from maskstream.draw.labels import COMFORTABLE_TEXT_PX, draw_plate, label_text, place_plates
from maskstream.draw.palette import BLACK, Rgb, object_colour

Image = NDArray[np.uint8]

_SUBPIXEL_BITS = 4
_CASING_OPACITY = 0.4
"""A dark seam under every coloured line keeps it visible on a background of its own colour."""


@dataclass(frozen=True, slots=True)
class OverlayStyle:
    """How an overlay looks. Sizes are those on a 640x480 image and grow with the image.

    Attributes
    ----------
    fill_opacity : of the colour over the object's pixels, 0..1.
    line_px : width of the outline and of the box's corners.
    text_px : height of the label's letters.
    boxes, labels : whether to draw them.
    """

    fill_opacity: float = 0.18
    line_px: float = 3.0
    text_px: float = 15.0
    boxes: bool = True
    labels: bool = True


DEFAULT_STYLE = OverlayStyle()


def draw_overlay(image: Image, detections: Detections, *, style: OverlayStyle = DEFAULT_STYLE) -> Image:
    """Draw what was found over an image.

    Large objects are drawn before small ones, so that none hides another. A label that finds no free
    room near its object, or could not be read in so small an image, is left out.

    Parameters
    ----------
    image : ndarray of shape (h, w, 3), uint8, RGB; not changed.
    detections : objects in the pixels of this image.
    style : sizes and opacities.

    Returns
    -------
    A new image of the same shape.

    Raises
    ------
    ValueError : the image is not of the size the detections speak of.
    """
    if image.shape != (*detections.size_hw, 3) or image.dtype != np.uint8:
        raise ValueError(f"image is {image.dtype} {image.shape}, expected uint8 {(*detections.size_hw, 3)}")
    canvas = image.copy()
    scale = _scale(detections.size_hw)
    objects = sorted(detections, key=lambda detection: -detection.mask.area_px)
    for detection in objects:
        _draw_object(canvas, detection, scale, style)
    if style.labels:
        _draw_labels(canvas, objects, scale, style)
    return canvas


def _scale(size_hw: tuple[int, int]) -> float:
    """Size of marks against a 640x480 image; a long strip counts by its short side."""
    return min(float(np.sqrt(size_hw[0] * size_hw[1] / (480 * 640))), min(size_hw) / 160)


def _draw_object(canvas: Image, detection: Detection, scale: float, style: OverlayStyle) -> None:
    colour = object_colour(detection.track_id, detection.class_id)
    # OpenCV's antialiased lines of thickness 1, 2, 4, 6 are 1.4, 3.4, 5.4, 7.4 pixels wide
    reach = max(0, round((style.line_px * scale - 1) / 2))
    line_px, seam_px = max(1, 2 * reach), 2 * reach + 2
    _fill(canvas[detection.mask.slices], detection.mask, colour, style.fill_opacity)

    x1, y1, x2, y2 = _region(detection, reach + 3, canvas.shape[:2])
    region = canvas[y1:y2, x1:x2]
    origin = np.array([x1, y1])
    outlines = [outline - origin for outline in smooth_outlines(detection.mask, scale)]
    corners = _corners(detection.box_xyxy, scale) - origin if style.boxes else np.zeros((0, 3, 2))

    seam = region.copy()
    _lines(seam, outlines, BLACK, seam_px, closed=True)
    _lines(seam, corners, BLACK, seam_px, closed=False)
    cv2.addWeighted(seam, _CASING_OPACITY, region, 1 - _CASING_OPACITY, 0, dst=region)
    if style.boxes:
        _frame(region, detection.box_xyxy - np.tile(origin, 2), colour)
    _lines(region, outlines, colour, line_px, closed=True)
    _lines(region, corners, colour, line_px, closed=False)


def _fill(patch: Image, mask: CroppedMask, colour: Rgb, opacity: float) -> None:
    if patch.size:
        tinted = cv2.addWeighted(patch, 1 - opacity, np.full_like(patch, colour), opacity, 0)
        cv2.copyTo(tinted, mask.bitmap.astype(np.uint8), dst=patch)


def _region(detection: Detection, margin_px: int, size_hw: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Whole-pixel box around everything that is drawn for an object, cut to the image."""
    rows, columns = detection.mask.slices
    x1, y1 = np.floor(np.minimum(detection.box_xyxy[:2], [columns.start, rows.start])).astype(int) - margin_px
    x2, y2 = np.ceil(np.maximum(detection.box_xyxy[2:], [columns.stop, rows.stop])).astype(int) + margin_px
    return max(x1, 0), max(y1, 0), min(x2, size_hw[1]), min(y2, size_hw[0])


def smooth_outlines(mask: CroppedMask, scale: float = 1.0) -> list[NDArray[np.float64]]:
    """Outlines of a mask, holes included, without the stairs of its pixels.

    Each point is the mean of its neighbours along the outline, which moves a smooth edge by less than
    half a pixel; outlines too short for that keep their pixels.

    Returns
    -------
    One (k, 2) array an outline: x, y pixel centres in the image.
    """
    if mask.bitmap.size == 0:
        return []
    found, _ = cv2.findContours(
        mask.bitmap.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(mask.x0, mask.y0)
    )
    reach = max(2, round(2 * scale))
    return [_moving_mean(contour[:, 0, :].astype(np.float64), reach) for contour in found]


def _moving_mean(points: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    window = 2 * reach + 1
    if len(points) < 6 * window:
        return points
    ring = np.vstack([np.zeros((1, 2)), points[-reach:], points, points[:reach]])
    sums = np.cumsum(ring, axis=0)
    return np.asarray((sums[window:] - sums[:-window]) / window)


def _corners(box_xyxy: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
    """The box's four corners as open lines, (4, 3, 2), along the centres of its outermost pixels."""
    x1, y1, x2, y2 = np.round(box_xyxy) - np.array([0, 0, 1, 1])
    reach = min(max(3.0, 12 * scale), (x2 - x1) / 3, (y2 - y1) / 3)
    corners = [
        [(x + towards_x * reach, y), (x, y), (x, y + towards_y * reach)]
        for x, towards_x in ((x1, 1), (x2, -1))
        for y, towards_y in ((y1, 1), (y2, -1))
    ]
    return np.array(corners, np.float64)


def _frame(region: Image, box_xyxy: NDArray[np.float64], colour: Rgb) -> None:
    """A thin, half-transparent line along all four sides of the box."""
    height, width = region.shape[:2]
    x1, y1 = np.clip(np.round(box_xyxy[:2]).astype(int), 0, [width - 1, height - 1])
    x2, y2 = np.clip(np.round(box_xyxy[2:]).astype(int) - 1, 0, [width - 1, height - 1])
    sides = ((y1, slice(x1, x2 + 1)), (y2, slice(x1, x2 + 1)), (slice(y1, y2 + 1), x1), (slice(y1, y2 + 1), x2))
    for side in sides:
        region[side] = region[side] // 2 + np.array(colour, np.uint8) // 2


def _lines(
    region: Image,
    lines: list[NDArray[np.float64]] | NDArray[np.float64],
    colour: Rgb,
    line_px: int,
    *,
    closed: bool,
) -> None:
    fixed_point = [np.round(line * (1 << _SUBPIXEL_BITS)).astype(np.int32) for line in lines]
    if fixed_point:
        cv2.polylines(region, fixed_point, closed, colour, line_px, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_labels(canvas: Image, objects: list[Detection], scale: float, style: OverlayStyle) -> None:
    """Labels in the order of track ids, so that they keep their places from frame to frame."""
    ordered = sorted(objects, key=lambda detection: (detection.track_id, -detection.score))
    text_px = max(COMFORTABLE_TEXT_PX, round(style.text_px * scale))
    wanted = [(label_text(detection), detection.box_xyxy) for detection in ordered]
    for index, plate, place_xyxy in place_plates(wanted, text_px, (canvas.shape[0], canvas.shape[1])):
        detection = ordered[index]
        draw_plate(canvas, plate, place_xyxy, object_colour(detection.track_id, detection.class_id))
