from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raykd.data.base import NO_LABEL
from raykd.data.collate import Collator
from raykd.data.prompts import (
    encode_prompts,
    following,
    frame,
    id_count,
    joined_row,
    without_labels,
)
from raykd.data.text_generation import Example, rows_of, with_task_prefix
from raykd.errors import DataError
from raykd.models.bpe import train_bpe

LONG = "word " * 60


@pytest.fixture(scope="module")
def tokenizer():
    # Hardly any merges: nearly every byte is a token.
    return train_bpe(["aaaa bbbb"], 262, ("<pad>", "</s>"))


def rows(*examples: Example):
    return rows_of(list(examples), "made up")


def test_the_context_is_cut_first_and_what_is_around_it_stays(tokenizer):
    given = rows(Example(before="Ask: ", context=LONG, after=" Answer:", response="yes"))
    actual = encode_prompts(given, tokenizer, 80, "causal_lm")
    text = tokenizer.decode(actual.prompt(0))
    assert text.startswith("Ask: word word")
    assert text.endswith(" Answer:")
    assert len(actual.prompt(0)) <= 40
    assert actual.truncated == 1


def test_without_a_context_the_beginning_is_cut_from_its_end(tokenizer):
    given = rows(Example(before=LONG, after=" Answer:", response="yes"))
    actual = encode_prompts(given, tokenizer, 80, "causal_lm")
    text = tokenizer.decode(actual.prompt(0))
    assert text.startswith("word word")
    assert text.endswith(" Answer:")


def test_a_prompt_that_cannot_be_cut_enough_keeps_its_end(tokenizer):
    given = rows(Example(before="", after=LONG + "?", response="yes"))
    actual = encode_prompts(given, tokenizer, 80, "causal_lm")
    assert len(actual.prompt(0)) == 40
    assert tokenizer.decode(actual.prompt(0)).endswith("?")


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_a_long_response_is_cut_at_its_end_and_counted(tokenizer, kind):
    given = rows(Example(before="a", response=LONG.strip()), Example(before="a", response="short"))
    actual = encode_prompts(given, tokenizer, 40, kind)
    assert actual.truncated == 1
    offsets = actual.offsets if kind == "causal_lm" else actual.label_offsets
    lengths = np.diff(offsets)
    assert lengths.max() <= 40
    labels = actual.labels[offsets[1] : offsets[2]]
    assert labels[-1] == tokenizer.eos_token_id  # what was not cut learns to end


def test_tokens_that_grow_together_across_the_border_leave_the_response_alone():
    tokenizer = train_bpe(["xaby xaby"] * 9, 300, ("<pad>", "</s>"))
    joined = tokenizer("xaby", add_special_tokens=False)["input_ids"]
    apart = tokenizer("xa", add_special_tokens=False)["input_ids"]
    assert joined[: len(apart)] != apart  # the premise of the test
    actual = encode_prompts(rows(Example(before="xa", response="by")), tokenizer, 40, "causal_lm")
    assert actual.prompt(0).tolist() == apart
    labels = actual.labels[actual.labels != NO_LABEL].tolist()
    assert labels == [*tokenizer("by")["input_ids"], tokenizer.eos_token_id]


def test_a_prompt_of_one_token_is_followed_by_its_response():
    ids, labels = joined_row(np.asarray([5]), np.asarray([6, 7, 1]), 10)
    assert ids.tolist() == [5, 6, 7]
    assert labels.tolist() == [6, 7, 1]


def test_special_tokens_around_a_text_are_found(tokenizer):
    begin, end = frame(tokenizer)
    assert begin.tolist() == end.tolist() == []


def test_an_encoder_reads_the_prompt_and_labels_have_a_length_of_their_own(tokenizer):
    given = rows(
        Example(before="ask", response="a longer answer"), Example(before="b", response="c")
    )
    actual = encode_prompts(given, tokenizer, 64, "seq2seq")
    batch = Collator(0, max_length=64)(actual, np.asarray([1, 0]))
    assert batch.input_ids.shape[0] == batch.labels.shape[0] == 2
    assert batch.input_ids.shape[1] != batch.labels.shape[1]
    assert tokenizer.decode(batch.labels[1][batch.labels[1] != NO_LABEL]) == "a longer answer</s>"
    assert (batch.labels[0, 2:] == NO_LABEL).all()


