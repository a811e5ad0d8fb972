"""Which sizes fit which card: the arithmetic of memory, and the tables that are made of it.

Only published sizes are counted here, on models without memory; nothing is measured.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from docs_pages.markdown import table

GIB = 2**30
CARDS = (16, 24, 40, 80, 141)
"""Memory of cards in GiB, as they are sold."""
USABLE = 0.9
"""Share of a card that is not taken by the driver, its libraries and gaps between tensors."""
TOKENS = 4096
"""Of a micro batch: 8 rows of 512 tokens, 32 of 128."""
LEAST_8BIT, BLOCK_8BIT = 4096, 256
"""Numbers of a parameter from which bitsandbytes keeps bytes, and those that share a scale."""
RANK = 16
"""Of adapters, next to all linear layers."""
_QWEN: Mapping[str, Any] = {
    "model_type": "qwen3", "vocab_size": 151936, "num_key_value_heads": 8, "head_dim": 128,
    "tie_word_embeddings": True,
}  # fmt: skip
_LLAMA: Mapping[str, Any] = {
    "model_type": "llama", "vocab_size": 128256, "num_key_value_heads": 8,
    "tie_word_embeddings": True,
}  # fmt: skip
_LARGE = {"hidden_size": 1024, "num_attention_heads": 16}
PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "BERT base": {"model_type": "bert"},
    "XLM-R base": {
        "model_type": "xlm-roberta", "vocab_size": 250002, "max_position_embeddings": 514,
        "type_vocab_size": 1,
    },
    "ModernBERT large": {
        "model_type": "modernbert", **_LARGE, "num_hidden_layers": 28, "intermediate_size": 2624,
    },
    "Qwen3 0.6B": {
        **_QWEN, **_LARGE, "num_hidden_layers": 28, "intermediate_size": 3072,
    },
    "Llama 3.2 1B": {
        **_LLAMA, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "intermediate_size": 8192,
    },
    "Qwen3 1.7B": {
        **_QWEN, "hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16,
        "intermediate_size": 6144,
    },
    "Llama 3.2 3B": {
        **_LLAMA, "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24,
        "intermediate_size": 8192,
    },
    "Qwen3 4B": {
        **_QWEN, "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
        "intermediate_size": 9728,
    },
    "Llama 3.1 8B": {
        **_LLAMA, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
        "intermediate_size": 14336, "tie_word_embeddings": False,
    },
}  # fmt: skip
"""Configurations as published; what is not stated is the library's default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What memory depends on.

    Attributes:
        shapes: Shapes of the parameters, those that are tied once.
        adapters: Parameters of adapters of `RANK` next to all linear layers but those of the head.
        blocks: Number of blocks.
        width: Numbers of a token between blocks, or within attention where that is wider.
        intermediate: Neurons of a feed-forward layer.
    """

    shapes: tuple[tuple[int, ...], ...]
    adapters: int
    blocks: int
    width: int
    intermediate: int

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(_count(shape) for shape in self.shapes)


def sizes_of(model: Any) -> Sizes:
    """The sizes of a ``PreTrainedModel``, which may be without memory."""
    from torch import nn

    from raykd.models.families.base import family_of
    from raykd.models.weight_ties import declared_ties

    config, ties = model.config, declared_ties(model)
    family, output = family_of(config), model.get_output_embeddings()
    linear = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output and not family.may_lack(name)
    ]
    heads = config.num_attention_heads
    return Sizes(
        shapes=tuple(tuple(p.shape) for n, p in _parameters(model) if n not in ties),
        adapters=sum(RANK * (m.in_features + m.out_features) for m in linear),
        blocks=config.num_hidden_layers,
        width=max(config.hidden_size, heads * (getattr(config, "head_dim", None) or 0)),
        intermediate=config.intermediate_size,
    )


def weights(sizes: Sizes) -> int:
    """Bytes of a student's weights: float32."""
    return 4 * sizes.parameters


