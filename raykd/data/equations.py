"""Values of arithmetic expressions, for tasks whose answers are equations."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

LONGEST = 200
"""Characters; longer texts are no equation that a student has to write."""
LARGEST_EXPONENT = 64

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}  # fmt: skip


def value(text: str) -> float:
    """The value of an expression of numbers, ``+ - * / **``, signs and parentheses.

    Anything else is NaN, which equals nothing: text is never run.
    """
    try:
        if len(text) > LONGEST:
            return math.nan
        return float(_value(ast.parse(text.strip(), mode="eval").body))
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return math.nan


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and not isinstance(node.value, bool):
        if isinstance(node.value, int | float):
            return float(node.value)
        raise ValueError("no number")
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _value(node.operand)
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) <= LARGEST_EXPONENT:
            raised = left**right
            if isinstance(raised, complex):
                raise ValueError("no real number")
            return float(raised)
        if type(node.op) in _BINARY:
            return _BINARY[type(node.op)](left, right)
    raise ValueError("no arithmetic")
