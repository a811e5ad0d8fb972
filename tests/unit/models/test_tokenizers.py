from __future__ import annotations

import pytest

from raykd.data.prompts import id_count
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
    actual = tokenizer("The CAT", "dogs")
    assert tokenizer.decode(actual["input_ids"]) == "[CLS] the cat [SEP] dogs [SEP]"
    marks = actual["token_type_ids"]
    assert marks == sorted(marks)
    assert set(marks) == {0, 1}


def test_the_vocabulary_has_the_size_requested_at_most():
    assert len(train_tokenizer(TEXTS, 60)) == 60
    assert len(train_tokenizer(TEXTS, 10_000)) < 300


def test_only_the_special_tokens_are_special():
    tokenizer = train_tokenizer(TEXTS, 90)
    assert set(tokenizer.all_special_tokens) == set(SPECIAL_TOKENS)
    assert tokenizer.tokenize("a")[0] == "a"


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


def words(vocabulary: dict[str, int], **options: str):
    """A tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

    engine = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=engine, unk_token="[UNK]", **options)


WORDS = {"[UNK]": 0, "the": 1, "cat": 2}


def test_the_rows_that_are_needed_follow_the_highest_number_not_the_count():
    assert id_count(words(WORDS)) == 3
    assert id_count(words({"[UNK]": 0, "the": 1, "cat": 9})) == 10
    more = words(WORDS)
    more.add_special_tokens({"pad_token": "<pad>"})
    assert id_count(more) == 4


def with_special(**tokens: object):
    made = words(WORDS)
    made.add_special_tokens(tokens)
    return made


def with_word(word: str):
    made = words(WORDS)
    made.add_tokens([word])
    return made


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (words(WORDS), words(WORDS), True),
        (words(WORDS), with_special(pad_token="<pad>"), True),
        (with_special(pad_token="<pad>"), words(WORDS), True),
        (with_special(pad_token="<a>"), with_special(pad_token="<a>"), True),
        # One number, two tokens.
        (with_special(pad_token="<a>"), with_special(pad_token="<b>"), False),
        # A word more is read where the other one reads pieces of it.
        (words(WORDS), with_word("dog"), False),
        (words(WORDS), words({**WORDS, "dog": 3}), False),
        (words(WORDS), words({"[UNK]": 0, "the": 2, "cat": 1}), False),
    ],
)
def test_what_no_text_contains_does_not_make_tokenizers_differ(one, two, same):
    assert same_tokens(one, two) == same
    assert same_tokens(two, one) == same


def test_the_same_words_in_another_frame_are_other_tokens():
    from tokenizers import processors

    framed = words({**WORDS, "<s>": 3})
    framed.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 3)]
    )
    assert not same_tokens(framed, words({**WORDS, "<s>": 3}))
