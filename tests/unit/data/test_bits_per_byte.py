"""The likelihood of a text, in a unit that no tokenizer decides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from raykd.data.base import EvalReferences
from raykd.data.bits_per_byte import bits_per_byte
from tests.unit.data.test_token_pairs import LARGE, SMALL, encoded, plain

TEXT = "it is Größe"


@pytest.mark.parametrize("tokenizer", [SMALL, LARGE])
@pytest.mark.parametrize("text", [TEXT, f" {TEXT}"])
def test_guessing_every_byte_costs_eight_bits_whatever_the_tokens_are(tokenizer, text):
    """A blank before the text is the tokenizer's."""
    ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    rows = replace(
        encoded([ids]), references=EvalReferences(groups=np.zeros(1), tokens=plain(tokenizer))
    )
    nats = len(TEXT.encode()) * math.log(256)
    actual = bits_per_byte({"log_likelihood": -nats / len(ids)}, rows)
    assert actual == pytest.approx({"bits_per_byte": 8.0})


def test_what_is_no_text_has_none():
    rows = encoded([[1, 2]])
    assert bits_per_byte({"log_likelihood": -1.0}, rows) == {}
    texts = EvalReferences(groups=np.zeros(1), tokens=plain(SMALL))
    assert bits_per_byte({"accuracy": 1.0}, replace(rows, references=texts)) == {}
