"""A tokenizer as plain data, for processes that only need ids and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raykd.data.batch import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainTokenizer:
    """A tokenizer as plain data, which can be sent to any process: ids to text and back.

    Attributes:
        tokenizer: The tokenizer as the ``tokenizers`` package writes it.
        end: The token that ends a text.
        pad: The token that pads.
        vocabulary: Token ids that it can give; None where that is not known.
    """

    tokenizer: str
    end: int
    pad: int
    vocabulary: int | None = None

    def encode(self, texts: Sequence[str]) -> list[Array]:
        """The token ids of each, int64, without special tokens."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.tokenizer)
        # How rows are padded and cut is not part of the text.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        encoded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [np.asarray(row.ids, np.int64) for row in encoded]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The text of each, without special tokens."""
        from tokenizers import Tokenizer

        texts: list[str] = Tokenizer.from_str(self.tokenizer).decode_batch(
            [list(row) for row in ids], skip_special_tokens=True
        )
        return texts
