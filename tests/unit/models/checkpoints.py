"""Small model folders for tests."""

from __future__ import annotations

from pathlib import Path

from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.load import build_model

SHAPE = RandomInitConfig(
    family="bert", layers=3, hidden=16, heads=2, vocabulary=64, max_positions=24
)


def tiny(kind: str = "classification", num_labels: int = 3, seed: int = 0, **changes: object):
    """A small model with random weights."""
    random_init = RandomInitConfig(**({f: getattr(SHAPE, f) for f in SHAPE.__slots__} | changes))
    return build_model(
        random_init, vocabulary=random_init.vocabulary, kind=kind, num_labels=num_labels, seed=seed
    )


def save_tiny(folder: Path, **options: object) -> weights.ModelState:
    """Write a small model to a folder and return its state."""
    state = weights.capture(tiny(**options))
    weights.save(state, folder)
    return state
