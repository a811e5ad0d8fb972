"""Tokenizers: those of pretrained models, and ones trained for models with random weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raykd.errors import DataError, SetupError, SpecError
from raykd.models.folder import find

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Token 0 pads."""

_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model")
_PROBES = (
    "The quick brown fox doesn't jump over 13 lazy dogs.",
    "Antidisestablishmentarianism, naïveté & co: re-entry (1,000.50 EUR)!",
    "distillation of knowledge",
)


def load_tokenizer(name: str) -> Any:  # a fast PreTrainedTokenizerBase
    """The tokenizer of a model.

    Args:
        name: A folder, ``package:NAME`` or a hub name.

    Raises:
        SpecError: No such folder, or no usable tokenizer in it.
        SetupError: Neither in the cache nor within reach.
    """
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    folder = find(name)
    if not any((folder / file).exists() for file in _FILES):
        # The library would make up a tokenizer that knows no word.
        raise SpecError(
            f"'{name}' has no tokenizer: none of {', '.join(_FILES)} is there",
            hint="save the tokenizer into the model's folder",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as exc:
        raise SpecError(f"'{name}' has no usable tokenizer: {exc}") from exc
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        # Decoders have none; what is padding is said by masks, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise SpecError(
            f"the tokenizer of '{name}' cannot be used: it "
            + ("has no padding token" if tokenizer.is_fast else "has no tokenizer.json"),
            hint="choose another model",
        )
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:  # a BertTokenizer
    """A lower-casing WordPiece tokenizer, the same for the same texts.

    Args:
        texts: What to learn word pieces from.
        vocabulary: Most tokens, the special ones included.

    Raises:
        DataError: The texts have too many different characters for the vocabulary.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers.models.bert.tokenization_bert import BertTokenizer

    engine = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.normalizer = normalizer
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    texts = list(texts)
    seen = {c for text in texts for c in normalizer.normalize_str(text) if not c.isspace()}
    # The trainer numbers single characters in the order of a hash table, which differs from process
    # to process and decides ties. Named as special tokens they are numbered before it begins.
    characters = sorted(seen)
    fixed = [*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters)]
    if len(fixed) > vocabulary:
        raise DataError(
            f"a vocabulary of {vocabulary:,} cannot hold the {len(characters):,} different "
            f"characters of the texts, which take {len(fixed):,} tokens",
            hint="raise vocabulary in the model's sizes",
        )
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=fixed, show_progress=False
    )
    engine.train_from_iterator(texts, trainer)
    return BertTokenizer(vocab=engine.get_vocab(), do_lower_case=True)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer's files into a model folder.

    Raises:
        SetupError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(folder)
    except OSError as exc:
        raise SetupError(f"cannot write the tokenizer to {folder}: {exc}") from exc


def same_tokens(one: Any, two: Any) -> bool:
    """Whether two tokenizers give the same ids: equal vocabularies, and equal probe texts."""
    if one.get_vocab() != two.get_vocab():
        return False
    return all(one(probe)["input_ids"] == two(probe)["input_ids"] for probe in _PROBES)
