"""Reads CSV and TSV files with a header; quotes mean something in CSV, and nothing in TSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from raykd.data.notes import note
from raykd.data.table import Faults, Table, repeated
from raykd.data.text_files import lines_of, read_text
from raykd.data.values import shown

NumberedFields = tuple[int, list[str]]
"""The line that a row begins in, and its fields."""
OTHER_SEPARATORS = ";\t|"
"""What separates the fields of a CSV file whose header has no comma; spreadsheets write ``;``."""

_LONGEST_FIELD = 2**31 - 1
_WHOLLY_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_QUOTED = re.compile(r'"[^"]*"')
_DECLARED = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


def read_csv(path: Path) -> Table:
    """All rows of a CSV file.

    Raises:
        DataError: The file cannot be read, a quote is not closed, or rows have not as many fields
            as the header; says how many, and the first one.
    """
    faults = Faults(str(path))
    rows = list(_csv_rows(read_text(path), faults))
    return _table(path, rows, faults, "in CSV, texts with commas or line breaks need quotes")


def read_tsv(path: Path) -> Table:
    """All rows of a TSV file.

    Raises:
        DataError: The file cannot be read, or rows have not as many fields as the header.
    """
    rows = tsv_rows(read_text(path))
    quoted = [line for line, fields in rows if any(_WHOLLY_QUOTED.fullmatch(f) for f in fields)]
    if quoted:
        note(
            f"{path}: {len(quoted):,} rows have a field that begins and ends with a quote, first: "
            f"line {quoted[0]}; in .tsv quotes belong to the text, in .csv they only enclose it"
        )
    return _table(path, rows, Faults(str(path)), "in TSV, texts cannot hold tabs or line breaks")


def tsv_rows(text: str) -> list[NumberedFields]:
    """The fields of every line that is not empty."""
    return [(k, line.split("\t")) for k, line in enumerate(lines_of(text), start=1) if line]


def table_of(path: Path, header: Sequence[str], rows: Sequence[NumberedFields]) -> Table:
    """Rows of text as a table; the last one of several columns of a name is kept, and marked."""
    places = {name: k for k, name in enumerate(header)}
    return Table(
        columns={name: [fields[k] for _, fields in rows] for name, k in places.items()},
        origin=str(path),
        numbers=[line for line, _ in rows],
        unit="line",
        twice=repeated(header),
    )


def _table(path: Path, rows: Sequence[NumberedFields], faults: Faults, hint: str) -> Table:
    header = rows[0][1] if rows else []
    for line, fields in rows[1:]:
        if len(header) > 1 and [fields[0].removeprefix("\ufeff"), *fields[1:]] == header:
            kind, again = (
                "lines repeat the names of the columns",
                "repeats the names of the columns",
            )
            faults.add(kind, f"line {line}", again, "remove them: was the file put together?")
        elif len(fields) != len(header):
            kind = "rows have not as many fields as the header"
            what = f"has {len(fields)} field(s), the header has {len(header)}"
            if len(header) == 1:
                what += f": {shown(header[0])}"
                hint = "the first line must be the names of the columns"
            faults.add(kind, f"line {line}", what, hint)
    faults.check()
    return table_of(path, header, rows[1:])


def _csv_rows(text: str, faults: Faults) -> Iterator[NumberedFields]:
    first = 0
    separator = _separator(text)
    if declared := _DECLARED.fullmatch(_first_line(text)):
        first, separator = 1, declared.group(1)
    # Not newline="\n": a file of a Mac may end its lines with carriage returns.
    with _long_fields():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                what = f"a text that begins with a quote does not end with one ({exc})"
                hint = 'end it with a quote, and write quotes within it twice: ""'
                faults.add("rows have quotes that do not match", f"line {line}", what, hint)
                continue
            if fields and line > first:
                yield line, fields


def _separator(text: str) -> str:
    """What separates fields, by the header: a comma, where there is one outside of quotes."""
    header = _QUOTED.sub("", _first_line(text.lstrip("\r\n")))
    return next((mark for mark in f",{OTHER_SEPARATORS}" if mark in header), ",")


def _first_line(text: str) -> str:
    """What stands before the first line feed or carriage return, without blanks around it."""
    return re.split(r"[\r\n]", text, maxsplit=1)[0].strip(" ")


@contextmanager
def _long_fields() -> Iterator[None]:
    """Fields of any length within; a limit of 131,072 characters is the package's own."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