def test_the_name_of_a_task_moves_what_may_be_cut():
    given = rows(Example(before="I: ", context="ctx", after="!", response="r", prefix_at=3))
    named = with_task_prefix(given, "explain")
    assert named.texts[0] == ("I: explain: ctx!",)
    begin, end = named.fields["cut"][0]
    assert named.texts[0][0][begin:end] == "ctx"


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_rows_without_a_rationale_have_no_label(tokenizer, kind):
    given = rows(Example(before="a", response="b"), Example(before="c", response="d"))
    actual = encode_prompts(given, tokenizer, 40, kind)
    silent = without_labels(actual, np.asarray([True, False]))
    batch = Collator(0, max_length=40)(silent, np.arange(2))
    assert (batch.labels[0] == NO_LABEL).all()
    assert (batch.labels[1] != NO_LABEL).any()
    assert (actual.labels != silent.labels).any()


def test_other_readings_come_along_when_requested(tokenizer):
    given = rows(Example(before="a", response="b"), Example(before="c", response="d"))
    actual = encode_prompts(given, tokenizer, 40, "causal_lm")
    actual = replace(actual, views={"explain": actual})
    plain = Collator(0, max_length=40)(actual, np.arange(2))
    both = Collator(0, max_length=40, views=("explain",))(actual, np.arange(2))
    assert plain.views == {}
    assert both.views["explain"].labels.tolist() == plain.labels.tolist()


def test_an_empty_response_is_refused_with_its_row():
    with pytest.raises(DataError, match="row 2: has an empty response"):
        rows(Example(before="a", response="b"), Example(before="a", response=" "))


@pytest.mark.parametrize("part", ["before", "context", "after", "response"])
def test_an_example_of_a_task_in_python_must_be_text(part):
    parts = {"before": "Hi", "response": "Hello.", part: None}
    with pytest.raises(DataError, match=f"chats row 1: '{part}' of its example is nothing"):
        rows_of([Example(**parts)], "chats")


def with_begin(tokenizer):
    """The same tokenizer with a token before every text, as Llama's have."""
    from tokenizers import processors

    begin = (tokenizer.pad_token, tokenizer.pad_token_id)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<pad> $A", special_tokens=[begin]
    )
    return tokenizer


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
@pytest.mark.parametrize("begins", [False, True])
def test_texts_that_follow_prompts_are_split_as_responses_are(kind, begins):
    """Where tokens grow together, too, and where a text is empty or has several scripts."""
    texts = ["xaby xaby", "the red apple", "ab ab ab"]
    tokenizer = train_bpe(texts * 9, 300, ("<pad>", "</s>"))
    tokenizer = with_begin(tokenizer) if begins else tokenizer
    prompts = ["xa", "the red", "Say:\n", "x ", "naïve —", "1"]
    responses = ["by", " apple", "ab ab", "  two", " 苹果", "the red apple."]
    given = rows(*(Example(before=p, response=r) for p, r in zip(prompts, responses, strict=True)))
    actual = encode_prompts(given, tokenizer, 90, kind)
    requested = [actual.prompt(row) for row in range(len(prompts))]
    tokens = actual.references.tokens
    assert tokens.vocabulary == len(tokenizer)
    again = following(requested, responses, tokens, joined=kind == "causal_lm")
    labels = np.concatenate([[*ids, tokens.end] for ids in again])
    assert labels.tolist() == actual.labels[actual.labels != NO_LABEL].tolist()
    empty = following(requested, [""] * len(requested), tokens, joined=kind == "causal_lm")
    assert [len(ids) for ids in empty] == [0] * len(requested)


def test_ids_that_a_tokenizer_leaves_out_count():
    tokenizer = train_bpe(["aaaa bbbb"], 262, ("<pad>", "</s>"))
    before = id_count(tokenizer)
    assert before == len(tokenizer)
    vocabulary = {**tokenizer.get_vocab(), "<far>": before + 40}
    tokenizer.get_vocab = lambda: vocabulary
    assert id_count(tokenizer) == before + 41
