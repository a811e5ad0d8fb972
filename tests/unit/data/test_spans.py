from __future__ import annotations

import numpy as np
import pytest

from raykd.data.base import EvalReferences, TokenizedDataset
from raykd.data.spans import best_spans, encode_windows
from raykd.models.tokenizers import train_tokenizer

CONTEXT = " ".join(f"word{i}" for i in range(60))
QUESTION = "which one ?"
TOKENIZER = train_tokenizer([CONTEXT, QUESTION], 300)


def windows(answer: str = "word40 word41", max_length: int = 40, **options) -> TokenizedDataset:
    return encode_windows(
        [QUESTION],
        [CONTEXT],
        [(answer,)],
        [(CONTEXT.index(answer),)],
        TOKENIZER,
        max_length,
        **({"overlap": 10, "query_length": 8} | options),
    )


def perfect(of: TokenizedDataset) -> np.ndarray:
    """Sure of what the labels say, and less sure in windows without the answer."""
    logits = np.zeros((len(of), 2, int(of.lengths().max())))
    for i, (first, last) in enumerate(of.labels):
        logits[i, 0, first], logits[i, 1, last] = (9, 9) if last else (1, 1)
    return logits


def test_every_token_of_the_context_is_in_a_window_and_neighbours_overlap():
    actual = windows()
    assert len(actual) > 1
    assert actual.lengths().max() <= 40
    spans = actual.references.spans
    covered = {tuple(span) for span in spans if span[0] >= 0}
    assert {s for s, _ in covered} >= {CONTEXT.index(f"word{i}") for i in range(60)}
    first, second = (
        {tuple(s) for s in spans[actual.offsets[i] : actual.offsets[i + 1]] if s[0] >= 0}
        for i in (0, 1)
    )
    assert first & second
    assert (actual.references.groups == 0).all()


def test_the_answer_is_labelled_at_its_place_and_position_0_elsewhere():
    actual = windows()
    spans = actual.references.spans
    inside = 0
    for i, (first, last) in enumerate(actual.labels):
        if last == 0:
            assert first == 0
            continue
        begin, end = spans[actual.offsets[i] + first][0], spans[actual.offsets[i] + last][1]
        assert CONTEXT[begin:end] == "word40 word41"
        inside += 1
    assert 0 < inside < len(actual)


def test_perfect_logits_give_the_answer():
    assert best_spans(perfect(windows()), windows(), n_best=20, longest=30) == ["word40 word41"]


def test_an_answer_may_not_be_longer_than_allowed_nor_end_before_it_begins():
    of = windows("word3")
    logits = np.zeros((len(of), 2, 40))
    inside = np.flatnonzero(of.references.spans[: of.offsets[1], 0] >= 0)
    logits[0, 0, inside[5]], logits[0, 1, inside[2]] = 9, 9.5  # ends before it begins
    logits[0, 1, inside[9]] = 5
    text = best_spans(logits, of, n_best=20, longest=30)[0]
    spans = of.references.spans
    assert text == CONTEXT[spans[inside[5]][0] : spans[inside[9]][1]]
    short = best_spans(logits, of, n_best=20, longest=3)[0]
    assert len(TOKENIZER(short, add_special_tokens=False)["input_ids"]) <= 3


def test_when_the_best_ends_do_not_go_together_all_are_tried():
    of = windows("word3")
    inside = np.flatnonzero(of.references.spans[: of.offsets[1], 0] >= 0)
    logits = np.zeros((len(of), 2, 40))
    logits[0, 0, inside[8]] = logits[0, 1, inside[1]] = 9
    assert best_spans(logits, of, n_best=1, longest=30)[0]


def test_a_long_question_is_cut():
    question = "which one ? " * 20
    actual = encode_windows(
        [question], [CONTEXT], [("word1",)], [(CONTEXT.index("word1"),)], TOKENIZER, 40,
        overlap=10, query_length=8,
    )  # fmt: skip
    outside = actual.references.spans[: actual.offsets[1], 0] < 0
    assert outside.sum() == 8 + 3


@pytest.mark.parametrize("max_length", [16, 24])
def test_short_windows_work(max_length):
    actual = windows(max_length=max_length)
    assert actual.lengths().max() <= max_length
    assert best_spans(perfect(actual), actual, n_best=20, longest=30)[0]


def test_the_window_that_is_surest_decides():
    spans = np.array([[-1, -1], [0, 3], [-1, -1], [4, 7]], np.int32)
    of = TokenizedDataset(
        input_ids=np.zeros(4, np.int32), token_type_ids=np.zeros(4, np.int8),
        offsets=np.array([0, 2, 4]), labels=np.zeros((2, 2), np.int64),
        references=EvalReferences(
            groups=np.array([0, 0]), answers=(("two",),), texts=("one two",), spans=spans
        ),
    )  # fmt: skip
    logits = np.array([[[0.0, 1], [0, 1]], [[0, 2], [0, 2]]])
    assert best_spans(logits, of, n_best=20, longest=30) == ["two"]


def best_by_trying(logits, encoded, longest: int) -> list[str]:
    """Every pair of tokens of every window, in turn."""
    of = encoded.references
    scores, answers = [-np.inf] * len(of.texts), [""] * len(of.texts)
    for window, question in enumerate(of.groups):
        spans = of.spans[encoded.offsets[window] : encoded.offsets[window + 1]]
        places = [k for k in range(len(spans)) if spans[k, 0] >= 0]
        for i in places:
            for j in places:
                score = logits[window, 0, i] + logits[window, 1, j]
                if 0 <= j - i < longest and score > scores[question]:
                    scores[question] = score
                    answers[question] = of.texts[question][spans[i, 0] : spans[j, 1]]
    return answers


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("longest", [1, 3, 30])
def test_the_best_span_is_the_one_that_trying_all_finds(seed, longest):
    of = windows()
    shape = (len(of), 2, int(of.lengths().max()))
    logits = np.random.default_rng(seed).normal(size=shape)
    actual = best_spans(logits, of, n_best=shape[2], longest=longest)
    assert actual == best_by_trying(logits, of, longest)
