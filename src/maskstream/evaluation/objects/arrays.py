"""What image after image left behind, as one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


def joined(parts: Sequence[NDArray[Any]], dtype: type[Number]) -> NDArray[Number]:
    """Arrays of images, one behind the other; there may be none."""
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)
