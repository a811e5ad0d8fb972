"""Reads splits from lists of files, and splits one set of rows."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from raykd.data.base import Array
from raykd.data.folder_reader import READERS, SUFFIXES, suffix_of, user_path
from raykd.data.table import Reader, Table, concatenated, no_split
from raykd.data.text_files import PACKED
from raykd.data.values import is_missing
from raykd.errors import DataError

ROWS = "train"
"""What one set of rows is called before it is split."""
_SPLIT = 3  # a random stream of its own, see `raykd.data.hold_out`


def matching(pattern: str, roots: Sequence[Path]) -> list[Path]:
    """The files that a pattern names, in the order of their names.

    Args:
        pattern: A file, or a pattern with ``*``, ``?``, ``[...]`` and ``**``.
        roots: Folders that a relative pattern may start at, in the order they are tried.

    Raises:
        DataError: There is none, or it is of a kind that is not read.
    """
    for root in roots:
        named = root / user_path(pattern)
        there = glob.glob(str(user_path(pattern)), root_dir=root, recursive=True)
        paths = [named] if named.is_file() else [root / name for name in sorted(there)]
        paths = [path for path in paths if path.is_file()]
        if paths:
            break
    else:
        raise DataError(
            f"no file matches '{pattern}'", hint="name a folder, a file, or a pattern of files"
        )
    for path in paths:
        if not suffix_of(path):
            raise DataError(
                f"{path} is of no kind that is read",
                hint=f"files end with {', '.join(SUFFIXES)}, also with {PACKED}",
            )
    return paths


@dataclass(frozen=True, kw_only=True, slots=True)
class FilesReader:
    """Splits that are lists of files.

    Attributes:
        files: The files of each split.
        name: All of them, as messages say it.
    """

    files: Mapping[str, Sequence[Path]]
    name: str

    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.files)

    def read(self, split: str) -> Table:
        """The rows of all files of a split, one after the other.

        Raises:
            DataError: There is no such split or row, or a file is broken.
        """
        if split not in self.files:
            raise no_split(split, self.name, self.splits())
        tables = []
        for path in self.files[split]:
            suffix = suffix_of(path).removesuffix(PACKED)
            tables.append(READERS[suffix](path))
        whole = concatenated(tables, self.name if len(tables) > 1 else str(self.files[split][0]))
        if not len(whole):
            raise DataError(f"{whole.origin} has no rows", hint="choose another split or file")
        return whole


@dataclass(frozen=True, kw_only=True, slots=True)
class CarvedReader:
    """One set of rows as several splits; rows that are alike go to the same one.

    Attributes:
        own: Reads the set, which it calls `ROWS`.
        fractions: The share of each split; together at most 1.
        seed: Decides which rows go where.
    """

    own: Reader
    fractions: Mapping[str, float]
    seed: int

    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self.fractions)

    def read(self, split: str) -> Table:
        """The rows of one split, in the order of the set.

        Raises:
            DataError: There is no such split, or no row for one of them.
        """
        if split not in self.fractions:
            raise no_split(split, "the set of rows", self.splits())
        table = self.own.read(ROWS)
        parts = split_rows(_keys(table), list(self.fractions.values()), self.seed)
        if any(not len(part) for part in parts):
            shares = ", ".join(f"{name}: {share:g}" for name, share in self.fractions.items())
            count = len(set(_keys(table)))
            alike = f" ({count:,} of them different)" if count < len(table) else ""
            raise DataError(
                f"{table.origin} has {len(table)} rows{alike}, too few for splits of {shares}",
                hint="choose larger fractions, or fewer splits",
            )
        return table.take(parts[[*self.fractions].index(split)].tolist())


def split_rows(keys: Sequence[str], fractions: Sequence[float], seed: int) -> list[Array]:
    """Row numbers of disjoint parts, each sorted; rows of one key go to the same part.

    Args:
        keys: One per row.
        fractions: The share of rows of each part, as near as the keys allow.
        seed: Decides which.
    """
    names, groups, counts = np.unique(
        np.asarray(keys, dtype=object).astype(str), return_inverse=True, return_counts=True
    )
    # By first occurrence, so that the order of the keys as texts plays no role.
    order = np.random.default_rng([seed, _SPLIT]).permutation(len(names))
    middles = np.cumsum(counts[order]) - counts[order] / 2
    borders = np.asarray([*accumulate(fractions)]) * len(keys)
    part_of = np.full(len(names), len(fractions))
    part_of[order] = np.searchsorted(borders, middles, side="left")
    of_row = part_of[groups]
    return [np.flatnonzero(of_row == part) for part in range(len(fractions))]


def _keys(table: Table) -> list[str]:
    """What makes a row: all of its values; rows that hold nothing are no repetition."""
    rows = enumerate(zip(*table.columns.values(), strict=True))
    return [repr(row if any(map(_holds_something, row)) else k) for k, row in rows]


def _holds_something(value: object) -> bool:
    is_list = isinstance(value, list | tuple | dict)
    return bool(value) if is_list else not is_missing(value) and value != "[]"


@dataclass(frozen=True, kw_only=True, slots=True)
class MixedReader:
    """The rows of several sources together.

    Attributes:
        readers: One per source.
        weights: How often the train rows of each count.
        name: All of them, as messages say it.
    """

    readers: Sequence[Reader]
    weights: Sequence[float]
    name: str

    def splits(self) -> tuple[str, ...]:
        """Splits that at least one source has."""
        return tuple(dict.fromkeys(split for reader in self.readers for split in reader.splits()))

    def read(self, split: str) -> Table:
        """The rows of one split of every source that has it.

        Raises:
            DataError: No source has it; or see the reader of each.
        """
        if split not in self.splits():
            raise no_split(split, self.name, self.splits())
        there = [
            (reader.read(split), weight)
            for reader, weight in zip(self.readers, self.weights, strict=True)
            if split in reader.splits()
        ]
        tables, weights = zip(*there, strict=True)
        return concatenated(tables, self.name, weights)
