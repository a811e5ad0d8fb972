"""Where raykd keeps what outlives a run."""

from __future__ import annotations

import os
from pathlib import Path

from raykd.teachers import shelf
from raykd.teachers.shelf import CacheEntry


def cache_folder() -> Path:
    """Where prepared teachers are kept: ``RAYKD_CACHE``, else below the user's cache folder."""
    own = os.environ.get("RAYKD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "raykd" / "teachers"


def cached_teachers() -> tuple[CacheEntry, ...]:
    """The prepared teachers that are kept, the one used last first."""
    return shelf.entries(cache_folder())


def prune_teachers(keep: int) -> tuple[CacheEntry, ...]:
    """Delete those not used for longest until at most `keep` bytes are left; returns them."""
    return shelf.prune(cache_folder(), keep)
