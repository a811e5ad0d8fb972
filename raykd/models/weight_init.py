"""Weight initialisation from a seed, independent of the global generators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from raykd.models.transformers_private import init_layer


@contextmanager
def seeded_rng(seed: int) -> Iterator[None]:
    """Seed the CPU generator within; the global state is restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that also seeds devices, whose generators are not restored.
        torch.default_generator.manual_seed(seed)
        yield


def draw_weights(model: Any, names: Iterable[str], seed: int) -> None:
    """Initialise the named weights of a model the way its family does.

    Args:
        model: A ``PreTrainedModel``.
        names: Weights; other weights of the same layer are drawn, too.
        seed: Draws them.
    """
    owners = {name.rpartition(".")[0] for name in names}
    layers: list[nn.Module] = [m for name, m in model.named_modules() if name in owners]
    with seeded_rng(seed), torch.no_grad():
        for layer in layers:
            init_layer(model, layer)


def cast_named(model: nn.Module, names: Iterable[str], dtype: torch.dtype | None) -> None:
    """Give weights that were drawn the type of the others."""
    if dtype is None:
        return
    parameters = dict(model.named_parameters())
    for name in names:
        if name in parameters:
            parameters[name].data = parameters[name].data.to(dtype)
