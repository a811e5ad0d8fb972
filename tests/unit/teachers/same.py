"""Whether two trees of records hold the same, bit for bit and type for type."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from raykd.teachers.prepared_task import PreparedTask


def timeless(prepared: PreparedTask) -> PreparedTask:
    """A prepared task without what a clock said of it."""
    history = tuple(dataclasses.replace(e, seconds=0.0) for e in prepared.history)
    return dataclasses.replace(prepared, seconds=0.0, history=history, speed=None)


def same(one: object, two: object) -> bool:
    """Whether two trees of records, mappings and arrays hold the same."""
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two)
    if dataclasses.is_dataclass(one):
        fields = [f.name for f in dataclasses.fields(one)]
        return type(one) is type(two) and all(
            same(getattr(one, f), getattr(two, f)) for f in fields
        )
    if isinstance(one, Mapping):
        return set(one) == set(two) and all(same(one[k], two[k]) for k in one)
    if isinstance(one, tuple | list):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and one == two
