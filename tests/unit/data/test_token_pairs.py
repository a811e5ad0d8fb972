"""Tokens of two tokenizers that belong together."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raykd.data.base import NO_LABEL, TokenizedDataset
from raykd.data.plain_tokenizer import PlainTokenizer
from raykd.data.token_pairs import (
    PAIRS,
    SPANS,
    TEACHER_IDS,
    TEACHER_TOKENS,
    by_place,
    by_span,
    by_text,
    with_pairs,
    with_spans,
)
from raykd.data.token_texts import TokenTexts, token_bytes
from raykd.models.bpe import train_bpe

TEXT = "Größe ☃ is it? it is 中文 🙂"


def plain(tokenizer) -> PlainTokenizer:
    return PlainTokenizer(
        tokenizer=tokenizer.backend_tokenizer.to_str(),
        end=tokenizer.eos_token_id,
        pad=tokenizer.pad_token_id,
    )


SMALL = train_bpe(["it is"] * 9, 260, ("<end>",))
LARGE = train_bpe([TEXT, "it is Größe"] * 9, 300, ("<pad>", "<end>"))


@given(text=st.text(max_size=20))
def test_the_bytes_of_tokens_are_those_of_the_text(text):
    for tokenizer in (SMALL, LARGE):
        actual = token_bytes(plain(tokenizer))
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert b"".join(actual[k] for k in ids) == text.encode()


def test_bytes_of_tokenizers_that_mark_blanks_and_fall_back_to_bytes():
    from tokenizers import Tokenizer, decoders, models

    engine = Tokenizer(models.BPE(vocab={"\u2581the": 0, "<0x0A>": 1, "s": 2}, merges=[]))
    engine.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback()])
    engine.add_special_tokens(["</s>"])
    engine.add_tokens(["new"])
    actual = token_bytes(PlainTokenizer(tokenizer=engine.to_str(), end=3, pad=3))
    assert actual == {0: b" the", 1: b"\n", 2: b"s", 3: b"", 4: b"new"}


def test_a_text_or_a_name_or_an_id_is_a_token():
    texts = TokenTexts(plain(LARGE))
    number = LARGE(" is", add_special_tokens=False)["input_ids"][0]
    name = LARGE.convert_ids_to_tokens(number)
    assert [texts.id_of(token) for token in (number, name, texts.texts[number])] == [number] * 3
    assert texts.id_of("no such token") is None
    assert texts.id_of(10**6) is None


PARTS = st.lists(st.integers(1, 4), min_size=1, max_size=6)


@given(own=PARTS, other=PARTS)
def test_pairs_by_text_begin_at_the_same_byte(own, other):
    text = bytes(range(65, 65 + max(sum(own), sum(other))))
    one, two = (
        [text[a - n : a] for a, n in zip(accumulate(sizes), sizes, strict=True)]
        for sizes in (own, other)
    )
    starts = [[0, *accumulate(sizes[:-1])] for sizes in (own, other)]
    expected = [(starts[0].index(at), starts[1].index(at)) for at in starts[0] if at in starts[1]]
    assert by_text(one, two) == expected
    assert by_place(one, two) == [(k, k) for k in range(min(len(own), len(other)))]


@given(own=PARTS, other=PARTS)
def test_spans_end_wherever_both_have_read_the_same_bytes(own, other):
    texts = [[b"x" * size for size in sizes] for sizes in (own, other)]
    ends = [list(accumulate(sizes)) for sizes in (own, other)]
    expected, begins = [], (0, 0)
    for at in sorted(set(ends[0]) & set(ends[1])):
        stops = tuple(of.index(at) + 1 for of in ends)
        expected.append(tuple(map(range, begins, stops)))
        begins = stops
    assert by_span(*texts) == expected


def test_spans_are_of_bytes_and_what_stands_for_none_is_a_span_of_its_own():
    spans = [
        (range(begin, end), range(other, stop))
        for begin, end, other, stop in ((0, 1, 0, 1), (1, 2, 2, 3), (2, 3, 3, 4))
    ]
    assert by_span([b"it", b" is", b""], [b" it", b"", b" is", b""]) == spans
    # A blank of its own before a response, and a response that was cut.
    assert by_span([b" ", b"1", b"2", b""], [b"12"]) == [(range(1, 3), range(1))]
    assert by_span([b"ab", b"c"], [b"a", b"b", b"cd"]) == [(range(1), range(2))]
    assert by_span([], [b"a"]) == []


def test_a_blank_before_the_response_and_tokens_without_text_count_for_nothing():
    assert by_text([b"it", b" is", b""], [b" it", b" ", b"is", b""]) == [(0, 0), (1, 1), (2, 3)]


def encoded(rows: list[list[int]]) -> TokenizedDataset:
    labels = [[NO_LABEL, *row] for row in rows]
    flat = np.concatenate(labels)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in labels])])
    return TokenizedDataset(
        input_ids=flat.astype(np.int32), token_type_ids=np.zeros(len(flat), np.int8),
        offsets=offsets, labels=flat, token_labels=True,
    )  # fmt: skip


def test_rows_carry_what_is_compared():
    bytes_of = ({1: b"ab", 2: b"c"}, {7: b"a", 8: b"b", 9: b"c"})
    actual = with_pairs(
        encoded([[1, 2], [2]]), encoded([[7, 8, 9], [9]]), ["place", "text"], bytes_of
    )
    assert actual.columns[TEACHER_TOKENS].tolist() == [3, 1]
    assert actual.columns[PAIRS + "place"].tolist() == [[0, 1], [0, NO_LABEL]]
    assert actual.columns[PAIRS + "text"].tolist() == [[0, 2], [0, NO_LABEL]]


def test_a_blank_of_its_own_before_a_response_is_compared_with_nothing():
    assert by_text([b" ", b"1", b"2", b""], [b"12", b""]) == [(1, 0), (3, 1)]
    assert by_text([b"12", b""], [b" ", b"1", b"2", b""]) == [(0, 1), (1, 3)]


def test_rows_carry_their_spans_and_the_tokens_of_the_teacher():
    bytes_of = ({1: b"ab", 2: b"c", 3: b"d"}, {7: b"a", 8: b"b", 9: b"cd", 6: b"c"})
    actual = with_spans(encoded([[1, 2, 3], [2]]), encoded([[7, 8, 9], [6]]), bytes_of).columns
    assert actual[TEACHER_TOKENS].tolist() == [3, 1]
    assert actual[TEACHER_IDS].tolist() == [[7, 8, 9], [6, NO_LABEL, NO_LABEL]]
    assert actual[SPANS].tolist() == [
        [[0, 2], [2, 3], [2, 3]],
        [[0, 1], [NO_LABEL, NO_LABEL], [NO_LABEL, NO_LABEL]],
    ]
