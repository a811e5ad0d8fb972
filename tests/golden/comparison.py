"""A recomputed number next to the one from the original implementation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

# Below this a value is the rounding error of an exact zero, far below any real term.
_ROUNDED_ZERO = 1e-9


@dataclass(frozen=True, slots=True)
class Comparison:
    """One key of a golden file.

    Attributes:
        key: Its name in the file.
        kind: ``value``, ``gradient``, ``index`` or ``zero``.
        error: Relative error of a value; largest error of a gradient over its largest entry;
            number of differing entries of an index list; size of what should be zero. Infinite
            where shapes differ or something is NaN.
        tolerance: Largest error that passes.
    """

    key: str
    kind: str
    error: float
    tolerance: float

    @property
    def passes(self) -> bool:
        return self.error <= self.tolerance


@dataclass(frozen=True, slots=True)
class Unknown:
    """A key that the checker does not understand."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class NotOffered:
    """A number of something that raykd does not do, so that there is nothing to compare."""

    key: str
    why: str


def compare_value(key: str, got: float, golden: Array, rtol: float) -> Comparison:
    """Compare a scalar; two numbers that are both rounded zeros agree."""
    want = float(np.asarray(golden, np.float64).reshape(())) if golden.size == 1 else float("nan")
    if abs(want) <= _ROUNDED_ZERO and abs(got) <= _ROUNDED_ZERO:
        error = 0.0
    else:
        error = abs(got - want) / max(abs(want), _ROUNDED_ZERO)
    return Comparison(key, "value", _finite(error), rtol)


def compare_gradient(key: str, got: Array, golden: Array, atol: float) -> Comparison:
    """Compare a gradient; `atol` is relative to the largest entry of the golden one."""
    if got.shape != golden.shape:
        return Comparison(key, "gradient", float("inf"), atol)
    actual, want = got.astype(np.float64), golden.astype(np.float64)
    largest = float(np.abs(want).max(initial=0.0))
    error = float(np.abs(actual - want).max(initial=0.0)) / max(largest, 1e-12)
    return Comparison(key, "gradient", _finite(error), atol)


def compare_zeros(key: str, got: Array, golden: Array, atol: float) -> Comparison:
    """Check a value or gradient that is identically zero: both sides hold rounding errors only."""
    if got.shape != golden.shape:
        return Comparison(key, "zero", float("inf"), atol)
    both = np.abs(np.stack([got.astype(np.float64), golden.astype(np.float64)]))
    return Comparison(key, "zero", _finite(float(both.max(initial=0.0))), atol)


def compare_indices(key: str, got: tuple[int, ...], golden: Array) -> Comparison:
    """Compare a list of whole numbers exactly."""
    want = tuple(int(k) for k in golden.reshape(-1))
    wrong = sum(a != b for a, b in zip(got, want, strict=False)) + abs(len(got) - len(want))
    return Comparison(key, "index", float(wrong), 0.0)


def _finite(error: float) -> float:
    return error if np.isfinite(error) else float("inf")
