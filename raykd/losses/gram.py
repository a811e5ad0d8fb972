"""Inner products inside one model: everything that the relations of CKD are computed from.

A relation compares distances and angles among the *items* of a *group*. For word relations a
group is one layer of one row and its items are the tokens; for layer-transforming relations a
group is one token and its items are its matched layers. Teacher and student never meet in one
product, so their widths may differ. Items are shifted by the group's mean first: distances and
angles do not change, and the large constant offsets that BERT has in a few dimensions no longer
eat the digits of float32.

Axes: B row, L position, D width, Y matched layer, R group, I item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from raykd.losses.precision import full_precision, working_dtype
from raykd.losses.shapes import check_layers
from raykd.losses.token_mask import Mask, plain_mask, token_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Gram:
    """Inner products of the items of every group.

    Attributes:
        inner: Of the items minus their group's mean m, float32 or float64, ``[R, I, I]``.
        along: Of the items minus m with m itself, ``[R, I]``.
        centre: Squared norm of m, ``[R]``.
        valid: Items that count, bool ``[R, I]``.
        context_padding: How many positions after the last token are exact too; the rest is
            arbitrary.
        ends: Where the last item of each group that counts is, counted from 1; None where only
            `valid` knows.
    """

    inner: Tensor
    along: Tensor
    centre: Tensor
    valid: Tensor
    context_padding: int
    ends: tuple[int, ...] | None = None

    def unshifted(self) -> Tensor:
        """Inner products of the items as they are, ``[R, I, I]``."""
        shift = self.along + 0.5 * self.centre[:, None]
        return self.inner + shift[:, :, None] + shift[:, None, :]


def word_gram(layers: Sequence[Tensor], mask: Mask, *, context_padding: int = 0) -> Gram:
    """Inner products of tokens, one group for each layer and row (R = Y * B, layers outermost).

    Positions farther than `context_padding` from every token are never read, whatever they hold,
    and the common tail of them is cut off, so I is at most the longest sentence plus
    `context_padding`.

    Args:
        layers: Matched hidden states of one model, Y times ``[B, L, D]``, any float type.
        mask: 1 = token, ``[B, L]``.
        context_padding: Padding positions around the tokens that are read; half the window for
            `raykd.losses.relations.window_relation`, else 0.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    check_layers(layers, plain_mask(mask))
    tokens = token_mask(mask)
    valid = tokens.mask.to(torch.bool)
    near = valid
    if context_padding:
        pooled = F.max_pool1d(
            valid[:, None].float(), 2 * context_padding + 1, stride=1, padding=context_padding
        )
        near = pooled[:, 0] > 0
    longest = max(tokens.ends)
    length = max(1, min(longest + context_padding, valid.shape[1])) if longest else 1
    valid, near = valid[:, :length], near[:, :length]
    inner, along, centre = _WordGramFunction.apply(valid, near, *layers)  # type: ignore[no-untyped-call]
    return Gram(
        inner=inner.flatten(0, 1),
        along=along.flatten(0, 1),
        centre=centre.flatten(),
        valid=valid.repeat(len(layers), 1),
        context_padding=context_padding,
        ends=tokens.ends * len(layers),
    )


