from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from raykd.errors import SpecError
from raykd.models.mlm_augmentation import MLMWordSource
from raykd.models.tokenizers import train_tokenizer

TEXT = "the cat sat on the mat while the dog ran home quickly"
TOKENIZER = train_tokenizer([TEXT] * 3, 200)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    return tmp_path


def test_words_are_whole_words_of_the_vocabulary(folder):
    source = MLMWordSource(str(folder), 8)
    words = tuple(TEXT.split())
    places = [(words, 1), (words[:3], 2), (("zebra", "cat"), 0)]
    actual = source.candidates(places)
    assert actual[0]
    assert actual[2] == []  # several pieces
    vocabulary = TOKENIZER.get_vocab()
    assert all(w in vocabulary and not w.startswith(("#", "[")) for of in actual for w in of)


def test_they_are_what_the_model_puts_in_the_gap(folder):
    model = BertForMaskedLM.from_pretrained(folder).eval()
    words = ("the", "dog", "sat")
    batch = TOKENIZER("the [MASK] sat", "the dog sat", return_tensors="pt")
    with torch.inference_mode():
        at = model(**batch).logits[0, 2]
    best = [TOKENIZER.convert_ids_to_tokens(int(i)) for i in at.topk(12).indices]
    expected = [w for w in best if w.isalpha()]
    assert MLMWordSource(str(folder), 12).candidates([(words, 1)]) == [expected]


def test_a_batch_gives_what_single_places_give(folder):
    source = MLMWordSource(str(folder), 5)
    words = tuple(TEXT.split())
    places = [(words[: k + 2], k) for k in range(8)]
    assert source.candidates(places) == [source.candidates([p])[0] for p in places]


def test_a_model_without_the_head_is_refused(folder, tmp_path):
    config = BertConfig.from_pretrained(folder)
    BertModel(config).save_pretrained(folder)
    with pytest.raises(SpecError, match="lacks the weight 'cls"):
        MLMWordSource(str(folder), 5)
