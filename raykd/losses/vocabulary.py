"""Losses over a vocabulary that never hold the logits of all tokens at once.

The logits of a batch, tokens times vocabulary, are by far the largest tensor of a language model.
Here they are computed lazily, in chunks of tokens; the gradient of each chunk is propagated to the
hidden states and the output matrix at once, and only those gradients are kept. The result is the
same up to rounding.

Axes: M token with a label, V vocabulary, D hidden width, K term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from raykd.losses.precision import full_precision, working

CHUNK_BYTES = 32 << 20
"""Size of a chunk of logits, in bytes of float32."""

Terms = Callable[[Tensor, slice], Tensor]
"""From the scores ``[m, V]`` of some tokens and their place among all to K numbers, ``[K]``. Over
all tokens they are added up."""


@dataclass(frozen=True, slots=True)
class LazyLogits:
    """Logits over a vocabulary for some tokens, computed lazily, in chunks.

    Attributes:
        states: What the output layer reads, ``[M, D]``.
        weight: Its matrix, ``[V, D]``.
        bias: ``[V]``, or None.
        dtype: What products are formed in.
    """

    states: Tensor
    weight: Tensor
    bias: Tensor | None = None
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.states)

    @property
    def vocabulary(self) -> int:
        """V."""
        return len(self.weight)

    def chunks(self, size: int | None = None) -> Iterator[slice]:
        """Slices of tokens, one for each chunk; none where there is no token."""
        step = size or max(16, CHUNK_BYTES // (4 * self.vocabulary))
        for begin in range(0, len(self), step):
            yield slice(begin, min(begin + step, len(self)))

    def picked(self, tokens: Tensor) -> LazyLogits:
        """Those of some tokens, by number, int64 ``[m]``."""
        return replace(self, states=self.states[tokens])

    def first(self, vocabulary: int) -> LazyLogits:
        """Those of the first token ids only; all of them where there are no more."""
        if vocabulary >= self.vocabulary:
            return self
        bias = None if self.bias is None else self.bias[:vocabulary]
        return replace(self, weight=self.weight[:vocabulary], bias=bias)

    def chunk(self, at: slice = slice(None)) -> Tensor:
        """The logits of some tokens, ``[m, V]``, in `dtype`."""
        bias = None if self.bias is None else self.bias.to(self.dtype)
        with full_precision(self.states):
            return F.linear(self.states[at].to(self.dtype), self.weight.to(self.dtype), bias)


def summed(scores: LazyLogits, terms: Terms, *, size: int | None = None) -> tuple[Tensor, Tensor]:
    """Terms of all tokens, added up.

    Args:
        scores: Of a model; gradients flow into its states, matrix and bias.
        terms: What to add up; weights of terms belong inside.
        size: Tokens at a time, None for about `CHUNK_BYTES`.

    Returns:
        The sum of all K terms, a scalar with gradient, and the terms apart, ``[K]`` without. Where
        there is no token, these are the terms of no scores.
    """
    run: Any = _Summed.apply
    total, apart = run(scores.states, scores.weight, scores.bias, scores, terms, size)
    return total, apart


def cross_entropy(scores: LazyLogits, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood of the labels, a scalar, 0 for none; labels are ``[M]``."""
    count = max(len(labels), 1)

    def terms(chunk: Tensor, at: slice) -> Tensor:
        return F.cross_entropy(working(chunk), labels[at], reduction="sum")[None] / count

    return summed(scores, terms)[0]


class _Summed(torch.autograd.Function):
    """The gradient is formed in the forward pass, where the scores are at hand."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        scores: LazyLogits,
        terms: Terms,
        size: int | None,
    ) -> tuple[Tensor, Tensor]:
        wanted = any(ctx.needs_input_grad[:3])
        # Cast once, not once per chunk.
        cast = LazyLogits(
            states.detach().to(scores.dtype), weight.detach().to(scores.dtype),
            None if bias is None else bias.detach().to(scores.dtype), scores.dtype,
        )  # fmt: skip
        d_states = torch.zeros_like(states) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        d_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        apart: Tensor | None = None
        # Without a token there is one empty chunk, so that the terms are there and 0.
        for at in list(scores.chunks(size)) or [slice(0, 0)]:
            with torch.set_grad_enabled(wanted):
                chunk = cast.chunk(at).requires_grad_(wanted)
                found = terms(chunk, at)
            apart = found.detach() if apart is None else apart + found.detach()
            if not wanted:
                continue
            (d_chunk,) = torch.autograd.grad(found, chunk, torch.ones_like(found))
            with full_precision(states):
                if d_states is not None:
                    d_states[at] = (d_chunk @ cast.weight).to(d_states.dtype)
                if d_weight is not None:
                    if d_weight.dtype == d_chunk.dtype:
                        d_weight.addmm_(d_chunk.T, cast.states[at])
                    else:
                        d_weight += d_chunk.T @ cast.states[at]
            if d_bias is not None:
                d_bias += d_chunk.sum(dim=0)
        assert apart is not None
        ctx.gradients = (d_states, d_weight, d_bias)
        ctx.mark_non_differentiable(apart)
        return apart.sum(), apart

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_total: Tensor, d_apart: Tensor) -> tuple[Tensor | None, ...]:
        del d_apart
        scaled = (None if g is None else g.mul_(d_total) for g in ctx.gradients)
        return (*scaled, None, None, None)
