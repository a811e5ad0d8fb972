"""Kinds of task: one object each, found by its file; nothing else compares their names."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    TokenClassifierOutput,
)

import raykd
from raykd.data.batch import NO_LABEL, PADDED, Batch
from raykd.data.task_kinds import (
    APART_KINDS,
    CLASS_KINDS,
    ENCODER_KINDS,
    KINDS,
    ROW_KINDS,
    TEXT_KINDS,
    TOKEN_KINDS,
    kind_of_problem,
    task_kind,
)

PACKAGE = Path(raykd.__file__).parent
LENGTHS = torch.tensor([4, 2, 3])


def batch(labels: torch.Tensor) -> Batch:
    mask = (torch.arange(4) < LENGTHS[:, None]).long()
    return Batch(
        input_ids=mask, attention_mask=mask, token_type_ids=0 * mask, labels=labels,
        index=torch.arange(3),
    )  # fmt: skip


def test_a_kind_is_a_file_of_its_name():
    files = {path.stem for path in (PACKAGE / "data" / "kinds").glob("*.py")}
    assert files - {"__init__", "base"} == set(KINDS)
    assert all(task_kind(name).name == name for name in KINDS)


def test_groups_follow_from_what_kinds_say():
    assert KINDS == ("classification", "embedding", "multi_label", "regression", "span",
                     "token_classification", "masked_lm", "causal_lm", "seq2seq")  # fmt: skip
    assert APART_KINDS == ("embedding",)
    assert ROW_KINDS == ("classification", "multi_label", "regression")
    assert CLASS_KINDS == ("classification",)
    assert TOKEN_KINDS == ("masked_lm", "causal_lm", "seq2seq")
    assert TEXT_KINDS == ("causal_lm", "seq2seq")
    assert {*ENCODER_KINDS, *APART_KINDS, *TEXT_KINDS} == {*KINDS}
    assert [name for name in KINDS if task_kind(name).is_joined] == ["causal_lm"]
    several = [name for name in KINDS if not task_kind(name).is_categorical]
    assert several == ["embedding", "multi_label", "regression"]
    assert [name for name in KINDS if not task_kind(name).has_head] == ["embedding"]
    assert [name for name in KINDS if task_kind(name).is_binary] == ["multi_label"]
    with pytest.raises(KeyError):
        task_kind("tagging")


def test_the_library_has_words_for_some():
    assert kind_of_problem("regression").name == "regression"
    assert kind_of_problem("multi_label_classification").name == "multi_label"
    for other in ("single_label_classification", None):
        assert kind_of_problem(other).name == "classification"


def test_losses():
    torch.manual_seed(0)
    logits = torch.randn(3, 5)
    classes = torch.tensor([4, 0, 2])
    likely = logits.log_softmax(-1)[torch.arange(3), classes]
    assert torch.allclose(task_kind("classification").loss(logits, batch(classes)), -likely.mean())
    scores = torch.tensor([0.5, 2.0, -1.0])
    actual = task_kind("regression").loss(logits[:, :1], batch(scores))
    assert torch.allclose(actual, (logits[:, 0] - scores).square().mean())
    places, ends = torch.randn(3, 2, 4), torch.tensor([[0, 3], [1, 1], [0, 2]])
    likely = places.log_softmax(-1).gather(2, ends[..., None])
    assert torch.allclose(task_kind("span").loss(places, batch(ends)), -likely.mean())
    tokens = torch.full((3, 4), NO_LABEL)
    tokens[0, 1], tokens[2, 0], tokens[2, 2] = 3, 1, 4
    for name in TOKEN_KINDS:
        actual = task_kind(name).loss(logits, batch(tokens))
        assert torch.allclose(actual, F.cross_entropy(logits, torch.tensor([3, 1, 4])))


def test_a_set_of_classes_is_learnt_class_by_class():
    torch.manual_seed(0)
    logits, sets = torch.randn(3, 5), torch.randint(0, 2, (3, 5)).float()
    right = torch.where(sets > 0, logits, -logits).sigmoid().log()
    assert torch.allclose(task_kind("multi_label").loss(logits, batch(sets)), -right.mean())


def pair_batch() -> Batch:
    """Rows of two texts: 2 and 2 tokens, 2 and none, 1 and 2."""
    one = batch(torch.tensor([1.0, 0.0, 0.5]))
    types = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]])
    return replace(one, input_ids=torch.arange(12).view(3, 4) + 20, token_type_ids=types)


def test_the_texts_of_a_row_become_rows():
    apart = pair_batch().texts_apart(pad=7)
    assert apart.input_ids.tolist() == [[20, 21], [22, 23], [24, 25], [7, 7], [28, 7], [29, 30]]
    assert apart.attention_mask.tolist() == [[1, 1], [1, 1], [1, 1], [1, 0], [1, 0], [1, 1]]
    assert apart.token_type_ids.abs().max() == 0
    assert apart.lengths.tolist() == [2, 2, 2, 1, 1, 2]
    assert apart.is_padded


def test_similarities_are_cosines_of_the_means_of_hidden_states():
    torch.manual_seed(0)
    kind, rows = task_kind("embedding"), pair_batch()
    read = kind.as_read(rows, 7)
    hidden = torch.randn(6, 2, 5)
    by_row = kind.by_row(BaseModelOutput(last_hidden_state=hidden), read)
    means = [hidden[k, :n].mean(0) for k, n in enumerate((2, 2, 2, 1, 1, 2))]
    assert torch.allclose(by_row.embeddings.flatten(0, 1), torch.stack(means))
    logits = kind.logits(by_row, rows)
    wanted = [F.cosine_similarity(means[2 * k], means[2 * k + 1], dim=0) for k in range(3)]
    assert torch.allclose(logits[:, 0], torch.stack(wanted))
    actual = kind.loss(logits, rows)
    assert torch.allclose(actual, (logits[:, 0] - rows.labels).square().mean())
    other = hidden.clone()
    other[read.attention_mask == 0] = 99.0
    spoilt = kind.by_row(BaseModelOutput(last_hidden_state=other), read)
    assert torch.equal(spoilt.embeddings, by_row.embeddings)


def test_words_with_a_label_are_read_row_by_row():
    logits = torch.randn(3, 4, 5)
    labels = torch.full((3, 4), NO_LABEL)
    labels[0, 1], labels[2, 0], labels[2, 2] = 3, 1, 4
    read = task_kind("token_classification").logits(
        TokenClassifierOutput(logits=logits), batch(labels)
    )
    assert torch.equal(read, torch.stack([logits[0, 1], logits[2, 0], logits[2, 2]]))
    actual = task_kind("token_classification").loss(read, batch(labels))
    assert torch.allclose(actual, F.cross_entropy(read, torch.tensor([3, 1, 4])))


def test_a_batch_without_labelled_tokens_has_a_loss_with_a_gradient():
    logits = torch.zeros(0, 5, requires_grad=True)
    actual = task_kind("masked_lm").loss(logits, batch(torch.full((3, 4), NO_LABEL)))
    assert actual.item() == 0.0
    actual.backward()


def test_spans_are_read_and_blanked_beyond_their_rows():
    kind = task_kind("span")
    begin, end = torch.randn(2, 3, 4)
    actual = QuestionAnsweringModelOutput(start_logits=begin, end_logits=end)
    read = kind.logits(actual, batch(torch.zeros(3, 2, dtype=torch.long)))
    assert read.shape == (3, *kind.shape(1, 4)) == (3, 2, 4)
    whole = torch.stack([begin, end], dim=1)
    assert torch.equal(read, kind.blanked(whole, LENGTHS))
    for row, length in enumerate(LENGTHS):
        assert torch.equal(read[row, :, :length], whole[row, :, :length])
        assert (read[row, :, length:] == PADDED).all()


def compared(tree: ast.AST) -> set[str]:
    """Names of kinds that a file compares something with, directly or in a tuple."""
    values = [
        side
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and "kind" in ast.unparse(node)
        for side in ast.walk(node)
    ]
    return {v.value for v in values if isinstance(v, ast.Constant) and v.value in KINDS}


def test_nothing_compares_their_names():
    actual = {
        path.relative_to(PACKAGE).as_posix(): names
        for path in PACKAGE.rglob("*.py")
        if (names := compared(ast.parse(path.read_text())))
    }
    assert actual == {"spec/own_kinds.py": {"span"}}  # the key of a task, which is looked up
