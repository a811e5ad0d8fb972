"""Declared parameters: one line per coefficient holds its name, type, default, bounds and meaning.

Validation, ``raykd show``, error messages, the documentation table and the report all read it.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from raykd.errors import Problem, SpecError
from raykd.registry import suggestion

Scalar = bool | int | float | str | None
P = TypeVar("P")


@dataclass(frozen=True, kw_only=True, slots=True)
class ParamInfo:
    """What one declared parameter is.

    Attributes:
        name: Its name, in YAML and in Python.
        type: ``float``, ``int``, ``bool`` or ``str``.
        optional: Whether ``null`` is allowed.
        default: Value when the user gives none.
        low: Smallest allowed value, or None.
        high: Largest allowed value, or None.
        open: Whether `low` itself is excluded.
        choices: Allowed values, empty when any.
        help: One sentence.
        symbol: The paper's name for it, or empty.
        words: Texts that are allowed besides values of `type`, such as ``auto``.
    """

    name: str
    type: type
    optional: bool
    default: Scalar
    low: float | None
    high: float | None
    open: bool
    choices: tuple[Scalar, ...]
    help: str
    symbol: str
    words: tuple[str, ...] = ()

    def bounds(self) -> str:
        """The allowed values in words: ``[0, 1]``, ``> 0``, ``cos or l2``, ``auto or >= 1``."""
        return " or ".join((*self.words, self._values()))

    def _values(self) -> str:
        """The same for values that are no word."""
        if self.choices:
            return " or ".join(show(c) for c in self.choices)
        if self.type is bool:
            return "true or false"
        if self.low is not None and self.high is not None:
            return f"{'(' if self.open else '['}{show(self.low)}, {show(self.high)}]"
        if self.low is not None:
            return f"{'>' if self.open else '>='} {show(self.low)}"
        if self.high is not None:
            return f"<= {show(self.high)}"
        return "any"

    def problem(self, value: Scalar) -> str:
        """Why a value cannot be used, or an empty string."""
        if value is None:
            return "" if self.optional else f"'{self.name}' may not be null"
        if value in self.words and isinstance(value, str):
            return ""
        if not self._fits_type(value):
            allowed = " or ".join((*self.words, _TYPE_WORDS[self.type]))
            return f"'{self.name}' must be {allowed}, got {show(value)}"
        if self.choices and value not in self.choices:
            return f"'{self.name}' must be {self.bounds()}, got {show(value)}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._range_problem(float(value), show(value))
        return ""

    def _fits_type(self, value: Scalar) -> bool:
        if self.type is float:
            return isinstance(value, int | float) and not isinstance(value, bool)
        if self.type is int:
            return isinstance(value, int) and not isinstance(value, bool)
        return isinstance(value, self.type)

    def _range_problem(self, number: float, typed: str) -> str:
        if not math.isfinite(number):
            return f"'{self.name}' must be finite, got {typed}"
        below = self.low is not None and (number < self.low or (self.open and number == self.low))
        above = self.high is not None and number > self.high
        if not below and not above:
            return ""
        span = self._values()
        verb = "lie in" if span[0] in "[(" else "be"
        return f"'{self.name}' must {verb} {span}, got {typed}"


_TYPE_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def show(value: object) -> str:
    """A scalar as the user would type it in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value)


def param(
    default: Any,
    *,
    help: str,
    low: float | None = None,
    high: float | None = None,
    open: bool = False,
    choices: tuple[Scalar, ...] = (),
    symbol: str = "",
) -> Any:
    """A dataclass field with bounds and a sentence.

    Args:
        default: Value when the user gives none.
        help: One sentence for ``raykd show`` and the documentation.
        low: Smallest allowed value.
        high: Largest allowed value.
        open: Exclude `low` itself.
        choices: The only allowed values; of a field that holds a number or a text, as in
            ``int | str``, the only texts.
        symbol: What the paper calls it.
    """
    meta = {
        "low": low, "high": high, "open": open, "choices": choices, "help": help, "symbol": symbol,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=meta)


_DECLARED: dict[type[Any], tuple[ParamInfo, ...]] = {}
"""What was described before: an arm with thousands of combinations needs each."""


def describe(cls: type[Any]) -> tuple[ParamInfo, ...]:
    """The declared parameters of a ``Params`` dataclass, in order.

    Raises:
        SpecError: One is not declared with `param`, or has a type that no file can hold.
    """
    if cls not in _DECLARED:
        hints = typing.get_type_hints(cls)
        _DECLARED[cls] = tuple(_info(cls, f, hints[f.name]) for f in dataclasses.fields(cls))
    return _DECLARED[cls]


def _info(cls: type[Any], field: dataclasses.Field[Any], hint: Any) -> ParamInfo:
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [t for t in options if t is not types.NoneType]
    meta = dict(field.metadata)
    words: tuple[str, ...] = ()
    if len(kinds) == 2 and str in kinds and meta.get("choices"):
        kinds.remove(str)
        words, meta["choices"] = meta["choices"], ()
    if len(kinds) != 1 or kinds[0] not in _TYPE_WORDS:
        raise SpecError(
            f"parameter '{field.name}' of {cls.__module__} must be float, int, bool or str, or None"
        )
    if "help" not in field.metadata:
        raise SpecError(
            f"parameter '{field.name}' of {cls.__module__} is not declared",
            hint=f"for example {field.name}: float = param(0.5, low=0, help='...')",
        )
    return ParamInfo(
        name=field.name,
        type=kinds[0],
        optional=types.NoneType in options,
        default=field.default,  # type: ignore[arg-type]  # param() always gives one
        words=words,
        **meta,
    )


def unknown_key(name: str, infos: tuple[ParamInfo, ...], owner: str, show_name: str) -> Problem:
    """The problem for a parameter that does not exist; `owner` is e.g. ``method 'ckd'``."""
    close = suggestion(name, [i.name for i in infos])
    hint = f"{close} (all of them: raykd show {show_name})".strip()
    return Problem(message=f"{owner} has no parameter '{name}'", hint=hint)


def build(cls: type[P], values: Mapping[str, Scalar]) -> P:
    """Make a ``Params`` object, checking every value.

    Raises:
        SpecError: With every unknown name and every value out of bounds.
    """
    infos = {i.name: i for i in describe(cls)}
    problems: list[Problem] = []
    clean: dict[str, Scalar] = {}
    for name, value in values.items():
        if name not in infos:
            problems.append(
                Problem(
                    path=name,
                    message=f"there is no parameter '{name}'",
                    hint=suggestion(name, list(infos)),
                )
            )
            continue
        wrong = infos[name].problem(value)
        if wrong:
            problems.append(Problem(path=name, message=wrong))
        is_whole = infos[name].type is float and isinstance(value, int)
        clean[name] = float(value) if is_whole and value is not None else value
    if problems:
        raise SpecError(problems=problems)
    return cls(**clean)
