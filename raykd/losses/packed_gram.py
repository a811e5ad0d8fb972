"""Gram matrices packed row by row, as they are cached, and unpacked for a batch.

The group's mean m joins the shifted items as the first one, so that one symmetric table holds
everything that a `Gram` does: ``[0, 0]`` is the squared norm of m, ``[0, 1:]`` holds the products
with m, ``[1:, 1:]`` the inner products of the items.

Axes: B row, L position, Y matched layer, I item (tokens of the row and its context padding), N
token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from raykd.losses.gram import Gram, layer_gram, word_gram
from raykd.losses.transfer import moved


def word_rows(layers: Sequence[Tensor], mask: Tensor, *, context_padding: int) -> list[Tensor]:
    """Tables of the tokens of every row, float32 ``[Y * (I + 1)^2]`` each.

    Args:
        layers: Matched hidden states, Y times ``[B, L, D]``.
        mask: 1 = token, ``[B, L]``; ones come first.
        context_padding: Padding positions that are kept as items.
    """
    gram = word_gram(layers, mask, context_padding=context_padding)
    tables = _tables(gram)
    tables = tables.view(len(layers), len(mask), *tables.shape[1:])
    counts = (mask.sum(dim=1) + context_padding).clamp(max=gram.inner.shape[-1]).tolist()
    return [tables[:, b, : n + 1, : n + 1].flatten() for b, n in enumerate(counts)]


def word_batch(rows: Sequence[Tensor], mask: Tensor, *, layers: int, context_padding: int) -> Gram:
    """What `raykd.losses.gram.word_gram` gives for the rows.

    Args:
        rows: Tables from `word_rows`, B of them.
        mask: 1 = token, ``[B, L]``; ones come first.
        layers: Y.
        context_padding: As in `word_rows`.
    """
    sizes = [math.isqrt(len(row) // layers) for row in rows]
    longest = min(max(sizes), mask.shape[1] + 1)
    tables = torch.zeros(layers, len(rows), longest, longest)
    for b, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        n = min(size, longest)
        tables[:, b, :n, :n] = row.view(layers, size, size)[:, :n, :n]
    valid = mask[:, : longest - 1].to(torch.bool).repeat(layers, 1)
    return _gram(moved(tables.flatten(0, 1), mask.device), valid, context_padding)


def layer_rows(layers: Sequence[Tensor], mask: Tensor) -> list[Tensor]:
    """Tables of the layers of every token, float32 ``[N, (Y + 1)^2]`` for each row.

    Args:
        layers: Matched hidden states, Y times ``[B, L, D]``.
        mask: 1 = token, ``[B, L]``.
    """
    tables = _tables(layer_gram(layers, mask)).flatten(1)
    return list(torch.split(tables, mask.sum(dim=1).tolist()))


def layer_batch(rows: Sequence[Tensor], mask: Tensor) -> Gram:
    """What `raykd.losses.gram.layer_gram` gives for the rows.

    Args:
        rows: Tables from `layer_rows`.
        mask: 1 = token, ``[B, L]``; gives the device.
    """
    tables = torch.cat(list(rows))
    size = math.isqrt(tables.shape[1])
    tables = moved(tables.view(-1, size, size), mask.device)
    valid = torch.ones(len(tables), size - 1, dtype=torch.bool, device=mask.device)
    return _gram(tables, valid, 0)


def _tables(gram: Gram) -> Tensor:
    """``[R, I + 1, I + 1]``."""
    groups, items = gram.along.shape
    tables = torch.empty(groups, items + 1, items + 1, device=gram.inner.device)
    tables[:, 1:, 1:] = gram.inner
    tables[:, 0, 1:] = gram.along
    tables[:, 1:, 0] = gram.along
    tables[:, 0, 0] = gram.centre
    return tables


def _gram(tables: Tensor, valid: Tensor, context_padding: int) -> Gram:
    return Gram(
        inner=tables[:, 1:, 1:].contiguous(),
        along=tables[:, 0, 1:],
        centre=tables[:, 0, 0],
        valid=valid,
        context_padding=context_padding,
    )
