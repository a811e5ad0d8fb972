"""Names of sizes in the configurations of Transformers: which entries a size is written to."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from raykd.errors import SpecError
from raykd.models.base import RandomInitConfig

NAMES: Mapping[str, tuple[str, ...]] = {
    "layers": ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers",
               "encoder_layers", "decoder_layers"),
    "hidden": ("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "word_embed_proj_dim",
               "pooler_hidden_size"),
    "heads": ("num_attention_heads", "num_heads", "n_head", "n_heads", "num_key_value_heads",
              "num_kv_heads", "encoder_attention_heads", "decoder_attention_heads"),
    "head": ("head_dim", "d_kv"),
    "intermediate": ("intermediate_size", "n_inner", "d_ff", "hidden_dim", "ffn_dim",
                     "encoder_ffn_dim", "decoder_ffn_dim", "ffn_hidden_size",
                     "moe_intermediate_size", "shared_expert_intermediate_size"),
    "spread": ("initializer_range", "init_std"),
    "positions": ("max_position_embeddings", "n_positions", "max_encoder_position_embeddings",
                  "max_decoder_position_embeddings"),
}  # fmt: skip
"""Entries by size. Those that an architecture has are written, all of them: ``d_model`` and
``d_kv`` of a T5, the key-value heads of a Qwen3, the width of an ELECTRA's embedding."""

WINDOW = re.compile(r"(^|_)window(_size)?$|^local_attention$|sliding_window")
"""Entries for how far tokens see, each a number, or a list of one for every block."""
_DROPOUT = re.compile(r"dropout|pdrop|drop_?out")
_SPECIALS = {"unk": 1, "cls": 2, "bos": 2, "sep": 3, "eos": 3, "mask": 4}
"""Special tokens of a tokenizer of word pieces that is trained here; token 0 pads."""


def size_names(config_class: Any) -> dict[str, tuple[str, ...]]:
    """The entries that an architecture has for each size, the standard one first.

    Args:
        config_class: A ``PreTrainedConfig`` subclass.

    Returns:
        By size: those of `NAMES`, and ``dropout`` for all probabilities of a dropout.
    """
    declared = {field.name: field for field in dataclasses.fields(config_class)}
    names_by_size = {
        size: tuple(n for n in names if n in declared) for size, names in NAMES.items()
    }
    names_by_size["dropout"] = tuple(
        name
        for name, field in declared.items()
        if _DROPOUT.search(name) and type(field.default) in (float, int)
    )
    return {size: names for size, names in names_by_size.items() if names}


def check_heads(random_init: RandomInitConfig, config_class: Any, name: str) -> None:
    """Refuse heads that an architecture cannot have.

    Args:
        random_init: Sizes of a model.
        config_class: A ``PreTrainedConfig`` subclass.
        name: Of the family.

    Raises:
        SpecError: They do not divide the width, or are of odd width where positions are rotary.
    """
    hidden, heads = random_init.hidden, random_init.heads
    if hidden % heads:
        raise SpecError(
            f"hidden: {hidden} cannot be split over heads: {heads}",
            hint="choose heads that divide hidden",
        )
    is_rotary = any(field.name == "rope_parameters" for field in dataclasses.fields(config_class))
    if is_rotary and hidden // heads % 2:
        raise SpecError(
            f"hidden: {hidden} over heads: {heads} gives heads of {hidden // heads}, and rotary "
            f"positions of a {name} turn pairs of numbers",
            hint="choose hidden and heads so that heads are of even width",
        )


def lowered(config_class: Any, vocabulary: int, positions: int) -> dict[str, int]:
    """Entries that an architecture has beyond a small vocabulary or few positions.

    Args:
        config_class: A ``PreTrainedConfig`` subclass.
        vocabulary: Token ids of a tokenizer that is trained here; special tokens lie within.
        positions: Positions of a model; windows are no wider, as some architectures pad every row
            to a multiple of their sizes.
    """
    entries = {}
    for entry in dataclasses.fields(config_class):
        name, value = entry.name, entry.default
        if type(value) is not int:
            continue
        if name.endswith("_token_id") and value >= vocabulary:
            entries[name] = _SPECIALS.get(name.removesuffix("_token_id"), 0)
        elif WINDOW.search(name) and value > positions:
            entries[name] = max(positions // 2 * 2, 2)
    return entries


def standard_name(config_class: Any, name: str) -> str:
    """What an architecture calls a standard entry such as ``num_hidden_layers``."""
    mapped: str = config_class.attribute_map.get(name, name)
    return mapped
