"""A labelled image that answers see otherwise than its file shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskstream.data.records import ImageRecord

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ShownRecord(ImageRecord):
    """A labelled image whose pixels come from elsewhere than its file.

    Attributes
    ----------
    read : gives the image, (h, w, 3) RGB, of the size that the record states.
    """

    read: Callable[[], Image]

    def read_image(self) -> Image:
        """What `read` gives."""
        return self.read()


def shown_as(record: ImageRecord, read: Callable[[], Image]) -> ShownRecord:
    """The record with the pixels that `read` gives. SourceError: no size is stated, and the file is missing."""
    return ShownRecord(
        image_id=record.image_id,
        name=record.name,
        path=record.path,
        stated_size_hw=record.size_hw,
        annotations=record.annotations,
        group=record.group,
        attributes=record.attributes,
        class_id=record.class_id,
        read=read,
    )
