"""What two tokenizers both keep of a text, where one of them loses or changes some of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from raykd.data.base import NO_LABEL
from raykd.data.notes import listening
from raykd.data.plain_tokenizer import PlainTokenizer
from raykd.data.same_text import Reading, same_text
from raykd.data.token_pairs import PAIRS, SPANS, by_span, by_text, with_pairs, with_spans
from raykd.data.token_texts import known_bytes
from raykd.models.bpe import train_bpe
from tests.unit.data.test_token_pairs import encoded, plain

LETTERS = "abcdefghijklmnopqrstuvwxyz:,ABC"


def lossy() -> PlainTokenizer:
    """As T5's: no token for a brace, one blank for several, and NFKC."""
    words = ["<pad>", "</s>", "<unk>", "\u2581", "\u2581red", "\u2581blue", "\u2581key", "\u2581is"]
    engine = Tokenizer(models.Unigram([(word, -3.0) for word in [*words, *LETTERS]], unk_id=2))
    engine.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")]
    )
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Metaspace()
    engine.add_special_tokens(words[:3])
    return PlainTokenizer(tokenizer=engine.to_str(), end=1, pad=0)


LOSSY = lossy()
EXACT = plain(train_bpe(["key: red, value: blue"] * 9, 290, ("<pad>", "<end>")))
TEXTS = [known_bytes(LOSSY), known_bytes(EXACT)]


def tokens(text: str, side: int) -> list[bytes | None]:
    """What each token of a response stands for, its end included."""
    tokenizer = (LOSSY, EXACT)[side]
    (row,) = tokenizer.encode([text])
    return [TEXTS[side][k] for k in [*row.tolist(), tokenizer.end]]


def compared(text: str, student: int) -> list[bytes]:
    """The text of each span; the same for both."""
    own, other = tokens(text, student), tokens(text, 1 - student)
    spans = by_span(own, other)
    joined = [(text_of(own, one), text_of(other, two)) for one, two in spans]
    assert [one for one, _ in joined] == [two for _, two in joined]
    return [one for one, _ in joined]


def text_of(texts: list[bytes | None], span: range) -> bytes:
    """The text of a span; a blank before the response is the tokenizer's."""
    parts = [texts[k] for k in span]
    assert None not in parts
    joined = b"".join(parts)
    return joined.removeprefix(b" ") if span.start == 0 else joined


@pytest.mark.parametrize("student", [0, 1])
@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("{key: red, value: blue}", "{}"),
        ("key: {red}, value: {{blue}}", "{}"),
        ("key: red}", "}"),
        ("key is: \u4e2d\u6587 red", "\u4e2d\u6587"),
    ],
)
def test_an_unknown_token_is_compared_with_nothing_and_moves_nothing(text, lost, student):
    kept = text.encode()
    for letter in lost:
        kept = kept.replace(letter.encode(), b"")
    # A blank next to what is lost may be in a token of its own on one side only.
    assert b"".join(compared(text, student)).replace(b" ", b"") == kept.replace(b" ", b"")
    places = by_text(tokens(text, student), tokens(text, 1 - student))
    ends = len(tokens(text, student)) - 1, len(tokens(text, 1 - student)) - 1
    assert places[-1] == ends  # that the response ends is compared
    assert all(None not in (tokens(text, student)[a], tokens(text, 1 - student)[b])
               for a, b in places)  # fmt: skip


@pytest.mark.parametrize("student", [0, 1])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key:  red,    value", "key:red,value"),
        ("key:\n    a  is  red", "key:aisred"),
        ("\uff21\uff22 key: red", "key:red"),
        ("key: \uff21 red: \uff22\uff23", "key:red:"),
    ],
)
def test_what_is_normalised_is_left_out_and_the_rest_compared(text, expected, student):
    words = b"".join(compared(text, student)).replace(b" ", b"").decode()
    assert words == expected


@given(
    text=st.text(st.sampled_from("abred: {}\uff21\u4e2d\n"), max_size=40), student=st.integers(0, 1)
)
def test_every_span_stands_for_the_same_text_on_both_sides(text, student):
    compared(text, student)


@given(
    own=st.lists(st.sampled_from([None, b"", b" ", b"a", b" a", b"ab", b"b"]), max_size=12),
    other=st.lists(st.sampled_from([None, b"", b" ", b"a", b" a", b"ab", b"b"]), max_size=12),
)
def test_spans_are_in_order_and_of_equal_text_whatever_the_tokens_are(own, other):
    spans, last = by_span(own, other), (0, 0)
    for one, two in spans:
        assert text_of(own, one) == text_of(other, two)
        assert one.start >= last[0]
        assert two.start >= last[1]
        assert len(one) > 0 < len(two)
        last = one.stop, two.stop
    own_text, other_text = Reading(own).letters, Reading(other).letters
    for one, two, size in same_text(Reading(own), Reading(other)):
        assert own_text[one : one + size] == other_text[two : two + size]


def test_long_texts_that_part_often_take_no_long_time():
    text = "{key: red, value: blue} " * 500
    assert b"".join(compared(text, 0)).replace(b" ", b"") == b"key:red,value:blue" * 500


def test_rows_of_which_nothing_is_compared_are_told():
    bytes_of = ({1: b"ab", 2: None}, {7: b"a", 8: b"b"})
    with listening() as heard:
        pairs = with_pairs(encoded([[1], [2]]), encoded([[7, 8], [8]]), ["text"], bytes_of).columns
        spans = with_spans(encoded([[1], [2]]), encoded([[7, 8], [8]]), bytes_of).columns
    assert pairs[PAIRS + "text"].tolist() == [[0], [NO_LABEL]]
    assert spans[SPANS].tolist() == [[[0, 2]], [[NO_LABEL, NO_LABEL]]]
    assert heard == [
        "in 1 of 2 train rows no token of the student stands for the same text as one of the "
        "teacher: nothing is compared there"
    ]


def test_which_token_is_unknown():
    assert [k for k, text in TEXTS[0].items() if text is None] == [2]
    assert None not in TEXTS[1].values()
    named = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    ends = [known_bytes(PlainTokenizer(tokenizer=named.to_str(), end=k, pad=0)) for k in (0, 1)]
    assert ends == [{0: b"a", 1: None}, {0: b"a", 1: b"[UNK]"}]
