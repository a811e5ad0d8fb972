"""The seeded part of a split that ``data.limit`` asks for."""

from __future__ import annotations

import zlib

import numpy as np

from raykd.data.base import DataSettings, Examples


def limited(rows: Examples, name: str, settings: DataSettings) -> Examples:
    """At most ``settings.limit`` rows, from a shuffle seeded by the settings and a name."""
    if settings.limit is None or settings.limit >= len(rows):
        return rows
    salt = zlib.crc32(name.encode())
    order = np.random.default_rng([settings.seed, salt]).permutation(len(rows))
    return rows.take(order[: settings.limit])
