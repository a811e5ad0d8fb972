"""Cells of CSV files: none is a formula that a spreadsheet would compute."""

from __future__ import annotations

from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What texts begin with that spreadsheets compute."""


def cell(value: Any) -> Any:  # a scalar
    """A value as a cell: a text that a spreadsheet would compute begins with an apostrophe."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
