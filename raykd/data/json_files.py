"""Reads JSON files: an object a line, objects one after the other, or an array of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from raykd.data.table import Faults, Table, repeated
from raykd.data.text_files import lines_of, read_text
from raykd.data.values import shown
from raykd.errors import DataError

_MOST_CELLS = 10_000_000
"""Cells of a table that are made however few of them hold anything."""
_EMPTIEST = 1_000
"""A larger table holds something in one of so many cells."""

_BLANKS = " \t\r\n\ufeff"
_NO_JSON = "lines are not JSON"


def read_json(path: Path) -> Any:
    """The one value of a file.

    Raises:
        DataError: The file cannot be read or is not JSON; names the line.
    """
    text = read_text(path).lstrip("\ufeff")
    faults = Faults(str(path))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        _add_broken(faults, _line_of(text, exc), exc)
    faults.check()
    return None


def read_objects(path: Path) -> Sequence[tuple[int, dict[str, Any]]]:
    """The objects of a file, each with the line it begins in.

    Raises:
        DataError: The file cannot be read, is not JSON, or holds something else than objects; says
            how many lines, and the first one.
    """
    text = read_text(path)
    faults = Faults(str(path))
    objects = []
    for line, value in _values(text, faults):
        if isinstance(value, dict):
            objects.append((line, value))
        else:
            what = f"{shown(value)} is not a mapping of columns"
            hint = 'write rows like {"text": "...", "label": "..."}'
            faults.add("rows are not a mapping of columns", f"line {line}", what, hint)
    faults.check()
    return objects


def read_json_rows(path: Path) -> Table:
    """The objects of a file as rows; columns that a row lacks hold nothing.

    Raises:
        DataError: See `read_objects`.
    """
    objects = read_objects(path)
    names = dict.fromkeys(name for _, row in objects for name in row)
    cells, filled = len(names) * len(objects), sum(len(row) for _, row in objects)
    if cells > _MOST_CELLS and filled * _EMPTIEST < cells:
        raise DataError(
            f"{path} has {len(names):,} different keys in {len(objects):,} rows, and a row has "
            f"{filled / len(objects):.0f} of them",
            hint="give the rows the same keys, and what differs as values",
        )
    twice = frozenset(name for _, row in objects for name in getattr(row, "twice", ()))
    return Table(
        columns={name: [row.get(name) for _, row in objects] for name in names},
        origin=str(path),
        numbers=[line for line, _ in objects],
        unit="line",
        twice=twice,
    )


class _Object(dict[str, Any]):
    """An object that knows which names it gives twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        lacks_some = len(self) < len(pairs)
        self.twice = repeated(name for name, _ in pairs) if lacks_some else frozenset()


def _values(text: str, faults: Faults) -> Iterator[tuple[int, Any]]:
    """Every value of a file with its line; what is not JSON becomes a fault."""
    if text.lstrip(_BLANKS).startswith("["):
        yield from _array(text, faults)
        return
    lines = [(k, line.strip(_BLANKS)) for k, line in enumerate(lines_of(text), start=1)]
    lines = [(k, line) for k, line in lines if line]
    if lines and _is_cut(lines[0][1]) and (whole := _one_after_the_other(text)) is not None:
        yield from whole
        return
    for number, line in lines:
        try:
            yield number, json.loads(line, object_pairs_hook=_Object)
        except (ValueError, RecursionError) as exc:
            _add_broken(faults, number, exc)


def _is_cut(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _one_after_the_other(text: str) -> list[tuple[int, Any]] | None:
    """Values with nothing but blanks between them, None if it is something else."""
    values: list[tuple[int, Any]] = []
    place = _Place(text)
    try:
        while place.next_is_not(""):
            values.append(place.value())
    except (ValueError, RecursionError):
        return None
    return values


def _array(text: str, faults: Faults) -> Iterator[tuple[int, Any]]:
    """The values of an array that is the whole text."""
    place = _Place(text)
    try:
        place.skip("[")
        if place.next_is_not("]"):
            yield place.value()
            while place.next_is_not("]"):
                place.skip(",")
                yield place.value()
        place.skip("]")
        if place.next_is_not(""):
            raise json.JSONDecodeError("more after the array", text, place.at)
    except (ValueError, RecursionError) as exc:
        _add_broken(faults, place.line if not hasattr(exc, "pos") else _line_of(text, exc), exc)


class _Place:
    """How far a text has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder(object_pairs_hook=_Object)
        self.at = 0
        self.line = 1

    def next_is_not(self, mark: str) -> bool:
        """Whether something else comes next; an empty mark is the end of the text."""
        end = self.at
        while end < len(self._text) and self._text[end] in _BLANKS:
            end += 1
        self._go(end)
        return self._text[end : end + 1] != mark

    def skip(self, mark: str) -> None:
        """Read a mark that must come next."""
        if self.next_is_not(mark):
            raise json.JSONDecodeError(f"Expecting '{mark}'", self._text, self.at)
        self._go(self.at + len(mark))

    def value(self) -> tuple[int, Any]:
        """The next value and its line."""
        self.next_is_not("")
        line = self.line
        value, end = self._decoder.raw_decode(self._text, self.at)
        self._go(end)
        return line, value

    def _go(self, end: int) -> None:
        self.line += self._text.count("\n", self.at, end)
        self.at = end


def _line_of(text: str, exc: Exception) -> int:
    return text.count("\n", 0, getattr(exc, "pos", 0)) + 1


def _add_broken(faults: Faults, line: int, exc: Exception) -> None:
    if isinstance(exc, json.JSONDecodeError):
        why = f"{exc.msg} (column {exc.colno})"
    else:
        why = "nested too deeply" if isinstance(exc, RecursionError) else str(exc).split(";")[0]
    faults.add(_NO_JSON, f"line {line}", f"no JSON: {why}", "repair the file")
