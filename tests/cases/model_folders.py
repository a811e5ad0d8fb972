"""Tiny models, tokenizers and data that are written to folders, as people bring them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.tokenization_utils_tokenizers import PreTrainedTokenizerFast

from raykd.spec.load import load_spec
from raykd.spec.schema import SweepSpec

GOOD = ("good", "great", "fine", "lovely", "bright")
BAD = ("bad", "awful", "poor", "dull", "dreary")
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "film", "was", *GOOD, *BAD)
SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 66,
}  # fmt: skip
DECODER = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512,
}  # fmt: skip
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def write_reviews(folder: Path, rows: int = 40) -> Path:
    """A task of two classes that one word decides: ``train.csv`` and ``validation.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        f"the film was {(GOOD if k % 2 else BAD)[k % 5]},{'pos' if k % 2 else 'neg'}"
        for k in range(rows)
    ]
    for split in ("train", "validation"):
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    return folder


def write_vocabulary(folder: Path, words: tuple[str, ...] = WORDS) -> None:
    """The tokenizer of a BERT."""
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))


def write_encoder(
    folder: Path,
    model_type: str = "bert",
    *,
    seed: int = 0,
    tokenizer: bool = True,
    **config: Any,
) -> Any:
    """A model for classes as the library saves it; returns the model."""
    torch.manual_seed(seed)
    stated = {"vocab_size": len(WORDS), **SIZES, **config}
    made = AutoModelForSequenceClassification.from_config(
        AutoConfig.for_model(model_type, **stated)
    )
    made.save_pretrained(folder)
    if tokenizer:
        write_vocabulary(folder)
    return made.eval()


def change_config(folder: Path, **entries: Any) -> None:
    """Write entries into ``config.json``; None takes one out."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) | entries
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


def change_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], Mapping[str, torch.Tensor]]
) -> None:
    """Write other weights in the place of those of a folder."""
    file = folder / "model.safetensors"
    given = {name: tensor.clone() for name, tensor in load_file(file).items()}
    save_file({k: v.contiguous() for k, v in change(given).items()}, file, {"format": "pt"})


def as_torch_file(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], Any] = dict, *, old: bool = False
) -> None:
    """Write the weights as ``pytorch_model.bin`` in the place of safetensors."""
    given = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(change(given), folder / "pytorch_model.bin", _use_new_zipfile_serialization=not old)


def bpe_tokenizer(
    texts: list[str], *, end: str = SPECIALS[0], pad: str | None = SPECIALS[0], words: int = 400
) -> PreTrainedTokenizerFast:
    """A tokenizer like Qwen's: byte pairs, and special tokens behind them."""
    engine = Tokenizer(models.BPE())
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words - len(SPECIALS), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    engine.train_from_iterator(texts, trainer)
    engine.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in SPECIALS])
    return PreTrainedTokenizerFast(tokenizer_object=engine, eos_token=end, pad_token=pad)


def write_decoder(
    folder: Path, tokenizer: Any, model_type: str = "qwen2", *, seed: int = 0, dtype: Any = None,
    shards: str | None = None, **config: Any,
) -> Any:  # fmt: skip
    """A model that writes text, as the library saves it, with a tokenizer; returns the model."""
    torch.manual_seed(seed)
    ends = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    stated = {"vocab_size": len(tokenizer), **DECODER, **ends, **config}
    made = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **stated))
    if dtype is not None:
        made = made.to(dtype)
    made.save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    tokenizer.save_pretrained(folder)
    return made.eval()


def replies(count: int) -> list[dict[str, str]]:
    """Prompts and responses as in Dolly."""
    colours, things = (
        ("red", "blue", "green", "white"),
        ("apple", "river", "lamp", "cloud", "stone"),
    )
    return [
        {
            "instruction": f"What colour is the {things[k % 5]} number {k}?",
            "context": f"The {things[k % 5]} is {colours[k % 4]}." if k % 3 else "",
            "response": f"The {things[k % 5]} is {colours[k % 4]}.",
        }
        for k in range(count)
    ]


def write_replies(root: Path, count: int = 24) -> list[str]:
    """The task ``dolly`` in a folder of data; returns its texts."""
    (root / "dolly").mkdir(parents=True, exist_ok=True)
    for at, split in enumerate(("train", "validation", "test")):
        rows = replies(count * (at + 1))[-count:]
        pq.write_table(pa.Table.from_pylist(rows), root / "dolly" / f"{split}.parquet")
    return [" ".join(row.values()) for row in replies(3 * count)]


def spec_of(folder: Path, text: str) -> SweepSpec:
    """A search space from its text."""
    file = folder / "base.yaml"
    file.write_text(text)
    return load_spec(file)
