"""What every reader returns: named columns and where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from raykd.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Raw columns of one split, all of equal length.

    Attributes:
        columns: Name to values; what the values are is checked by the task.
        origin: File or data set, as it appears in messages.
    """

    columns: Mapping[str, Sequence[Any]]
    origin: str

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> Sequence[Any]:
        """The values of one column.

        Raises:
            DataError: If there is no such column; the message names those there are.
        """
        if name not in self.columns:
            there = ", ".join(self.columns) or "none"
            raise DataError(
                f"{self.origin} has no column '{name}' (columns: {there})",
                hint="rename the column, or point data.root to data of this task",
            )
        return self.columns[name]


class Reader(Protocol):
    """Gives the splits of one task from one place."""

    def splits(self) -> tuple[str, ...]:
        """Names of the splits that can be read, found without reading rows."""
        ...

    def read(self, split: str) -> Table:
        """All rows of one split.

        Raises:
            DataError: There is no such split, or its file is broken.
            SetupError: The place cannot be reached.
        """
        ...


def no_split(split: str, where: str, there: tuple[str, ...]) -> DataError:
    """The error for a split that does not exist; names those that do."""
    names = ", ".join(there)
    return DataError(
        f"{where} has no split '{split}' " + (f"(splits: {names})" if names else "(it has none)"),
        hint="choose one of them in data.select_on and data.report_on" if names else "",
    )
