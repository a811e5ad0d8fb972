"""The folder of the teacher cache: its path, its size limit, and what it holds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from raykd.errors import SetupError
from raykd.home_folder import user_cache
from raykd.teachers import cache_index
from raykd.teachers.cache_index import CacheEntry, CacheItem
from raykd.teachers.locks import CacheLocks

if TYPE_CHECKING:
    from raykd.teachers.teacher_cache import TeacherCache

ELSEWHERE = "set RAYKD_CACHE to a folder that can be written"


def cache_folder() -> Path:
    """Where prepared teachers are kept: ``RAYKD_CACHE``, else below the user's cache folder.

    Raises:
        SetupError: Neither it nor ``XDG_CACHE_HOME`` is set, and the user has no home.
    """
    own = os.environ.get("RAYKD_CACHE")
    if own:
        return Path(own)
    below = user_cache()
    if below is None:
        raise SetupError("there is no home folder to keep prepared teachers in", hint=ELSEWHERE)
    return below / "teachers"


def open_cache(folder: Path | None = None) -> tuple[TeacherCache, SetupError | None]:
    """The cache, and why nothing can be kept in it, if that is so; it is tried before any work.

    Args:
        folder: Where it is, None for the usual place.
    """
    # Listing the cache needs no torch.
    from raykd.teachers.teacher_cache import TeacherCache, open_cache

    try:
        folder = folder or cache_folder()
    except SetupError as exc:
        return TeacherCache(None), exc
    cache, why = open_cache(folder)
    if not why:
        return cache, None
    message = f"the cache of teachers {folder} cannot be written: {why}"
    return cache, SetupError(message, hint=ELSEWHERE)


def without_cache(cache: TeacherCache, why: SetupError) -> str:
    """What to say where a sweep continues with a cache that cannot be written, or with none."""
    kept = "not kept" if cache.folder is None else "read from it, and new ones are not kept"
    return f"{why}; teachers are {kept} ({why.hint})"


def cache_bytes(folder: Path) -> int:
    """Most that the cache may hold before what was not used for longest goes.

    ``RAYKD_CACHE_GB``, else half of what is free on its disk besides it.

    Raises:
        SetupError: The variable is not a number.
    """
    own = os.environ.get("RAYKD_CACHE_GB")
    if own is not None:
        try:
            return int(float(own) * 2**30)
        except (ValueError, OverflowError):
            raise SetupError(
                f"RAYKD_CACHE_GB must be a number of GiB, got '{own}'",
                hint="e.g. RAYKD_CACHE_GB=50",
            ) from None
    held = cache_index.total(folder)
    while not folder.exists():
        folder = folder.parent
    return held + shutil.disk_usage(folder).free // 2


def make_room(cache: TeacherCache, most: int, needed: Collection[str]) -> str:
    """Delete what was not used for longest of a cache that is too large; what to say of it.

    Args:
        cache: The cache.
        most: Bytes that it may hold.
        needed: Names of teachers that stay.
    """
    if not cache.writable or cache.folder is None:
        return ""
    pruned = cache_index.prune(cache.folder, most, needed)
    if not pruned:
        return ""
    freed = sum(entry.nbytes for entry in pruned) / 2**30
    return (
        f"the cache of teachers was over {most / 2**30:,.0f} GiB: {len(pruned)} entries not used "
        f"for longest were deleted ({freed:,.2f} GiB)"
    )


def cached_teachers() -> tuple[CacheEntry, ...]:
    """The prepared teachers that are kept, the one used last first.

    Raises:
        SetupError: There is no place for them.
    """
    return cache_index.entries(cache_folder())


def cached_extras() -> tuple[CacheItem, ...]:
    """What is in the cache besides teachers: answers, augmented rows, what was left half written.

    Raises:
        SetupError: There is no place for them.
    """
    folder = cache_folder()
    if not folder.is_dir():
        return ()
    try:
        left = cache_index.leftovers(folder, CacheLocks(folder))
    except OSError:
        left = ()  # who cannot write there cannot tell what is being written
    return (*cache_index.answers(folder), *cache_index.augmented(folder), *left)


def prune_teachers(keep: int) -> tuple[CacheItem, ...]:
    """Delete those not used for longest until at most `keep` bytes are left; returns them.

    Raises:
        SetupError: The cache cannot be written.
    """
    folder = cache_folder()
    try:
        return cache_index.prune(folder, keep)
    except OSError as exc:
        raise SetupError(f"cannot write the cache {folder}: {exc.strerror or exc}") from exc
