"""Tokenizers: those of pretrained models, and ones trained for models with random weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from raykd.errors import DataError, SetupError, SpecError
from raykd.models.generation_config import say_tokens
from raykd.models.resolve import no_configuration, resolve
from raykd.models.weight_files import check_file, read_json

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Token 0 pads."""

_WORDS = ("tokenizer.json", "vocab.txt", "vocab.json")
_PIECES = ("tokenizer.model", "spm.model", "sentencepiece.bpe.model", "spiece.model")
_PROBES = (
    "The quick brown fox doesn't jump over 13 lazy dogs.",
    "Antidisestablishmentarianism, naïveté & co: re-entry (1,000.50 EUR)!",
    "distillation of knowledge",
    "  two  spaces\n\n\tA TAB, a line\r\nand CAPITALS: ÀÉÎ İ",
    "知识蒸馏 は 지식 증류 — Знание, γνώση, ज्ञान 🙂 ☃ e\u0301",
    "def f(x): return x**2  # https://example.org/a_b?c=1e-3",
)


def load_tokenizer(name: str) -> Any:  # a fast PreTrainedTokenizerBase
    """The tokenizer of a model.

    Args:
        name: A folder, ``package:NAME`` or a hub name.

    Raises:
        SpecError: No such folder, or no usable tokenizer in it.
        DataError: A file of it is damaged.
        SetupError: Neither in the cache nor within reach, or a package is missing.
    """
    folder = resolve(name)
    words, pieces = ([f for f in files if (folder / f).exists()] for files in (_WORDS, _PIECES))
    if not words and not pieces:
        # The library would make up a tokenizer that knows no word.
        raise SpecError(
            f"'{name}' has no tokenizer: none of {', '.join((*_WORDS, *_PIECES))} is there",
            hint="save the tokenizer into the model's folder",
        )
    for file in (*words, *pieces):
        check_file(folder / file)
    for file in ("tokenizer.json", "vocab.json", "tokenizer_config.json"):
        if (folder / file).exists():
            read_json(folder / file)
    if not words and importlib.util.find_spec("sentencepiece") is None:
        raise SetupError(
            f"the tokenizer of '{name}' ({pieces[0]}) needs the package 'sentencepiece', which is "
            "not installed",
            hint="install it: pip install sentencepiece",
        )
    tokenizer = _opened(folder, name, (*words, *pieces))
    if words and words[0] != "tokenizer.json" and not pieces:
        _check_is_read(tokenizer, folder / words[0], name)
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        # Decoders have none; masks mark the padding, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token
    if not tokenizer.is_fast or tokenizer.pad_token_id is None:
        raise SpecError(
            f"the tokenizer of '{name}' cannot be used: it "
            + ("has no padding token" if tokenizer.is_fast else "has no tokenizer.json"),
            hint="choose another model",
        )
    return tokenizer


def _check_is_read(tokenizer: Any, file: Path, name: str) -> None:
    """Refuse a tokenizer that does not know a token of its file.

    The library makes up one that knows no word where the model's kind has other files.

    Raises:
        SpecError: It is one.
    """
    if file.suffix == ".json":
        listed = set(read_json(file))
    else:
        listed = set(file.read_text(encoding="utf-8", errors="replace").splitlines())
    known = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
    if listed and not known & listed:
        raise SpecError(
            f"the tokenizer of '{name}' ({type(tokenizer).__name__}) is not made from {file.name}: "
            f"it knows none of the {len(listed):,} tokens there, and would read every text as "
            "unknown",
            hint=f"copy its tokenizer.json, or one of {', '.join(_PIECES)}, into the folder",
        )


def _opened(folder: Path, name: str, files: tuple[str, ...]) -> Any:
    """The tokenizer, after it has read a text."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokenizer(list(_PROBES))
    except StrictDataclassError as exc:
        raise no_configuration(name, exc) from exc
    except Exception as exc:
        # The tokenizers package raises nothing more precise than Exception.
        if type(exc) is not Exception and not isinstance(
            exc, OSError | ValueError | LookupError | TypeError | AttributeError | ImportError
        ):
            raise
        config = folder / "tokenizer_config.json"
        if config.exists() and read_json(config).get("auto_map"):
            raise SpecError(
                f"the tokenizer of '{name}' brings code of its own (auto_map in its {config.name}),"
                " which is never run, and its files make none without",
                hint="save it as a tokenizer.json, with the tokenizers library",
            ) from exc
        message = " ".join(str(exc).split())[:300] or type(exc).__name__
        why = f"'{message}' is missing" if isinstance(exc, KeyError) else message
        raise SpecError(
            f"'{name}' has no usable tokenizer ({', '.join(files)}): {why}",
            hint="copy or download these files again, or save the tokenizer with save_pretrained",
        ) from exc
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
    """Write the tokenizer's files into a model folder, and its special tokens into the model's.

    Raises:
        SetupError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(folder)
    except OSError as exc:
        raise SetupError(f"cannot write the tokenizer to {folder}: {exc}") from exc
    ids = {f"{part}_token_id": getattr(tokenizer, f"{part}_token_id") for part in _SPECIAL}
    say_tokens(folder, ids)


_SPECIAL = ("bos", "eos", "pad")


def same_tokens(one: Any, two: Any) -> bool:
    """Whether two tokenizers give the same ids to texts.

    They do if no token has two ids, and no id two tokens, what only one of them has is special
    (``<pad>``, which no text contains), and probe texts are split alike.
    """
    one_vocab, two_vocab = one.get_vocab(), two.get_vocab()
    if any(two_vocab.get(token, number) != number for token, number in one_vocab.items()):
        return False
    if len({*one_vocab.values(), *two_vocab.values()}) < len(one_vocab.keys() | two_vocab.keys()):
        return False
    for tokenizer, own, other in ((one, one_vocab, two_vocab), (two, two_vocab, one_vocab)):
        if not own.keys() - other.keys() <= _specials(tokenizer):
            return False
    return all(
        one(probe, *pair)["input_ids"] == two(probe, *pair)["input_ids"]
        for probe in _PROBES
        for pair in ((), (_PROBES[0],))
    )


def _specials(tokenizer: Any) -> frozenset[str]:
    """Tokens that stand for no text."""
    added = tokenizer.added_tokens_decoder.values()
    return frozenset((*tokenizer.all_special_tokens, *(t.content for t in added if t.special)))
