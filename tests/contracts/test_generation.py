"""What every model family that writes text promises, checked on a small model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import NO_LABEL, Batch
from raykd.data.collate import Collator
from raykd.data.prompts import joined_row, of_rows
from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.families.base import family_of
from raykd.models.forward import forward, shifted
from raykd.models.generation import (
    GenerationSettings,
    generate,
    generated_batch,
    joined_rows,
    prompts_of,
    separate_rows,
    until_end,
)
from raykd.models.layer_selection import select_layers
from raykd.models.load import build_model, model_dims, positions_of
from raykd.models.model_factory import factory_from_random_init
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.weight_ties import tied_names
from tests.checkpoint_models import load_model

FAMILIES = tuple(
    name for name in registry.variants("families") if registry.load("families", name).text_kind()
)
# An encoder-decoder is not mixed with another one.
mixing = pytest.mark.parametrize(
    "random_init",
    [name for name in FAMILIES if registry.load("families", name).text_kind() != "seq2seq"],
    indirect=True,
)
VOCABULARY, LENGTH, END, PAD = 50, 24, 1, 0


@pytest.fixture(params=FAMILIES)
def random_init(request) -> RandomInitConfig:
    return RandomInitConfig(
        family=request.param, layers=3, hidden=16, heads=2, max_positions=LENGTH
    )


@pytest.fixture
def kind(random_init) -> str:
    return registry.load("families", random_init.family).text_kind()


@pytest.fixture
def model(random_init, kind):
    made = build_model(random_init, vocabulary=VOCABULARY, kind=kind, num_labels=1, seed=0)
    return made.eval()


PROMPTS = [np.asarray(ids) for ids in ([7, 8, 9, 10, 11], [12, 13], [14], [15, 16, 17])]
RESPONSES = [np.asarray(ids) for ids in ([20, 21, END], [22, END], [23, 24, 25, 26, END], [END])]


@pytest.fixture
def batch(kind) -> Batch:
    apart = kind == "seq2seq"
    pairs = list(zip(PROMPTS, RESPONSES, strict=True))
    rows = pairs if apart else [joined_row(p, r, LENGTH) for p, r in pairs]
    return Collator(PAD, max_length=LENGTH)(of_rows(rows, apart=apart), np.arange(4))


def test_scores_are_those_of_the_whole_model_for_tokens_with_a_label(model, batch, kind):
    out = forward(model, batch)
    more = {}
    if kind == "seq2seq":
        more["decoder_input_ids"] = shifted(batch.labels, model.config)
    whole = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **more).logits
    assert torch.allclose(out.logits, whole[batch.labels != NO_LABEL], atol=1e-5)
    assert len(out.lazy_logits) == sum(len(r) for r in RESPONSES)
    assert out.lazy_logits.vocabulary == VOCABULARY


def test_the_model_has_its_output_layer_again_also_after_an_error(model, batch):
    head = model.lm_head
    forward(model, batch)
    with pytest.raises(Exception):  # noqa: B017, PT011
        forward(model, replace(batch, input_ids=batch.input_ids + 10 * VOCABULARY))
    assert model.lm_head is head


def test_rows_do_not_see_each_other_or_their_padding(model, batch, kind):
    whole = forward(model, batch).logits
    rows = np.cumsum([0, *(len(r) for r in RESPONSES)])
    apart = kind == "seq2seq"
    for k, (prompt, response) in enumerate(zip(PROMPTS, RESPONSES, strict=True)):
        row = (prompt, response) if apart else joined_row(prompt, response, LENGTH)
        alone = Collator(PAD, max_length=LENGTH)(of_rows([row], apart=apart), np.arange(1))
        got = forward(model, alone).logits
        assert torch.allclose(got, whole[rows[k] : rows[k + 1]], atol=1e-5)


def test_a_prompt_is_continued_alike_alone_and_in_a_batch(model):
    generation = GenerationSettings(max_new_tokens=6, end=END, pad=PAD)
    together = until_end(generate(model, PROMPTS, generation), END)
    for prompt, actual in zip(PROMPTS, together, strict=True):
        (alone,) = until_end(generate(model, [prompt], generation), END)
        assert actual.tolist() == alone.tolist()
        assert len(actual) <= 6


def test_what_is_most_likely_is_written(model, kind):
    """The first token that is written has the highest score after the prompt."""
    generated = generate(model, PROMPTS, GenerationSettings(max_new_tokens=1, end=END, pad=PAD))
    apart = kind == "seq2seq"
    for prompt, token in zip(PROMPTS, generated[:, 0].tolist(), strict=True):
        requested = (
            (prompt, np.asarray([5])) if apart else joined_row(prompt, np.asarray([5]), LENGTH)
        )
        batch = Collator(PAD, max_length=LENGTH)(of_rows([requested], apart=apart), np.arange(1))
        assert forward(model, batch).logits[0].argmax().item() == token


def test_draws_follow_the_seed_and_leave_the_mode(model):
    generation = GenerationSettings(max_new_tokens=8, end=END, pad=PAD, sample=True)
    model.train()
    torch.manual_seed(3)
    one = generate(model, PROMPTS, generation)
    torch.manual_seed(3)
    two = generate(model, PROMPTS, generation)
    three = generate(model, PROMPTS, generation)
    assert model.training
    assert torch.equal(one, two)
    assert one.shape != three.shape or not torch.equal(one, three)


def test_positions_bound_what_is_written(model, random_init):
    long = np.arange(LENGTH - 2) % 40 + 5
    actual = generate(
        model, [long], GenerationSettings(max_new_tokens=99, end=VOCABULARY + 1, pad=PAD)
    )
    positions = "positions" in registry.load("families", random_init.family).fields
    assert actual.shape[1] == (2 if positions else 99)


def test_a_response_that_was_written_takes_the_place_of_the_given_one(model, batch, kind):
    joined = kind == "causal_lm"
    prompts = prompts_of(batch, joined=joined)
    assert [p.tolist() for p in prompts] == [p.tolist() for p in PROMPTS]
    generated = torch.tensor([[30, END, PAD], [31, 32, 33], [END, PAD, PAD], [34, 35, END]])
    made = generated_batch(
        batch, generated, GenerationSettings(max_new_tokens=3, end=END, pad=PAD), joined=joined
    )
    assert made.labels[made.labels != NO_LABEL].tolist() == [
        30, END, 31, 32, 33, END, 34, 35, END,
    ]  # fmt: skip
    again = prompts_of(made, joined=joined)
    assert [p.tolist() for p in again] == [p.tolist() for p in PROMPTS]
    assert forward(model, made).logits.shape == (9, VOCABULARY)


def test_written_rows_are_encoded_as_given_ones_are(kind):
    apart = kind == "seq2seq"
    pairs = list(zip(PROMPTS, RESPONSES, strict=True))
    given = of_rows(pairs if apart else [joined_row(p, r, LENGTH) for p, r in pairs], apart=apart)
    longest = max(len(r) for r in RESPONSES)
    generated = torch.full((4, longest), PAD)
    for k, response in enumerate(RESPONSES):
        generated[k, : len(response)] = torch.from_numpy(response)
    rows = (separate_rows if apart else joined_rows)(PROMPTS, generated, END)
    made = of_rows(rows, apart=apart)
    assert made.labels.tolist() == given.labels.tolist()
    assert made.input_ids.tolist() == given.input_ids.tolist()


@mixing
def test_the_mixture_with_oneself_is_oneself(model):
    generation = GenerationSettings(
        max_new_tokens=8, end=END, pad=PAD, sample=True, temperature=0.7
    )
    torch.manual_seed(0)
    alone = generate(model, PROMPTS, generation)
    torch.manual_seed(0)
    mixed = generate(model, PROMPTS, generation, model, 0.5)
    assert torch.equal(alone, mixed)


@mixing
def test_a_mixture_draws_what_only_the_teacher_would(model, random_init, kind):
    teacher = build_model(
        random_init, vocabulary=VOCABULARY, kind=kind, num_labels=1, seed=1
    ).eval()
    with torch.no_grad():
        # A teacher that is certain of one token, wherever it is.
        teacher.lm_head = torch.nn.Linear(16, VOCABULARY)
        teacher.lm_head.weight.zero_()
        teacher.lm_head.bias.zero_()
        teacher.lm_head.bias[37] = 50.0
    torch.manual_seed(0)
    generation = GenerationSettings(max_new_tokens=12, end=VOCABULARY + 1, pad=PAD, sample=True)
    actual = generate(model, PROMPTS * 8, generation, teacher, 0.5)
    share = (actual == 37).float().mean().item()
    assert 0.4 < share < 0.65


def test_capture_restore_and_a_folder_keep_the_scores(model, batch, kind, tmp_path):
    state = weights.capture(model)
    assert not set(state.tensors) & tied_names(model)
    weights.save(state, tmp_path)
    wanted = forward(model, batch).logits
    for again in (
        weights.restore(state).eval(),
        load_model(str(tmp_path), kind=kind, num_labels=1).eval(),
    ):
        assert torch.equal(forward(again, batch).logits, wanted)


def test_sizes_are_reported_without_building(model, random_init, kind):
    made = factory_from_random_init(random_init, vocabulary=VOCABULARY, kind=kind, num_labels=1)
    assert model_dims(model) == made.dims
    assert family_of(model.config) is registry.load("families", random_init.family)
    assert positions_of(model) == positions_of(random_init) >= LENGTH


def test_layers_can_be_taken_or_it_is_reported_that_they_cannot(model, random_init, batch):
    state = weights.capture(model)
    if not registry.load("families", random_init.family).layer_prefix:
        with pytest.raises(SpecError, match="cannot be taken"):
            select_layers(state, (0, 2), keep_head=True)
        return
    student = weights.restore(select_layers(state, (0, 2), keep_head=True)).eval()
    assert model_dims(student).layers == 2
    mine = forward(student, batch, output_spec=hidden_states((0, 1)))
    expected = forward(model, batch, output_spec=hidden_states((0, 1)))
    assert torch.equal(mine.hidden(0), expected.hidden(0))
    assert torch.equal(mine.hidden(1), expected.hidden(1))


def test_a_tokenizer_trained_for_it_writes_every_text_again(random_init):
    specials = registry.load("families", random_init.family).specials
    texts = ["The cat sat.", "Was it naïve — or not?", "3 + 4 = 7\n\nYes."]
    tokenizer = train_bpe(texts, 300, specials)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == len(specials) - 1
    for text in [*texts, "日本 ☃ never seen"]:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_rows_of_text_that_does_not_end_keep_all_of_it():
    rows = joined_rows([np.asarray([5, 6])], torch.tensor([[7, 8, 9]]), END)
    assert [r.tolist() for r in rows[0]] == [[5, 6, 7, 8], [NO_LABEL, 7, 8, 9]]
