"""Text that is written stays within the tokens and positions of all who read it."""

from __future__ import annotations

import functools
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raykd.data.base import NO_LABEL
from raykd.data.collate import Collator
from raykd.data.prompts import joined_row, of_rows
from raykd.models.base import RandomInitConfig
from raykd.models.forward import forward
from raykd.models.generation import (
    GenerationSettings,
    _TeacherMixture,
    generate,
    generated_batch,
    max_generated,
    prompts_of,
)
from raykd.models.load import build_model

LENGTH = 16
NEVER = 10_000  # no token: text that does not end
GENERATION = GenerationSettings(max_new_tokens=5, end=NEVER, pad=0, sample=True)


@functools.cache
def model(vocabulary: int, family: str = "gpt2", positions: int = LENGTH, seed: int = 0) -> Any:
    random_init = RandomInitConfig(
        family=family, layers=1, hidden=8, heads=2, max_positions=positions, dropout=0.0
    )
    kind = "seq2seq" if family == "t5" else "causal_lm"
    made = build_model(random_init, vocabulary=vocabulary, kind=kind, num_labels=1, seed=seed)
    return made.eval()


def prompts(*lengths: int) -> list[Any]:
    return [np.arange(n) % 7 + 1 for n in lengths]


SIZES = st.sampled_from([12, 20, 33])


@settings(deadline=None, max_examples=25)
@given(
    own=SIZES, expected=SIZES, tokens=st.integers(8, 40), share=st.sampled_from([0.0, 0.3, 0.99]),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=3), sample=st.booleans(),
)  # fmt: skip
def test_only_tokens_that_all_have_are_written(own, expected, tokens, share, lengths, sample):
    shared = min(own, expected, tokens)
    generation = replace(GENERATION, vocabulary=shared, sample=sample)
    teacher = model(expected, seed=1) if sample else None
    actual = generate(model(own), prompts(*lengths), generation, teacher, share)
    assert actual.shape == (len(lengths), 5)
    assert actual.max() < shared
    # Both can read it.
    rows = [joined_row(p, f.numpy(), 99) for p, f in zip(prompts(*lengths), actual, strict=True)]
    batch = Collator(0, max_length=LENGTH)(of_rows(rows, apart=False), np.arange(len(rows)))
    for reader in (model(own), model(expected, seed=1)):
        assert len(forward(reader, batch).logits) == 5 * len(lengths)


@settings(deadline=None, max_examples=25)
@given(
    own=st.integers(10, 20), expected=st.integers(10, 20), wanted=st.integers(1, 30),
    lengths=st.lists(st.integers(1, 10), min_size=1, max_size=3), mixed=st.booleans(),
)  # fmt: skip
def test_text_fits_into_the_positions_of_writer_and_reader(own, expected, wanted, lengths, mixed):
    writer, reader = model(20, positions=own), model(20, positions=expected, seed=1)
    generation = replace(GENERATION, max_new_tokens=wanted, positions=None if mixed else expected)
    actual = generate(writer, prompts(*lengths), generation, reader if mixed else None, 0.5)
    least = max(1, min(wanted, min(own, expected) - max(lengths)))
    assert actual.shape == (len(lengths), least)
    rows = [joined_row(p, f.numpy(), 99) for p, f in zip(prompts(*lengths), actual, strict=True)]
    batch = Collator(0, max_length=99)(of_rows(rows, apart=False), np.arange(len(rows)))
    forward(reader, batch)


@pytest.mark.parametrize(("prompt", "positions", "most"), [(3, 8, 5), (8, 8, 1), (3, None, 6)])
def test_there_is_room_for_what_positions_leave(prompt, positions, most):
    assert max_generated(prompt, replace(GENERATION, max_new_tokens=6, positions=positions)) == most


@pytest.mark.parametrize("vocabulary", [9, 11])
def test_an_encoder_decoder_writes_its_tokens_only(vocabulary):
    generation = replace(GENERATION, max_new_tokens=80, vocabulary=vocabulary)
    torch.manual_seed(0)
    actual = generate(model(40, "t5"), prompts(4, 1), generation)
    assert actual.max() < vocabulary
    assert len(actual.unique()) == vocabulary


