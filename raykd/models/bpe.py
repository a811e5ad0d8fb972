"""Byte-pair encoding: tokenizers for text-generation models with random weights.

Sennrich et al., 2016, https://arxiv.org/abs/1508.07909, on bytes as for GPT-2: every text can be
written, and nothing is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raykd.errors import DataError

BYTES = 256


def train_bpe(texts: Iterable[str], vocabulary: int, specials: tuple[str, ...]) -> Any:
    """A byte-level byte-pair tokenizer, the same for the same texts.

    Args:
        texts: What to learn merges from.
        vocabulary: Most tokens, special ones and the 256 bytes included.
        specials: Special tokens, numbered from 0: the first one pads, the last one ends a text.

    Returns:
        A fast ``PreTrainedTokenizerBase``.

    Raises:
        DataError: The vocabulary cannot hold the bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

    if vocabulary < BYTES + len(specials):
        raise DataError(
            f"a vocabulary of {vocabulary:,} cannot hold the {BYTES} bytes and "
            f"{len(specials)} special tokens",
            hint="raise vocabulary in the model's sizes",
        )
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    engine.train_from_iterator(list(texts), trainer)
    made: Any = PreTrainedTokenizerFast
    return made(tokenizer_object=engine, pad_token=specials[0], eos_token=specials[-1])
