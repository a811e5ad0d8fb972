"""A prepared task handed to processes that know no search space, and its teacher in the cache."""

from __future__ import annotations

import pickle
from pathlib import Path

from raykd.teachers.prepared_task import PreparedTask


def hand_over(prepared: PreparedTask, path: Path) -> str:
    """Write a prepared task for other processes of this benchmark; returns where."""
    path.write_bytes(pickle.dumps(prepared))
    return str(path)


def handed_over(path: str) -> PreparedTask:
    """What `hand_over` wrote."""
    actual: PreparedTask = pickle.loads(Path(path).read_bytes())
    return actual


def teacher_in(cache: Path) -> Path:
    """The model folder of the only teacher in a cache."""
    (actual,) = cache.glob("*/teacher")
    return actual