def optimizer(sizes: Sizes, name: str) -> int:
    """Bytes that an optimizer keeps.

    Args:
        sizes: Of what it moves.
        name: ``adamw`` keeps two numbers for each weight, ``adafactor`` one for each row and column
            of a matrix (of its last two axes) and one for each weight of a vector. ``adamw_8bit``
            keeps a byte in place of each number where there are `LEAST_8BIT`, and a scale for
            `BLOCK_8BIT` of them.
    """
    if name == "adamw":
        return 8 * sizes.parameters
    if name == "adamw_8bit":
        counts = [math.prod(shape) for shape in sizes.shapes]
        large = [count for count in counts if count >= LEAST_8BIT]
        scales = sum(math.ceil(count / BLOCK_8BIT) for count in large)
        return 2 * (sum(large) + 4 * scales) + 8 * (sum(counts) - sum(large))
    matrices = (shape for shape in sizes.shapes if len(shape) > 1)
    rows = sum(_count(shape) // shape[-1] + _count(shape) // shape[-2] for shape in matrices)
    return 4 * (rows + sum(_count(shape) for shape in sizes.shapes if len(shape) < 2))


def activations(sizes: Sizes) -> int:
    """Bytes that the backward pass reads of `TOKENS` tokens where blocks are computed again.

    The state between blocks (float32), and the inside of one block under autocast in bf16, at most.
    """
    return TOKENS * (4 * sizes.width * sizes.blocks + inside_of_block(sizes))


def inside_of_block(sizes: Sizes) -> int:
    """Bytes of a token that the backward pass of one block reads under autocast, at most.

    Numbers of a normalisation are float32, and there are several of them; a gated feed-forward
    layer keeps four results in bf16.
    """
    return 44 * sizes.width + 8 * sizes.intermediate


def student(sizes: Sizes, name: str) -> int:
    """Bytes of a student that is trained in bf16: weights, gradient, optimizer, activations.

    Args:
        sizes: Of the student.
        name: Of the optimizer, or ``lora``: adapters with adamw.
    """
    if name == "lora":
        return weights(sizes) + 16 * sizes.adapters + activations(sizes)
    # Autocast keeps a copy of every matrix in bf16 between forward and backward pass.
    copies = 2 * sizes.parameters
    gradient = 4 * sizes.parameters
    return weights(sizes) + gradient + optimizer(sizes, name) + copies + activations(sizes)


def live_teacher(sizes: Sizes) -> int:
    """Bytes of a teacher that runs in bf16: weights, and the inside of one block."""
    return 2 * sizes.parameters + TOKENS * inside_of_block(sizes)


def smallest_card(needed: int) -> str:
    """The smallest card that holds so many bytes, ``-`` for none."""
    return next((str(card) for card in CARDS if needed <= USABLE * card * GIB), "-")


@functools.cache
def published() -> Mapping[str, Sizes]:
    """The sizes of `PUBLISHED`."""
    import torch

    from raykd.models.families.base import family_of
    from raykd.models.task_head import with_task
    from raykd.models.transformers_private import without_weights

    sizes = {}
    for name, entries in PUBLISHED.items():
        family = family_of(entries["model_type"])
        kind, outputs = ("causal_lm", 1) if family.is_decoder else ("classification", 2)
        config = with_task(family.config_class().from_dict(dict(entries)), kind, outputs)
        with torch.device("meta"):
            sizes[name] = sizes_of(without_weights(family.head_class(kind), config))
    return sizes


def lines() -> Iterator[str]:
    """The section of the page."""
    known = published()
    ways = ("adamw", "adamw_8bit", "adafactor", "lora")
    yield "## Which sizes fit which card"
    yield HEAD
    rows = []
    for name, sizes in known.items():
        needed = [student(sizes, way) for way in ways]
        rows.append((name, f"{sizes.parameters / 1e6:,.0f} M", *map(_gib, needed),
                     *map(smallest_card, needed)))  # fmt: skip
    yield "### Students, with an offline teacher"
    yield ""
    yield from table(("student", "weights", *(f"`{w}`, GiB" for w in ways),
                      *(f"`{w}`, card" for w in ways)), rows)  # fmt: skip
    yield ""
    yield "### Students trained with `adamw`, next to an online teacher in bf16"
    yield ""
    pairs = [
        (f"{name} ({_gib(live_teacher(sizes))} GiB)",
         *(smallest_card(live_teacher(sizes) + student(own, "adamw")) for own in known.values()))
        for name, sizes in known.items()
    ]  # fmt: skip
    yield from table(("teacher", *known), pairs)
    yield ""


HEAD = f"""\
**This is arithmetic, not a measurement**: bytes by number of parameters, counted on models without
memory at their published sizes. A test holds the arithmetic against what tiny models and their
optimizers really keep.

Students are trained in float32 with products in bf16 (`train.precision: bf16`): 4 bytes of weight,
4 of gradient, 8 of `adamw` (2 of `adamw_8bit`; for `adafactor` a row and a column of each matrix),
2 of the copy that autocast keeps; adapters (LoRA) of rank {RANK} next to all linear layers cost 16
bytes each, and 4 for every weight that stays. Added to it is what the backward pass reads of
{TOKENS:,} tokens a pass (`train.micro_batch: 8` with rows of 512) with
`train.gradient_checkpointing: true`: 4 bytes a token and number between blocks, and the inside of
one block. Scores of a vocabulary are computed in pieces and are small. An online teacher
(`teacher.serve: weights`) costs 2 bytes a weight and the inside of one block; a recorded one
(`teacher.serve: outputs`) nothing while students train, and while it is recorded as much as a live
one without a student. Each slot of a card needs its own sum.

Cards are 16, 24, 40, 80 and 141 GiB, of which {USABLE:.0%} are counted on; `-` fits none of them.
"""


def _parameters(model: Any) -> Iterator[tuple[str, Any]]:
    return iter(model.named_parameters(remove_duplicate=False))


def _count(shape: tuple[int, ...]) -> int:
    return math.prod(shape)


def _gib(count: int) -> str:
    return f"{count / GIB:.1f}"
