"""What every reader returns: named columns and where they came from; rows that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from raykd.data.notes import note
from raykd.data.values import bare
from raykd.errors import DataError

_MOST_NAMES = 20
_CHATS = ("messages", "conversations", "conversation")
_QUOTES = "\"'`"


def repeated(names: Iterable[str]) -> frozenset[str]:
    """The names that occur more than once."""
    return frozenset(name for name, count in Counter(names).items() if count > 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Raw columns of one split, all of equal length.

    Attributes:
        columns: Name to values; what the values are is checked by the task.
        origin: File or data set, as it appears in messages.
        numbers: What each row is called in messages, from 1; empty where that is its position.
        unit: What the numbers count: rows, or lines of a file.
        twice: Names that more than one column has.
        class_names: Names that the data itself gives to the numbers of a column, by column.
        places: Where each row stands, in words, for tables of several files.
        weights: How often each row counts in training, for tables of weighted sources.
        lacking: Columns that not all of several files have, and the first file without each.
        positions: Place of each row in the set it was carved from; empty: in order, all of it.
        whole: Rows of that set, 0 where these are all; -1: carved from several sets.
    """

    columns: Mapping[str, Sequence[Any]]
    origin: str
    numbers: Sequence[int] = ()
    unit: Literal["row", "line"] = "row"
    twice: frozenset[str] = frozenset()
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Sequence[str] = ()
    weights: Sequence[float] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    positions: Sequence[int] = ()
    whole: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def place(self, row: int) -> str:
        """Where a row stands, in words: its line in the file, or its number, both from 1."""
        if len(self.places):
            return self.places[row]
        return f"{self.unit} {self.numbers[row] if len(self.numbers) else row + 1}"

    def column(self, name: str, key: str = "") -> Sequence[Any]:
        """The values of one column.

        Args:
            name: Of the column.
            key: What names the column in the user's file; empty where the user does not.

        Raises:
            DataError: There is no such column, or more than one; the message names those there are.
        """
        if name in self.twice:
            raise DataError(
                f"{self.origin} has more than one column '{name}'", hint="rename or remove one"
            )
        if name not in self.columns:
            there = ", ".join([*self.columns][:_MOST_NAMES]) or "none"
            more = ", ..." if len(self.columns) > _MOST_NAMES else ""
            raise DataError(
                f"{self.origin} has no column '{name}' (columns: {there}{more})",
                hint=self._instead(name, key),
            )
        if name in self.lacking:
            raise DataError(
                f"{self.lacking[name]} has no column '{name}', which other files of {self.origin} "
                "have",
                hint="give it the same columns, or leave it out",
            )
        return self.columns[name]

    def take(self, rows: Sequence[int]) -> Table:
        """The rows of the given positions; in messages they keep their places."""
        columns = {name: [values[row] for row in rows] for name, values in self.columns.items()}
        numbers = self.numbers if len(self.numbers) else range(1, len(self) + 1)
        return replace(
            self,
            columns=columns,
            numbers=[numbers[row] for row in rows],
            places=[self.places[row] for row in rows] if len(self.places) else (),
            weights=[self.weights[row] for row in rows] if len(self.weights) else (),
            positions=[self.positions[row] for row in rows] if len(self.positions) else rows,
            whole=self.whole or len(self),
        )

    def holds_columns(self) -> bool:
        """Whether the one row there is holds whole columns: lists or mappings of equal length."""
        first = [values[0] for values in self.columns.values()] if len(self) == 1 else []
        long = [len(value) for value in first if isinstance(value, list | dict)]
        return len(first) == len(long) > 1 and len(set(long)) == 1

    def rows_inside(self) -> str:
        """The column that seems to hold all rows, where there is one row only; or empty."""
        if len(self) != 1:
            return ""
        return next((name for name, values in self.columns.items() if _are_rows(values)), "")

    def well_formed(self) -> Table:
        """The table with U+FFFD for every half of a character; a warning says how many rows.

        JSON can write half of a pair of surrogates, which is no text: no tokenizer reads it.
        """
        changed: set[int] = set()
        columns = dict(self.columns)
        for name, values in self.columns.items():
            fixed = [whole_characters(value) for value in values]
            broken = [row for row, value in enumerate(values) if fixed[row] is not value]
            if broken:
                columns[name] = fixed
                changed.update(broken)
        if not changed:
            return self
        note(
            f"{self.origin}: {len(changed)} rows held half of a character (a lone surrogate), "
            f"first: {self.place(min(changed))}; U+FFFD stands in its place"
        )
        return replace(self, columns=columns)

    def _instead(self, name: str, key: str) -> str:
        near = [there for there in self.columns if bare(there).strip(_QUOTES) == bare(name)]
        if near:
            where = f", or write it so in {key}" if key else ""
            return f"rename the column {near[0]!r} to '{name}'{where}"
        if len(self.columns) == 1 and any(mark in next(iter(self.columns)) for mark in ",;\t|"):
            return "only one column was found: are fields separated as the name of the file says?"
        if inner := self.rows_inside():
            return f"the rows seem to stand in '{inner}': write them alone, or one a line"
        if not key and (chats := [name for name in self.columns if name in _CHATS]):
            return f"chats are read by a task of your own: kind: text, messages: {chats[0]}"
        if key:
            return f"name one of these columns in {key}, or rename the column"
        return "rename the column, or point data.root to data of this task"


