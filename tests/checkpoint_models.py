"""Models as a checkpoint gives them, ready to run."""

from __future__ import annotations

from torch import nn

from raykd.models.checkpoint import read_checkpoint
from raykd.models.model_factory import factory_from_state
from raykd.models.weights import ModelState


def load_state(name: str, *, kind: str, num_labels: int) -> ModelState:
    """The weights of a checkpoint; without a head where it has none that fits."""
    return read_checkpoint(name, kind=kind, num_labels=num_labels).state


def load_model(name: str, *, kind: str, num_labels: int, seed: int = 0) -> nn.Module:
    """A model as it is trained; the seed draws its head where the checkpoint has none."""
    state = load_state(name, kind=kind, num_labels=num_labels)
    return factory_from_state(state, kind, num_labels).build(seed)
