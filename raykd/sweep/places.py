"""Where raykd keeps what outlives a run."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from raykd.errors import SetupError
from raykd.teachers import shelf
from raykd.teachers.shelf import CacheEntry


def cache_folder() -> Path:
    """Where prepared teachers are kept: ``RAYKD_CACHE``, else below the user's cache folder."""
    own = os.environ.get("RAYKD_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "raykd" / "teachers"


def cache_bytes() -> int:
    """Most that the cache may hold before what was not used for longest goes.

    ``RAYKD_CACHE_GB``, else half of what is free on its disk beside it.

    Raises:
        SetupError: The variable is no number.
    """
    own = os.environ.get("RAYKD_CACHE_GB")
    if own is not None:
        try:
            return int(float(own) * 2**30)
        except ValueError:
            raise SetupError(
                f"RAYKD_CACHE_GB must be a number of GiB, got '{own}'",
                hint="e.g. RAYKD_CACHE_GB=50",
            ) from None
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    held = sum(entry.nbytes for entry in cached_teachers())
    return held + shutil.disk_usage(folder).free // 2


def cached_teachers() -> tuple[CacheEntry, ...]:
    """The prepared teachers that are kept, the one used last first."""
    return shelf.entries(cache_folder())


def prune_teachers(keep: int) -> tuple[CacheEntry, ...]:
    """Delete those not used for longest until at most `keep` bytes are left; returns them."""
    return shelf.prune(cache_folder(), keep)
