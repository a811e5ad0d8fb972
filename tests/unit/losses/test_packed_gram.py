"""What is kept of single rows gives the inner products of any batch of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from raykd.losses.gram import Gram, layer_gram, word_gram
from raykd.losses.packed_gram import layer_batch, layer_rows, word_batch, word_rows

LAYERS, WIDTH, CAP = 3, 6, 12
LENGTHS = (9, 2, 12, 1, 5)


def states(lengths: tuple[int, ...], context_padding: int) -> tuple[list[Tensor], Tensor]:
    """Hidden states of rows, a function of row and position only; padded as a batch is."""
    longest = min(max(lengths) + context_padding, max(CAP, max(lengths)))
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    whole = [
        torch.stack(
            [torch.randn(CAP, WIDTH, generator=torch.Generator().manual_seed(100 * n + y))
             for n in lengths]
        )
        for y in range(LAYERS)
    ]  # fmt: skip
    return [layer[:, :longest] for layer in whole], mask


def same(one: Gram, two: Gram) -> bool:
    # A recorded one leaves it to the student's to say where groups end.
    one, two = (dataclasses.replace(gram, ends=None) for gram in (one, two))
    return all(
        torch.allclose(a, b, atol=1e-5) if isinstance(a, Tensor) else a == b
        for a, b in zip(dataclasses.astuple(one), dataclasses.astuple(two), strict=True)
    )


def within(gram, rows, context_padding):
    """Only what counts: tokens and, around them, the context padding."""
    valid = gram.valid
    counts = (valid.sum(dim=1) + context_padding).clamp(max=valid.shape[1])
    near = torch.arange(valid.shape[1]) < counts[:, None]
    both = near[:, :, None] & near[:, None, :]
    return dataclasses.replace(gram, inner=gram.inner * both, along=gram.along * near)


@pytest.mark.parametrize("context_padding", [0, 2, 10])
@pytest.mark.parametrize("picked", [(0, 1, 2, 3, 4), (3, 1), (3,), (4, 4, 0)])
def test_words_of_a_batch_that_was_never_recorded_together(context_padding, picked):
    recorded, mask = states(LENGTHS, context_padding)
    kept = word_rows(recorded, mask, context_padding=context_padding)
    batch, mask = states(tuple(LENGTHS[k] for k in picked), context_padding)
    actual = word_batch(
        [kept[k] for k in picked], mask, layers=LAYERS, context_padding=context_padding
    )
    want = word_gram(batch, mask, context_padding=context_padding)
    assert actual.inner.shape == want.inner.shape
    assert same(within(actual, picked, context_padding), within(want, picked, context_padding))


@pytest.mark.parametrize("picked", [(0, 1, 2, 3, 4), (3, 1), (3,), (4, 4, 0)])
def test_layers_of_tokens(picked):
    kept = layer_rows(*states(LENGTHS, 0))
    batch, mask = states(tuple(LENGTHS[k] for k in picked), 0)
    assert same(layer_batch([kept[k] for k in picked], mask), layer_gram(batch, mask))


def test_the_size_is_that_of_the_tokens_not_of_the_padding():
    recorded, mask = states(LENGTHS, 2)
    words, tokens = word_rows(recorded, mask, context_padding=2), layer_rows(recorded, mask)
    items = [min(n + 2, CAP) for n in LENGTHS]
    assert [len(row) for row in words] == [LAYERS * (n + 1) ** 2 for n in items]
    assert [row.shape for row in tokens] == [(n, (LAYERS + 1) ** 2) for n in LENGTHS]
