"""What the tests share: where the real data lies, when it is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# a busy machine is not a defect: property tests count examples, not milliseconds
settings.register_profile("maskstream", deadline=None)
settings.load_profile("maskstream")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real, licensed data; the test is skipped where it is missing."""
    if not (SHARED / "data" / "README.md").is_file():
        pytest.skip("needs the real data in ../shared/data, which is not here")
    return SHARED / "data"
