"""Initial weights drawn from a seed, whatever the global generators hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Draw on the CPU from a seed; afterwards the global generator is as it was."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that also seeds devices, whose generators are not restored.
        torch.default_generator.manual_seed(seed)
        yield


def without_weights(head_class: Any, config: Any) -> Any:
    """A model whose weights are not set yet; much faster to build when all are given anyway."""
    from transformers.initialization import no_init_weights

    with no_init_weights():
        return head_class(config)


def draw(model: Any, names: Iterable[str], seed: int) -> None:
    """Set the named weights of a model at random, the way its family does.

    Args:
        model: A ``PreTrainedModel``.
        names: Weights; other weights of the same layer are drawn, too.
        seed: Draws them.
    """
    owners = {name.rpartition(".")[0] for name in names}
    layers: list[nn.Module] = [m for name, m in model.named_modules() if name in owners]
    with drawn_from(seed), torch.no_grad():
        for layer in layers:
            model._init_weights(layer)
