"""What a raw value of a column says, whatever type a file format gave it.

A CSV file has text only, JSON has numbers and truth values, Parquet has types. The same value is
the same here: ``1``, ``1.0`` and ``"1"``; ``True``, ``"True"`` and ``"true"``.
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Hashable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

UNLABELLED = Decimal(-1)
"""The label id that public test splits carry."""
NOTHING = frozenset({"", "nan", "na", "n/a", "<na>", "nat", "null", "none"})
"""Spellings of a value that is not there, in lower case."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_TRUTH = {"true": True, "false": False}
_LONGEST = 40


def spelled(value: Any) -> str:
    """The text that a CSV file would hold for a value."""
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, str) else str(value)


def number(value: Any) -> Decimal | None:
    """The number that a value is, None for anything else; truth values are not numbers."""
    if isinstance(value, bool | np.bool_) or not _is_plain(value):
        return None
    text = spelled(value).strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def truth(value: Any) -> bool | None:
    """The truth value that a value is, None for anything else; numbers are none."""
    return _TRUTH.get(spelled(value).strip().lower()) if _is_plain(value) else None


def meaning(value: Any) -> Hashable:
    """What a value is when its type and spelling do not count; equal for equal values."""
    is_true = truth(value)
    if is_true is not None:
        return ("truth", is_true)
    parsed = number(value)
    return ("text", spelled(value)) if parsed is None else ("number", parsed)


def same_names(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names that are one value once a program has read and written them.

    They are the same number (``1`` and ``1.0``), truth value (``true`` and ``True``, which are also
    1 in most programs), or text but for blanks, invisible characters and the way that accents are
    encoded. Names that differ in case are two.
    """
    first: dict[Hashable, str] = {}
    for name in names:
        for key in _forms(name):
            if first.setdefault(key, name) != name:
                yield first[key], name
                break


def _forms(name: str) -> Iterator[Hashable]:
    what = meaning(name)
    yield what
    if isinstance(what, tuple) and what[0] == "truth":
        yield ("number", Decimal(int(what[1])))
    composed = unicodedata.normalize("NFC", name)
    yield " ".join("".join(c for c in composed if unicodedata.category(c) != "Cf").split())


def whole(value: Any) -> int | None:
    """The whole number that a value is, None for anything else."""
    parsed = number(value)
    return None if parsed is None or parsed != parsed.to_integral_value() else int(parsed)


def bare(text: str) -> str:
    """A text as it looks: without blanks around it, invisible characters, case, and ligatures."""
    composed = unicodedata.normalize("NFKC", text)
    return "".join(c for c in composed if unicodedata.category(c) != "Cf").strip().casefold()


def row_name(value: Any) -> str:
    """What the data calls a row: a text or a number, whole numbers without a point."""
    number_ = None if isinstance(value, str) else whole(value)
    return spelled(value) if number_ is None else str(number_)


def is_missing(value: Any) -> bool:
    """Whether there is no value: nothing, not a number, or only blanks."""
    if value is None or (isinstance(value, float | np.floating) and value != value):
        return True
    return isinstance(value, str) and not value.strip()


def shown(value: Any) -> str:
    """A value as messages show it, with what it is where that is not plain to see."""
    if is_missing(value) and not isinstance(value, str):
        return "nothing"
    plain = value.item() if isinstance(value, np.generic) else value
    is_written = isinstance(plain, datetime.date | datetime.time | Decimal)
    text = repr(spelled(plain) if is_written else plain)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
    if isinstance(value, list | tuple | np.ndarray):
        return f"the list {text}"
    return f"the mapping {text}" if isinstance(value, dict) else text


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | Decimal | np.generic)
