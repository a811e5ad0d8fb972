"""Where the data sets are that are not part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def outside_data(inside: str) -> Path:
    """A folder of the outside data; skips the test where it is absent."""
    root = Path(os.environ.get("RAYKD_DATA", REPOSITORY / "../shared/data")).resolve()
    if not (root / inside).exists():
        pytest.skip(f"outside data not found: {root / inside} (set RAYKD_DATA)")
    return root
