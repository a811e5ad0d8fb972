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
from torch.utils.checkpoint import checkpoint

from raykd.losses.closed_forms import nll
from raykd.losses.precision import full_precision, working

CHUNK_BYTES = {"cpu": 32 << 20, "cuda": 256 << 20}
"""Size of a chunk of logits by type of device, in bytes of what a softmax computes in: on a CPU
what its caches profit from, on a GPU what keeps its multiprocessors busy."""

LEAST_TOKENS = {"cpu": 16, "cuda": 512}
"""Fewest tokens of a chunk: products with the matrix read all of it, however few the tokens are."""

Terms = Callable[[Tensor, slice], Tensor]
"""From the scores ``[m, V]`` of some tokens and their place among all to K numbers, ``[K]``. Over
all tokens they are added up."""

Numbers = Callable[[Tensor, slice], Tensor]
"""From the scores ``[m, V]`` of some tokens and their place among all to a number each, ``[m]``."""


def chunk_tokens(device_type: str, vocabulary: int, dtype: torch.dtype) -> int:
    """Tokens of a chunk of logits.

    Args:
        device_type: ``cpu`` or ``cuda``; any other accelerator is taken for the latter.
        vocabulary: V.
        dtype: What the products are formed in.
    """
    device_type = device_type if device_type in CHUNK_BYTES else "cuda"
    token_bytes = vocabulary * max(dtype.itemsize, torch.float32.itemsize)
    return max(LEAST_TOKENS[device_type], CHUNK_BYTES[device_type] // token_bytes)


@dataclass(frozen=True, slots=True)
class LogitTransform:
    """What a model does to the outputs of its LM head, computed in float32 at least.

    Attributes:
        scale: They are multiplied by it (Cohere: ``logit_scale``; Granite: 1 / ``logits_scaling``).
        softcap: Then ``softcap * tanh(x / softcap)`` bounds them (Gemma 2:
            ``final_logit_softcapping``); None leaves them unbounded.
    """

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """The logits of the model, ``[..., V]``, from the outputs of its head."""
        if self.scale != 1.0:
            logits = working(logits) * self.scale
        if self.softcap is not None:
            logits = torch.tanh(working(logits) / self.softcap) * self.softcap
        return logits


UNCHANGED = LogitTransform()
"""Of a model whose logits are the outputs of its head."""


@dataclass(frozen=True, slots=True)
class LazyLogits:
    """Logits over a vocabulary for some tokens, computed lazily, in chunks.

    Attributes:
        states: What the output layer reads, ``[M, D]``.
        weight: Its matrix, ``[V, D]``.
        bias: ``[V]``, or None.
        dtype: What products are formed in.
        transform: What the model does to them after that.
    """

    states: Tensor
    weight: Tensor
    bias: Tensor | None = None
    dtype: torch.dtype = torch.float32
    transform: LogitTransform = UNCHANGED

    def __len__(self) -> int:
        return len(self.states)

    @property
    def vocabulary(self) -> int:
        """V."""
        return len(self.weight)

    def chunks(self, size: int | None = None) -> Iterator[slice]:
        """Slices of tokens, one for each chunk; none where there is no token."""
        step = size or chunk_tokens(self.states.device.type, self.vocabulary, self.dtype)
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

    def cast(self, at_most: torch.dtype | None = None) -> LazyLogits:
        """The same for many chunks: states, matrix and bias are cast once and not for each of them.

        Args:
            at_most: Products are formed in it where it is narrower than `dtype`.
        """
        narrower = at_most is not None and at_most.itemsize < self.dtype.itemsize
        dtype = at_most if narrower and at_most is not None else self.dtype
        return replace(
            self,
            states=self.states.to(dtype),
            weight=self.weight.to(dtype),
            bias=None if self.bias is None else self.bias.to(dtype),
            dtype=dtype,
        )

    def by_chunk(self) -> Iterator[tuple[Tensor, slice]]:
        """The logits of every chunk, ``[m, V]``, with its slice of the M tokens."""
        cast = self.cast()
        for at in self.chunks():
            yield cast.chunk(at), at

    def head(self, at: slice = slice(None)) -> Tensor:
        """The outputs of the head for some tokens, ``[m, V]``, in `dtype`."""
        bias = None if self.bias is None else self.bias.to(self.dtype)
        with full_precision(self.states):
            return F.linear(self.states[at].to(self.dtype), self.weight.to(self.dtype), bias)

    def chunk(self, at: slice = slice(None)) -> Tensor:
        """The logits of some tokens, ``[m, V]``; in `dtype`, or float32 where they are changed."""
        return self.transform(self.head(at))


def summed(scores: LazyLogits, terms: Terms, *, size: int | None = None) -> tuple[Tensor, Tensor]:
    """Terms of all tokens, added up.

    Args:
        scores: Of a model; gradients flow into its states, matrix and bias.
        terms: What to add up; weights of terms belong inside.
        size: Tokens at a time, None for `chunk_tokens`.

    Returns:
        The sum of all K terms, a scalar with gradient, and the terms apart, ``[K]`` without. Where
        there is no token, these are the terms of no scores.
    """
    run: Any = _Summed.apply
    total, apart = run(scores.states, scores.weight, scores.bias, scores, terms, size)
    return total, apart


def per_token(scores: LazyLogits, numbers: Numbers, *, size: int | None = None) -> Tensor:
    """A number for each token that need not be added up, ``[M]``, with gradient.

    A chunk of scores is computed once more for its gradient.

    Args:
        scores: Of a model; gradients flow into its states, matrix and bias.
        numbers: What is wanted; gradients also flow into tensors that it has at hand.
        size: Tokens at a time, None for `chunk_tokens`.
    """
    cast = scores.cast()

    def of(at: slice) -> Tensor:
        return numbers(cast.chunk(at), at)

    # Without a token there is one empty chunk, so that the result belongs to the model.
    places = list(scores.chunks(size)) or [slice(0, 0)]
    # Nothing is drawn in a chunk.
    parts = [checkpoint(of, at, use_reentrant=False, preserve_rng_state=False) for at in places]
    return torch.cat(parts)


def cross_entropy(scores: LazyLogits, labels: Tensor) -> Tensor:
    """Mean negative log-likelihood of the labels, a scalar, 0 for none; labels are ``[M]``."""
    count = max(len(labels), 1)

    def terms(chunk: Tensor, at: slice) -> Tensor:
        return nll(chunk, labels[at]).sum()[None] / count

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
        plain = None if bias is None else bias.detach()
        cast = replace(scores, states=states.detach(), weight=weight.detach(), bias=plain).cast()
        d_states = torch.zeros_like(states) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        d_bias = torch.zeros_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        apart: Tensor | None = None
        # Without a token there is one empty chunk, so that the terms are there and 0.
        for at in list(scores.chunks(size)) or [slice(0, 0)]:
            with torch.set_grad_enabled(wanted):
                chunk = cast.head(at).requires_grad_(wanted)
                part_sums = terms(cast.transform(chunk), at)
            apart = part_sums.detach() if apart is None else apart + part_sums.detach()
            if not wanted:
                continue
            (d_chunk,) = torch.autograd.grad(part_sums, chunk, torch.ones_like(part_sums))
            with full_precision(states):
                if d_states is not None:
                    d_states[at] = (d_chunk @ cast.weight).to(d_states.dtype)
                if d_weight is not None:
                    if d_weight.dtype == d_chunk.dtype:
                        d_weight.addmm_(d_chunk.T, cast.states[at])
                    else:
                        d_weight += d_chunk.T @ cast.states[at]
            if d_bias is not None:
                d_bias += d_chunk.sum(dim=0, dtype=d_bias.dtype)
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