def layer_gram(layers: Sequence[Tensor], mask: Mask) -> Gram:
    """Inner products of the matched layers of one token, one group for each token (I = Y).

    Padding positions are left out, whatever they hold.

    Args:
        layers: Matched hidden states of one model, Y times ``[B, L, D]``, any float type.
        mask: 1 = token, ``[B, L]``.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    check_layers(layers, plain_mask(mask))
    places = token_mask(mask).places
    inner, along, centre = _LayerGramFunction.apply(places, *layers)  # type: ignore[no-untyped-call]
    return Gram(
        inner=inner,
        along=along,
        centre=centre,
        valid=torch.ones_like(along, dtype=torch.bool),
        context_padding=0,
        ends=(len(layers),) * len(places),
    )


class _WordGramFunction(torch.autograd.Function):
    """Layer by layer, so that no shifted copy of all layers exists; shifts again in backward."""

    @staticmethod
    def forward(ctx: Any, valid: Tensor, near: Tensor, *layers: Tensor) -> tuple[Tensor, ...]:
        rows, length = valid.shape
        options: Any = {"dtype": working_dtype(layers[0]), "device": valid.device}
        inner = torch.empty(len(layers), rows, length, length, **options)
        along = torch.empty(len(layers), rows, length, **options)
        means = torch.empty(len(layers), rows, layers[0].shape[-1], **options)
        counts = valid.sum(dim=1, keepdim=True).clamp(min=1)
        weights = (valid / counts).to(options["dtype"])[:, None]
        with full_precision(valid):
            for y, layer in enumerate(layers):
                items = _read(layer, near)
                mean = torch.bmm(weights, items)
                items -= mean
                torch.bmm(items, items.mT, out=inner[y])
                along[y] = torch.bmm(items, mean.mT)[:, :, 0]
                means[y] = mean[:, 0]
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(near, means, *layers)
        return inner, along, means.square().sum(dim=-1)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_inner: Tensor | None, d_along: Tensor | None, d_centre: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        near, means, *layers = ctx.saved_tensors
        grads: list[Tensor | None] = [None] * len(layers)
        with full_precision(near):
            for y, layer in enumerate(layers):
                if not ctx.needs_input_grad[2 + y] or (d_inner is None and d_along is None):
                    continue
                mean = means[y][:, None]
                if d_inner is None:
                    grad = mean.new_zeros(near.shape + mean.shape[-1:])
                else:
                    grad = torch.bmm(d_inner[y] + d_inner[y].mT, _read(layer, near).sub_(mean))
                if d_along is not None:
                    grad.addcmul_(d_along[y][:, :, None], mean)
                grads[y] = _pad(grad, layer)
        return (None, None, *grads)


def _read(layer: Tensor, near: Tensor) -> Tensor:
    """A copy of the first positions in working precision, zero where nothing is to be read."""
    items = layer[:, : near.shape[1]].to(working_dtype(layer))
    return items.masked_fill(~near[:, :, None], 0.0)


def _pad(grad: Tensor, layer: Tensor) -> Tensor:
    if grad.shape == layer.shape:
        return grad.to(layer.dtype)
    full = torch.zeros_like(layer)
    full[:, : grad.shape[1]] = grad
    return full


class _LayerGramFunction(torch.autograd.Function):
    """Gathers tokens in blocks that stay in the processor's cache; gathers again in backward."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, *layers: Tensor) -> tuple[Tensor, ...]:
        options: Any = {"dtype": working_dtype(layers[0]), "device": tokens.device}
        count, depth = len(tokens), len(layers)
        inner = torch.empty(count, depth, depth, **options)
        along = torch.empty(count, depth, **options)
        centre = torch.empty(count, **options)
        with full_precision(tokens):
            for start, block in _blocks(tokens):
                items, mean = _gather(layers, block)
                part = slice(start, start + len(block))
                torch.bmm(items, items.mT, out=inner[part])
                along[part] = torch.bmm(items, mean.mT)[:, :, 0]
                centre[part] = mean.square().sum(dim=(1, 2))
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(tokens, *layers)
        return inner, along, centre

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_inner: Tensor | None, d_along: Tensor | None, d_centre: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        tokens, *layers = ctx.saved_tensors
        if d_inner is None and d_along is None:
            return (None,) * (1 + len(layers))
        wanted = [y for y in range(len(layers)) if ctx.needs_input_grad[1 + y]]
        grads: list[Tensor | None] = [None] * len(layers)
        for y in wanted:
            grads[y] = torch.zeros_like(layers[y], memory_format=torch.contiguous_format)
        with full_precision(tokens):
            for start, block in _blocks(tokens):
                items, mean = _gather(layers, block)
                part = slice(start, start + len(block))
                if d_inner is None:
                    grad = torch.zeros_like(items)
                else:
                    grad = torch.bmm(d_inner[part] + d_inner[part].mT, items)
                if d_along is not None:
                    grad.addcmul_(d_along[part][:, :, None], mean)
                for y in wanted:
                    target = grads[y]
                    assert target is not None
                    target.view(-1, target.shape[-1])[block] = grad[:, y].to(target.dtype)
        return (None, *grads)


def _blocks(tokens: Tensor) -> list[tuple[int, Tensor]]:
    size = 256 if tokens.device.type == "cpu" else 65536
    return [(start, tokens[start : start + size]) for start in range(0, len(tokens), size)]


def _gather(layers: Sequence[Tensor], tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Shifted vectors of some tokens, ``[N, Y, D]``, and their means, ``[N, 1, D]``."""
    width = layers[0].shape[-1]
    dtype = working_dtype(layers[0])
    items = torch.empty(len(tokens), len(layers), width, dtype=dtype, device=tokens.device)
    for y, layer in enumerate(layers):
        items[:, y] = layer.reshape(-1, width).index_select(0, tokens)
    mean = items.mean(dim=1, keepdim=True)
    return items.sub_(mean), mean
