"""Models as a checkpoint gives them, ready to run."""

from __future__ import annotations

from torch import nn

from raykd.models import weights
from raykd.models.checkpoint import read_checkpoint
from raykd.models.weights import ModelState


def load_state(name: str, *, kind: str, num_labels: int) -> ModelState:
    """The weights of a checkpoint; without a head where it has none that fits."""
    return read_checkpoint(name, kind=kind, num_labels=num_labels).state


def load_model(name: str, *, kind: str, num_labels: int, seed: int = 0) -> nn.Module:
    """A model with a head for the task; the seed draws it where the checkpoint has none."""
    return weights.restore(load_state(name, kind=kind, num_labels=num_labels), seed=seed)