@pytest.mark.parametrize(
    ("own", "expected", "tokens"), [(20, 20, None), (20, 33, None), (33, 20, None), (33, 20, 11)]
)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_mixture_is_over_the_tokens_that_both_have(own, expected, tokens, temperature):
    """``(1 - a) q + a p`` of both distributions, each made 1 over the shared tokens."""
    ids = torch.tensor([[3, 4, 5], [1, 2, 6]])
    teacher = model(expected, seed=1)
    generation = replace(GENERATION, temperature=temperature, vocabulary=tokens)
    scores = torch.randn(2, own, generator=torch.Generator().manual_seed(0))
    actual = _TeacherMixture(teacher, torch.ones_like(ids), 0.3, generation)(ids, scores)
    shared = min(own, expected, tokens or own)
    with torch.no_grad():
        message = teacher(input_ids=ids).logits[:, -1]
    q, p = ((x[:, :shared] / temperature).softmax(-1) for x in (scores, message))
    assert actual.shape == (2, own)
    assert torch.allclose(actual[:, :shared].exp(), 0.7 * q + 0.3 * p, atol=1e-6)
    assert (actual[:, shared:] == -torch.inf).all()


@pytest.mark.parametrize("family", ["gpt2", "gpt_neo", "llama", "qwen2"])
def test_a_mixture_reads_new_tokens_once_and_warns_of_nothing(family):
    """With the cache of the library as its models want it: as if all was read again each time."""
    student, teacher = model(20, family), model(20, family, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.manual_seed(0)
        actual = generate(student, prompts(4, 2), GENERATION, teacher, 0.5)
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    ids = torch.tensor([[1, 2, 3, 4], [0, 0, 1, 2]])
    cached, fresh = (_TeacherMixture(teacher, mask, 0.999999, GENERATION) for _ in range(2))
    for step in range(4):
        so_far = torch.cat([ids, actual[:, :step]], dim=1)
        fresh = _TeacherMixture(teacher, mask, 0.999999, GENERATION)
        scores = torch.zeros(2, 20)
        assert torch.allclose(cached(so_far, scores), fresh(so_far, scores), atol=1e-4)


def batch_of(rows: list[tuple[Any, Any]]) -> Any:
    encoded = of_rows([joined_row(p, r, 99) for p, r in rows], apart=False)
    return encoded, Collator(0, max_length=99)(encoded, np.arange(len(rows)))


def test_prompts_of_one_token_empty_responses_and_rows_without_labels():
    end = np.asarray([9])
    encoded, batch = batch_of([(prompts(1)[0], np.asarray([5, 9])), (prompts(4)[0], end)])
    want = [[1], [1, 2, 3, 4]]
    assert [p.tolist() for p in prompts_of(batch, joined=True)] == want
    assert [encoded.prompt(k).tolist() for k in (0, 1)] == want
    silent = replace(batch, labels=torch.full_like(batch.labels, NO_LABEL))
    # What has no label is all prompt, not its first token.
    assert [p.tolist() for p in prompts_of(silent, joined=True)] == [[1, 5], [1, 2, 3, 4]]
    without = replace(encoded, labels=np.full_like(encoded.labels, NO_LABEL))
    assert [without.prompt(k).tolist() for k in (0, 1)] == [[1, 5], [1, 2, 3, 4]]


def test_a_response_that_ends_at_once_is_the_token_that_ends_it():
    _, batch = batch_of([(prompts(1)[0], np.asarray([5, 9])), (prompts(3)[0], np.asarray([9]))])
    message = torch.tensor([[9, 0], [0, 9]])
    made = generated_batch(batch, message, replace(GENERATION, end=9), joined=True)
    assert made.labels.tolist() == [[9, -100, -100, -100], [-100, -100, 0, 9]]
    assert forward(model(12), made).logits.shape == (3, 12)
