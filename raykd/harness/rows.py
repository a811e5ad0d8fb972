"""What each row of a benchmark adds to a metric, from the samples that the harness logs.

Axes: N row.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.data.row_outcomes import pseudo_values

_FORMS: tuple[Callable[[Any], Any], ...] = (
    lambda mean: mean,
    lambda mean: -mean / math.log(2),
    lambda mean: np.exp(-mean),
)
"""How the harness makes a metric of a mean over rows, or of a ratio of two sums over them: shares
and the like, bits per byte, perplexities. Which one it was is seen from the value."""


def outcomes_by_row(
    samples: Sequence[Mapping[str, Any]], metric: str, filtered: str, value: float
) -> NDArray[np.float32] | None:
    """The outcomes of a metric, in the order of the rows of the benchmark.

    Args:
        samples: What was logged of the benchmark, one for each row and filter.
        metric: Its name there.
        filtered: The name of the filter.
        value: The metric of all rows.

    Returns:
        ``[N]``: the values whose mean is the metric, else the pseudo-values of the jackknife; None
        for a metric that is no function of a mean, such as F1, and for fewer than two rows.
    """
    own = [s for s in samples if s.get("filter") == filtered and metric in s]
    pairs = [_pair(s[metric]) for s in sorted(own, key=lambda s: int(s["doc_id"]))]
    whole = [pair for pair in pairs if pair is not None]
    if len(whole) < max(2, len(pairs)):
        return None
    above, below = np.array(whole, np.float64).T
    left = below.sum() - below
    if not (left > 0).all():
        return None
    for form in _FORMS:
        if math.isclose(form(above.sum() / below.sum()), value, rel_tol=1e-6, abs_tol=1e-9):
            is_mean = form is _FORMS[0] and bool((below == 1.0).all())
            without = form((above.sum() - above) / left)
            outcomes = above if is_mean else pseudo_values(value, without)
            kept: NDArray[np.float32] = outcomes.astype(np.float32)
            return kept
    return None


def _pair(value: Any) -> tuple[float, float] | None:
    """A number counts once; of a ratio, a row has its numerator and its denominator."""
    if isinstance(value, numbers.Real | np.bool_):
        return float(value), 1.0
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if is_pair and all(isinstance(of, numbers.Real) for of in value):
        return float(value[0]), float(value[1])
    return None
