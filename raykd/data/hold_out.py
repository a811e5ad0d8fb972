"""Chooses rows: a held-out part of a split, the rows of teacher and student; hashes the data.

Every choice is the beginning of a seeded permutation, so smaller choices lie within larger ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from raykd.data.base import Array, Examples
from raykd.errors import DataError

_HOLD_OUT, _CHOOSE, _PARTS = 1, 2, 3  # random streams: what one decides says nothing of another
LEAST_PER_SEARCH = 10
"""Rows of a part; of fewer, which configuration is best on them is chance."""


def hold_out(num_rows: int, fraction: float, seed: int) -> tuple[Array, Array]:
    """Split row numbers into the rest and a held-out part.

    Args:
        num_rows: Rows there are.
        fraction: Share of the held-out part, in (0, 1); at least one row goes to each side.
        seed: Decides which.

    Returns:
        Rest and held-out part, both sorted int64; together all rows, none in both.

    Raises:
        DataError: If there are fewer than two rows.
    """
    if num_rows < 2:
        raise DataError(
            f"a fraction of {fraction:g} cannot be taken of {num_rows} row(s)",
            hint="take less of the split elsewhere, raise data.limit, or use a split of its own",
        )
    order = np.random.default_rng([seed, _HOLD_OUT]).permutation(num_rows)
    count = min(max(round(num_rows * fraction), 1), num_rows - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def equal_parts(num_rows: int, parts: int, seed: int) -> list[Array]:
    """Row numbers in parts of equal size (within one), each sorted; every row is in one of them.

    Raises:
        DataError: A part would have fewer than `LEAST_PER_SEARCH` rows.
    """
    if num_rows // parts < LEAST_PER_SEARCH:
        raise DataError(
            f"{num_rows:,} rows to select on are too few for {parts} searches: each needs "
            f"{LEAST_PER_SEARCH}",
            hint="give data.select_on more rows, or repeat the search less often",
        )
    order = np.random.default_rng([seed, _PARTS]).permutation(num_rows)
    return [np.sort(order[part::parts]) for part in range(parts)]


def choose(rows: Array, count: int | None, seed: int) -> Array:
    """Some of the given row numbers, sorted; all of them when `count` is None or not smaller.

    For one seed and the same `rows`, a smaller choice is contained in a larger one: the student's
    rows are rows that the teacher has seen, too.
    """
    if count is None or count >= len(rows):
        return rows
    order = np.random.default_rng([seed, _CHOOSE]).permutation(len(rows))
    return np.sort(rows[order[:count]])


def fingerprint(splits: Mapping[str, Examples]) -> str:
    """Hash of texts, their order, labels and further columns of several splits, 16 hex digits."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        rows = splits[name]
        digest.update(f"{name} {len(rows)} {rows.labels.dtype} {len(rows.texts)}\n".encode())
        digest.update(np.ascontiguousarray(rows.labels).tobytes())
        for column in rows.texts:
            # Lengths first: the same characters cut differently are different data.
            digest.update(np.fromiter(map(len, column), np.int64, len(column)).tobytes())
            digest.update("".join(column).encode("utf-8", "surrogatepass"))
        for key in sorted(rows.fields):
            digest.update(f"{key} {rows.fields[key]!r}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
