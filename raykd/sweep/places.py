"""Where raykd keeps what outlives a run."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where prepared teachers are kept: ``RAYKD_CACHE``, else below the user's cache folder."""
    own = os.environ.get("RAYKD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "raykd" / "teachers"
