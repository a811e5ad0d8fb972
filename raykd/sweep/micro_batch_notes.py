"""What arms that look at a batch as a whole do where the file cuts batches into micro batches."""

from __future__ import annotations

from raykd import registry
from raykd.methods.base import Method
from raykd.params import show
from raykd.spec.schema import SweepSpec
from raykd.training.settings import AUTO


def micro_batch_notes(spec: SweepSpec) -> tuple[str, ...]:
    """A sentence for each of them; none where batches are cut only when memory runs out."""
    asked = spec.train.fixed.get("micro_batch", AUTO)
    searched = spec.train.domains.get("micro_batch")
    if asked == AUTO and searched is None:
        return ()
    setting = show(asked) if searched is None else searched.describe()
    return tuple(
        f"train.micro_batch is {setting}; in arm '{name}' {changes}"
        for name, arm in spec.methods.items()
        if (changes := batch_wide(arm.method))
    )


def batch_wide(method: str) -> str:
    """What a method makes of each micro batch in place of the batch, or empty."""
    cls: type[Method[object]] = registry.load("methods", method)
    return cls.batch_wide
