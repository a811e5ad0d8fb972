from __future__ import annotations

import subprocess
import sys

import pytest

from raykd.errors import DataError, SpecError
from raykd.models.tokenizers import (
    SPECIAL_TOKENS,
    load_tokenizer,
    same_tokens,
    save_tokenizer,
    train_tokenizer,
)
from tests.unit.models.checkpoints import save_tiny

TEXTS = ["The cat sat on the mat.", "Cats and dogs: a categorical catalogue!", "dogmatic mats"] * 3


def test_special_tokens_come_first_and_padding_is_zero():
    tokenizer = train_tokenizer(TEXTS, 90)
    assert tuple(tokenizer.convert_ids_to_tokens(range(5))) == SPECIAL_TOKENS
    assert tokenizer.pad_token_id == 0


def test_texts_are_lower_cased_and_framed_like_berts():
    tokenizer = train_tokenizer(TEXTS, 90)
    found = tokenizer("The CAT", "dogs")
    assert tokenizer.decode(found["input_ids"]) == "[CLS] the cat [SEP] dogs [SEP]"
    marks = found["token_type_ids"]
    assert marks == sorted(marks)
    assert set(marks) == {0, 1}


def test_the_vocabulary_has_the_size_asked_for_at_most():
    assert len(train_tokenizer(TEXTS, 60)) == 60
    assert len(train_tokenizer(TEXTS, 10_000)) < 300


def test_only_the_special_tokens_are_special():
    tokenizer = train_tokenizer(TEXTS, 90)
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    assert tokenizer.tokenize("a")[0] == "a"


def test_training_is_the_same_in_another_process():
    code = (
        "from raykd.models.tokenizers import train_tokenizer\n"
        "from tests.unit.models.test_tokenizers import TEXTS\n"
        "print(sorted(train_tokenizer(TEXTS, 80).get_vocab().items()))"
    )
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert other.strip() == str(sorted(train_tokenizer(TEXTS, 80).get_vocab().items()))


def test_a_vocabulary_too_small_for_the_characters():
    with pytest.raises(DataError, match=r"a vocabulary of 16 cannot hold"):
        train_tokenizer(TEXTS, 16)


def test_a_saved_tokenizer_loads_from_its_model_folder(tmp_path):
    save_tiny(tmp_path)
    tokenizer = train_tokenizer(TEXTS, 90)
    save_tokenizer(tokenizer, tmp_path)
    assert same_tokens(tokenizer, load_tokenizer(str(tmp_path)))


def test_another_vocabulary_splits_differently():
    assert not same_tokens(train_tokenizer(TEXTS, 70), train_tokenizer(TEXTS, 60))


def test_the_same_vocabulary_may_still_split_differently():
    from transformers.models.bert.tokenization_bert import BertTokenizer

    tokenizer = train_tokenizer([*TEXTS, "T"], 90)
    cased = BertTokenizer(vocab=tokenizer.get_vocab(), do_lower_case=False)
    assert not same_tokens(tokenizer, cased)


def test_a_model_folder_without_tokenizer(tmp_path):
    save_tiny(tmp_path)
    with pytest.raises(SpecError, match="has no tokenizer"):
        load_tokenizer(str(tmp_path))
