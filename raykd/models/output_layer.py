"""The output layer of a model that generates text: where it is, what it reads, its logits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raykd.errors import SpecError
from raykd.losses.vocabulary import LazyLogits
from raykd.models.logit_transform import logit_transform


@dataclass(frozen=True, slots=True)
class OutputParts:
    """Names of the parts of an output layer.

    Attributes:
        matrix: The module that holds the matrix, and mostly a bias.
        bias: A buffer of the model itself that is added to the outputs of the matrix, or empty.
    """

    matrix: str
    bias: str


def output_parts(model: Any) -> OutputParts:
    """Where the output layer of a ``PreTrainedModel`` is.

    Raises:
        SpecError: It has none that can be found.
    """
    layer = model.get_output_embeddings()
    modules = itertools.chain(model.named_children(), model.named_modules())
    name = next((n for n, module in modules if module is layer), "")
    if layer is None or not name:
        raise SpecError(
            f"a {type(model).__name__} has no output layer that raykd can find",
            hint="choose another model",
        )
    rows = len(layer.weight)
    added = [n for n, values in model.named_buffers(recurse=False) if values.numel() == rows]
    return OutputParts(name, next(iter(added), ""))


class _HeadInput(nn.Module):
    """Stands in for an output layer and keeps what it would read.

    Args:
        layer: The layer; models ask for the type of its matrix.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.states: list[Tensor] = []
        object.__setattr__(self, "weight", layer.weight)  # it is not a parameter twice

    def forward(self, states: Tensor) -> Tensor:
        self.states.append(states)
        return states


@contextmanager
def head_inputs(model: Any) -> Iterator[list[Tensor]]:
    """Run the model without its output layer: the hidden states that it would read, one per pass.

    What the model returns in place of logits means nothing.
    """
    where = output_parts(model)
    owner = model.get_submodule(where.matrix.rpartition(".")[0])
    part = where.matrix.rpartition(".")[2]
    layer = getattr(owner, part)
    head_input = _HeadInput(layer)
    added = getattr(model, where.bias) if where.bias else None
    setattr(owner, part, head_input)
    if added is not None:  # it is as wide as the logits, which are not formed
        setattr(model, where.bias, added.new_zeros(()))
    try:
        yield head_input.states
    finally:
        setattr(owner, part, layer)
        if added is not None:
            setattr(model, where.bias, added)


def lazy_logits(model: Any, states: Tensor) -> LazyLogits:
    """Logits over the vocabulary, computed when they are read.

    Args:
        model: The model.
        states: What its output layer reads of some tokens, ``[M, D]``.
    """
    device = states.device.type
    half = torch.is_autocast_enabled(device)
    where = output_parts(model)
    layer = model.get_submodule(where.matrix)
    bias = getattr(layer, "bias", None)
    if where.bias:
        added = getattr(model, where.bias).flatten()
        bias = added if bias is None else bias + added
    return LazyLogits(
        states,
        layer.weight,
        bias,
        torch.get_autocast_dtype(device) if half else states.dtype,
        logit_transform(vars(model.config)),
    )
