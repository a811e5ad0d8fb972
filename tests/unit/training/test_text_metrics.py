"""Rank classification: the answer is the choice that a model finds most likely."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from raykd import registry
from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import NO_LABEL, TEXT_KINDS, EvalReferences, TokenizedDataset
from raykd.data.collate import Collator
from raykd.data.prompts import joined_row, of_rows
from raykd.data.row_outcomes import of_ratio
from raykd.data.table import Table
from raykd.errors import TrialError
from raykd.models.base import RandomInitConfig
from raykd.models.bpe import train_bpe
from raykd.models.forward import forward, shifted
from raykd.models.load import build_model
from raykd.training.device import DistributedContext
from raykd.training.evaluate import score, score_by_row
from raykd.training.inference import InferenceSetup
from raykd.training.settings import TrainSettings
from raykd.training.text_metrics import log_likelihoods

CPU = torch.device("cpu")
WORLD = DistributedContext(0, 1, CPU)
COLLATOR = Collator(0, max_length=32)
FAMILY = {"causal_lm": "gpt2", "seq2seq": "t5"}
VOCABULARY, PAD, END, A, B, C = 12, 0, 1, 5, 6, 7
PROMPTS = ([8, 9, 10], [8])
CHOICES = (([A, END], [B, END], [C, C, END]), ([C, END], [A, A, A, END]))


def model(kind: str, vocabulary: int = VOCABULARY, seed: int = 0):
    random_init = RandomInitConfig(
        family=FAMILY[kind], layers=2, hidden=16, heads=2, max_positions=512
    )
    return build_model(
        random_init, vocabulary=vocabulary, kind=kind, num_labels=1, seed=seed
    ).eval()


def certain(kind: str, probabilities: dict[int, float], vocabulary: int = VOCABULARY):
    """A model that gives every token the same probability everywhere."""
    made = model(kind, vocabulary)
    made.lm_head = nn.Linear(16, vocabulary)
    rest = (1 - sum(probabilities.values())) / (vocabulary - len(probabilities))
    wanted = [probabilities.get(token, rest) for token in range(vocabulary)]
    with torch.no_grad():
        made.lm_head.weight.zero_()
        made.lm_head.bias.copy_(torch.tensor(wanted).log())
    return made


def candidates(kind: str) -> TokenizedDataset:
    """Rows with three choices and with two, of different lengths."""
    pairs = [
        (np.asarray(prompt), np.asarray(choice))
        for prompt, choices in zip(PROMPTS, CHOICES, strict=True)
        for choice in choices
    ]
    rows = pairs if kind == "seq2seq" else [joined_row(p, c, 32) for p, c in pairs]
    actual = of_rows(rows, apart=kind == "seq2seq")
    texts = ("a", "b", "cc", "c", "aaa")
    return replace(actual, references=EvalReferences(groups=np.repeat([0, 1], [3, 2]), texts=texts))


def settings(size: int = 2) -> TrainSettings:
    return TrainSettings(eval_batch_size=size, precision="fp32")


def likelihoods(of, encoded: TokenizedDataset, size: int = 2) -> np.ndarray:
    return log_likelihoods(of, encoded, InferenceSetup(settings(size), COLLATOR, WORLD))


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_choice_is_as_likely_as_its_tokens_and_the_end_together(kind):
    actual = likelihoods(certain(kind, {A: 0.4, B: 0.1, C: 0.2, END: 0.25}), candidates(kind))
    by_hand = [0.4 * 0.25, 0.1 * 0.25, 0.2 * 0.2 * 0.25, 0.2 * 0.25, 0.4**3 * 0.25]
    assert actual == pytest.approx([math.log(p) for p in by_hand], abs=1e-5)
    assert actual.dtype == np.float64


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("size", [1, 3, 128])
def test_it_is_what_the_whole_model_says_row_by_row(kind, size):
    of, rows = model(kind), candidates(kind)
    actual = likelihoods(of, rows, size)
    for row in range(len(rows)):
        batch = COLLATOR(rows, np.asarray([row]))
        more = {}
        if kind == "seq2seq":
            more["decoder_input_ids"] = shifted(batch.labels, of.config)
        with torch.no_grad():
            whole = of(input_ids=batch.input_ids, **more).logits.log_softmax(-1)[0]
        labels = batch.labels[0]
        at = (labels != NO_LABEL).nonzero()[:, 0]
        assert actual[row] == pytest.approx(whole[at, labels[at]].sum().item(), abs=1e-4)


def test_ranks_share_the_batches(monkeypatch):
    of, rows = model("causal_lm"), candidates("causal_lm")
    parts = []
    for rank in range(2):
        world = DistributedContext(rank, 2, CPU)
        monkeypatch.setattr(DistributedContext, "sum", lambda self, tensor: tensor)
        parts.append(log_likelihoods(of, rows, InferenceSetup(settings(), COLLATOR, world)))
    assert all((part == 0).any() for part in parts)
    assert parts[0] + parts[1] == pytest.approx(likelihoods(of, rows), abs=1e-5)


COLUMNS = {
    "premise": ["Ann won the race.", "Bea lost her hat in the rain.", "It is late."],
    "hypothesis": ["Ann won", "Bea won", "Ann is late"],
    "label": [0, 1, 0],
}


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_accuracy_is_the_share_of_rows_whose_right_choice_is_the_most_likely(kind):
    task = registry.load("tasks", "super_glue_prompts/cb").read_by(kind)
    rows = task.read_table(Table(columns=COLUMNS, origin="made up"))
    # The second row has two choices only.
    choices = (*rows.fields["choices"][:1], ("True", "False"), *rows.fields["choices"][2:])
    rows = replace(rows, fields={**rows.fields, "choices": choices})
    texts = [*rows.texts[0], *(text for of in choices for text in of)] * 9
    tokenizer = train_bpe(texts, 400, ("<pad>", "</s>"))
    encoded = task.encode(rows, tokenizer, 512)
    first = dict(
        zip(("True", "False", "Neither"), encoded.columns[CHOICE_TOKENS][0].tolist(), strict=True)
    )
    assert encoded.columns[CHOICE_TOKENS][1, 2] == NO_LABEL
    for favourite, right in (("True", 2 / 3), ("False", 1 / 3), ("Neither", 0.0)):
        of = certain(kind, {first[favourite]: 0.5}, len(tokenizer))
        # All responses are one token and the end, so that the favourite wins where it is a choice.
        metrics = score(of, task, encoded, InferenceSetup(settings(), COLLATOR, WORLD))
        assert metrics["accuracy"] == pytest.approx(right)
        assert set(metrics) == set(task.metrics)
    assert "accuracy" not in score(
        of, task, encoded, InferenceSetup(settings(), COLLATOR, WORLD), texts=False
    )


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_rows_add_their_tokens_to_a_likelihood_and_their_choice_to_an_accuracy(kind):
    task = registry.load("tasks", "super_glue_prompts/cb").read_by(kind)
    rows = task.read_table(Table(columns=COLUMNS, origin="made up"))
    texts = [*rows.texts[0], *(text for of in rows.fields["choices"] for text in of)] * 9
    tokenizer = train_bpe(texts, 400, ("<pad>", "</s>"))
    encoded = task.encode(rows, tokenizer, 512)
    of, setup = model(kind, len(tokenizer)), InferenceSetup(settings(), COLLATOR, WORLD)
    actual = score_by_row(of, task, encoded, setup, "log_likelihood")
    assert actual.metrics == score(of, task, encoded, setup)
    likely = log_likelihoods(of, encoded, setup)
    by_hand = of_ratio(likely, encoded.label_counts().astype(float))
    np.testing.assert_allclose(actual.outcomes, by_hand, rtol=1e-4)
    right = score_by_row(of, task, encoded, setup, "accuracy")
    assert set(right.outcomes.tolist()) <= {0.0, 1.0}
    assert right.outcomes.mean() == pytest.approx(actual.metrics["accuracy"])
    choices = rows.fields["choices"]
    assert all(p in of for p, of in zip(right.predictions, choices, strict=True))
    answers = [p in of for p, of in zip(right.predictions, encoded.references.answers, strict=True)]
    assert right.outcomes.astype(bool).tolist() == answers


def test_of_equals_the_first_choice_counts():
    task = registry.load("tasks", "super_glue_prompts/cb").read_by("causal_lm")
    rows = candidates("causal_lm")
    encoded = replace(
        of_rows([joined_row(np.asarray(p), np.asarray([A, END]), 32) for p in PROMPTS],
                apart=False),
        references=EvalReferences(
            groups=np.arange(2), answers=(("b",), ("c",)), candidates=rows,
        ),
    )  # fmt: skip
    of = certain("causal_lm", {A: 0.2, B: 0.2, C: 0.2, END: 0.3})
    # The first row ties between "a" and "b", which is right; the second one is clear.
    assert score(of, task, encoded, InferenceSetup(settings(), COLLATOR, WORLD))["accuracy"] == 0.5


def test_likelihoods_that_are_not_finite_end_the_trial():
    task = registry.load("tasks", "super_glue_prompts/cb").read_by("causal_lm")
    encoded = replace(
        of_rows([joined_row(np.asarray(p), np.asarray([A, END]), 32) for p in PROMPTS],
                apart=False),
        references=EvalReferences(groups=np.arange(2), answers=(("a",), ("c",)),
                              candidates=candidates("causal_lm")),
    )  # fmt: skip
    of = certain("causal_lm", {A: 0.2})
    of.lm_head.bias.data[C] = -torch.inf
    with pytest.raises(TrialError, match="likelihoods of 2 of 5 answer choices"):
        score(of, task, encoded, InferenceSetup(settings(), COLLATOR, WORLD))


def test_choices_travel_with_a_batch():
    encoded = replace(
        candidates("seq2seq"),
        columns={CHOICE_TOKENS: np.arange(15).reshape(5, 3), CHOICE_POSITION: np.arange(5)},
    )
    batch = COLLATOR(encoded, np.asarray([3, 0])).to(CPU)
    assert batch.columns[CHOICE_TOKENS].tolist() == [[9, 10, 11], [0, 1, 2]]
    assert batch.columns[CHOICE_POSITION].tolist() == [3, 0]
    assert forward(model("seq2seq"), batch).lazy_logits.picked(torch.tensor([1])).chunk().shape == (
        1,
        12,
    )