def concatenated(tables: Sequence[Table], origin: str, weights: Sequence[float] = ()) -> Table:
    """The rows of several files, one after the other; a single one is itself.

    Args:
        tables: One per file.
        origin: All of them, as they appear in messages.
        weights: How often the rows of each count in training; empty: once.

    Raises:
        DataError: The files call the classes of a column differently.
    """
    repeated = (
        [w for table, w in zip(tables, weights, strict=True) for _ in range(len(table))]
        if (len(weights))
        else []
    )
    if len(tables) == 1:
        return replace(tables[0], weights=repeated)
    if any(table.class_names != tables[0].class_names for table in tables):
        raise DataError(
            f"the files of {origin} call their classes differently", hint="write them again, as one"
        )
    names = dict.fromkeys(column for table in tables for column in table.columns)
    lacking = {
        name: next(table.origin for table in tables if name not in table.columns)
        for name in names
        if any(name not in table.columns for table in tables)
    }
    return Table(
        columns={
            name: [
                value for table in tables for value in table.columns.get(name, [None] * len(table))
            ]
            for name in names
        },
        origin=origin,
        twice=frozenset().union(*(table.twice for table in tables)),
        class_names=tables[0].class_names,
        places=[
            f"({table.origin} {table.place(row)})" for table in tables for row in range(len(table))
        ],
        weights=repeated,
        lacking=lacking,
        whole=-1 if any(table.whole for table in tables) else 0,
    )


def _are_rows(values: Sequence[Any]) -> bool:
    rows = values[0] if values and isinstance(values[0], list) else []
    return bool(rows) and all(isinstance(row, dict | list) for row in rows)


def whole_characters(value: Any) -> Any:
    """A value with U+FFFD for halves of characters; itself where it has none."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    elif isinstance(value, list | tuple):
        parts = [whole_characters(part) for part in value]
        if any(new is not old for new, old in zip(parts, value, strict=True)):
            return parts
    elif isinstance(value, dict):
        fixed = {key: whole_characters(part) for key, part in value.items()}
        if any(fixed[key] is not part for key, part in value.items()):
            return fixed
    return value


class Faults:
    """Rows or lines that cannot be used, gathered so that all of them are reported at once.

    Args:
        origin: File or data set, as it appears in messages.
    """

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._hints: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def add(self, kind: str, place: str, what: str, hint: str = "", key: str = "") -> None:
        """One row.

        Args:
            kind: What such rows have in common, as it follows their number: ``rows have no label``.
            place: ``line 14`` or ``row 13``.
            what: What was got and what was expected.
            hint: What to do.
            key: The key of the user's file that may be at fault, see `raykd.data.keys`.
        """
        self._keys.setdefault(kind, key)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, f"{self._origin} {place}: {what}".lstrip())
        self._hints.setdefault(kind, hint)

    def check(self) -> None:
        """Return if there were none.

        Raises:
            DataError: How many there are of each kind, and the first one.
        """
        if not self._counts:
            return
        parts = [
            self._first[kind] if count == 1 else f"{count:,} {kind}, first: {self._first[kind]}"
            for kind, count in self._counts.items()
        ]
        hints = dict.fromkeys(hint for hint in self._hints.values() if hint)
        keys = [key for key in self._keys.values() if key]
        raise DataError("; ".join(parts), hint="; ".join(hints)).at(keys[0] if keys else "")


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


class NoSplit(DataError):
    """The data has no split of that name."""


def no_split(split: str, where: str, there: tuple[str, ...], hint: str = "") -> NoSplit:
    """The error for a split that does not exist; names those that do."""
    names = ", ".join(there)
    return NoSplit(
        f"{where} has no split '{split}' " + (f"(splits: {names})" if names else "(it has none)"),
        hint=hint or ("choose one of them in data.select_on and data.report_on" if names else ""),
    )
