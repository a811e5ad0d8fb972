"""Data augmentation with a masked language model, which proposes replacements of words."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from raykd.errors import SpecError
from raykd.models.inference import batches_by_length, inference
from raykd.models.resolve import resolve
from raykd.models.tokenizers import load_tokenizer

ROWS_AT_ONCE = 64


class MLMWordSource:
    """Asks a masked language model, with the whole text next to the one with the gap.

    Args:
        name: A folder, ``package:NAME`` or a hub name.
        count: Words for each place.

    Raises:
        SpecError: It is no masked language model, or has no tokenizer with a mask.
        SetupError: It cannot be reached.
    """

    def __init__(self, name: str, count: int) -> None:
        from huggingface_hub.errors import StrictDataclassError
        from safetensors import SafetensorError
        from transformers.models.auto.modeling_auto import AutoModelForMaskedLM

        self._count = count
        self._tokenizer = load_tokenizer(name)
        self._vocabulary = self._tokenizer.convert_ids_to_tokens(range(len(self._tokenizer)))
        in_pieces = any(piece.startswith("##") for piece in self._vocabulary)
        if self._tokenizer.mask_token is None or not in_pieces:
            lacks = "no word pieces" if self._tokenizer.mask_token else "no mask token"
            raise SpecError(
                f"the tokenizer of '{name}' has {lacks}", hint="choose a model like BERT"
            )
        try:
            model, loading = AutoModelForMaskedLM.from_pretrained(
                resolve(name), output_loading_info=True
            )
        except (
            OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError, SafetensorError,
            StrictDataclassError, pickle.UnpicklingError,
        ) as exc:  # fmt: skip
            raise SpecError(f"'{name}' is no masked language model: {exc}") from exc
        rows = model.get_input_embeddings().weight.shape[0]
        if len(self._vocabulary) > rows:
            raise SpecError(
                f"the tokenizer of '{name}' has {len(self._vocabulary):,} tokens, but its word "
                f"embedding has {rows:,} rows",
                hint="choose another model",
            )
        missing = sorted(key for key in loading["missing_keys"] if "position_ids" not in key)
        if missing:
            raise SpecError(
                f"'{name}' is no masked language model: it lacks the weight '{missing[0]}'",
                hint="name one with its language-model head, e.g. google-bert/bert-base-uncased",
            )
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = model.to(device)

    def candidates(self, places: Sequence[tuple[tuple[str, ...], int]]) -> Sequence[Sequence[str]]:
        """Words for each place; none where the word is several pieces, or the text too long."""
        words = list(dict.fromkeys(words[k] for words, k in places))
        pieces = self._tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
        unknown = self._tokenizer.unk_token_id
        single = {
            word
            for word, ids in zip(words, pieces, strict=True)
            if len(ids) == 1 and ids[0] != unknown
        }
        best_of: list[list[str]] = [[] for _ in places]
        masked = np.array([i for i, (of, k) in enumerate(places) if of[k] in single], np.int64)
        lengths = np.array([len(places[i][0]) for i in masked], np.int64)
        with inference(self._model):
            for batch in batches_by_length(lengths, ROWS_AT_ONCE):
                part = masked[batch]
                for i, best in zip(part, self._best([places[i] for i in part]), strict=True):
                    best_of[i] = best
        return best_of

    def _best(self, places: Sequence[tuple[tuple[str, ...], int]]) -> list[list[str]]:
        mask = self._tokenizer.mask_token
        gaps = [" ".join((*of[:k], mask, *of[k + 1 :])) for of, k in places]
        batch = self._tokenizer(
            gaps,
            [" ".join(of) for of, _ in places],
            truncation="only_second",
            max_length=min(self._tokenizer.model_max_length, 512),
            padding=True,
            return_tensors="pt",
        ).to(self._model.device)
        gap = (batch["input_ids"] == self._tokenizer.mask_token_id).int()
        logits = self._model(**batch).logits
        at = logits[torch.arange(len(places)), gap.argmax(dim=1)]
        best = at.topk(min(self._count, at.shape[-1]), dim=-1).indices.cpu().tolist()
        has_gap = gap.any(dim=1).cpu().tolist()
        special = set(self._tokenizer.all_special_tokens)
        return [
            [w for w in (self._vocabulary[i] for i in ids) if _is_word(w, special)] if ok else []
            for ids, ok in zip(best, has_gap, strict=True)
        ]


def _is_word(piece: str, special: set[str]) -> bool:
    """Whether a word piece is a word by itself."""
    return piece.isalpha() and piece not in special
