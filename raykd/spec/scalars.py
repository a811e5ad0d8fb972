"""Resolves plain scalars: YAML 1.2, with ``_`` allowed between digits."""

from __future__ import annotations

import math
import re

from raykd.params import Scalar

LARGEST = 2**63 - 1
"""Largest whole number; the studies and the tables hold no larger one."""

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")
_OTHER_BASE = re.compile(r"[-+]?0(?:x_*[0-9a-fA-F][0-9a-fA-F_]*|o_*[0-7][0-7_]*|b_*[01][01_]*)")
_FRACTION = re.compile(r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> tuple[Scalar, str]:
    """The value of a plain word.

    Returns:
        The value, and why it cannot be used (then the value is None); an empty string if it can.
    """
    if _NULL.fullmatch(text):
        return None, ""
    if _TRUE.fullmatch(text):
        return True, ""
    if _FALSE.fullmatch(text):
        return False, ""
    if _INFINITE.fullmatch(text):
        return None, "a number must be finite"
    if _WHOLE.fullmatch(text) or _OTHER_BASE.fullmatch(text):
        return _whole(text.replace("_", ""))
    if _FRACTION.fullmatch(text):
        number = float(text.replace("_", ""))
        return (number, "") if math.isfinite(number) else (None, "a number must be finite")
    return text, ""


def _whole(digits: str) -> tuple[Scalar, str]:
    other_base = digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b")
    significant = digits.lstrip("+-0")
    # Python refuses to read a number of thousands of digits, and 64 bits hold 19 or 63 of them.
    number = None if len(significant) > 65 else int(digits, 0 if other_base else 10)
    if number is None or abs(number) > LARGEST:
        return None, f"a whole number may be {LARGEST} at most, an exponent makes a fraction (1e20)"
    return number, ""
