"""Units and ranges of metrics, and how their values are formatted everywhere."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raykd.results.stats import ConfidenceInterval


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How values of a metric are shown: shares as points (x 100), others as they are.

    Attributes:
        factor: 100 for shares and correlations, else 1.
        unit: ``points``, ``nats``, ``ms``, or the name of the metric.
        low: The least value there can be.
        high: The largest one.
        per_row: Whether one row of a split moves the value by about one over the number of rows.
    """

    factor: float
    unit: str
    low: float = -math.inf
    high: float = math.inf
    per_row: bool = False

    def show(self, value: float | None) -> str:
        """A value of the metric."""
        if value is None or not math.isfinite(value):
            return "n/a"
        return _no_minus(f"{value * 100:.1f}" if self.factor == 100 else f"{value:.4g}")

    def signed(self, value: float | None) -> str:
        """A difference, always with its sign."""
        if value is None or not math.isfinite(value):
            return "n/a"
        return f"{value * 100:+.1f}" if self.factor == 100 else f"{value:+.3g}"

    def axis(self, metric: str) -> str:
        """The title of an axis: the metric and its unit."""
        return metric if self.unit == metric else f"{metric} ({self.unit})"

    def clip(self, interval: ConfidenceInterval) -> ConfidenceInterval:
        """The interval clipped to the range of the metric."""
        if not interval.has_interval or (self.low <= interval.low and interval.high <= self.high):
            return interval
        low, high = max(interval.low, self.low), min(interval.high, self.high)
        return dataclasses.replace(interval, low=low, high=high)

    def min_sd(self, rows: int | None) -> float:
        """The least spread over seeds that a split can tell from none: one of its rows.

        Args:
            rows: Rows of the split, None when that is not known.
        """
        return 1.0 / rows if self.per_row and rows else 0.0


UNITS: Mapping[str, Scale] = {
    "share": Scale(factor=100.0, unit="points", low=0.0, high=1.0, per_row=True),
    "token_share": Scale(factor=100.0, unit="points", low=0.0, high=1.0),
    "correlation": Scale(factor=100.0, unit="points", low=-1.0, high=1.0, per_row=True),
    "log_likelihood": Scale(factor=1.0, unit="nats", high=0.0),
    "divergence": Scale(factor=1.0, unit="nats", low=0.0),
    "bits": Scale(factor=1.0, unit="bits", low=0.0),
    "milliseconds": Scale(factor=1.0, unit="ms", low=0.0),
    "megabytes": Scale(factor=1.0, unit="MB", low=0.0),
    "number": Scale(factor=1.0, unit=""),
}
"""What a metric may be, by the name that tasks and records use for it."""

KNOWN: Mapping[str, str] = {
    **dict.fromkeys(
        ("accuracy", "f1", "f1_macro", "f1_a", "exact_match", "rouge_l", "bleu", "chrf", "matched"),
        "share",
    ),
    **dict.fromkeys(
        (
            "token_accuracy",
            "masked_accuracy",
            "word_accuracy",
            "f1_micro",
            "entity_f1",
            "entity_precision",
            "entity_recall",
        ),
        "token_share",
    ),
    **dict.fromkeys(("matthews", "pearson", "spearman"), "correlation"),
    **dict.fromkeys(("log_likelihood", "masked_log_likelihood"), "log_likelihood"),
    "teacher_kl": "divergence",
    "bits_per_byte": "bits",
    "latency_ms": "milliseconds",
    "memory_mb": "megabytes",
}
"""What the metrics of the package are; a task says it of metrics of its own (`Task.units`)."""


def unit_of(metric: str, units: Mapping[str, str] = KNOWN) -> str:
    """The key of `UNITS` that belongs to a metric, empty when it is unknown.

    A metric keeps its unit in another split or part: ``test/accuracy_mismatched``, ``f1@w0.5d1``.

    Args:
        metric: Its name.
        units: What is known, by name.
    """
    name = metric.removeprefix("test/").removeprefix("validation/").partition("@")[0]
    if name not in units and name.endswith("_ms"):
        return "milliseconds"
    fitting = [known for known in units if name == known or name.startswith(f"{known}_")]
    return units[max(fitting, key=len)] if fitting else ""


def scale_named(unit: str, metric: str) -> Scale:
    """The scale of a unit; plain numbers bear the name of the metric."""
    scale = UNITS.get(unit, UNITS["number"])
    return scale if scale.unit else dataclasses.replace(scale, unit=metric)


def _no_minus(text: str) -> str:
    """The text without the sign of a zero."""
    return text.removeprefix("-") if float(text) == 0.0 else text
