from __future__ import annotations

import pytest
import torch

from raykd.errors import ShapeError
from raykd.losses.gram import layer_gram, word_gram

MASK = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def layers(count: int = 3, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    made = torch.randn(count, 2, 5, 4, generator=rng, dtype=torch.float64)
    return list(made.to(dtype).unbind(0))


def test_words_are_groups_by_layer_then_row():
    hidden = layers()
    gram = word_gram(hidden, MASK)
    assert gram.inner.shape == (6, 3, 3)
    sentence = hidden[1][0, :3]
    assert torch.allclose(gram.unshifted()[2], sentence @ sentence.T)
    shifted = sentence - sentence.mean(dim=0)
    assert torch.allclose(gram.inner[2], shifted @ shifted.T)
    assert gram.valid.tolist() == [[True, True, True], [True, False, False]] * 3


def test_layers_of_every_token_are_groups():
    hidden = layers()
    gram = layer_gram(hidden, MASK)
    assert gram.inner.shape == (4, 3, 3)
    token = torch.stack([h[0, 2] for h in hidden])
    assert torch.allclose(gram.unshifted()[2], token @ token.T)


def test_margin_keeps_positions_after_the_longest_sentence():
    assert word_gram(layers(), MASK, context_padding=1).inner.shape == (6, 4, 4)
    assert word_gram(layers(), MASK, context_padding=9).inner.shape == (6, 5, 5)


@pytest.mark.parametrize("make", [word_gram, layer_gram])
def test_gradient_is_the_derivative(make):
    def products(*hidden: torch.Tensor) -> torch.Tensor:
        gram = make(list(hidden), MASK)
        both = gram.valid[:, :, None] & gram.valid[:, None, :]
        return torch.where(both, gram.unshifted(), 0.0)

    assert torch.autograd.gradcheck(products, [h.requires_grad_() for h in layers()])


@pytest.mark.parametrize("make", [word_gram, layer_gram])
def test_half_precision_is_raised_and_gradients_keep_the_type(make):
    hidden = [h.requires_grad_() for h in layers(dtype=torch.bfloat16)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = make(hidden, MASK)
    assert gram.inner.dtype == torch.float32
    gram.inner.diagonal(dim1=1, dim2=2).sum().backward()
    assert all(h.grad is not None and h.grad.dtype == torch.bfloat16 for h in hidden)


@pytest.mark.parametrize("make", [word_gram, layer_gram])
def test_inputs_are_never_written_to(make):
    hidden = layers(dtype=torch.float32)
    before = [h.clone() for h in hidden]
    make(hidden, MASK)
    assert all(torch.equal(a, b) for a, b in zip(hidden, before, strict=True))


@pytest.mark.parametrize("make", [word_gram, layer_gram])
def test_shapes_that_do_not_fit_are_refused(make):
    with pytest.raises(ShapeError, match=r"number 1 must be \[B, L, D\] = \(2, 5, 4\)"):
        make([layers()[0], torch.randn(2, 4, 4)], MASK)
    with pytest.raises(ShapeError, match="at least one layer"):
        make([], MASK)
    with pytest.raises(ShapeError, match=r"mask must be \[B, L\], got \(5,\)"):
        make(layers(), MASK[0])
