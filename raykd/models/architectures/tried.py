"""Architectures that were tried, each on a tiny random model, and what was found of them.

``python -m raykd.models.architectures.tried`` writes the table again; a test holds it against what
the probes say.
"""

from __future__ import annotations

import json
from typing import Any

from raykd.data.kinds import (
    causal_lm,
    classification,
    embedding,
    masked_lm,
    seq2seq,
    span,
    token_classification,
)
from raykd.data.task_kinds import task_kind
from raykd.models.architectures.probe import Capabilities, capabilities
from raykd.models.base import RandomInitConfig
from raykd.models.families.base import family_named
from raykd.registry import TRIED

ENCODERS = (
    "bert", "roberta", "xlm-roberta", "distilbert", "electra", "albert", "mpnet", "deberta",
    "deberta-v2", "modernbert", "camembert", "convbert", "mobilebert", "squeezebert", "nomic_bert",
    "eurobert", "roformer", "funnel", "xlnet", "megatron-bert", "ernie",
)  # fmt: skip
DECODERS = (
    "gpt2", "gpt_neo", "gpt_neox", "llama", "qwen2", "qwen3", "mistral", "phi", "phi3", "gemma",
    "gemma2", "gemma3_text", "olmo", "olmo2", "smollm3", "granite", "cohere", "falcon", "opt",
    "bloom", "stablelm", "starcoder2", "mamba", "qwen3_moe", "mixtral", "glm4", "exaone4",
    "ernie4_5",
)  # fmt: skip
ENCODER_DECODERS = ("t5", "mt5", "bart", "mbart", "pegasus", "longt5", "umt5", "led")
CLASSIFIERS = ("gpt2", "llama", "qwen3", "gemma2", "gemma3_text", "mistral", "phi3", "opt")
"""Decoders with a head for classes."""
EMBEDDERS = (
    "bert", "xlm-roberta", "mpnet", "distilbert", "modernbert", "nomic_bert", "eurobert", "llama",
    "mistral", "qwen3", "gemma3_text",
)  # fmt: skip
"""Encoders and decoders that models for vectors of texts are made of."""
CASES = (
    *((name, classification.KIND.name) for name in ENCODERS),
    *((name, kind.name) for kind in (span.KIND, token_classification.KIND, masked_lm.KIND)
      for name in ("modernbert", "electra", "xlm-roberta")),
    *((name, causal_lm.KIND.name) for name in DECODERS),
    *((name, seq2seq.KIND.name) for name in ENCODER_DECODERS),
    *((name, classification.KIND.name) for name in CLASSIFIERS),
    *((name, embedding.KIND.name) for name in EMBEDDERS),
)  # fmt: skip
"""Architecture and kind of task."""


def sizes(name: str) -> RandomInitConfig:
    """Those of a tiny model."""
    return RandomInitConfig(
        family=name, layers=4, hidden=16, heads=2, intermediate=24, max_positions=24, dropout=0.0
    )


def config(name: str, kind: str) -> Any:
    """The configuration of a tiny model of an architecture."""
    return family_named(name).config(sizes(name), 60, kind, task_kind(kind).head_outputs(3))


def entry(result: Capabilities) -> dict[str, Any]:
    """What was found, as the table keeps it."""
    return {"refused": result.refused, "lacks": dict(result.lacks)}


def write() -> None:
    """Try all of them, and write the table."""
    table: dict[str, dict[str, Any]] = {}
    for name, kind in CASES:
        table.setdefault(name, {})[kind] = entry(capabilities(config(name, kind)))
    TRIED.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
