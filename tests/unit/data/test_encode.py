from __future__ import annotations

import numpy as np
import pytest

from raykd.data import encode as encode_module
from raykd.data.base import Examples
from raykd.data.encode import encode
from raykd.errors import DataError
from raykd.models.tokenizers import train_tokenizer

ONE = ("a long text about nothing", "short", "", "a text")
TWO = ("b", "a text about a text about a text", "", "nothing")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(ONE + TWO, 200)


def rows(*columns: tuple[str, ...]) -> Examples:
    return Examples(texts=columns, labels=np.arange(len(columns[0])))


def test_rows_equal_those_of_the_tokenizer_one_by_one(tokenizer):
    encoded = encode(rows(ONE, TWO), tokenizer, 64)
    for i, (one, two) in enumerate(zip(ONE, TWO, strict=True)):
        alone = {k: v[0] for k, v in tokenizer([one], [two]).items()}
        begin, end = encoded.offsets[i : i + 2]
        assert encoded.input_ids[begin:end].tolist() == alone["input_ids"]
        assert encoded.token_type_ids[begin:end].tolist() == alone["token_type_ids"]
    assert encoded.truncated == 0
    assert encoded.labels.tolist() == [0, 1, 2, 3]


def test_dtypes_are_those_promised(tokenizer):
    encoded = encode(rows(ONE), tokenizer, 64)
    assert encoded.input_ids.dtype == np.int32
    assert encoded.token_type_ids.dtype == np.int8
    assert encoded.offsets.dtype == np.int64


def test_long_rows_are_cut_and_counted(tokenizer):
    whole = encode(rows(ONE, TWO), tokenizer, 64).lengths()
    cut = encode(rows(ONE, TWO), tokenizer, 8)
    assert cut.lengths().tolist() == np.minimum(whole, 8).tolist()
    assert cut.truncated == int((whole > 8).sum()) > 0


def test_a_row_of_exactly_the_maximum_is_not_cut(tokenizer):
    whole = encode(rows(ONE), tokenizer, 64)
    longest = int(whole.lengths().max())
    assert encode(rows(ONE), tokenizer, longest).truncated == 0


def test_the_longer_text_of_a_pair_is_cut_first(tokenizer):
    encoded = encode(rows(ONE[:2], TWO[:2]), tokenizer, 8)
    first = tokenizer.decode(encoded.input_ids[: encoded.offsets[1]])
    second = tokenizer.decode(encoded.input_ids[encoded.offsets[1] :])
    assert first.endswith("[SEP] b [SEP]")
    assert "short" in second


def test_slices_of_rows_do_not_change_the_result(tokenizer, monkeypatch):
    whole = encode(rows(ONE, TWO), tokenizer, 8)
    monkeypatch.setattr(encode_module, "ROWS_AT_ONCE", 3)
    sliced = encode(rows(ONE, TWO), tokenizer, 8)
    for name in ("input_ids", "token_type_ids", "offsets"):
        assert np.array_equal(getattr(whole, name), getattr(sliced, name))
    assert whole.truncated == sliced.truncated


def test_token_types_are_zero_when_the_tokenizer_gives_none(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "model_input_names", ["input_ids", "attention_mask"])
    encoded = encode(rows(ONE, TWO), tokenizer, 64)
    assert not encoded.token_type_ids.any()


def test_more_texts_than_a_model_reads_are_refused(tokenizer):
    with pytest.raises(DataError, match="rows have 3 texts, and a model reads one or two"):
        encode(rows(ONE, TWO, ONE), tokenizer, 64)
